//! `unflatten` on the command line: its output and its exit codes.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{check_result, command, exit_code, run, signal, stderr, stdout, unzip, write_poster};

const SIDE: u32 = 320;

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the folder is there");
    let mut names: Vec<_> = entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn one_picture_becomes_layers_that_give_it_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let poster = write_poster(dir.path(), "poster.png", SIDE);
    let output = run(dir.path(), &["decompose", "poster.png", "-n", "4", "-o", "out", "--seed", "5"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("poster.png -> out"), "{}", stdout(&output));
    let metadata = check_result(&dir.path().join("out"), &poster);
    assert!((1..=4).contains(&metadata.layers.len()));
    assert_eq!((metadata.seed, metadata.job_id), (5, None));
    assert_eq!(metadata.engine.name, jobs::EngineName::Draft);
    assert!(metadata.recomposition.max_error <= 1, "{:?}", metadata.recomposition);
    let mut expected: Vec<_> = metadata.layers.iter().map(|layer| layer.file.clone()).collect();
    expected.extend(["metadata.json".to_owned(), "preview.jpg".to_owned()]);
    assert_eq!(names(&dir.path().join("out")), expected, "nothing else is left in the folder");
}

#[test]
fn several_pictures_get_a_folder_each_and_one_line_of_json() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = write_poster(dir.path(), "a/poster.png", 200);
    let second = write_poster(dir.path(), "b/poster.png", 160);
    fs::write(dir.path().join("broken.png"), b"\x89PNG\r\n\x1a\nnot really").expect("written");
    let arguments = ["decompose", "a/poster.png", "broken.png", "b/poster.png", "-n", "2", "-o", "out", "--json"];
    let output = run(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "one of three failed: {}", stderr(&output));
    check_result(&dir.path().join("out/poster"), &first);
    check_result(&dir.path().join("out/poster-2"), &second);
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["dir"], "out/poster");
    assert_eq!(lines[1]["error"]["code"], "bad_picture");
    assert_eq!(lines[2]["metadata"]["input"]["width"], 160);
}

#[test]
fn a_second_run_leaves_no_layer_of_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let poster = write_poster(dir.path(), "poster.png", SIDE);
    fs::create_dir(dir.path().join("out")).expect("made");
    fs::write(dir.path().join("out/notes.txt"), "mine").expect("written");
    assert!(run(dir.path(), &["decompose", "poster.png", "-n", "4", "-o", "out"]).status.success());
    let output = run(dir.path(), &["decompose", "poster.png", "-n", "1", "-o", "out"]);
    assert!(stdout(&output).contains("in place of the earlier result"), "{}", stdout(&output));
    check_result(&dir.path().join("out"), &poster);
    let expected = ["layer_0.png", "metadata.json", "notes.txt", "preview.jpg"];
    assert_eq!(names(&dir.path().join("out")), expected);
}

#[test]
fn layer_files_of_something_else_are_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    fs::write(dir.path().join("layer_3.png"), "not ours").expect("written");
    let output = run(dir.path(), &["decompose", "poster.png", "-o", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("-o"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(dir.path().join("layer_3.png")).expect("still there"), "not ours");
    assert_eq!(names(dir.path()), ["layer_3.png", "poster.png"]);
}

#[test]
fn wrong_use_exits_with_2_and_advice() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    for (arguments, word) in [
        (&["decompose"][..], "IMAGE"),
        (&["decompose", "nothing.png"], "nothing.png"),
        (&["decompose", "."], "folder"),
        (&["decompose", "poster.png", "-n", "65"], "1 to 64"),
        (&["decompose", "poster.png", "-n", "0"], "1 to 64"),
        (&["decompose", "poster.png", "--engine", "magic"], "draft"),
        (&["decompose", "poster.png", "--guidance", "99"], "guidance"),
        (&["decompose", "poster.png", "--resolution", "7"], "resolution"),
        (&["export", "."], "metadata.json"),
        (&["serve", "--host", "not an address"], "--host"),
        (&["token", "a b"], "letters"),
        (&["token", "alice", "--scopes", "write"], "read, submit, edit and admin"),
        (&["token", "alice", "--limit", "speed=9"], "priority="),
        (&["flatten"], "flatten"),
    ] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{arguments:?}: {}", stderr(&output));
    }
    let output = command("unflatten", dir.path()).arg("doctor").env("RUST_LOG", "a=b=c").output().expect("started");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn settings_of_the_service_do_not_stop_the_command_line() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    let mut decompose = command("unflatten", dir.path());
    decompose.args(["decompose", "poster.png", "-n", "2"]);
    decompose.envs([("WEBHOOK_SECRET", "hush"), ("CORS_ORIGINS", "*"), ("REDIS_URL", "nowhere"), ("PORT", "many")]);
    let output = decompose.output().expect("started");
    assert!(output.status.success(), "{}", stderr(&output));
    // The same setting stops the service that reads it, in every binary alike.
    for program in ["unflatten", "unflatten-api"] {
        let output = command(program, dir.path()).env("WEBHOOK_SECRET", "hush").output().expect("started");
        assert_eq!(output.status.code(), Some(2), "{program}: {}", stderr(&output));
    }
    let output = command("unflatten-worker", dir.path()).env("ENGINES", "magic").output().expect("started");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn failures_exit_with_1_and_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    fs::write(dir.path().join("empty.png"), "").expect("written");
    fs::write(dir.path().join("out"), "a file, not a folder").expect("written");
    for (arguments, word) in [
        (&["decompose", "poster.png", "--engine", "qwen"][..], "qwen"),
        (&["decompose", "poster.png", "--engine", "vertex"], "vertex"),
        (&["decompose", "empty.png"], "empty"),
        (&["decompose", "empty.png", "-o", "a/b/c"], "empty"),
        (&["decompose", "poster.png", "-o", "out"], "-o"),
    ] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains(word), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    }
    assert_eq!(names(dir.path()), ["empty.png", "out", "poster.png"], "an empty folder was left behind");
}

