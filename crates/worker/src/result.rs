//! Writes a result: `layer_0.png`, ..., `preview.jpg`, `metadata.json`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use image::RgbaImage;
use jobs::{EngineInfo, InputInfo, JobId, LayerFlags, LayerInfo, Metadata, Params, Recomposition, SCHEMA_VERSION};
use layers::{Layer, LayerReport, Report, Thresholds};
use time::OffsetDateTime;

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

/// Writes everything into `dir`, which exists; `on_file` is told how many of
/// how many files are done and may end the work.
///
/// # Errors
/// When a file cannot be written, or `on_file` says so.
pub(crate) fn write(
    dir: &Path,
    job: ResultJob,
    input: &RgbaImage,
    made: Made,
    on_file: &mut dyn FnMut(u32, u32) -> io::Result<()>,
) -> io::Result<Metadata> {
    let stack = &made.decomposition.stack;
    let total = u32::try_from(stack.layers().len()).unwrap_or(u32::MAX).saturating_add(2);
    let mut done = 0;
    on_file(done, total)?;
    let report = Report::new(stack, input, &Thresholds::default()).map_err(io::Error::other)?;
    let mut infos: Vec<LayerInfo> = Vec::new();
    for (index, (layer, found)) in stack.layers().iter().zip(report.layers).enumerate() {
        let info = describe(index, layer, found);
        write_file(&dir.join(&info.file), |file| layers::write_png(file, &layer.pixels).map_err(io::Error::other))?;
        infos.push(info);
        done += 1;
        on_file(done, total)?;
    }
    let composite = layers::flatten(stack);
    write_file(&dir.join("preview.jpg"), |file| layers::preview_jpeg(file, &composite).map_err(io::Error::other))?;
    on_file(done + 1, total)?;
    let rendering = made.decomposition.rendering.as_ref().map(|picture| {
        let write = |file: &mut BufWriter<File>| layers::write_png(file, picture).map_err(io::Error::other);
        write_file(&dir.join(RENDERING), write).map(|()| RENDERING.to_owned())
    });
    let difference = report.recomposition;
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
        recomposition: Recomposition {
            max_error: difference.max,
            mean_error: difference.mean,
            psnr_db: difference.psnr,
        },
        rendering: rendering.transpose()?,
        notes: made.decomposition.notes,
    };
    write_file(&dir.join("metadata.json"), |file| {
        serde_json::to_writer_pretty(&mut *file, &metadata)?;
        file.write_all(b"\n")
    })?;
    on_file(total, total)?;
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

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
