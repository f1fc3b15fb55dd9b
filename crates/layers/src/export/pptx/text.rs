//! Words as text boxes of DrawingML (ECMA-376 part 1, 21.1.2).

use std::fmt::Write as _;

use typeset::{Align, Colour, Fill, Gradient, Shadow, Slant};

use super::super::words::{StyledRun, WordLine, Words, on_canvas};
use super::super::xml::escape;
use super::spacing::Spaced;
use super::{FARTHEST, PARTS_OF_A_DEGREE, Scale};

/// EMU of a point, of which font sizes are hundredths.
const EMU_PER_POINT: f64 = 12_700.0;
/// Sizes that `ST_TextFontSize` allows, in hundredths of a point.
const FONT_SIZES: (f64, f64) = (100.0, 400_000.0);
/// Letter spacing that `ST_TextPoint` allows, in hundredths of a point.
const MOST_SPACING: f64 = 400_000.0;
/// Shares are written in these parts.
const PARTS_OF_THE_WHOLE: f64 = 100_000.0;

/// What a text box looks like, for the shape's properties.
pub(super) struct TextBox {
    pub(super) place: String,
    pub(super) body: String,
}

/// The box around the words as they are before their turn, turned about its centre, and its paragraphs: one a line.
pub(super) fn text_box(words: &Words<'_>, scale: &Scale, opacity: f32) -> Option<TextBox> {
    let left = words.lines.iter().map(|line| line.bounds.x).reduce(f32::min)?;
    let right = words.lines.iter().map(|line| line.bounds.x + line.bounds.width).reduce(f32::max)?;
    let spaced = Spaced::new(&words.lines)?;
    let (top, bottom) = (spaced.top, spaced.bottom);
    let (width, height) = (f64::from(right - left).max(1.0), f64::from(bottom - top).max(1.0));
    let (x, y) = on_canvas(words.text, (left + right) / 2.0, (top + bottom) / 2.0);
    let emu = |pixels: f64| ((pixels * scale.emu_per_pixel).round() as i64).clamp(-FARTHEST, FARTHEST - 1);
    let turn = match (f64::from(words.text.angle).rem_euclid(360.0) * PARTS_OF_A_DEGREE).round() {
        0.0 => String::new(),
        turn => format!(" rot=\"{turn}\""),
    };
    let place = format!(
        "<a:xfrm{turn}><a:off x=\"{}\" y=\"{}\"/><a:ext cx=\"{}\" cy=\"{}\"/></a:xfrm>",
        emu(x - width / 2.0),
        emu(y - height / 2.0),
        emu(width).max(1),
        emu(height).max(1)
    );
    let mut body = String::from(
        "<p:txBody><a:bodyPr wrap=\"none\" lIns=\"0\" tIns=\"0\" rIns=\"0\" bIns=\"0\" anchor=\"t\"><a:noAutofit/></a:bodyPr><a:lstStyle/>",
    );
    for (line, spacing) in words.lines.iter().zip(spaced.spacings) {
        paragraph(line, spacing, words.text.align, scale, opacity, &mut body);
    }
    body.push_str("</p:txBody>");
    Some(TextBox { place, body })
}

fn paragraph(line: &WordLine<'_>, spacing: f32, align: Align, scale: &Scale, opacity: f32, out: &mut String) {
    let align = match align {
        Align::Left => "l",
        Align::Centre => "ctr",
        Align::Right => "r",
    };
    let spacing = (f64::from(spacing) * PARTS_OF_THE_WHOLE).round().clamp(1000.0, 13_200_000.0);
    let direction = if is_right_to_left(line) { " rtl=\"1\"" } else { "" };
    let _ = write!(
        out,
        "<a:p><a:pPr algn=\"{align}\"{direction}><a:lnSpc><a:spcPct val=\"{spacing}\"/></a:lnSpc>\
         <a:spcBef><a:spcPts val=\"0\"/></a:spcBef><a:spcAft><a:spcPts val=\"0\"/></a:spcAft><a:buNone/></a:pPr>"
    );
    for run in &line.runs {
        let properties = properties(run, scale, opacity);
        let _ = write!(out, "<a:r><a:rPr{}</a:rPr><a:t>{}</a:t></a:r>", properties, escape(&run.run.text));
    }
    out.push_str("</a:p>");
}

