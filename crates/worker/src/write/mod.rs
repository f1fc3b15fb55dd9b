//! Writes a result: `layer_0.png`, ..., `preview.jpg`, `metadata.json`.

mod files;
mod parts;
#[cfg(test)]
mod tests;
mod upscale;
mod words;

use std::io::{self, Write};
use std::path::Path;

use engine::{EngineRun, Message, MessageCode, Params, Stage, Step};
use image::RgbaImage;
use jobs::{EngineInfo, InputInfo, JobId, LayerFlags, LayerInfo, Metadata, Recomposition, SCHEMA_VERSION, Size};
use layers::{Density, Layer, LayerReport, LayerStack, Report, Thresholds};
use time::OffsetDateTime;

use self::files::{METADATA, PREVIEW, RENDERING, layer_name, write_file, write_layer, write_model_layers, write_png};
pub(crate) use self::files::{is_layer_name, is_picture_name, names};
use self::upscale::SizedLayers;
pub(crate) use self::words::WordFinder;

/// The job that a result belongs to.
pub(crate) struct ResultJob {
    /// `None` on the command line.
    pub(crate) job_id: Option<JobId>,
    pub(crate) input_info: InputInfo,
    pub(crate) params: Params,
}

/// The share of finding live text in the progress of writing what is upscaled, and the steps in which it is told.
const WORDS: f32 = 0.5;
const PERCENT: u32 = 100;

/// Writes all files into `dir`, which exists. Calls `on_step` with the progress (stages `lift`, `text` and `save`, the
/// fraction from 0 to 1).
///
/// # Errors
/// When a file cannot be written, or when `on_step` returns an error, which ends the writing.
pub(crate) fn write(
    dir: &Path,
    job: ResultJob,
    input: &RgbaImage,
    run: EngineRun,
    finder: &WordFinder<'_>,
    on_step: &mut dyn FnMut(Step) -> io::Result<()>,
) -> io::Result<Metadata> {
    let engine::Output { stack, rendering, analysis, background, loras, notes } = run.output;
    let mut notes = [&job.input_info.notes[..], &notes].concat();
    let sized = upscale::to_size(stack, input, job.params.output_size, &mut notes, on_step)?;
    let SizedLayers { stack, reference, model, fraction: upscaled } = sized;
    let (stack, analysis) = match job.input_info.parent {
        None => (stack, analysis),
        Some(_) => {
            let parts = parts::of_layer(stack, analysis);
            if parts.0.len() == 1 {
                let text = "The layer has no parts that could stand alone; it stays as it is.";
                notes.push(Message::new(MessageCode::NotSplit, text));
            }
            parts
        }
    };
    // A layer of another result: its rounding errors must not add to those of its parent.
    let stack = match job.input_info.parent {
        Some(_) if reference.is_none() => layers::solve_closely(stack, input).map_err(io::Error::other)?,
        _ => stack,
    };
    let (before, reads) = (upscaled, run.offer.name.traits().reads);
    let worded = before + (1.0 - before) * WORDS;
    let mut on_word = |share: f32| {
        let step = (share * PERCENT as f32) as u32;
        on_step(Step { stage: Stage::Text, step, total: PERCENT, fraction: before + (worded - before) * share })
    };
    let (stack, texts) = words::find(stack, reads, finder, &mut on_word)?;
    let total = count(stack.layers().len()).saturating_add(2);
    let mut on_file = |done: u32| {
        let fraction = worded + (1.0 - worded) * done as f32 / total as f32;
        on_step(Step { stage: Stage::Save, step: done, total, fraction })
    };
    on_file(0)?;
    let compared = reference.as_ref().unwrap_or(input);
    let report = Report::new(&stack, compared, &Thresholds::default()).map_err(io::Error::other)?;
    let density = job.input_info.density_at(stack.width(), stack.height());
    let mut infos = write_layers(dir, &stack, report.layers, density, &mut on_file)?;
    infos.iter_mut().zip(texts).for_each(|(info, text)| info.live_text = text);
    for (info, described) in infos.iter_mut().zip(analysis.iter().flat_map(|analysis| &analysis.layers)) {
        if let Some(name) = &described.name {
            info.name.clone_from(name);
            // The name says more than the codes, which pages would put in its place.
            info.label = None;
        }
    }
    let composite = layers::flatten(&stack);
    write_file(&dir.join(PREVIEW), |file| layers::preview_jpeg(file, &composite).map_err(io::Error::other))?;
    on_file(total - 1)?;
    if let Some(picture) = &rendering {
        write_png(&dir.join(RENDERING), picture)?;
    }
    let model_layers = model.map(|model| write_model_layers(dir, &model, input)).transpose()?;
    let Message { text: reason, code: reason_code, data: reason_data } = run.reason;
    let metadata = Metadata {
        schema_version: SCHEMA_VERSION,
        job_id: job.job_id,
        input: job.input_info,
        seed: job.params.seed.unwrap_or(0),
        params: job.params,
        engine: EngineInfo {
            name: run.offer.name,
            version: run.offer.version,
            model: run.offer.model,
            model_revision: run.model_revision,
            device: run.offer.device,
            reason,
            reason_code,
            reason_data,
        },
        created_at: OffsetDateTime::now_utc(),
        duration_ms: u64::try_from(run.duration.as_millis()).unwrap_or(u64::MAX),
        layers: infos,
        recomposition: Recomposition::from(report.recomposition),
        canvas: reference.map(|picture| Size { width: picture.width(), height: picture.height() }),
        model_layers,
        children: Vec::new(),
        analysis,
        background,
        rendering: rendering.map(|_| RENDERING.to_owned()),
        loras,
        notes,
    };
    write_file(&dir.join(METADATA), |file| {
        serde_json::to_writer_pretty(&mut *file, &metadata)?;
        file.write_all(b"\n")
    })?;
    on_file(total)?;
    Ok(metadata)
}

fn write_layers(
    dir: &Path,
    stack: &LayerStack,
    reports: Vec<LayerReport>,
    density: Option<Density>,
    on_file: &mut dyn FnMut(u32) -> io::Result<()>,
) -> io::Result<Vec<LayerInfo>> {
    let mut infos = Vec::new();
    for (index, (layer, report)) in stack.layers().iter().zip(reports).enumerate() {
        let info = layer_info(index, layer, report);
        write_layer(&dir.join(&info.file), layer, (stack.width(), stack.height()), density)?;
        infos.push(info);
        on_file(count(infos.len()))?;
    }
    Ok(infos)
}

fn layer_info(index: usize, layer: &Layer, report: LayerReport) -> LayerInfo {
    LayerInfo {
        file: layer_name(index),
        z_index: count(index),
        name: layer.name.clone(),
        kind: layer.kind,
        text: layer.text.clone(),
        live_text: None,
        group: layer.group,
        label: layer.label.clone(),
        bounding_box: report.bounding_box,
        coverage: report.coverage,
        visible_share: report.visible_share,
        flags: LayerFlags {
            empty: report.empty,
            duplicate_of: report.duplicate_of.map(count),
            copy_of_composite: report.copy_of_composite,
        },
    }
}

fn count(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
