//! The qwen engine in the programs, with a tiny model that has the published layout and whose numbers the
//! reference implementation made (`crates/qwen-image-layered/reference`).

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use candle_core::{DType, Device, Tensor};
use image::RgbaImage;
use jobs::{EngineName, EventKind, Metadata, State};
use qwen_image_layered::testing::runs::{relative, whole_cases};
use qwen_image_layered::testing::{fixture, loras, whole_checkpoint};
use serde_json::json;
use support::{Client, Service, check_result, check_succeeded_once, command, poster_png, run, stderr, write_poster};
use uuid::Uuid;

/// The input of the complete reference runs.
fn reference_picture() -> RgbaImage {
    whole_cases()[0].picture()
}

fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).expect("safetensors")
}

/// `decompose` with the tiny model in `model`, at its size.
fn decompose(dir: &Path, model: &Path, more: &[&str]) -> Output {
    let model = model.to_string_lossy();
    let mut arguments = vec!["decompose", "poster.png", "--engine", "qwen", "--model", &model, "--layers", "2"];
    arguments.extend(["--steps", "4", "--resolution", "64", "--seed", "5", "-o", "out"]);
    arguments.extend(more);
    run(dir, &arguments)
}

#[test]
fn the_command_line_gives_what_the_reference_gives() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    let picture = reference_picture();
    picture.save(dir.path().join("poster.png")).expect("written");
    let whole = [
        ("whole_prompt", vec!["--prompt", "A red kite over the sea, 50% OFF"], false),
        ("whole_caption", vec!["--caption-language", "zh"], true),
    ];
    for (name, more, captioned) in whole {
        let more = [&more[..], &["--device", "cpu", "--dtype", "f32", "--dump", "dump.safetensors"]].concat();
        let output = decompose(dir.path(), model.path(), &more);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("needs ") && text.contains("plan folder, everything resident"), "{text}");
        let dump = tensors(&dir.path().join("dump.safetensors"));
        for (stage, expected) in tensors(&fixture(&format!("tiny/{name}.safetensors"))) {
            let error = relative(&dump[&stage], &expected);
            assert!(error <= 1e-4, "{name} {stage}: {error}");
        }
        let metadata = check_result(&dir.path().join("out"), &picture);
        assert_eq!(metadata.engine.name, EngineName::Qwen);
        assert_eq!((metadata.engine.device.as_str(), metadata.layers.len(), metadata.seed), ("cpu", 2, 5));
        assert_eq!(
            metadata.notes.iter().any(|note| note.text.contains("described")),
            captioned,
            "{:?}",
            metadata.notes
        );
        // The model's rendering is stored, but is not a layer.
        let rendering = image::open(dir.path().join("out").join(metadata.rendering.expect("kept"))).expect("a picture");
        assert_eq!((rendering.width(), rendering.height()), (64, 64));
    }
}