/// Whether the first letter that has a direction runs to the left.
fn is_right_to_left(line: &WordLine<'_>) -> bool {
    let mut letters = line.runs.iter().flat_map(|run| run.run.text.chars()).filter(|c| c.is_alphabetic());
    letters
        .next()
        .is_some_and(|c| matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'))
}

/// Attributes and content of `a:rPr`, in the order of its schema.
fn properties(styled: &StyledRun<'_>, scale: &Scale, opacity: f32) -> String {
    let style = &styled.run.style;
    let points = |pixels: f32| f64::from(pixels) * scale.emu_per_pixel / EMU_PER_POINT * 100.0;
    let size = points(style.size).round().clamp(FONT_SIZES.0, FONT_SIZES.1);
    let mut out = format!(" lang=\"{}\" sz=\"{size}\"", language(&styled.run.text));
    out.push_str(if styled.bold { " b=\"1\"" } else { " b=\"0\"" });
    if style.slant == Slant::Italic {
        out.push_str(" i=\"1\"");
    }
    if style.letter_spacing != 0.0 {
        let spacing = points(style.letter_spacing).round().clamp(-MOST_SPACING, MOST_SPACING);
        let _ = write!(out, " spc=\"{spacing}\"");
    }
    out.push_str(" dirty=\"0\">");
    let emu = |pixels: f32| (f64::from(pixels) * scale.emu_per_pixel).round();
    if let Some(outline) = style.outline.filter(|outline| outline.width > 0.0) {
        let width = (2.0 * emu(outline.width)).clamp(1.0, 20_116_800.0);
        let _ = write!(out, "<a:ln w=\"{width}\">{}<a:round/></a:ln>", solid(outline.colour, opacity));
    }
    match &style.fill {
        Fill::Colour(colour) => out.push_str(&solid(*colour, opacity)),
        Fill::Gradient(gradient) => out.push_str(&gradient_fill(gradient, opacity)),
    }
    if let Some(shadow) = style.shadow {
        out.push_str(&shadow_effect(&shadow, opacity, emu));
    }
    let face = escape(&styled.styled_family);
    let _ = write!(out, "<a:latin typeface=\"{face}\"/><a:ea typeface=\"{face}\"/><a:cs typeface=\"{face}\"/>");
    out
}

/// The language that a spelling checker takes, by the first letter that tells.
fn language(text: &str) -> &'static str {
    text.chars()
        .find_map(|c| match c {
            '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}' => Some("ko-KR"),
            '\u{3040}'..='\u{30ff}' => Some("ja-JP"),
            '\u{4e00}'..='\u{9fff}' => Some("zh-CN"),
            '\u{590}'..='\u{5ff}' => Some("he-IL"),
            '\u{600}'..='\u{6ff}' => Some("ar-SA"),
            _ => None,
        })
        .unwrap_or("en-US")
}

pub(super) fn solid(colour: Colour, opacity: f32) -> String {
    format!("<a:solidFill>{}</a:solidFill>", coloured(colour, opacity))
}

fn coloured(colour: Colour, opacity: f32) -> String {
    let Colour { red, green, blue, alpha } = colour;
    let alpha = (f64::from(alpha) / 255.0 * f64::from(opacity) * PARTS_OF_THE_WHOLE).round();
    let alpha = if alpha < PARTS_OF_THE_WHOLE { format!("<a:alpha val=\"{alpha}\"/>") } else { String::new() };
    format!("<a:srgbClr val=\"{red:02X}{green:02X}{blue:02X}\">{alpha}</a:srgbClr>")
}

fn gradient_fill(gradient: &Gradient, opacity: f32) -> String {
    let mut stops = String::new();
    for stop in &gradient.stops {
        let at = (f64::from(stop.offset) * PARTS_OF_THE_WHOLE).round().clamp(0.0, PARTS_OF_THE_WHOLE);
        let _ = write!(stops, "<a:gs pos=\"{at}\">{}</a:gs>", coloured(stop.colour, opacity));
    }
    let (start, end) = (gradient.start, gradient.end);
    let angle = f64::from(end.y - start.y).atan2(f64::from(end.x - start.x)).to_degrees().rem_euclid(360.0);
    let angle = (angle * PARTS_OF_A_DEGREE).round();
    format!(
        "<a:gradFill rotWithShape=\"1\"><a:gsLst>{stops}</a:gsLst><a:lin ang=\"{angle}\" scaled=\"0\"/></a:gradFill>"
    )
}

fn shadow_effect(shadow: &Shadow, opacity: f32, emu: impl Fn(f32) -> f64) -> String {
    let distance = emu(shadow.dx.hypot(shadow.dy));
    let direction = f64::from(shadow.dy).atan2(f64::from(shadow.dx)).to_degrees().rem_euclid(360.0);
    let direction = (direction * PARTS_OF_A_DEGREE).round();
    let (blur, colour) = (emu(shadow.blur), coloured(shadow.colour, shadow.opacity * opacity));
    format!(
        "<a:effectLst><a:outerShdw blurRad=\"{blur}\" dist=\"{distance}\" dir=\"{direction}\" algn=\"ctr\" rotWithShape=\"0\">{colour}</a:outerShdw></a:effectLst>"
    )
}
