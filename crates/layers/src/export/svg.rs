use std::io::{BufWriter, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;

use super::shapes::FlatShape;
use super::words::Words;
use super::xml::escape;
use super::{ExportError, ExportOptions, Placed, Target, TextMode};
use crate::document::{Document, DocumentLayer, Node, PixelSource, effective_opacity};
use crate::write_png;

mod shapes;
mod text;

/// SVG 1.1 with one named group per layer and the pixels inside as PNG, flat shapes as shapes, live text as `<text>`. The
/// names are also given as Inkscape's layer labels.
pub(super) fn write(
    document: &Document,
    source: &dyn PixelSource,
    options: &ExportOptions,
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    let mut writer = BufWriter::new(writer);
    let (width, height) = (document.width, document.height);
    write!(
        writer,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         xmlns:inkscape=\"http://www.inkscape.org/namespaces/inkscape\" version=\"1.1\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n<title>{}</title>\n",
        escape(&document.title)
    )?;
    write_nodes(&document.nodes, (source, options), &mut Numbers::default(), &mut writer)?;
    writer.write_all(b"</svg>\n")?;
    writer.flush()?;
    Ok(())
}

/// How many layers and groups were written.
#[derive(Default)]
struct Numbers {
    layers: usize,
    groups: usize,
}

fn write_nodes(
    nodes: &[Node],
    (source, options): (&dyn PixelSource, &ExportOptions),
    numbers: &mut Numbers,
    writer: &mut dyn Write,
) -> Result<(), ExportError> {
    for node in nodes {
        match node {
            Node::Layer(layer) => {
                let id = format!("layer-{}", numbers.layers);
                open_group(writer, &id, &layer.name, layer.visible, layer.opacity)?;
                numbers.layers += 1;
                let words = Words::of(layer, options);
                if let Some(text) = layer.text.as_ref().filter(|_| words.is_empty()) {
                    writeln!(writer, "<desc>{}</desc>", escape(text))?;
                }
                match options.text {
                    _ if words.is_empty() => write_picture(layer, (source, options), writer)?,
                    TextMode::Live => {}
                    TextMode::Pixels | TextMode::Both => {
                        writer.write_all(b"<g style=\"display:none\">\n")?;
                        write_picture(layer, (source, options), writer)?;
                        writer.write_all(b"</g>\n")?;
                    }
                }
                for (block, words) in words.iter().enumerate() {
                    writer.write_all(self::text::text(words, &format!("{id}-{block}")).as_bytes())?;
                }
            }
            Node::Group(group) => {
                let id = format!("group-{}", numbers.groups);
                open_group(writer, &id, &group.name, group.visible, group.opacity)?;
                numbers.groups += 1;
                write_nodes(&group.children, (source, options), numbers, writer)?;
            }
        }
        writer.write_all(b"</g>\n")?;
    }
    Ok(())
}

fn open_group(writer: &mut dyn Write, id: &str, name: &str, visible: bool, opacity: f32) -> Result<(), ExportError> {
    let (name, opacity) = (escape(name), effective_opacity(opacity));
    write!(writer, "<g id=\"{id}\" inkscape:groupmode=\"layer\" inkscape:label=\"{name}\"")?;
    if opacity < 1.0 {
        write!(writer, " opacity=\"{opacity}\"")?;
    }
    if !visible {
        write!(writer, " style=\"display:none\"")?;
    }
    writeln!(writer, ">\n<title>{name}</title>")?;
    Ok(())
}

fn write_picture(
    layer: &DocumentLayer,
    (source, options): (&dyn PixelSource, &ExportOptions),
    writer: &mut dyn Write,
) -> Result<(), ExportError> {
    let placed = Placed::load(layer, source)?;
    if let Some(shape) = FlatShape::of(layer, &placed, options) {
        writer.write_all(self::shapes::shape(&shape).as_bytes())?;
        return Ok(());
    }
    let (width, height) = placed.pixels.dimensions();
    // `xlink:href` is read by every program, plain `href` only by those that know SVG 2.
    write!(
        writer,
        "<image x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" xlink:href=\"data:image/png;base64,",
        placed.x, placed.y
    )?;
    let mut encoder = EncoderWriter::new(&mut *writer, &STANDARD);
    write_png(&mut encoder, &placed.pixels)?;
    encoder.finish()?;
    drop(encoder);
    writer.write_all(b"\"/>\n")?;
    Ok(())
}