#[test]
fn a_picture_that_does_not_fit_is_refused_with_numbers() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 512);
    let mut decompose = command("unflatten", dir.path());
    decompose.args(["decompose", "poster.png", "-o", "out"]).env("JOB_MEMORY_LIMIT", "2MiB");
    let output = decompose.output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2 MiB") && stderr(&output).contains("512x512"), "{}", stderr(&output));
    assert_eq!(names(dir.path()), ["poster.png"], "an empty folder was left behind");
}

#[test]
fn export_packs_the_result_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let poster = write_poster(dir.path(), "poster.png", 160);
    assert!(run(dir.path(), &["decompose", "poster.png", "-n", "3", "-o", "out"]).status.success());
    fs::write(dir.path().join("out/private.txt"), "not part of the result").expect("written");
    let output = run(dir.path(), &["export", "out", "--format", "zip", "-o", "poster.zip"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let unpacked = dir.path().join("unpacked");
    unzip(&fs::read(dir.path().join("poster.zip")).expect("the archive"), &unpacked);
    check_result(&unpacked, &poster);
    assert!(!names(&unpacked).contains(&"private.txt".to_owned()));
    fs::remove_file(dir.path().join("out/layer_0.png")).expect("removed");
    let output = run(dir.path(), &["export", "out", "-o", "again.zip"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!dir.path().join("again.zip").exists());
}

#[test]
fn interrupted_it_leaves_the_earlier_result_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "small.png", 64);
    assert!(run(dir.path(), &["decompose", "small.png", "-o", "out"]).status.success());
    let before = fs::read(dir.path().join("out/metadata.json")).expect("a result");
    write_poster(dir.path(), "large.png", 2400);
    let mut decompose = command("unflatten", dir.path());
    let mut child = decompose.args(["decompose", "large.png", "-o", "out"]).spawn().expect("started");
    // The hidden folder shows that the run has started.
    while !names(&dir.path().join("out")).iter().any(|name| name.starts_with(".unflatten-")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "INT");
    assert_eq!(exit_code(&mut child), Some(130));
    assert_eq!(fs::read(dir.path().join("out/metadata.json")).expect("still there"), before);
    assert!(!names(&dir.path().join("out")).iter().any(|name| name.starts_with('.')), "nothing half-made is left");
}

#[test]
fn doctor_says_what_works_and_how_to_fix_the_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), &["doctor"]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    for subject in ["CPU", "memory", "storage", "queue", "GPU", "weights", "unflatten pull"] {
        assert!(stdout(&output).contains(subject), "{subject} is missing: {}", stdout(&output));
    }
    let mut doctor = command("unflatten", dir.path());
    let output = doctor.arg("doctor").env("REDIS_URL", "redis://127.0.0.1:1/0").output().expect("started");
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("FAIL queue") && stdout(&output).contains("redis-server"), "{}", stdout(&output));
}

#[test]
fn help_names_every_command() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), &["--help"]);
    assert!(output.status.success());
    for word in ["serve", "decompose", "export", "doctor", "pull", "Exit codes"] {
        assert!(stdout(&output).contains(word), "{word}: {}", stdout(&output));
    }
}

#[test]
fn a_token_is_shown_once_and_its_line_holds_a_hash() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = run(dir.path(), &["token", "alice", "--scopes", "read,edit", "--limit", "stored=5GB"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let secret = text.lines().find(|line| line.starts_with("unf_")).expect("a token");
    let line = text.lines().find(|line| line.starts_with("alice read+edit sha256:")).expect("a line");
    assert!(line.ends_with(" stored=5000000000") && !line.contains(secret), "{line}");
    // Two are never the same.
    assert_ne!(text, stdout(&run(dir.path(), &["token", "alice", "--scopes", "read,edit", "--limit", "stored=5GB"])));
}

#[test]
fn nobody_is_let_in_by_oversight() {
    let dir = tempfile::tempdir().expect("a folder");
    for program in ["unflatten", "unflatten-api"] {
        let output = command(program, dir.path()).env("HOST", "0.0.0.0").env("PORT", "0").output().expect("started");
        assert_eq!(output.status.code(), Some(2), "{program}: {}", stderr(&output));
        for word in ["HOST", "API_TOKENS", "unflatten token", "ALLOW_ANONYMOUS=true"] {
            assert!(stderr(&output).contains(word), "{program}: {word} is missing: {}", stderr(&output));
        }
    }
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "# none yet\n").expect("written");
    let output = command("unflatten", dir.path()).env("API_TOKENS_FILE", &tokens).output().expect("started");
    assert_eq!(output.status.code(), Some(2), "an empty file opens nothing: {}", stderr(&output));
}