#[test]
fn layers_have_the_requested_size() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    // Smaller than the model's size, so that nothing can depend on the input's size.
    let picture = write_poster(dir.path(), "poster.png", 48);
    let out = dir.path().join("out");
    let on = ["--device", "cpu", "--dtype", "f32", "--output-size"];
    let size = |name: &str| image::image_dimensions(out.join(name)).expect("a picture");

    let output = decompose(dir.path(), model.path(), &[&on[..], &["both"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let metadata = check_result(&out, &picture);
    let kept = metadata.model_layers.expect("the model's own layers are kept");
    assert_eq!((kept.width, kept.height, kept.files.len()), (64, 64, metadata.layers.len()));
    assert!(kept.files.iter().all(|file| size(file) == (64, 64)));
    let exported = run(dir.path(), &["export", "out", "--trim", "-o", "both.zip"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    let packed = dir.path().join("packed");
    support::unzip(&fs::read(dir.path().join("both.zip")).expect("written"), &packed);
    assert!(kept.files.iter().all(|file| packed.join(file).is_file()), "the ZIP leaves the model's layers out");

    let output = decompose(dir.path(), model.path(), &[&on[..], &["model"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let metadata: Metadata =
        serde_json::from_slice(&fs::read(out.join("metadata.json")).expect("written")).expect("JSON");
    assert_eq!((metadata.canvas(), metadata.model_layers), ((64, 64), None));
    assert!(metadata.layers.iter().all(|layer| size(&layer.file) == (64, 64)));
    let exported = run(dir.path(), &["export", "out", "-o", "model.psd"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
}

#[test]
fn initial_latents_replace_the_seed() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    reference_picture().save(dir.path().join("poster.png")).expect("written");
    let prompt = ["--prompt", "a kite", "--dump"];
    assert!(decompose(dir.path(), model.path(), &[&prompt[..], &["first.safetensors"]].concat()).status.success());
    let first = tensors(&dir.path().join("first.safetensors"));
    let noise = HashMap::from([("latents".to_owned(), first["latents0"].clone())]);
    candle_core::safetensors::save(&noise, dir.path().join("noise.safetensors")).expect("written");

    let given = ["--init-latents", "noise.safetensors", "--prompt", "a kite", "--dump", "second.safetensors"];
    let second = decompose(dir.path(), model.path(), &given);
    assert!(second.status.success(), "{}", stderr(&second));
    assert_eq!(relative(&tensors(&dir.path().join("second.safetensors"))["images"], &first["images"]), 0.0);

    let refused = decompose(dir.path(), model.path(), &["--init-latents", "poster.png"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("poster.png"), "{}", stderr(&refused));
}

#[test]
fn shortcuts_are_noted_in_the_result() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    let picture = reference_picture();
    picture.save(dir.path().join("poster.png")).expect("written");
    for (more, expected) in [
        (&["--guided-steps-percent", "50", "--step-cache-percent", "100"][..], &["first 2 of 4", "of 6 passes"][..]),
        (&[], &[]),
    ] {
        let output = decompose(dir.path(), model.path(), &[&["--device", "cpu", "--prompt", "a kite"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let notes = check_result(&dir.path().join("out"), &picture).notes;
        let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
        assert!(expected.iter().all(|words| notes.contains(words)), "{notes}");
        assert_eq!(notes.contains("PERCENT"), !expected.is_empty(), "{notes}");
    }
}

#[test]
fn loras_and_samplers_of_the_command_line_change_the_result_and_are_recorded() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    reference_picture().save(dir.path().join("poster.png")).expect("written");
    loras::write("kohya", dir.path(), DType::F32);
    let made = |more: &[&str]| {
        let output = decompose(dir.path(), model.path(), &[&["--device", "cpu", "--prompt", "a kite"], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let out = dir.path().join("out");
        let metadata = fs::read(out.join("metadata.json")).expect("a result");
        let metadata: Metadata = serde_json::from_slice(&metadata).expect("metadata");
        (fs::read(out.join("layer_1.png")).expect("a layer"), metadata)
    };
    let (plain, metadata) = made(&[]);
    assert!(metadata.loras.is_empty());
    let (with, metadata) = made(&["--lora", "kohya.safetensors:0.5"]);
    assert_ne!(plain, with);
    let [lora] = &metadata.loras[..] else { panic!("{:?}", metadata.loras) };
    assert_eq!((lora.name.as_str(), lora.strength, lora.sha256.len()), ("kohya", 0.5, 64));
    let (heun, metadata) = made(&["--sampler", "heun"]);
    assert_ne!(plain, heun);
    assert_eq!(metadata.params.sampler, jobs::Sampler::Heun);
    for (more, code, words) in [
        (&["--lora", "poster.png"][..], 1, "poster.png"),
        (&["--lora", "none.safetensors"], 1, "none.safetensors"),
        (&["--lora", "kohya.safetensors:11"], 2, "-10 to 10"),
        (&["--sampler", "ddim"], 2, "dpmpp_2m"),
    ] {
        let output = decompose(dir.path(), model.path(), &[&["--device", "cpu", "--prompt", "a kite"], more].concat());
        assert_eq!(output.status.code(), Some(code), "{more:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{more:?}: {}", stderr(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_lists_its_loras_and_jobs_name_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let (model, folder) = (whole_checkpoint(), dir.path().join("styles"));
    fs::create_dir_all(folder.join("peft")).expect("a folder");
    loras::write("kohya", &folder, DType::BF16);
    loras::write("peft", &folder.join("peft"), DType::F32);
    fs::write(folder.join("broken.safetensors"), b"nothing").expect("written");
    let [name, loras_dir] = [model.path(), &folder].map(|path| path.to_string_lossy().into_owned());
    let settings = [("MODEL_NAME", name.as_str()), ("DEVICE", "cpu"), ("LORA_DIR", loras_dir.as_str())];
    let service = Service::all_in_one(dir.path(), &settings);
    let client = Client::new(&service.url);
    let get = |path: String| {
        let request = client.http.get(format!("{}{path}", client.url));
        async move { request.send().await.expect("an answer").json::<serde_json::Value>().await.expect("JSON") }
    };
    let capabilities = get("/api/capabilities".to_owned()).await;
    let engines = capabilities["engines"].as_array().expect("engines");
    let qwen = engines.iter().find(|engine| engine["name"] == "qwen").expect("the engine");
    assert_eq!(qwen["samplers"], json!(["euler", "heun", "unipc", "dpmpp_2m"]));
    let listed: Vec<_> = qwen["loras"].as_array().expect("LoRAs").iter().map(|lora| &lora["name"]).collect();
    assert_eq!(listed, ["kohya", "peft"]);
    let upload = client.upload(poster_png(96, 0)).await;
    let submit = |loras: serde_json::Value| {
        let asked = json!({
            "upload_id": upload, "engine": "qwen", "num_layers": 2, "steps": 2, "resolution": 64, "prompt": "discs",
            "sampler": "unipc", "loras": loras,
        });
        let request = client.http.post(format!("{}/api/decompose", client.url)).json(&asked);
        async move { request.send().await.expect("an answer") }
    };
    let job = |answer: serde_json::Value| serde_json::from_value::<Uuid>(answer["job_id"].clone()).expect("a job");
    let answer = submit(json!([{ "name": "peft", "strength": 0.8 }, { "name": "kohya" }])).await;
    let id = job(answer.json().await.expect("JSON"));
    check_succeeded_once(&client.events(id).await);
    let metadata = get(format!("/api/jobs/{id}/metadata.json")).await;
    assert_eq!(metadata["params"]["sampler"], "unipc");
    let used = metadata["loras"].as_array().expect("LoRAs");
    assert_eq!(
        used.iter().map(|lora| (&lora["name"], &lora["strength"])).collect::<Vec<_>>(),
        [(&json!("peft"), &json!(0.8)), (&json!("kohya"), &json!(1.0)),]
    );
    // Never a path; and a name that is not there fails with those that are.
    let refused = submit(json!([{ "name": "../styles/kohya.safetensors" }])).await;
    assert_eq!(refused.status(), 422);
    let id = job(submit(json!([{ "name": "other" }])).await.json().await.expect("JSON"));
    let failed = client.wait_finished(id).await;
    assert_eq!(failed.state, State::Failed);
    let message = failed.error.expect("a reason").message;
    assert!(message.contains("broken, kohya, peft"), "{message}");
}

#[test]
fn a_job_that_fits_no_plan_is_refused_before_anything_is_loaded() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    write_poster(dir.path(), "poster.png", 48);
    let mut program = command("unflatten", dir.path());
    program.args(["decompose", "poster.png", "--engine", "qwen", "--layers", "2", "--resolution", "64"]);
    program.args(["--device", "cpu", "--model"]).arg(model.path()).env("DEVICE_MEMORY_LIMIT", "1MiB");
    let output = program.output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for words in ["no plan fits 64x64, 2 layers", "0.0 GB are free", "--engine draft"] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn an_invalid_model_is_reported_with_its_fault() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 64);
    let expect = |model: &Path, more: &[&str], words: &[&str]| {
        let output = decompose(dir.path(), model, more);
        let text = stderr(&output);
        assert_ne!(output.status.code(), Some(0), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in {text}");
        assert!(!text.contains("panicked"), "{text}");
    };
    expect(Path::new("no/such"), &[], &["no/such", "pull"]);
    let empty = tempfile::tempdir().expect("a folder");
    expect(empty.path(), &[], &["config.json"]);
    let broken = whole_checkpoint();
    let weights = broken.path().join("vae/diffusion_pytorch_model.safetensors");
    let bytes = fs::read(&weights).expect("weights");
    fs::write(&weights, &bytes[..bytes.len() / 2]).expect("cut");
    expect(broken.path(), &[], &["diffusion_pytorch_model.safetensors"]);
    expect(whole_checkpoint().path(), &["--device", "cuda:7"], &["cuda"]);
    expect(whole_checkpoint().path(), &["--dtype", "f16"], &["bf16"]);
}

#[test]
fn dump_takes_one_picture() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "a.png", 64);
    write_poster(dir.path(), "b.png", 64);
    let output = run(dir.path(), &["decompose", "a.png", "b.png", "--dump", "x.safetensors"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

async fn submit(client: &Client, steps: u32) -> Uuid {
    let upload = client.upload(poster_png(96, 0)).await;
    let asked = json!({
        "upload_id": upload, "engine": "qwen", "num_layers": 2, "steps": steps, "resolution": 64, "prompt": "discs"
    });
    let answer = client.http.post(format!("{}/api/decompose", client.url)).json(&asked).send().await;
    let answer: serde_json::Value = answer.expect("the API answers").json().await.expect("JSON");
    serde_json::from_value(answer["job_id"].clone()).unwrap_or_else(|_| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_runs_the_model_and_cancels_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    let name = model.path().to_string_lossy().into_owned();
    let service = Service::all_in_one(dir.path(), &[("MODEL_NAME", &name), ("DEVICE", "cpu")]);
    let client = Client::new(&service.url);
    let id = submit(&client, 3).await;
    let events = client.events(id).await;
    check_succeeded_once(&events);
    let stages: Vec<_> = events
        .iter()
        .filter_map(|e| if let EventKind::Progress(p) = &e.kind { Some(p.stage.as_str()) } else { None })
        .collect();
    for stage in ["denoise", "decode", "lift"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }
    let metadata = client.http.get(format!("{}/api/jobs/{id}/metadata.json", client.url)).send().await;
    let metadata: Metadata = metadata.expect("the API answers").json().await.expect("metadata");
    assert_eq!(metadata.engine.name, EngineName::Qwen);

    // 200 steps take minutes; a cancel ends them within one step.
    let id = submit(&client, 200).await;
    client.wait_started(id).await;
    let deleted = client.http.delete(format!("{}/api/jobs/{id}", client.url)).send().await.expect("the API answers");
    assert!(deleted.status().is_success(), "{}", deleted.status());
    let job = client.wait_finished(id).await;
    assert_eq!(job.state, State::Cancelled);
}

#[test]
fn doctor_and_auto_explain_a_model_on_a_cpu() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = whole_checkpoint();
    write_poster(dir.path(), "poster.png", 64);
    let with_model = |arguments: &[&str]| {
        let mut command = command("unflatten", dir.path());
        command.args(arguments).env("MODEL_NAME", model.path()).env("DEVICE", "cpu").output().expect("started")
    };
    let doctor = support::stdout(&with_model(&["doctor"]));
    assert!(doctor.contains("qwen on cpu"), "{doctor}");
    assert!(with_model(&["decompose", "poster.png", "-o", "out"]).status.success());
    let metadata = fs::read(dir.path().join("out/metadata.json")).expect("a result");
    let metadata: Metadata = serde_json::from_slice(&metadata).expect("metadata");
    assert_eq!(metadata.engine.name, EngineName::Draft);
    assert!(metadata.engine.reason.contains("by name"), "{}", metadata.engine.reason);
}

#[test]
fn a_model_of_random_weights_is_written_and_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    write_poster(dir.path(), "poster.png", 96);
    for format in ["bf16", "fp8", "gguf:q4_k_m"] {
        let model = dir.path().join(format.replace(':', "-"));
        let arguments = ["synth-checkpoint", &model.to_string_lossy(), "--size", "tiny", "--format", format];
        let output = run(dir.path(), &arguments);
        assert!(output.status.success(), "{format}: {}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("a tiny model in {format}")));
        let output = decompose(dir.path(), &model, &["--device", "cpu", "--prompt", "a kite"]);
        assert!(output.status.success(), "{format}: {}", stderr(&output));
        fs::remove_dir_all(dir.path().join("out")).expect("a result");
        // An existing folder is not overwritten.
        let again = run(dir.path(), &arguments);
        assert_eq!(again.status.code(), Some(2), "{format}");
        assert!(stderr(&again).contains("is not empty"), "{format}: {}", stderr(&again));
    }
    let unknown = run(dir.path(), &["synth-checkpoint", "other", "--format", "q2"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("gguf:q4_k_m") && !dir.path().join("other").exists(), "{}", stderr(&unknown));
}
