//! Writes a result: `layer_0.png`, ..., `preview.jpg`, `metadata.json`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use image::RgbaImage;
use jobs::{EngineInfo, InputInfo, JobId, LayerFlags, LayerInfo, Metadata, Params, Recomposition, SCHEMA_VERSION};
use layers::{Difference, Layer};
use time::OffsetDateTime;

use crate::host::Made;

/// Layers this close (largest difference per premultiplied channel) count as the same.
const SAME: u8 = 2;

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
    let mut infos: Vec<LayerInfo> = Vec::new();
    for (index, layer) in stack.layers().iter().enumerate() {
        let info = describe(index, layer, &stack.layers()[..index], input);
        write_file(&dir.join(&info.file), |file| layers::write_png(file, &layer.pixels).map_err(io::Error::other))?;
        infos.push(info);
        done += 1;
        on_file(done, total)?;
    }
    let composite = layers::flatten(stack);
    write_file(&dir.join("preview.jpg"), |file| layers::preview_jpeg(file, &composite).map_err(io::Error::other))?;
    on_file(done + 1, total)?;
    let difference = Difference::between(&composite, input).map_err(io::Error::other)?;
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
        notes: made.decomposition.notes,
    };
    write_file(&dir.join("metadata.json"), |file| {
        serde_json::to_writer_pretty(&mut *file, &metadata)?;
        file.write_all(b"\n")
    })?;
    on_file(total, total)?;
    Ok(metadata)
}

fn describe(index: usize, layer: &Layer, below: &[Layer], input: &RgbaImage) -> LayerInfo {
    let bounding_box = layers::bounding_box(&layer.pixels);
    let empty = bounding_box.is_none();
    // Two empty layers are empty, not copies of each other.
    let twin = below.iter().position(|other| !empty && same(&other.pixels, &layer.pixels));
    LayerInfo {
        file: format!("layer_{index}.png"),
        z_index: number(index),
        name: layer.name.clone(),
        kind: layer.kind,
        text: layer.text.clone(),
        bounding_box,
        coverage: layers::coverage(&layer.pixels),
        flags: LayerFlags { empty, duplicate_of: twin.map(number), copy_of_composite: same(&layer.pixels, input) },
    }
}

fn same(a: &RgbaImage, b: &RgbaImage) -> bool {
    Difference::between(a, b).is_ok_and(|difference| difference.max <= SAME)
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
