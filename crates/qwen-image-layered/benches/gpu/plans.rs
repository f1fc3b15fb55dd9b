//! Whole jobs under each plan.

use std::cell::RefCell;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::DType;
use image::RgbaImage;
use qwen_image_layered::plan::{
    BlockPlace, Candidate, Footprint, Passes, Placement, Plan, TextPlace, Workload, choose,
};
use qwen_image_layered::synthetic::{Format, Quantisation, Size, Synthetic};
use qwen_image_layered::{LoadOptions, ModelFiles, Params, Pipeline, Progress, Stage};
use serde_json::{Value, json};

use crate::watch::{Watch, ballast};
use crate::{LAYERS, Options, Outcome, say};

const GB: u64 = 1_000_000_000;

/// What is measured; the plan is the one that is chosen for it.
struct Case {
    name: &'static str,
    format: Format,
    /// Bytes of the device that there are.
    cap: Option<u64>,
    resolution: u32,
    /// Steps of the measured job; `None`: all. Fewer where all would not fit into the time, for they are alike.
    steps: Option<usize>,
    /// `None`: as the plan says.
    passes: Option<Passes>,
}

const CASES: [Case; 6] = [
    Case { name: "resident", format: Format::Bf16, cap: None, resolution: 640, steps: None, passes: None },
    Case {
        name: "24 GB card",
        format: Format::Gguf(Quantisation::Q5KM),
        cap: Some(23 * GB),
        resolution: 640,
        steps: None,
        passes: None,
    },
    Case {
        name: "12 GB card, streaming",
        format: Format::Bf16,
        cap: Some(11_500_000_000),
        resolution: 640,
        steps: Some(8),
        passes: None,
    },
    Case { name: "resident, 1024", format: Format::Bf16, cap: None, resolution: 1024, steps: Some(8), passes: None },
    Case {
        name: "resident, sequential passes",
        format: Format::Bf16,
        cap: None,
        resolution: 640,
        steps: Some(8),
        passes: Some(Passes::Sequential),
    },
    Case {
        name: "24 GB card, bf16 streaming",
        format: Format::Bf16,
        cap: Some(23 * GB),
        resolution: 640,
        steps: Some(8),
        passes: None,
    },
];

/// Steps of the run before the measured one: it loads the model and compiles kernels.
const WARM_UP: usize = 1;

pub(crate) fn run(options: &Options) -> Outcome {
    let mut failed = Vec::new();
    for case in &CASES {
        if options.left() < Duration::from_secs(45) {
            say("plans", json!({ "case": case.name, "left_out": "the time is over" }));
        } else if let Err(error) = one(options, case) {
            say("plans", json!({ "case": case.name, "failed": error.to_string() }));
            failed.push(case.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join("; ")).into()) }
}

/// Writes the checkpoints that [`run`] needs into the folder that the options name.
pub(crate) fn write_weights(options: &Options) -> Outcome {
    let Some(folder) = &options.weights else { return Ok(()) };
    let mut written = Vec::new();
    for Case { format, .. } in CASES {
        let synthetic = Synthetic { size: options.size, format };
        let place = place(folder, format);
        // Of an earlier measurement on this machine.
        if written.contains(&format) || place.join(WRITTEN).is_file() {
            continue;
        }
        let begun = Instant::now();
        synthetic.write(&place, &mut |_, _| ControlFlow::Continue(()))?;
        std::fs::write(place.join(WRITTEN), "")?;
        let (seconds, gigabytes) = (begun.elapsed().as_secs_f64(), synthetic.bytes() as f64 / GB as f64);
        say("weights", json!({ "format": format.to_string(), "gb": gigabytes, "written_in_s": seconds }));
        written.push(format);
    }
    Ok(())
}

fn place(folder: &Path, format: Format) -> PathBuf {
    folder.join(format.to_string().replace(':', "-"))
}

/// The mark of a checkpoint that is complete.
const WRITTEN: &str = "written";

