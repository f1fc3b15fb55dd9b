//! PowerPoint files (ECMA-376 PresentationML): one slide, one picture or shape per layer.

use std::fmt::Write as _;
use std::io::Write;

use image::RgbaImage;
use zip::ZipWriter;

use super::shapes::FlatShape;
use super::words::Words;
use super::xml::escape;
use super::{ExportError, ExportOptions, Placed, Target, TextMode};
use crate::archive::{deflated, stored};
use crate::compose::compose_each;
use crate::document::{Document, DocumentLayer, Node, PixelSource, effective_opacity};
use crate::turn::Upright;
use crate::{bounding_box, thumbnail_jpeg, write_layer_png};

mod shapes;
mod spacing;
mod text;

use self::text::text_box;

/// English Metric Units of an inch.
const EMU_PER_INCH: f64 = 914_400.0;
/// Pixels per inch where the picture does not say.
const USUAL_DENSITY: f64 = 96.0;
/// Sides that a slide may have, in EMU (ECMA-376 part 1, 22.1.2.69): 1 to 56 inches.
const SLIDE_SIDES: (f64, f64) = (914_400.0, 51_206_400.0);
/// The farthest that a shape may lie from the slide's corner, in EMU (ECMA-376 part 1, 22.1.2.19 `ST_CoordinateUnqualified`).
const FARTHEST: i64 = 27_273_042_316_900;
const THUMBNAIL_SIDE: u32 = 256;
/// Degrees are written in these parts.
const PARTS_OF_A_DEGREE: f64 = 60_000.0;

/// The parts that are the same in every file.
const PARTS: [(&str, &str); 8] = [
    ("_rels/.rels", include_str!("pptx/rels.xml")),
    ("ppt/_rels/presentation.xml.rels", include_str!("pptx/presentation_rels.xml")),
    ("ppt/slideMasters/slideMaster1.xml", include_str!("pptx/slide_master.xml")),
    ("ppt/slideMasters/_rels/slideMaster1.xml.rels", include_str!("pptx/slide_master_rels.xml")),
    ("ppt/slideLayouts/slideLayout1.xml", include_str!("pptx/slide_layout.xml")),
    ("ppt/slideLayouts/_rels/slideLayout1.xml.rels", include_str!("pptx/slide_layout_rels.xml")),
    ("ppt/theme/theme1.xml", include_str!("pptx/theme.xml")),
    ("docProps/app.xml", include_str!("pptx/app.xml")),
];

pub(super) fn write(
    document: &Document,
    source: &dyn PixelSource,
    options: &ExportOptions,
    writer: &mut dyn Target,
) -> Result<(), ExportError> {
    let scale = Scale::of(document);
    let mut archive = ZipWriter::new(writer);
    // The content types come first, as programs that sniff the type expect.
    put(&mut archive, "[Content_Types].xml", include_str!("pptx/content_types.xml"))?;
    for (name, content) in PARTS {
        put(&mut archive, name, content)?;
    }
    put(&mut archive, "docProps/core.xml", &core(document))?;
    put(&mut archive, "ppt/presentation.xml", &presentation(&scale))?;

    let (mut contents, mut files) = (Vec::new(), 0);
    let composite = compose_each(document, source, |layer, loaded| -> Result<(), ExportError> {
        let mut placed = Placed::trim(loaded);
        let look = match FlatShape::of(layer, &placed, options) {
            Some(shape) => Look::Shape(shape),
            None if bounding_box(&placed.pixels).is_none() => Look::Empty,
            None => {
                files += 1;
                archive.start_file(format!("ppt/media/image{files}.png"), stored())?;
                let upright = Upright::of(layer, source)?;
                let place =
                    upright.as_ref().map_or_else(|| place(scale.frame(&placed)), |upright| scale.turned(upright));
                let size = |picture: &RgbaImage| picture.dimensions();
                let mut pixels = upright.map(|upright| upright.pixels);
                let pixels = pixels.as_mut().unwrap_or(&mut placed.pixels);
                write_layer_png(&mut archive, pixels, (0, 0), size(pixels), document.density)?;
                Look::Picture(files, place)
            }
        };
        contents.push(Content { frame: scale.frame(&placed), look });
        Ok(())
    })?;
    archive.start_file("docProps/thumbnail.jpeg", stored())?;
    thumbnail_jpeg(&mut archive, &composite, THUMBNAIL_SIDE)?;
    put(&mut archive, "ppt/slides/_rels/slide1.xml.rels", &slide_rels(files))?;
    put(&mut archive, "ppt/slides/slide1.xml", &Slide::new(&contents, &scale, options).write(document))?;
    archive.finish()?;
    Ok(())
}

