//! `.env.example` lists every setting, and nothing else reads the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use service::Variable;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The expected content of `.env.example`.
fn example() -> String {
    let tables: [(&str, &[Variable]); 5] = [
        ("The log", service::VARIABLES),
        ("The queue, the storage and the defaults of jobs: API and workers need the same", jobs::VARIABLES),
        ("The page and the API", api::VARIABLES),
        ("Workers and their engines", worker::VARIABLES),
        ("Google Cloud, in builds with --features cloud", vertex::VARIABLES),
    ];
    let mut text = "# Every setting of Unflatten with its default. Copy this file to .env and change what you need;\n\
                    # the process's environment goes before the file.\n"
        .to_owned();
    let mut seen = BTreeMap::new();
    for (heading, table) in tables {
        text += &format!("\n# --- {heading} ---\n");
        for variable in table {
            let other = seen.insert(variable.name, variable.default);
            assert_eq!(other, None, "{} is in two tables", variable.name);
            text += &format!("\n# {}\n{}={}\n", variable.about, variable.name, variable.default);
        }
    }
    text
}

#[test]
fn env_example_lists_every_variable_with_its_default() {
    let path = root().join(".env.example");
    let expected = example();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &expected).expect(".env.example can be written");
    }
    let found = std::fs::read_to_string(&path).expect(".env.example is there");
    assert_eq!(found, expected, "run `UPDATE_EXPECTED=1 cargo test -p unflatten --test settings` and look at the diff");
}

#[test]
fn the_environment_is_read_in_one_place() {
    let mut readers = Vec::new();
    for package in [
        "api",
        "draft",
        "google",
        "jobs",
        "layers",
        "live-text",
        "networks",
        "qwen-image-layered",
        "engine",
        "service",
        "unflatten",
        "vertex",
        "worker",
    ] {
        find_readers(&root().join("crates").join(package).join("src"), &mut readers);
    }
    readers.sort();
    let allowed = [root().join("crates/service/src/settings.rs")];
    assert_eq!(readers, allowed, "only service::Settings reads the environment");
}

fn find_readers(dir: &Path, readers: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a source folder").map(|entry| entry.expect("an entry")) {
        let path = entry.path();
        if path.is_dir() {
            find_readers(&path, readers);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !is_test(&path) {
            let text = std::fs::read_to_string(&path).expect("source");
            // Code behind `#[cfg(test)]` is at the end of a file.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            if code.contains("env::var") {
                readers.push(path);
            }
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing") || path.iter().any(|part| part == "tests")
}
