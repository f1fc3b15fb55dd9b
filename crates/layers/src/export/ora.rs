use std::fmt::Write as _;
use std::io::Write;

use zip::ZipWriter;

use super::xml::escape;
use super::{ExportError, Placed, Target};
use crate::Blend;
use crate::archive::{deflated, stored};
use crate::compose::compose_each;
use crate::document::{Document, Node, PixelSource, effective_opacity};
use crate::resize::thumbnail;
use crate::{Density, write_dense_png, write_png};

/// Longest side of the thumbnail that the format asks for.
const THUMBNAIL_SIDE: u32 = 256;

/// OpenRaster 0.0.5 (freedesktop.org, "OpenRaster file layout specification").
pub(super) fn write(document: &Document, source: &dyn PixelSource, writer: &mut dyn Target) -> Result<(), ExportError> {
    let mut archive = ZipWriter::new(writer);
    // First and uncompressed, so that the type can be told from fixed places in the file.
    archive.start_file("mimetype", stored())?;
    archive.write_all(b"image/openraster")?;

    let mut layers = Vec::new();
    let merged = compose_each(document, source, |_, loaded| -> Result<(), ExportError> {
        let mut placed = Placed::trim(loaded);
        archive.start_file(file(layers.len()), stored())?;
        placed.write(&mut archive, document.density)?;
        layers.push((placed.x, placed.y));
        Ok(())
    })?;
    // Whole numbers, as the format has them.
    let Density { x, y } = document.density.unwrap_or(Density { x: 72.0, y: 72.0 });
    let mut stack = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<image version=\"0.0.5\" w=\"{}\" h=\"{}\" xres=\"{}\" yres=\"{}\">\n<stack>\n",
        document.width,
        document.height,
        x.round(),
        y.round(),
    );
    let mut next = layers.len();
    describe(&document.nodes, &layers, &mut next, &mut stack);
    stack.push_str("</stack>\n</image>\n");
    archive.start_file("stack.xml", deflated(6))?;
    archive.write_all(stack.as_bytes())?;

    archive.start_file("mergedimage.png", stored())?;
    write_dense_png(&mut archive, &merged, document.density)?;
    let small = thumbnail(&merged, THUMBNAIL_SIDE).map_err(crate::EncodeError::from)?;
    archive.start_file("Thumbnails/thumbnail.png", stored())?;
    write_png(&mut archive, &small)?;
    archive.finish()?;
    Ok(())
}

fn file(index: usize) -> String {
    format!("data/layer{index}.png")
}

/// A blend mode in the words of the format.
fn operation(blend: Blend) -> String {
    match blend {
        Blend::Normal => "svg:src-over".to_owned(),
        other => format!("svg:{}", other.css()),
    }
}

/// Writes the nodes with the topmost first, as the format wants. `next` is one
/// more than the number of the next layer.
fn describe(nodes: &[Node], corners: &[(i32, i32)], next: &mut usize, out: &mut String) {
    let visibility = |visible| if visible { "visible" } else { "hidden" };
    for node in nodes.iter().rev() {
        // Writing to a string cannot fail.
        let _ = match node {
            Node::Layer(layer) => {
                *next -= 1;
                let (x, y) = corners[*next];
                writeln!(
                    out,
                    "<layer name=\"{}\" src=\"{}\" x=\"{x}\" y=\"{y}\" opacity=\"{}\" visibility=\"{}\" composite-op=\"{}\"/>",
                    escape(&layer.name),
                    file(*next),
                    effective_opacity(layer.opacity),
                    visibility(layer.visible),
                    operation(layer.blend),
                )
            }
            Node::Group(group) => {
                let _ = writeln!(
                    out,
                    "<stack name=\"{}\" opacity=\"{}\" visibility=\"{}\" composite-op=\"{}\" isolation=\"{}\">",
                    escape(&group.name),
                    effective_opacity(group.opacity),
                    visibility(group.visible),
                    operation(group.blend),
                    if group.lets_through() { "auto" } else { "isolate" },
                );
                describe(&group.children, corners, next, out);
                writeln!(out, "</stack>")
            }
        };
    }
}