fn put(archive: &mut ZipWriter<&mut dyn Target>, name: &str, content: &str) -> Result<(), ExportError> {
    archive.start_file(name, deflated(6))?;
    Ok(archive.write_all(content.as_bytes())?)
}

/// From pixels to EMU.
struct Scale {
    emu_per_pixel: f64,
    width: i64,
    height: i64,
}

/// A rectangle on the slide, in EMU.
#[derive(Clone, Copy)]
struct Frame {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Scale {
    /// As large as the picture is on paper, unless the slide would be smaller or larger than slides may be.
    fn of(document: &Document) -> Self {
        let (width, height) = (f64::from(document.width), f64::from(document.height));
        let (least, most) = SLIDE_SIDES;
        // Pixels that are no squares on paper keep their width: words and turned shapes have one scale.
        let emu_per_pixel = EMU_PER_INCH / document.density.map_or(USUAL_DENSITY, |density| density.x);
        let emu_per_pixel = emu_per_pixel.max(least / width.min(height)).min(most / width.max(height));
        let side = |length: f64| (length * emu_per_pixel).round().max(least) as i64;
        Self { emu_per_pixel, width: side(width), height: side(height) }
    }

    /// Edges are rounded, not sizes, so that neighbours keep touching.
    fn frame(&self, placed: &Placed) -> Frame {
        let edge = |pixels: i64| ((pixels as f64 * self.emu_per_pixel).round() as i64).clamp(-FARTHEST, FARTHEST);
        // A shape beyond that distance is not seen, but still has a size.
        let low = |pixels: i32| edge(pixels.into()).min(FARTHEST - 1);
        let (left, top) = (low(placed.x), low(placed.y));
        Frame { left, top, right: edge(placed.right()).max(left + 1), bottom: edge(placed.bottom()).max(top + 1) }
    }

    /// The place of a picture that the slide turns.
    fn turned(&self, Upright { pixels, middle: (x, y), degrees }: &Upright) -> String {
        let emu = |length: f64| ((length * self.emu_per_pixel).round() as i64).clamp(-FARTHEST, FARTHEST - 1);
        let (width, height) = (f64::from(pixels.width()), f64::from(pixels.height()));
        let rot = (degrees.rem_euclid(360.0) * PARTS_OF_A_DEGREE).round();
        format!(
            "<a:xfrm rot=\"{rot}\"><a:off x=\"{}\" y=\"{}\"/><a:ext cx=\"{}\" cy=\"{}\"/></a:xfrm>",
            emu(x - width / 2.0),
            emu(y - height / 2.0),
            emu(width).max(1),
            emu(height).max(1)
        )
    }
}

/// What a layer is on the slide.
struct Content {
    /// Around its pixels.
    frame: Frame,
    look: Look,
}

enum Look {
    /// The number of its file, from 1, and its place (`a:xfrm`).
    Picture(usize, String),
    Shape(FlatShape),
    /// Nothing, which is left out: programs offer to repair what has no size.
    Empty,
}

/// Writes the slide; the numbers count on through the groups.
struct Slide<'a> {
    contents: &'a [Content],
    scale: &'a Scale,
    options: &'a ExportOptions,
    next_layer: usize,
    next_id: u32,
    out: String,
}

impl<'a> Slide<'a> {
    fn new(contents: &'a [Content], scale: &'a Scale, options: &'a ExportOptions) -> Self {
        Self { contents, scale, options, next_layer: 0, next_id: 2, out: String::new() }
    }

    fn write(mut self, document: &Document) -> String {
        self.out.push_str(include_str!("pptx/slide_head.xml"));
        self.nodes(&document.nodes, 1.0);
        self.out.push_str(include_str!("pptx/slide_tail.xml"));
        self.out
    }

    /// A group cannot have an opacity here, so its children take it.
    fn nodes(&mut self, nodes: &[Node], opacity: f32) {
        for node in nodes {
            match node {
                Node::Layer(layer) => {
                    self.layer(layer, effective_opacity(layer.opacity) * opacity);
                }
                Node::Group(group) => {
                    let mut layers = Vec::new();
                    collect(&group.children, &mut layers);
                    let Some(frame) = self.group_frame(&layers) else {
                        self.next_layer += layers.len();
                        continue;
                    };
                    let properties = self.properties(&group.name, "", group.visible);
                    let place = sides(frame);
                    let _ = write!(
                        self.out,
                        "<p:grpSp><p:nvGrpSpPr>{properties}<p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>\
                         <p:grpSpPr><a:xfrm>{place}{}</a:xfrm></p:grpSpPr>",
                        place.replace("a:off", "a:chOff").replace("a:ext", "a:chExt"),
                    );
                    self.nodes(&group.children, opacity * effective_opacity(group.opacity));
                    self.out.push_str("</p:grpSp>");
                }
            }
        }
    }

