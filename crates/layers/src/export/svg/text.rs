//! Words as `<text>`.

use std::fmt::Write as _;

use typeset::{Align, Colour, Fill, Gradient, Shadow, Slant, Style};

use super::super::words::{StyledRun, Words};
use super::super::xml::escape;

/// The words of a layer. `id` makes the names of gradients and shadows unique in the file.
pub(super) fn text(words: &Words<'_>, id: &str) -> String {
    let text = words.text;
    let (mut defs, mut spans) = (String::new(), String::new());
    let anchor = match text.align {
        Align::Left => "start",
        Align::Centre => "middle",
        Align::Right => "end",
    };
    let place = |value: f32| number(f64::from(value));
    let mut shadow = None;
    for (n, line) in words.lines.iter().enumerate() {
        // Each line is anchored where the block is, and runs follow each other.
        let _ = write!(spans, "<tspan x=\"0\" y=\"{}\">", place(line.bounds.baseline));
        for (m, run) in line.runs.iter().enumerate() {
            shadow = shadow.or(run.run.style.shadow);
            let gradient = format!("{id}-fill-{n}-{m}");
            span(run, &gradient, &mut defs, &mut spans);
        }
        spans.push_str("</tspan>");
    }
    // A shadow does not turn with the words.
    let filtered = shadow.map(|shadow| {
        defs.push_str(&filter(&shadow, &format!("{id}-shadow")));
        format!(" filter=\"url(#{id}-shadow)\"")
    });
    let defs = if defs.is_empty() { defs } else { format!("<defs>{defs}</defs>\n") };
    let turn = if text.angle == 0.0 { String::new() } else { format!(" rotate({})", place(text.angle)) };
    format!(
        "{defs}<g{}><text transform=\"translate({} {}){turn}\" text-anchor=\"{anchor}\" xml:space=\"preserve\">{spans}</text></g>\n",
        filtered.unwrap_or_default(),
        place(text.position.x),
        place(text.position.y),
    )
}

fn span(styled: &StyledRun<'_>, gradient: &str, defs: &mut String, out: &mut String) {
    let style: &Style = &styled.run.style;
    let (fill, opacity) = match &style.fill {
        Fill::Colour(colour) => (hex(*colour), alpha(*colour)),
        Fill::Gradient(along) => {
            defs.push_str(&linear_gradient(along, gradient));
            (format!("url(#{gradient})"), 1.0)
        }
    };
    let _ = write!(
        out,
        "<tspan font-family=\"{}\" font-size=\"{}\" font-weight=\"{}\" fill=\"{fill}\"",
        escape(&families(styled)),
        number(f64::from(style.size)),
        style.weight
    );
    if style.slant == Slant::Italic {
        out.push_str(" font-style=\"italic\"");
    }
    if style.width != 100 {
        let _ = write!(out, " font-stretch=\"{}%\"", style.width);
    }
    if opacity < 1.0 {
        let _ = write!(out, " fill-opacity=\"{}\"", number(opacity));
    }
    if style.letter_spacing != 0.0 {
        let _ = write!(out, " letter-spacing=\"{}\"", number(f64::from(style.letter_spacing)));
    }
    if let Some(outline) = style.outline.filter(|outline| outline.width > 0.0) {
        // A stroke lies half inside of the letters; painted first, that half is behind the fill.
        let _ = write!(
            out,
            " stroke=\"{}\" stroke-opacity=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\" paint-order=\"stroke\"",
            hex(outline.colour),
            number(alpha(outline.colour)),
            number(2.0 * f64::from(outline.width))
        );
    }
    let _ = write!(out, ">{}</tspan>", escape(&styled.run.text));
}

/// The family, quoted, the other names of its design, and what stands in where it is missing.
fn families(styled: &StyledRun<'_>) -> String {
    let quoted = |name: &str| format!("'{}'", name.replace(['\'', '\\'], ""));
    let wanted = Some(styled.run.style.family.as_str()).filter(|wanted| *wanted != styled.family);
    let mut named = vec![quoted(&styled.family)];
    named.extend(wanted.map(quoted));
    named.extend(typeset::sisters(&styled.family).map(quoted));
    format!("{}, sans-serif", named.join(", "))
}

fn linear_gradient(gradient: &Gradient, id: &str) -> String {
    let place = |value: f32| number(f64::from(value));
    let (start, end) = (gradient.start, gradient.end);
    let mut out = format!(
        "<linearGradient id=\"{id}\" gradientUnits=\"userSpaceOnUse\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\">",
        place(start.x),
        place(start.y),
        place(end.x),
        place(end.y)
    );
    for stop in &gradient.stops {
        let (offset, colour, opacity) = (place(stop.offset), hex(stop.colour), number(alpha(stop.colour)));
        let _ = write!(out, "<stop offset=\"{offset}\" stop-color=\"{colour}\" stop-opacity=\"{opacity}\"/>");
    }
    out.push_str("</linearGradient>");
    out
}

/// CSS's shadow, of primitives that every program knows.
fn filter(shadow: &Shadow, id: &str) -> String {
    format!(
        "<filter id=\"{id}\" x=\"-50%\" y=\"-50%\" width=\"200%\" height=\"200%\" color-interpolation-filters=\"sRGB\">\
         <feGaussianBlur in=\"SourceAlpha\" stdDeviation=\"{}\"/><feOffset dx=\"{}\" dy=\"{}\" result=\"cast\"/>\
         <feFlood flood-color=\"{}\" flood-opacity=\"{}\"/><feComposite in2=\"cast\" operator=\"in\"/>\
         <feMerge><feMergeNode/><feMergeNode in=\"SourceGraphic\"/></feMerge></filter>",
        number(f64::from(shadow.blur) / 2.0),
        number(f64::from(shadow.dx)),
        number(f64::from(shadow.dy)),
        hex(shadow.colour),
        number(alpha(shadow.colour) * f64::from(shadow.opacity))
    )
}

pub(super) fn hex(Colour { red, green, blue, .. }: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

pub(super) fn alpha(colour: Colour) -> f64 {
    f64::from(colour.alpha) / 255.0
}

/// With at most three decimals.
pub(super) fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    // No "-0".
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}
