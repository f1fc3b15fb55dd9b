//! Writes a result: `layer_0.png`, ..., `preview.jpg`, `metadata.json`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

use image::RgbaImage;
use jobs::{EngineInfo, InputInfo, JobId, LayerFlags, LayerInfo, Metadata, Params, Recomposition, SCHEMA_VERSION};
use jobs::{ModelLayers, OutputSize, Size};
use layers::{Difference, Filter, Layer, LayerReport, LayerStack, Report, Thresholds};
use time::OffsetDateTime;

use crate::engine::Step;
use crate::host::Made;

/// The file of a model's own rendering of the whole picture.
pub(crate) const RENDERING: &str = "rendering.png";

pub(crate) struct ResultJob {
    /// Absent on the command line.
    pub(crate) job_id: Option<JobId>,
    pub(crate) input_info: InputInfo,
    pub(crate) params: Params,
    /// Why this engine.
    pub(crate) reason: String,
}

/// The layers in the sizes that were asked for.
struct Finished {
    stack: LayerStack,
    /// What the composite of `stack` is compared with: the input, or the input in the model's size.
    reference: Option<RgbaImage>,
    /// The model's own, to be kept beside.
    model: Option<LayerStack>,
    /// How much of the way to a result is done, 0 to 1.
    fraction: f32,
}

/// Share of the way to a result that lifting has, where layers are lifted.
const LIFT_SHARE: f32 = 0.5;

/// Steps of a lift: it is told in percent.
const LIFT_TOTAL: u32 = 100;

