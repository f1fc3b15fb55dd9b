//! Names and content of the files of a result, except `metadata.json`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use image::RgbaImage;
use jobs::ModelLayers;
use layers::{Density, Difference, Filter, Layer, LayerStack};

pub(super) const METADATA: &str = "metadata.json";
pub(super) const PREVIEW: &str = "preview.jpg";

/// The model's own rendering of the whole picture.
pub(super) const RENDERING: &str = "rendering.png";

/// The file of a layer.
pub(super) fn layer_name(index: usize) -> String {
    format!("layer_{index}.png")
}

/// The file of a layer at the model's size.
fn model_layer_name(index: usize) -> String {
    format!("model_layer_{index}.png")
}

/// Whether `name` is a picture of a result. Only such files are ever removed from a folder.
pub(crate) fn is_picture_name(name: &str) -> bool {
    name == RENDERING || is_layer_name(name)
}

/// Whether `name` is the file of a layer, at either size.
pub(crate) fn is_layer_name(name: &str) -> bool {
    let number = name.strip_prefix("model_").unwrap_or(name);
    let number = number.strip_prefix("layer_").and_then(|rest| rest.strip_suffix(".png"));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Names of all files of a result; `metadata.json` is the last.
pub(crate) fn names(metadata: &jobs::Metadata) -> impl Iterator<Item = &str> {
    let pictures = metadata.layers.iter().map(|layer| layer.file.as_str()).chain(metadata.other_files());
    pictures.chain([PREVIEW, METADATA])
}

/// Writes the layers at the model's size.
pub(super) fn write_model_layers(dir: &Path, model: &LayerStack, input: &RgbaImage) -> io::Result<ModelLayers> {
    let (width, height) = (model.width(), model.height());
    let mut files = Vec::new();
    for (index, layer) in model.layers().iter().enumerate() {
        let file = model_layer_name(index);
        write_layer(&dir.join(&file), layer, (width, height), None)?;
        files.push(file);
    }
    let reduced = layers::resize(input, width, height, Filter::Lanczos3).map_err(io::Error::other)?;
    let difference = Difference::between(&layers::flatten(model), &reduced).map_err(io::Error::other)?;
    Ok(ModelLayers { width, height, files, recomposition: difference.into() })
}

pub(super) fn write_png(path: &Path, pixels: &RgbaImage) -> io::Result<()> {
    write_file(path, |file| layers::write_png(file, pixels).map_err(io::Error::other))
}

/// Writes a layer as large as its canvas.
pub(super) fn write_layer(path: &Path, layer: &Layer, size: (u32, u32), density: Option<Density>) -> io::Result<()> {
    let place = |at: u32| i32::try_from(at).map_err(io::Error::other);
    let at = (place(layer.x)?, place(layer.y)?);
    let mut pixels = layer.pixels.clone();
    write_file(path, |file| layers::write_layer_png(file, &mut pixels, at, size, density).map_err(io::Error::other))
}

pub(super) fn write_file(path: &Path, body: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    body(&mut file)?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_count_as_layers() {
        for index in [0, 12] {
            assert!(is_layer_name(&layer_name(index)) && is_layer_name(&model_layer_name(index)), "{index}");
        }
        for name in ["layer_.png", "layer_x.png", "../layer_0.png", "layer_0.png/..", "metadata.json", ""] {
            assert!(!is_layer_name(name), "{name}");
        }
        assert!(is_picture_name(RENDERING) && !is_picture_name(METADATA));
    }
}