    /// What holds all layers of a group; none for a group in which nothing can be seen.
    fn group_frame(&self, layers: &[&DocumentLayer]) -> Option<Frame> {
        let contents = self.contents[self.next_layer..].iter().zip(layers);
        let seen = contents.filter(|(content, layer)| {
            !matches!(content.look, Look::Empty) || !Words::of(layer, self.options).is_empty()
        });
        seen.map(|(content, _)| content.frame).reduce(|a, b| Frame {
            left: a.left.min(b.left),
            top: a.top.min(b.top),
            right: a.right.max(b.right),
            bottom: a.bottom.max(b.bottom),
        })
    }

    fn properties(&mut self, name: &str, text: &str, visible: bool) -> String {
        let id = self.next_id;
        self.next_id += 1;
        let hidden = if visible { "" } else { " hidden=\"1\"" };
        format!("<p:cNvPr id=\"{id}\" name=\"{}\" descr=\"{}\"{hidden}/>", escape(name), escape(text))
    }

    /// Words lie above their hidden picture.
    fn layer(&mut self, layer: &DocumentLayer, opacity: f32) {
        let text = layer.text.as_deref().unwrap_or_default();
        let blocks = Words::of(layer, self.options);
        let boxes: Option<Vec<_>> = blocks.iter().map(|words| text_box(words, self.scale, opacity)).collect();
        let boxes = boxes.unwrap_or_default();
        if boxes.is_empty() {
            return self.picture(&layer.name, text, layer.visible, opacity);
        }
        if self.options.text == TextMode::Live {
            self.next_layer += 1;
        } else {
            self.picture(&format!("{} (pixels)", layer.name), text, false, opacity);
        }
        for words in boxes {
            let properties = self.properties(&layer.name, "", layer.visible);
            let _ = write!(
                self.out,
                "<p:sp><p:nvSpPr>{properties}<p:cNvSpPr txBox=\"1\"/><p:nvPr/></p:nvSpPr>\
                 <p:spPr>{}<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom><a:noFill/></p:spPr>{}</p:sp>",
                words.place, words.body
            );
        }
    }

    fn picture(&mut self, name: &str, text: &str, visible: bool, opacity: f32) {
        let Content { look, .. } = &self.contents[self.next_layer];
        self.next_layer += 1;
        let properties = self.properties(name, text, visible);
        let (file, place) = match look {
            Look::Empty => return,
            Look::Picture(file, place) => (file, place),
            Look::Shape(shape) => return self.out.push_str(&shapes::shape(shape, &properties, self.scale, opacity)),
        };
        let alpha = if opacity < 1.0 {
            // In thousandths of a percent.
            format!("<a:alphaModFix amt=\"{}\"/>", (opacity * 100_000.0).round())
        } else {
            String::new()
        };
        let _ = write!(
            self.out,
            "<p:pic><p:nvPicPr>{properties}<p:cNvPicPr><a:picLocks noChangeAspect=\"1\"/></p:cNvPicPr><p:nvPr/></p:nvPicPr>\
             <p:blipFill><a:blip r:embed=\"rId{}\">{alpha}</a:blip><a:stretch><a:fillRect/></a:stretch></p:blipFill>\
             <p:spPr>{place}<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr></p:pic>",
            file + 1,
        );
    }
}

/// The layers of a tree, the lowest first.
fn collect<'a>(nodes: &'a [Node], layers: &mut Vec<&'a DocumentLayer>) {
    for node in nodes {
        match node {
            Node::Layer(layer) => layers.push(layer),
            Node::Group(group) => collect(&group.children, layers),
        }
    }
}

fn place(frame: Frame) -> String {
    format!("<a:xfrm>{}</a:xfrm>", sides(frame))
}

fn sides(frame: Frame) -> String {
    let Frame { left, top, right, bottom } = frame;
    format!("<a:off x=\"{left}\" y=\"{top}\"/><a:ext cx=\"{}\" cy=\"{}\"/>", right - left, bottom - top)
}

/// `rId1` is the layout, `rId2` the first picture.
fn slide_rels(pictures: usize) -> String {
    let mut out = String::from(include_str!("pptx/slide_rels_head.xml"));
    for index in 1..=pictures {
        let _ = write!(
            out,
            "<Relationship Id=\"rId{}\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/image\" Target=\"../media/image{index}.png\"/>",
            index + 1
        );
    }
    out.push_str("</Relationships>");
    out
}

fn presentation(scale: &Scale) -> String {
    include_str!("pptx/presentation.xml")
        .replace("{width}", &scale.width.to_string())
        .replace("{height}", &scale.height.to_string())
}

fn core(document: &Document) -> String {
    include_str!("pptx/core.xml").replace("{title}", &escape(&document.title))
}