/// Lifts the layers of an engine that works at a size of its own, as `wanted` says.
fn finish(
    made: LayerStack,
    input: &RgbaImage,
    wanted: OutputSize,
    notes: &mut Vec<String>,
    on_step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<Finished> {
    let (width, height) = (made.width(), made.height());
    if (width, height) == input.dimensions() {
        if wanted != OutputSize::Native {
            notes.push("The engine works at the input's own size: there is no other size of the layers.".to_owned());
        }
        return Ok(Finished { stack: made, reference: None, model: None, fraction: 0.0 });
    }
    if wanted == OutputSize::Model {
        let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(io::Error::other)?;
        return Ok(Finished { stack: made, reference: Some(reduced), model: None, fraction: 0.0 });
    }
    let mut refused = None;
    let lifted = layers::upscale(&made, input, &mut |share| {
        let step = (share * LIFT_TOTAL as f32) as u32;
        match on_step(Step { stage: "lift", step, total: LIFT_TOTAL, fraction: LIFT_SHARE * share }) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    let stack = lifted.map_err(|error| refused.unwrap_or_else(|| io::Error::other(error)))?;
    notes.push(format!("The layers were made at {width} x {height} pixels and lifted to the input's size."));
    let model = Some(made).filter(|_| wanted == OutputSize::Both);
    Ok(Finished { stack, reference: None, model, fraction: LIFT_SHARE })
}

/// Writes the layers that are kept in the model's size.
fn write_model_layers(dir: &Path, model: &LayerStack, input: &RgbaImage) -> io::Result<ModelLayers> {
    let (width, height) = (model.width(), model.height());
    let mut files = Vec::new();
    for (index, layer) in model.layers().iter().enumerate() {
        let file = format!("model_layer_{index}.png");
        write_file(&dir.join(&file), |out| layers::write_png(out, &layer.pixels).map_err(io::Error::other))?;
        files.push(file);
    }
    let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(io::Error::other)?;
    let difference = Difference::between(&layers::flatten(model), &reduced).map_err(io::Error::other)?;
    Ok(ModelLayers { width, height, files, recomposition: difference.into() })
}

/// Writes everything into `dir`, which exists; `on_step` is told how far it is (stages `lift` and `save`, the fraction
/// from 0 to 1) and may end the work.
///
/// # Errors
/// When a file cannot be written, or `on_step` says so.
pub(crate) fn write(
    dir: &Path,
    job: ResultJob,
    input: &RgbaImage,
    made: Made,
    on_step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<Metadata> {
    let mut notes = made.decomposition.notes;
    let Finished { stack, reference, model, fraction: finished } =
        finish(made.decomposition.stack, input, job.params.output_size, &mut notes, on_step)?;
    // A picture that lies in another one must not add its own rounding to that one's.
    let stack = match job.input_info.parent {
        Some(_) if reference.is_none() => layers::solve_closely(stack, input).map_err(io::Error::other)?,
        _ => stack,
    };
    let stack = &stack;
    let total = u32::try_from(stack.layers().len()).unwrap_or(u32::MAX).saturating_add(2);
    let mut on_file = |done: u32| {
        let fraction = finished + (1.0 - finished) * done as f32 / total as f32;
        on_step(Step { stage: "save", step: done, total, fraction })
    };
    let mut done = 0;
    on_file(done)?;
    let report =
        Report::new(stack, reference.as_ref().unwrap_or(input), &Thresholds::default()).map_err(io::Error::other)?;
    let mut infos: Vec<LayerInfo> = Vec::new();
    for (index, (layer, found)) in stack.layers().iter().zip(report.layers).enumerate() {
        let info = describe(index, layer, found);
        write_file(&dir.join(&info.file), |file| layers::write_png(file, &layer.pixels).map_err(io::Error::other))?;
        infos.push(info);
        done += 1;
        on_file(done)?;
    }
    if let Some(analysis) = &made.decomposition.analysis {
        for (info, said) in infos.iter_mut().zip(&analysis.layers) {
            info.name = said.name.clone().unwrap_or_else(|| std::mem::take(&mut info.name));
        }
    }
    let composite = layers::flatten(stack);
    write_file(&dir.join("preview.jpg"), |file| layers::preview_jpeg(file, &composite).map_err(io::Error::other))?;
    on_file(done + 1)?;
    let rendering = made.decomposition.rendering.as_ref().map(|picture| {
        let write = |file: &mut BufWriter<File>| layers::write_png(file, picture).map_err(io::Error::other);
        write_file(&dir.join(RENDERING), write).map(|()| RENDERING.to_owned())
    });
    let model_layers = model.map(|model| write_model_layers(dir, &model, input)).transpose()?;
    let canvas = reference.map(|picture| Size { width: picture.width(), height: picture.height() });
    let metadata = Metadata {
        schema_version: SCHEMA_VERSION,
        job_id: job.job_id,
        input: job.input_info,
        seed: job.params.seed.unwrap_or(0),
        params: job.params,
        engine: EngineInfo {
            name: made.offer.name,
            version: made.offer.version,
            model: made.offer.model,
            model_revision: made.model_revision,
            device: made.offer.device,
            reason: job.reason,
        },
        created_at: OffsetDateTime::now_utc(),
        duration_ms: u64::try_from(made.duration.as_millis()).unwrap_or(u64::MAX),
        layers: infos,
        recomposition: Recomposition::from(report.recomposition),
        canvas,
        model_layers,
        children: Vec::new(),
        analysis: made.decomposition.analysis,
        rendering: rendering.transpose()?,
        notes,
    };
    write_file(&dir.join("metadata.json"), |file| {
        serde_json::to_writer_pretty(&mut *file, &metadata)?;
        file.write_all(b"\n")
    })?;
    on_file(total)?;
    Ok(metadata)
}

fn describe(index: usize, layer: &Layer, found: LayerReport) -> LayerInfo {
    LayerInfo {
        file: format!("layer_{index}.png"),
        z_index: number(index),
        name: layer.name.clone(),
        kind: layer.kind,
        text: layer.text.clone(),
        bounding_box: found.bounding_box,
        coverage: found.coverage,
        visible_share: found.visible_share,
        flags: LayerFlags {
            empty: found.empty,
            duplicate_of: found.duplicate_of.map(number),
            copy_of_composite: found.copy_of_composite,
        },
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn write_file(path: &Path, body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    body(&mut file)?;
    file.flush()
}