fn one(options: &Options, case: &Case) -> Outcome {
    let synthetic = Synthetic { size: options.size, format: case.format };
    let generated = tempfile::tempdir()?;
    let files = match &options.weights {
        Some(folder) => synthetic.files(&place(folder, case.format)),
        None => synthetic.write_without_weights(generated.path())?,
    };
    let footprint = Footprint::measure(&files, DType::BF16)?;
    let mut params = Params {
        prompt: "a summer sale poster with a red kite over the sea".into(),
        layers: LAYERS,
        steps: case.steps.unwrap_or(options.steps).min(options.steps),
        resolution: if options.size == Size::Tiny { 64 } else { case.resolution },
        ..Params::default()
    };
    let workload = Workload::square(&params);
    let card = options.card(case.cap)?;
    let name = case.format.to_string();
    let candidates = [Candidate { name: &name, footprint: &footprint }];
    let mut plan = choose(&card, &candidates, &workload)?;
    if case.name.contains("streaming") && options.size == Size::Tiny {
        // Everything fits there; streamed all the same.
        let placement =
            Placement { text: TextPlace::Staged, blocks: BlockPlace::Streamed { resident: 1, in_flight: 2 } };
        plan = Plan::new(&card, &candidates, 0, placement, &workload).ok_or("there is one candidate")?;
    }
    if let Some(passes) = case.passes {
        plan = Plan::with(&card, &candidates, 0, plan.placement, passes, &workload).ok_or("there is one candidate")?;
    }
    params.passes = plan.passes;
    // Taken before anything is loaded: what is left is all there is.
    let taken = match (options.gpu, case.cap) {
        (Some(number), Some(cap)) => Some(ballast(&options.device, number, cap)?),
        _ => None,
    };
    let measured = measure(options, case, &plan, &files, &params);
    drop(taken);
    options.device.synchronize()?;
    say("plans", measured?);
    Ok(())
}

fn measure(
    options: &Options,
    case: &Case,
    plan: &Plan,
    files: &ModelFiles,
    params: &Params,
) -> Result<Value, Box<dyn Error>> {
    let picture = RgbaImage::from_fn(800, 800, |x, y| image::Rgba([(x / 4) as u8, (y / 4) as u8, 90, 255]));
    let watch = options.gpu.map(Watch::start).transpose()?;
    let load = LoadOptions { device: options.device.clone(), placement: plan.placement, ..LoadOptions::default() };
    let mut pipeline = Pipeline::new(files.clone(), load);
    let first = timed(&mut pipeline, &picture, &Params { steps: WARM_UP, ..params.clone() })?;
    let job = timed(&mut pipeline, &picture, params)?;
    pipeline.unload()?;
    // The last step ends with a look at its result, so the clock is the device's.
    let denoise = job.between(Stage::Denoise, Stage::Decode)?;
    let step = denoise / params.steps as f64;
    let decode = job.seconds - job.start(Stage::Decode)?;
    let load = first.between(Stage::LoadText, Stage::EncodeText)?
        + first.between(Stage::LoadTransformer, Stage::EncodeImage)?;
    let mut line = json!({
        "case": case.name,
        "plan": plan.line(),
        "resolution": params.resolution,
        "layers": params.layers,
        "steps": params.steps,
        "load_s": load,
        "first_job_s": first.seconds,
        "job_s": job.seconds,
        "s_per_step": step,
        "decode_s_per_picture": decode / (params.layers + 1) as f64,
        "estimate_gb": plan.need.peak() as f64 / GB as f64,
    });
    if params.steps < options.steps {
        let more = (options.steps - params.steps) as f64 * step;
        line["job_s_reckoned_for_all_steps"] = (job.seconds + more).into();
    }
    if let Some(watch) = watch {
        let peak = watch.peak()?;
        line["peak_gb"] = (peak as f64 / GB as f64).into();
        line["estimate_over_peak"] = (plan.need.peak() as f64 / peak as f64).into();
    }
    Ok(line)
}

/// When the stages of a job began, in seconds from its start.
struct Timed {
    seconds: f64,
    starts: Vec<(Stage, f64)>,
}

impl Timed {
    fn start(&self, stage: Stage) -> Result<f64, Box<dyn Error>> {
        let found = self.starts.iter().find(|start| start.0 == stage);
        Ok(found.ok_or(format!("the job had no {stage:?}"))?.1)
    }

    fn between(&self, from: Stage, to: Stage) -> Result<f64, Box<dyn Error>> {
        Ok(self.start(to)? - self.start(from)?)
    }
}

fn timed(pipeline: &mut Pipeline, picture: &RgbaImage, params: &Params) -> Result<Timed, Box<dyn Error>> {
    let starts = RefCell::new(Vec::<(Stage, f64)>::new());
    let begun = Instant::now();
    pipeline.decompose(picture, params, &mut |progress: Progress| {
        let mut starts = starts.borrow_mut();
        if starts.last().is_none_or(|last| last.0 != progress.stage) {
            starts.push((progress.stage, begun.elapsed().as_secs_f64()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(Timed { seconds: begun.elapsed().as_secs_f64(), starts: starts.into_inner() })
}
