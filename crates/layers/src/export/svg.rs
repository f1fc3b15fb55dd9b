use std::io::{BufWriter, ErrorKind, Write};

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;

use super::shapes::FlatShape;
use super::words::Words;
use super::xml::escape;
use super::{ExportError, ExportOptions, Placed, Target, TextMode};
use crate::Blend;
use crate::document::{Document, DocumentLayer, Node, PixelSource, effective_opacity};
use crate::encode::write_part_png;
use crate::spread::spread;
use crate::turn::Upright;
use crate::{EncodeError, Rect};

mod shapes;
mod text;

use self::text::number;

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
    // On paper as large as the picture, where that is known.
    let side = |pixels: u32, per_inch: Option<f64>| match per_inch {
        None => pixels.to_string(),
        // A ten-thousandth of an inch is less than a pixel of any printer.
        Some(per_inch) => format!("{}in", (f64::from(pixels) / per_inch * 1e4).round() / 1e4),
    };
    let shown_width = side(width, document.density.map(|density| density.x));
    let shown_height = side(height, document.density.map(|density| density.y));
    // Pixels that are no squares on paper.
    let is_square = document.density.is_none_or(|density| density.x == density.y);
    let fit = if is_square { "" } else { " preserveAspectRatio=\"none\"" };
    write!(
        writer,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" \
         xmlns:inkscape=\"http://www.inkscape.org/namespaces/inkscape\" version=\"1.1\" \
         width=\"{shown_width}\" height=\"{shown_height}\" viewBox=\"0 0 {width} {height}\"{fit}>\n<title>{}</title>\n",
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
                open_group(writer, &id, &layer.name, (layer.visible, layer.opacity, layer.blend))?;
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
                open_group(writer, &id, &group.name, (group.visible, group.opacity, group.blend))?;
                numbers.groups += 1;
                write_nodes(&group.children, (source, options), numbers, writer)?;
            }
        }
        writer.write_all(b"</g>\n")?;
    }
    Ok(())
}

fn open_group(
    writer: &mut dyn Write,
    id: &str,
    name: &str,
    (visible, opacity, blend): (bool, f32, Blend),
) -> Result<(), ExportError> {
    let (name, opacity) = (escape(name), effective_opacity(opacity));
    write!(writer, "<g id=\"{id}\" inkscape:groupmode=\"layer\" inkscape:label=\"{name}\"")?;
    if opacity < 1.0 {
        write!(writer, " opacity=\"{opacity}\"")?;
    }
    if !visible || !blend.is_normal() {
        let hidden = if visible { "" } else { "display:none" };
        let mixed = if blend.is_normal() { String::new() } else { format!("mix-blend-mode:{}", blend.css()) };
        let between = if hidden.is_empty() || mixed.is_empty() { "" } else { ";" };
        write!(writer, " style=\"{hidden}{between}{mixed}\"")?;
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
    let upright = Upright::of(layer, source)?;
    if let Some(Upright { pixels, middle: (x, y), degrees }) = upright {
        let (width, height) = (f64::from(pixels.width()) / 2.0, f64::from(pixels.height()) / 2.0);
        let [x, y, degrees] = [x, y, degrees].map(number);
        writeln!(writer, "<g transform=\"translate({x} {y}) rotate({degrees}) translate(-{width} -{height})\">")?;
        write_pixels(Placed { pixels, x: 0, y: 0 }, writer)?;
        writer.write_all(b"</g>\n")?;
        return Ok(());
    }
    write_pixels(placed, writer)
}

fn write_pixels(mut placed: Placed, writer: &mut dyn Write) -> Result<(), ExportError> {
    spread(&mut placed.pixels);
    let (width, height) = placed.pixels.dimensions();
    write_tile(&placed, Rect::whole(width, height), writer)
}

/// The longest attribute that libxml2 reads, and with it Inkscape, GIMP and librsvg, has 10 million bytes; the PNG in it
/// three quarters of that.
const MAX_TILE_BYTES: usize = 7_400_000;

/// Writes a part of the picture, cut in two as often as it takes for each to be read.
fn write_tile(placed: &Placed, part: Rect, writer: &mut dyn Write) -> Result<(), ExportError> {
    let mut png = Bounded { bytes: Vec::new(), limit: MAX_TILE_BYTES };
    match write_part_png(&mut png, &placed.pixels, part) {
        Ok(()) => write_image(placed, part, &png.bytes, writer),
        Err(EncodeError::Io(error)) if error.kind() == ErrorKind::FileTooLarge && part.width.max(part.height) > 1 => {
            drop(png);
            let (first, second) = halves(part);
            write_tile(placed, first, writer)?;
            write_tile(placed, second, writer)
        }
        Err(error) => Err(error.into()),
    }
}

/// Cuts the longer side.
fn halves(part: Rect) -> (Rect, Rect) {
    let Rect { x, y, width, height } = part;
    if width > height {
        let half = width / 2;
        (Rect { width: half, ..part }, Rect { x: x + half, width: width - half, ..part })
    } else {
        let half = height / 2;
        (Rect { height: half, ..part }, Rect { y: y + half, height: height - half, ..part })
    }
}

fn write_image(placed: &Placed, part: Rect, png: &[u8], writer: &mut dyn Write) -> Result<(), ExportError> {
    let Rect { x, y, width, height } = part;
    let (x, y) = (i64::from(placed.x) + i64::from(x), i64::from(placed.y) + i64::from(y));
    // `xlink:href` is read by every program, plain `href` only by those that know SVG 2.
    write!(
        writer,
        "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" xlink:href=\"data:image/png;base64,",
    )?;
    let mut encoder = EncoderWriter::new(&mut *writer, &STANDARD);
    encoder.write_all(png)?;
    encoder.finish()?;
    drop(encoder);
    writer.write_all(b"\"/>\n")?;
    Ok(())
}

/// Bytes in memory, up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
