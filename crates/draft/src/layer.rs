//! What the stages hand on to the last ones: sheets, which are extracted in one go, and their parts, which become layers.

pub(crate) use layers::Group;
use layers::{Kind, ReadLine};

use crate::plane::{Plane, Rect, Rgb8};

/// A line of text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextLine {
    /// What it says; empty where it could not be read.
    pub text: String,
    /// Bounding box of its letters.
    pub rect: Rect,
    /// Height of the letters in pixels, to tell headlines from small print.
    pub size: f32,
    /// The direction in which it runs: degrees clockwise from level.
    pub angle: f32,
    /// How surely it was read, 0 to 1.
    pub sure: f32,
    /// Whether it is curved.
    pub bent: bool,
}

impl TextLine {
    /// A level line that nobody has read.
    pub(crate) fn unread(rect: Rect, size: f32) -> Self {
        Self { text: String::new(), rect, size, angle: 0.0, sure: 0.0, bent: false }
    }

    /// The line for the layer that it is in; `None` where it was not read.
    pub(crate) fn for_layer(&self) -> Option<ReadLine> {
        let words = self.text.trim();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let Rect { x0, y0, .. } = self.rect;
        let (width, height) = (side(self.rect.width()), side(self.rect.height()));
        (!words.is_empty()).then(|| ReadLine {
            words: words.to_owned(),
            rect: layers::Rect { x: side(x0), y: side(y0), width, height },
            angle: self.angle,
            confidence: self.sure.clamp(0.0, 1.0),
            bent: self.bent,
        })
    }
}

/// Everything that is extracted in one go, over one completed background. Its parts share no pixel, so they can be
/// stacked in any order.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    /// The picture with this sheet and all below it.
    pub above: Rgb8,
    /// Opacity, 0 to 255.
    pub alpha: Plane<u8>,
    /// Which part each pixel belongs to: `k` is `parts[k - 1]`, 0 is none. Also set around the parts, so that what
    /// rounding leaves beside an edge has an owner.
    pub owner: Plane<u8>,
    /// At most 255.
    pub parts: Vec<Part>,
    /// What most of its parts are.
    pub kind: Kind,
}

/// What becomes a layer of its own, unless it is divided further or joined with others of its sheet.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub kind: Kind,
    /// Code of what it shows (`person`, `bus`), where that is known. Such a part is one thing and is not divided.
    pub thing: Option<&'static str>,
    /// It is one thing whose name is not known, and not divided either.
    pub whole: bool,
    pub group: Option<Group>,
    /// Lines of a text, in reading order.
    pub lines: Vec<TextLine>,
    /// How much it matters, from 0; the least important parts are joined first.
    pub importance: f32,
}

impl Part {
    /// A part of which nothing but its kind is known.
    pub(crate) fn new(kind: Kind) -> Self {
        let group = match kind {
            Kind::Text => Some(Group::Text),
            Kind::Object | Kind::Subject => Some(Group::Objects),
            Kind::Background | Kind::Unknown => None,
        };
        Self { kind, thing: None, whole: false, group, lines: Vec::new(), importance: 0.0 }
    }
}

impl Sheet {
    /// A sheet that is one part.
    pub(crate) fn whole(part: Part, alpha: Plane<u8>, above: Rgb8) -> Self {
        Self { above, owner: alpha.same_size(1), alpha, kind: part.kind, parts: vec![part] }
    }
}
