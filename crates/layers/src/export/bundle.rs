use std::io::{BufWriter, Write};

use serde::Serialize;
use zip::ZipWriter;

use super::{ExportError, ExportOptions, Placed, Target};
use crate::Blend;
use crate::archive::{deflated, stored};
use crate::compose::compose_each;
use crate::document::{Document, DocumentLayer, PixelSource, effective_opacity};
use crate::file_name::FileNames;
use crate::{Density, Kind, preview_jpeg, write_layer_png};

/// `manifest.json` of a ZIP export.
#[derive(Serialize)]
struct Manifest<'a> {
    schema_version: u32,
    title: &'a str,
    width: u32,
    height: u32,
    /// In pixels per inch, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    density: Option<Density>,
    /// The lowest first.
    layers: Vec<ManifestLayer<'a>>,
    /// Groups and their order.
    tree: &'a [crate::document::Node],
}

#[derive(Serialize)]
struct ManifestLayer<'a> {
    index: usize,
    name: &'a str,
    kind: Kind,
    text: Option<&'a str>,
    visible: bool,
    opacity: f32,
    #[serde(skip_serializing_if = "Blend::is_normal")]
    blend: Blend,
    file: String,
    /// Place and size of the trimmed picture on the canvas; the corner may lie outside.
    x: i32,
    y: i32,
    trimmed_width: u32,
    trimmed_height: u32,
    trimmed_file: Option<String>,
}

pub(super) fn write(
    document: &Document,
    source: &dyn PixelSource,
    options: &ExportOptions,
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    let mut archive = ZipWriter::new(writer);
    let density = document.density;
    let mut layers = Vec::new();
    let mut names = FileNames::without(options.extra_files.iter().map(|(name, _)| name.as_str()));
    let composite = compose_each(document, source, |layer, loaded| -> Result<(), ExportError> {
        let index = layers.len();
        let file = match options.names {
            true => names.next(&layer.name, ".png"),
            false => format!("layer_{index}.png"),
        };
        archive.start_file(&file, stored())?;
        let mut placed = Placed::trim(loaded);
        // As large as the canvas, with every visible byte of the layer. Its opacity stays in the manifest.
        let corner = (placed.x, placed.y);
        let trimmed_file = options.trim.then(|| format!("trimmed/{file}"));
        layers.push(manifest_layer(index, layer, &placed, file, trimmed_file.clone()));
        write_layer_png(&mut archive, &mut placed.pixels, corner, (document.width, document.height), density)?;
        if let Some(file) = &trimmed_file {
            archive.start_file(file, stored())?;
            placed.write(&mut archive, density)?;
        }
        Ok(())
    })?;
    archive.start_file("preview.jpg", stored())?;
    preview_jpeg(&mut archive, &composite)?;
    drop(composite);
    let manifest = Manifest {
        schema_version: 1,
        title: &document.title,
        width: document.width,
        height: document.height,
        density,
        layers,
        tree: &document.nodes,
    };
    archive.start_file("manifest.json", deflated(6))?;
    // Buffered: the manifest comes in pieces of a few bytes, and each would pass through the compression by itself.
    let mut buffered = BufWriter::with_capacity(64 << 10, &mut archive);
    serde_json::to_writer_pretty(&mut buffered, &manifest).map_err(std::io::Error::from)?;
    buffered.flush()?;
    drop(buffered);
    for (name, content) in &options.extra_files {
        archive.start_file(name, deflated(6))?;
        archive.write_all(content)?;
    }
    archive.finish()?;
    Ok(())
}

fn manifest_layer<'a>(
    index: usize,
    layer: &'a DocumentLayer,
    placed: &Placed,
    file: String,
    trimmed_file: Option<String>,
) -> ManifestLayer<'a> {
    ManifestLayer {
        index,
        name: &layer.name,
        kind: layer.kind,
        text: layer.text.as_deref(),
        visible: layer.visible,
        opacity: effective_opacity(layer.opacity),
        blend: layer.blend,
        file,
        x: placed.x,
        y: placed.y,
        trimmed_width: placed.pixels.width(),
        trimmed_height: placed.pixels.height(),
        trimmed_file,
    }
}
