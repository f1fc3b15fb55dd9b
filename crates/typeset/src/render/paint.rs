//! Glyphs to pixels: all shadows, above them all outlines, above them all fills.

use image::RgbaImage;
use zeno::{Command, Transform};

use super::layout::Laid;
use crate::Error;
use crate::blur::blur;
use crate::glyph::Extent;
use crate::raster::{Coverage, Pixels, Tools};
use crate::text::{Fill, Limits, Style, Text};

/// One coverage with what it is filled with.
struct Paint<'a> {
    coverage: Coverage,
    ink: Ink<'a>,
}

enum Ink<'a> {
    /// Straight alpha, 0 to 1.
    Flat([f32; 4]),
    Gradient(&'a crate::text::Gradient),
}

/// The picture and the place of its first pixel.
pub(super) fn paint(text: &Text, laid: &Laid<'_>, clip: Pixels) -> Result<(RgbaImage, i32, i32), Error> {
    let turn = Turn::of(text);
    let mut groups: Vec<(&Style, Vec<Letter>)> = Vec::new();
    for glyph in &laid.glyphs {
        let mut path = Vec::new();
        glyph.face.glyph(glyph.id).append(&mut path, glyph.style.size, glyph.x, glyph.y);
        for command in &mut path {
            *command = command.transform(&turn.transform);
        }
        let Some(extent) = Extent::of(&path) else { continue };
        if groups.last().is_none_or(|(style, _)| *style != glyph.style) {
            groups.push((glyph.style, Vec::new()));
        }
        if let Some((_, letters)) = groups.last_mut() {
            letters.push(Letter { path, extent });
        }
    }
    let mut budget = Limits::PAINTED_PIXELS;
    let mut layers: [Vec<Paint<'_>>; 3] = Default::default();
    for (style, letters) in &groups {
        for (layer, paint) in layers.iter_mut().zip(paints(style, letters, clip, &mut budget)?) {
            layer.extend(paint);
        }
    }
    let paints: Vec<Paint<'_>> = layers.into_iter().flatten().collect();
    Ok(compose(&paints, &turn))
}

/// One glyph's outline, turned and in its place.
struct Letter {
    path: Vec<Command>,
    extent: Extent,
}

/// Shadow, outline and fill of neighbours of one style.
fn paints<'a>(
    style: &'a Style,
    letters: &[Letter],
    clip: Pixels,
    budget: &mut u64,
) -> Result<[Option<Paint<'a>>; 3], Error> {
    let Some(extent) = letters.iter().map(|letter| letter.extent).reduce(Extent::union) else {
        return Ok([None, None, None]);
    };
    let mut tools = Tools::default();
    let mut cover = |stroke: Option<f32>, clip: Pixels| -> Result<Option<Coverage>, Error> {
        let pixels = Pixels::around(&extent, stroke.unwrap_or(0.0) / 2.0 + 1.0).intersection(clip);
        let area = pixels.area() as u64;
        *budget = budget.checked_sub(area).ok_or(Error::TooMany {
            what: "pixels under all runs together",
            count: Limits::PAINTED_PIXELS - *budget + area,
            limit: Limits::PAINTED_PIXELS,
        })?;
        let mut coverage = Coverage::empty(pixels);
        for letter in letters {
            coverage.draw(&letter.path, &letter.extent, stroke, &mut tools);
        }
        Ok((area > 0).then_some(coverage))
    };
    let outline = style.outline.filter(|outline| outline.width > 0.0);
    let shadow = match style.shadow.filter(|shadow| shadow.opacity > 0.0) {
        None => None,
        Some(shadow) => {
            // A shadow that shows may fall from letters outside of the bounds.
            let deviation = shadow.blur / 2.0;
            let margin = ceil(3.0 * deviation) + 1;
            let reach = clip.moved(-ceil(shadow.dx.floor()), -ceil(shadow.dy.floor())).grown(margin);
            let fill = cover(None, reach)?;
            let around = outline.map(|outline| cover(Some(2.0 * outline.width), reach)).transpose()?.flatten();
            let mut colour = shadow.colour.unit();
            colour[3] *= shadow.opacity;
            let both = union(fill, around);
            both.map(|coverage| Paint {
                coverage: fallen(coverage, (shadow.dx, shadow.dy), deviation, reach, clip),
                ink: Ink::Flat(colour),
            })
        }
    };
    let around = match outline {
        None => None,
        Some(outline) => {
            let coverage = union(cover(Some(2.0 * outline.width), clip)?, cover(None, clip)?);
            coverage.map(|coverage| Paint { coverage, ink: Ink::Flat(outline.colour.unit()) })
        }
    };
    let ink = match &style.fill {
        Fill::Colour(colour) => Ink::Flat(colour.unit()),
        Fill::Gradient(gradient) => Ink::Gradient(gradient),
    };
    Ok([shadow, around, cover(None, clip)?.map(|coverage| Paint { coverage, ink })])
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn ceil(value: f32) -> i32 {
    value.ceil() as i32
}

/// The larger of two coverages in each pixel.
fn union(a: Option<Coverage>, b: Option<Coverage>) -> Option<Coverage> {
    let (Some(a), Some(b)) = (&a, &b) else { return a.or(b) };
    let pixels = a.pixels().union(b.pixels());
    let mut both = Coverage::empty(pixels);
    for one in [a, b] {
        both.each_row_of(one, |to, from| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = (*to).max(*from);
            }
        });
    }
    Some(both)
}

