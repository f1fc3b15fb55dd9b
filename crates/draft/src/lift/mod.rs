//! A part of a layer as a layer of its own, and the layer completed behind it.

mod divide;

use image::{GrayImage, RgbaImage};
use layers::{Kind, Label};

use crate::colour::{bytes_plane, unit_plane};
use crate::fill::inpaint::{Hole, complete, inpaint};
use crate::filter::{resize_area, resize_rgb};
use crate::large::{enlarge, working_size};
use crate::layer::{Part, Sheet};
use crate::matte::{ExtractOptions, Shape, extract};
use crate::monitor::{Monitor, Stopped, watched};
use crate::morphology::{NOWHERE, dilate, nearest};
use crate::naming;
use crate::plane::{Colour, Mask, Plane, Rect, Rgb8};
use divide::{Parts, divide};

/// Mask value from which a pixel belongs to the part.
const INSIDE: u8 = 128;

/// Pixels around the mask that are looked at: half its long side, within these bounds.
const AROUND: (usize, usize) = (64, 640);

/// Width in pixels of the ring around a mask that says whether the layer goes on behind it, and the share of the ring that
/// is opaque if it does.
const RING: usize = 10;
const GOES_ON: f32 = 0.85;

/// Width of the band at the edge whose opacity is solved, how far around it the picture is completed, and the least width
/// of what belongs to the part beside the mask, in pixels: as for the engine's own figures.
const BAND: usize = 3;
const GROW: usize = 7;
const HALO: usize = 3;
/// Area in pixels up to which what looks like the background at the edge of the mask is background.
const CRUMB: usize = 60;
/// Of 255: an opacity outside the mask that nobody sees is none.
const FAINT: u8 = 6;

/// How the edge of a mask is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// As where the thing is: its soft edge is found in the picture, a few pixels around the mask's.
    Found,
    /// As it was drawn: the mask's values are the part's opacity.
    Drawn,
}

/// A part of a layer, and the layer without it.
#[derive(Debug, Clone)]
pub struct Lifted {
    /// The part, as large as [`Lifted::rect`].
    pub part: RgbaImage,
    /// Where the part lies on the layer.
    pub rect: layers::Rect,
    /// The layer without the part, as large as it was. `part` over `rest` is the layer, within 1/255 in each premultiplied
    /// channel.
    pub rest: RgbaImage,
    /// Whether the layer goes on behind the part and was completed there; otherwise `rest` is transparent there.
    pub completed: bool,
    /// What the part looks like, in codes: "yellow circle".
    pub label: Label,
}

/// Why nothing was lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LiftError {
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// The mask has another size than the layer.
    #[error("the mask has {mask:?} pixels and the layer {layer:?}: give a mask as large as the layer")]
    Size {
        /// Width and height.
        mask: (u32, u32),
        /// Width and height.
        layer: (u32, u32),
    },
    /// The layer has no pixel where the mask is.
    #[error("the layer has no pixel in the mask")]
    Nothing,
}

impl From<Stopped> for LiftError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Lifts what is under `mask` (0 to 255, from 128 on it belongs to the part) off a layer (sRGB, 8 bit, straight alpha).
///
/// Where the layer is opaque all around, it is completed behind the part as the engine completes backgrounds, from what is
/// around: only that part of the layer is looked at, so that the time depends on the mask. Elsewhere, and where pixels are
/// translucent, each pixel goes to one of the two. `stopped` is asked about every 40 ms.
///
/// # Errors
/// [`LiftError::Stopped`] if `stopped` returned true; [`LiftError::Size`]; [`LiftError::Nothing`].
pub fn lift(
    layer: &RgbaImage,
    mask: &GrayImage,
    edge: Edge,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Lifted, LiftError> {
    if layer.dimensions() != mask.dimensions() {
        return Err(LiftError::Size { mask: mask.dimensions(), layer: layer.dimensions() });
    }
    let ask = || if stopped() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) };
    watched(&mut |_| ask(), |monitor| lifted(layer, mask, edge, monitor))
}

fn lifted(layer: &RgbaImage, mask: &GrayImage, edge: Edge, monitor: &Monitor) -> Result<Lifted, LiftError> {
    monitor.check()?;
    let (width, height) = (layer.width() as usize, layer.height() as usize);
    let least = if edge == Edge::Drawn { 1 } else { INSIDE };
    let marked = Plane::from_fn(width, height, |x, y| {
        mask.get_pixel(x as u32, y as u32)[0] >= least && layer.get_pixel(x as u32, y as u32)[3] > 0
    });
    let bounds = marked.bounds().ok_or(LiftError::Nothing)?;
    let around = (bounds.width().max(bounds.height()) / 2).clamp(AROUND.0, AROUND.1);
    let window = Window::new(layer, mask, &marked, bounds.padded(around, width, height));
    monitor.check()?;
    let found = if window.goes_on() { Some(window.completed(edge, monitor)?) } else { None };
    let completed = found.is_some();
    let parts = found.unwrap_or_else(|| window.apart());
    let (part, rect, rest) = divide(layer, &window, &parts).ok_or(LiftError::Nothing)?;
    monitor.check()?;
    let label = naming::object(&part);
    Ok(Lifted { part, rect, rest, completed, label })
}

/// The part of a layer around a mask.
struct Window {
    rect: Rect,
    /// The layer's colours; where it is not opaque, those of the nearest pixel that is.
    colours: Rgb8,
    opaque: Mask,
    /// The mask's values, 0 where the layer has no pixel.
    mask: Plane<u8>,
    /// What belongs to the part.
    inside: Mask,
}

