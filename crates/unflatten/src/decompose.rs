//! `unflatten decompose`: decomposes pictures without a service.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use engine::{Stop, StopReason};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use jobs::{JobDefaults, Params, Resolution};
use layers::Limits;
use serde_json::json;
use service::{Failure, Settings, error_chain};
use tokio_util::sync::CancellationToken;
use unflatten::equip;
use worker::model::ModelConfig;
use worker::{FolderError, FolderJob, FolderResult, FolderRunner, Update};

use crate::arguments::DecomposeArguments;

/// Exit code after Ctrl-C: 128 + SIGINT, the convention of shells.
const INTERRUPTED: u8 = 130;

/// Runs the command.
///
/// # Errors
/// Wrong arguments or settings, or an engine that is missing. Failures of single pictures give exit code 1.
pub(crate) async fn decompose(arguments: Box<DecomposeArguments>, settings: &Settings) -> Result<ExitCode, Failure> {
    let defaults = JobDefaults::from_settings(settings)?;
    let mut config = worker::Config::from_settings(settings)?;
    let params = params(&arguments, &defaults)?;
    check_images(&arguments.images)?;
    set_model(&mut config.model, &arguments)?;
    let outputs = outputs(&arguments.images, arguments.output.as_deref());
    let equipment = equip(settings, &config)?;
    let runner = FolderRunner::start(&config, &equipment).map_err(|error| {
        Failure::Failed(format!(
            "the engine thread cannot be started: {error}; check the limits of the process (ulimit -u)"
        ))
    })?;
    // Before the first picture: a missing engine would fail all of them.
    runner.choose(params.engine).map_err(|failure| Failure::Failed(failure.message))?;

    let stop = Stop::default();
    stop_on_interrupt(&stop);
    let mut failures = 0;
    for (image, out) in arguments.images.iter().zip(outputs) {
        let job = FolderJob {
            image: image.clone(),
            out: out.clone(),
            params: params.clone(),
            limits: Limits { max_pixels: defaults.max_pixels },
        };
        let bar = progress_bar(image, arguments.json);
        let done = runner.decompose(job, &stop, &|update| show(&bar, update)).await;
        bar.finish_and_clear();
        if matches!(done, Err(FolderError::Cancelled)) {
            eprintln!("unflatten: interrupted; {} was not changed", out.display());
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let drawn = match (&arguments.sheet, &done) {
            (Some(file), Ok(done)) => {
                draw_sheet(image, &out, done, &sheet_path(file, &out, &arguments), defaults.max_pixels)
            }
            _ => Ok(()),
        };
        failures += usize::from(done.is_err() || drawn.is_err());
        report(image, &out, done, arguments.json);
        if let Err(problem) = drawn {
            eprintln!("unflatten: {}: the contact sheet cannot be drawn: {problem}", image.display());
        }
    }
    if failures > 0 && arguments.images.len() > 1 {
        eprintln!("unflatten: {failures} of {} pictures failed", arguments.images.len());
    }
    Ok(ExitCode::from(u8::from(failures > 0)))
}

fn params(arguments: &DecomposeArguments, defaults: &JobDefaults) -> Result<Params, Failure> {
    let standard = Params::default();
    let params = Params {
        num_layers: arguments.layers.unwrap_or(defaults.num_layers),
        engine: arguments.engine,
        prompt: arguments.prompt.clone(),
        negative_prompt: arguments.negative.clone(),
        seed: arguments.seed,
        steps: Some(arguments.steps.unwrap_or(defaults.steps)),
        guidance: arguments.guidance.unwrap_or(standard.guidance),
        cfg_normalize: arguments.cfg_normalize.unwrap_or(standard.cfg_normalize),
        resolution: Some(arguments.resolution.map_or(defaults.resolution, Resolution)),
        caption_language: arguments.caption_language.into(),
        output_size: arguments.output_size,
        scene_text: arguments.scene_text,
        sampler: arguments.model.sampler,
        loras: Vec::new(),
    };
    params.validate().map_err(|error| Failure::BadUse(format!("{error}; see unflatten decompose --help")))?;
    Ok(params)
}

/// Applies the options of the command line, which override settings.
fn set_model(config: &mut ModelConfig, arguments: &DecomposeArguments) -> Result<(), Failure> {
    let options = &arguments.model;
    if options.dump.is_some() && arguments.images.len() > 1 {
        return Err(Failure::BadUse("--dump takes one picture at a time".to_owned()));
    }
    if let Some(name) = &options.model {
        config.name.clone_from(name);
    }
    config.variant = options.variant.or(config.variant);
    config.device = options.device.unwrap_or(config.device);
    config.precision = options.dtype.unwrap_or(config.precision);
    config.guided_steps_percent = options.guided_steps_percent.unwrap_or(config.guided_steps_percent);
    config.step_cache_percent = options.step_cache_percent.unwrap_or(config.step_cache_percent);
    config.fp8_products |= options.fp8_products;
    config.loras.clone_from(&options.loras);
    config.init_latents.clone_from(&options.init_latents);
    config.dump.clone_from(&options.dump);
    Ok(())
}

fn check_images(images: &[PathBuf]) -> Result<(), Failure> {
    for image in images {
        let problem = match image.metadata() {
            Ok(metadata) if metadata.is_dir() => "is a folder; name the pictures inside it".to_owned(),
            Ok(_) => continue,
            Err(error) => format!("cannot be read: {error}"),
        };
        return Err(Failure::BadUse(format!("{} {problem}", image.display())));
    }
    Ok(())
}

/// A folder for each picture: distinct, even if file names differ only in folder, extension or case.
fn outputs(images: &[PathBuf], dir: Option<&Path>) -> Vec<PathBuf> {
    if let (Some(dir), [_]) = (dir, images) {
        return vec![dir.to_owned()];
    }
    let mut taken = HashSet::new();
    images
        .iter()
        .map(|image| {
            let stem = image.file_stem().map_or_else(|| "picture".to_owned(), |s| s.to_string_lossy().into_owned());
            let mut name = stem.clone();
            let mut number = 2;
            while !taken.insert(name.to_lowercase()) {
                name = format!("{stem}-{number}");
                number += 1;
            }
            match dir {
                Some(dir) => dir.join(name),
                None => PathBuf::from(format!("{name}-layers")),
            }
        })
        .collect()
}

fn stop_on_interrupt(stop: &Stop) {
    let token = CancellationToken::new();
    // Without handlers, Ctrl-C kills the process.
    if let Err(error) = service::signals::stop_on_signals(token.clone(), None) {
        tracing::warn!(%error, "signal handlers cannot be installed");
    }
    let stop = stop.clone();
    tokio::spawn(async move {
        token.cancelled().await;
        stop.raise(StopReason::Cancelled);
    });
}

/// A progress bar on a terminal; hidden if the output goes to a file or a program.
fn progress_bar(image: &Path, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {wide_msg}")
        .expect("the template is a constant")
        .progress_chars("=> ");
    let bar = ProgressBar::new(100).with_style(style);
    bar.set_prefix(image.file_name().unwrap_or_default().to_string_lossy().into_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, update: Update) {
    let progress = match update {
        Update::Progress(progress) => progress,
        Update::Note(note) => return bar.suspend(|| eprintln!("unflatten: {note}")),
    };
    bar.set_position(progress.percent as u64);
    let stage = progress.stage.as_str().replace('_', " ");
    let left = progress.eta_ms.map(|ms| format!(", about {:#} left", HumanDuration(Duration::from_millis(ms))));
    bar.set_message(format!("{stage} {}/{}{}", progress.step, progress.total, left.unwrap_or_default()));
}

fn report(image: &Path, out: &Path, done: Result<FolderResult, FolderError>, as_json: bool) {
    match done {
        Ok(done) if as_json => {
            println!("{}", json!({ "image": image, "dir": out, "metadata": done.metadata }));
        }
        Ok(done) => {
            let metadata = done.metadata;
            let replaced = if done.replaced { ", in place of the earlier result" } else { "" };
            println!(
                "{} -> {}: {} by {} in {:.1} s{replaced}",
                image.display(),
                out.display(),
                service::counted(metadata.layers.len(), "layer"),
                metadata.engine.name,
                metadata.duration_ms as f64 / 1000.0,
            );
        }
        Err(error) => {
            let message = error_chain(&error);
            if as_json {
                println!("{}", json!({ "image": image, "error": { "code": code(&error), "message": message } }));
            }
            eprintln!("unflatten: {}: {message}", image.display());
        }
    }
}

/// The contact sheet of a picture. Of several, each gets its own: `sheet.png` becomes `sheet-poster.png`.
fn sheet_path(file: &Path, out: &Path, arguments: &DecomposeArguments) -> PathBuf {
    if arguments.images.len() == 1 {
        return file.to_owned();
    }
    let part = |name: Option<&std::ffi::OsStr>| name.unwrap_or_default().to_string_lossy().into_owned();
    file.with_file_name(format!("{}-{}.png", part(file.file_stem()), part(out.file_name())))
}

/// Draws the contact sheet of the result in `out`.
fn draw_sheet(image: &Path, out: &Path, done: &FolderResult, file: &Path, max_pixels: u64) -> anyhow::Result<()> {
    let read = |path: &Path| -> anyhow::Result<image::RgbaImage> {
        let reader = std::io::BufReader::new(std::fs::File::open(path)?);
        Ok(layers::decode(reader, &Limits { max_pixels })?.pixels)
    };
    let mut made = Vec::new();
    for info in &done.metadata.layers {
        let pixels = read(&out.join(&info.file))?;
        made.push(layers::Layer::new(info.name.clone(), info.kind, pixels));
    }
    // The layers can have another size than the picture.
    let (width, height) = made.first().context("the result has no layers")?.pixels.dimensions();
    let stack = layers::LayerStack::new(width, height, made)?;
    let sheet = layers::contact_sheet(&read(image)?, &stack)?;
    let target = std::fs::File::create(file).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(layers::write_png(std::io::BufWriter::new(target), &sheet)?)
}

/// The error code in the output of `--json`.
fn code(error: &FolderError) -> serde_json::Value {
    match error {
        FolderError::Read(_) | FolderError::Decode(_) => json!("bad_picture"),
        FolderError::Write { .. } => json!("storage_failed"),
        FolderError::Occupied { .. } => json!("output_occupied"),
        FolderError::Failed(failure) => json!(failure.code),
        FolderError::Cancelled => json!("cancelled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_gets_a_folder_of_its_own() {
        let images: Vec<PathBuf> =
            ["a/poster.png", "b/poster.jpg", "POSTER.webp", "poster-2.png"].map(Into::into).to_vec();
        let names = outputs(&images, Some(Path::new("out")));
        assert_eq!(names, ["out/poster", "out/poster-2", "out/POSTER-3", "out/poster-2-2"].map(PathBuf::from));
    }

    #[test]
    fn each_of_several_pictures_gets_a_sheet() {
        use clap::Parser as _;
        let parse = |words: &[&str]| match crate::arguments::Arguments::parse_from(words).command {
            Some(crate::arguments::Command::Decompose(arguments)) => arguments,
            other => panic!("{other:?}"),
        };
        let one = parse(&["unflatten", "decompose", "a.png", "--sheet", "to/sheet.png"]);
        let file = one.sheet.clone().expect("it was given");
        assert_eq!(sheet_path(&file, Path::new("a-layers"), &one), file);
        let two = parse(&["unflatten", "decompose", "a.png", "b.png", "--sheet", "to/sheet.png"]);
        assert_eq!(sheet_path(&file, Path::new("x/b"), &two), Path::new("to/sheet-b.png"));
    }

    #[test]
    fn one_picture_is_written_directly_into_the_folder() {
        let images = [PathBuf::from("a/poster.png")];
        assert_eq!(outputs(&images, Some(Path::new("out"))), [PathBuf::from("out")]);
        assert_eq!(outputs(&images, None), [PathBuf::from("poster-layers")]);
    }
}