/// A shadow's coverage: moved by parts of a pixel, blurred, cut to what shows. `reach` is where it may come from.
fn fallen(coverage: Coverage, (dx, dy): (f32, f32), deviation: f32, reach: Pixels, clip: Pixels) -> Coverage {
    let margin = ceil(3.0 * deviation) + 1;
    let (whole_x, whole_y) = (dx.floor(), dy.floor());
    let mut roomy = Coverage::empty(coverage.pixels().grown(margin).intersection(reach));
    roomy.each_row_of(&coverage, <[u8]>::copy_from_slice);
    drop(coverage);
    roomy.shift_within_pixel(dx - whole_x, dy - whole_y);
    blur(&mut roomy, deviation);
    roomy.x = roomy.x.saturating_add(ceil(whole_x));
    roomy.y = roomy.y.saturating_add(ceil(whole_y));
    let mut shown = Coverage::empty(roomy.pixels().intersection(clip));
    shown.each_row_of(&roomy, <[u8]>::copy_from_slice);
    shown
}

/// The block's turn about its position.
struct Turn {
    transform: Transform,
    position: (f32, f32),
    sin: f32,
    cos: f32,
}

impl Turn {
    fn of(text: &Text) -> Self {
        let radians = text.angle.to_radians();
        // Multiples of a right angle are exact.
        let (sin, cos) = match text.angle.rem_euclid(360.0) {
            0.0 => (0.0, 1.0),
            90.0 => (1.0, 0.0),
            180.0 => (0.0, -1.0),
            270.0 => (-1.0, 0.0),
            _ => (libm::sinf(radians), libm::cosf(radians)),
        };
        let (x, y) = (text.position.x, text.position.y);
        Self { transform: Transform::new(cos, sin, -sin, cos, x, y), position: (x, y), sin, cos }
    }

    /// The point of the unturned block, from its position, that is at a point of the poster.
    fn back(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.position.0, y - self.position.1);
        (x * self.cos + y * self.sin, y * self.cos - x * self.sin)
    }
}

/// Porter and Duff's *over*, the first paint lowest, row by row in floats; rounded once.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
fn compose(paints: &[Paint<'_>], turn: &Turn) -> (RgbaImage, i32, i32) {
    let all = paints.iter().map(|paint| paint.coverage.pixels()).reduce(Pixels::union);
    let Some(all) = all.filter(|all| all.area() > 0) else { return (RgbaImage::new(0, 0), 0, 0) };
    let (width, height) = (all.width(), all.height());
    let mut bytes = vec![0; width * height * 4];
    let mut row = vec![[0.0_f32; 4]; width]; // premultiplied
    for (y, target) in (all.top..all.bottom).zip(bytes.chunks_exact_mut(width * 4)) {
        row.fill([0.0; 4]);
        for paint in paints {
            let Some((x, values)) = paint.coverage.row(y) else { continue };
            let start = usize::try_from(x - all.left).unwrap_or(0);
            for (n, (pixel, &value)) in row[start..].iter_mut().zip(values).enumerate() {
                if value == 0 {
                    continue;
                }
                let [red, green, blue, alpha] = match &paint.ink {
                    Ink::Flat(colour) => *colour,
                    Ink::Gradient(gradient) => {
                        let (x, y) = turn.back(x as f32 + n as f32 + 0.5, y as f32 + 0.5);
                        gradient.at(x, y)
                    }
                };
                let alpha = alpha * f32::from(value) / 255.0;
                for (channel, colour) in pixel.iter_mut().zip([red, green, blue, 1.0]) {
                    *channel = colour * alpha + *channel * (1.0 - alpha);
                }
            }
        }
        for (pixel, [red, green, blue, alpha]) in target.chunks_exact_mut(4).zip(&row) {
            let byte = |value: f32| (value * 255.0 + 0.5) as u8;
            // What rounds to nothing has no colour.
            if byte(*alpha) > 0 {
                let straight = |value: f32| byte((value / alpha).min(1.0));
                pixel.copy_from_slice(&[straight(*red), straight(*green), straight(*blue), byte(*alpha)]);
            }
        }
    }
    let side = |side: usize| u32::try_from(side).unwrap_or(0);
    let picture = RgbaImage::from_raw(side(width), side(height), bytes).unwrap_or_default();
    (picture, all.left, all.top)
}