impl Window {
    fn new(layer: &RgbaImage, mask: &GrayImage, marked: &Mask, rect: Rect) -> Self {
        let (width, height) = (rect.width(), rect.height());
        let at = |x: usize, y: usize| ((rect.x0 + x) as u32, (rect.y0 + y) as u32);
        let pixel = |x: usize, y: usize| {
            let (x, y) = at(x, y);
            layer.get_pixel(x, y).0
        };
        let opaque = Plane::from_fn(width, height, |x, y| pixel(x, y)[3] == 255);
        let sources = if opaque.count() < width * height { Some(nearest(&opaque)) } else { None };
        let colours = Plane::from_fn(width, height, |x, y| {
            let source = sources.as_ref().map(|sources| sources.at(x, y)).filter(|source| *source != NOWHERE);
            let (x, y) = source.map_or((x, y), |source| (source as usize % width, source as usize / width));
            let [r, g, b, _] = pixel(x, y);
            [r, g, b]
        });
        let inside = marked.crop(rect);
        let mask = Plane::from_fn(width, height, |x, y| {
            let (u, v) = at(x, y);
            if pixel(x, y)[3] > 0 { mask.get_pixel(u, v)[0] } else { 0 }
        });
        Self { rect, colours, opaque, mask, inside }
    }

    /// Whether the layer is opaque all around the part: it goes on behind it.
    fn goes_on(&self) -> bool {
        let ring = dilate(&self.inside, RING).minus(&self.inside);
        let count = ring.count();
        count > 0 && ring.and(&self.opaque).count() as f32 >= GOES_ON * count as f32
    }

    /// The part divided from the rest where nothing is behind it.
    fn apart(&self) -> Parts {
        let alpha = self.mask.map(|value| if value >= INSIDE { 255 } else { 0 });
        Parts { alpha, below: None }
    }

    /// The part with its opacity, and what is behind it.
    fn completed(&self, edge: Edge, monitor: &Monitor) -> Result<Parts, Stopped> {
        match edge {
            Edge::Found => self.found(monitor),
            Edge::Drawn => self.drawn(monitor),
        }
    }

    /// With its own edge. A large window is worked on at a bounded size, as large pictures are.
    fn found(&self, monitor: &Monitor) -> Result<Parts, Stopped> {
        let (width, height) = (self.colours.width, self.colours.height);
        let small = working_size(width, height).map(|(w, h)| self.shrunk(w, h));
        let (colours, inside, opaque) = match &small {
            Some((colours, inside, opaque)) => (colours, inside, opaque),
            None => (&self.colours, &self.inside, &self.opaque),
        };
        let image = unit_plane(colours);
        let excluded = opaque.not();
        let how = ExtractOptions {
            band: BAND,
            grow: GROW,
            halo: HALO,
            shape: Shape::Figure { crumb: CRUMB },
            excluded: Some(&excluded).filter(|excluded| excluded.any()),
            sure: None,
        };
        let found = extract(&image, inside, how, monitor)?;
        let alpha = found.alpha.map(|alpha| (alpha * 255.0 + 0.5) as u8);
        let below = bytes_plane(&found.below);
        let (alpha, below) = match small {
            None => (alpha, below),
            Some((colours, ..)) => {
                let mut sheet = Sheet::whole(Part::new(Kind::Object), alpha, colours);
                let below = enlarge(self.colours.clone(), &below, &mut [&mut sheet], monitor)?;
                (sheet.alpha, below)
            }
        };
        let faint = |alpha: u8, inside: bool| if inside || alpha > FAINT { alpha } else { 0 };
        Ok(Parts { alpha: alpha.zip(&self.inside, faint), below: Some(below) })
    }

    /// With the opacity that the mask has.
    fn drawn(&self, monitor: &Monitor) -> Result<Parts, Stopped> {
        let (width, height) = (self.colours.width, self.colours.height);
        let small = working_size(width, height).map(|(w, h)| self.shrunk(w, h));
        let below = match small {
            None => bytes_plane(&filled(unit_plane(&self.colours), &self.inside, &self.opaque, monitor)?),
            Some((colours, inside, opaque)) => {
                let below = filled(unit_plane(&colours), &inside, &opaque, monitor)?;
                resize_rgb(&bytes_plane(&below), width, height)
            }
        };
        Ok(Parts { alpha: self.mask.clone(), below: Some(below) })
    }

    /// Colours, part and opaque pixels at another size.
    fn shrunk(&self, width: usize, height: usize) -> (Rgb8, Mask, Mask) {
        let half = |mask: &Mask| {
            let small = resize_area(&mask.map(|set| [f32::from(u8::from(set))]), width, height);
            small.map(|[share]| share >= 0.5)
        };
        // A part that vanishes at this size would be none.
        let inside = Some(half(&self.inside)).filter(Mask::any);
        let inside = inside.unwrap_or_else(|| {
            let small = resize_area(&self.inside.map(|set| [f32::from(u8::from(set))]), width, height);
            small.map(|[share]| share > 0.0)
        });
        (resize_rgb(&self.colours, width, height), inside, half(&self.opaque))
    }
}

/// A picture completed in `hole` from what is around it.
fn filled(image: Colour, hole: &Mask, opaque: &Mask, monitor: &Monitor) -> Result<Colour, Stopped> {
    let excluded = opaque.not();
    let region = Hole { mask: hole, shape: hole, excluded: Some(&excluded).filter(|excluded| excluded.any()) };
    let inpainted = inpaint(&image, &region, monitor)?;
    monitor.check()?;
    let done = complete(inpainted, &image, &region, hole, monitor)?;
    Ok(done.image)
}
