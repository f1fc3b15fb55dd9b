//! Outlines of glyphs, in em: x to the right, y downwards, the origin on the baseline.

use harfrust::GlyphId;
use harfrust::font::Font;
use harfrust::font::glyph::outline::{DrawMemory, DrawOptions, PathSink};
use zeno::{Command, Point, Transform};

/// The outline of one glyph.
#[derive(Debug, Default)]
pub(crate) struct Glyph {
    path: Vec<Command>,
    /// The box around the ink; `None` if there is none.
    pub(crate) extent: Option<Extent>,
}

/// A rectangle: left and top, right and bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

impl Extent {
    fn around(x: f32, y: f32) -> Self {
        Self { left: x, top: y, right: x, bottom: y }
    }

    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Scaled about the origin, then moved.
    pub(crate) fn placed(self, size: f32, x: f32, y: f32) -> Self {
        Self {
            left: self.left * size + x,
            top: self.top * size + y,
            right: self.right * size + x,
            bottom: self.bottom * size + y,
        }
    }

    /// Around a path, along its curves.
    pub(crate) fn of(path: &[Command]) -> Option<Self> {
        const STEPS: [f32; 7] = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875];
        let mut extent: Option<Self> = None;
        let mut add = |point: Point| {
            let point = Self::around(point.x, point.y);
            extent = Some(extent.map_or(point, |extent| extent.union(point)));
        };
        let mut at = Point::ZERO;
        for &command in path {
            match command {
                Command::MoveTo(to) | Command::LineTo(to) => at = to,
                Command::QuadTo(via, to) => {
                    for t in STEPS {
                        add(mix(mix(at, via, t), mix(via, to, t), t));
                    }
                    at = to;
                }
                Command::CurveTo(one, two, to) => {
                    for t in STEPS {
                        let (a, b, c) = (mix(at, one, t), mix(one, two, t), mix(two, to, t));
                        add(mix(mix(a, b, t), mix(b, c, t), t));
                    }
                    at = to;
                }
                Command::Close => continue,
            }
            add(at);
        }
        extent
    }
}

fn mix(a: Point, b: Point, t: f32) -> Point {
    Point::new(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t)
}

impl Glyph {
    pub(crate) fn read(font: &Font, id: GlyphId) -> Self {
        /// More points than any real glyph has: those of a damaged file.
        const MOST_COMMANDS: usize = 100_000;
        let mut sink = Sink { path: Vec::new(), scale: 1.0 / f32::from(font.units_per_em().max(1)) };
        let drawn = font
            .outline_glyphs()
            .get(id)
            .is_some_and(|outline| outline.draw(&DrawOptions::new(), DrawMemory::default(), &mut sink).is_ok());
        let sound = sink.path.len() <= MOST_COMMANDS && sink.path.iter().all(is_sound);
        let path = if drawn && sound { sink.path } else { Vec::new() };
        Self { extent: Extent::of(&path), path }
    }

    /// Appends the outline at a size in px and a place in px.
    pub(crate) fn append(&self, path: &mut Vec<Command>, size: f32, x: f32, y: f32) {
        let transform = Transform::new(size, 0.0, 0.0, size, x, y);
        path.extend(self.path.iter().map(|command| command.transform(&transform)));
    }
}

/// No real outline reaches further than this from its origin, in em.
fn is_sound(command: &Command) -> bool {
    let near = |point: &Point| point.x.abs() <= 64.0 && point.y.abs() <= 64.0; // false for NaN
    match command {
        Command::MoveTo(a) | Command::LineTo(a) => near(a),
        Command::QuadTo(a, b) => near(a) && near(b),
        Command::CurveTo(a, b, c) => near(a) && near(b) && near(c),
        Command::Close => true,
    }
}

struct Sink {
    path: Vec<Command>,
    scale: f32,
}

impl Sink {
    fn point(&self, x: f32, y: f32) -> Point {
        Point::new(x * self.scale, -y * self.scale)
    }
}

impl PathSink for Sink {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.push(Command::MoveTo(self.point(x, y)));
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.push(Command::LineTo(self.point(x, y)));
    }

    fn quad_to(&mut self, cx: f32, cy: f32, x: f32, y: f32) {
        self.path.push(Command::QuadTo(self.point(cx, cy), self.point(x, y)));
    }

    fn curve_to(&mut self, ax: f32, ay: f32, bx: f32, by: f32, x: f32, y: f32) {
        self.path.push(Command::CurveTo(self.point(ax, ay), self.point(bx, by), self.point(x, y)));
    }

    fn close(&mut self) {
        self.path.push(Command::Close);
    }
}
