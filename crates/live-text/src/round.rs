//! Numbers as exact as they are measured: further digits would only fill the file.

use engine::TextBlock;
use typeset::{Fill, Position};

/// To a hundredth: px and degrees.
fn length(value: &mut f32) {
    *value = (*value * 100.0).round() / 100.0;
}

/// To a thousandth.
pub(crate) fn share(value: f32) -> f32 {
    (value * 1000.0).round() / 1000.0
}

fn position(position: &mut Position) {
    length(&mut position.x);
    length(&mut position.y);
}

pub(crate) fn block(block: &mut TextBlock) {
    let text = &mut block.text;
    position(&mut text.position);
    length(&mut text.angle);
    for style in text.lines.iter_mut().flat_map(|line| &mut line.runs).map(|run| &mut run.style) {
        [&mut style.size, &mut style.line_height, &mut style.letter_spacing].into_iter().for_each(length);
        if let Fill::Gradient(gradient) = &mut style.fill {
            position(&mut gradient.start);
            position(&mut gradient.end);
        }
        if let Some(outline) = &mut style.outline {
            length(&mut outline.width);
        }
        if let Some(shadow) = &mut style.shadow {
            [&mut shadow.dx, &mut shadow.dy, &mut shadow.blur].into_iter().for_each(length);
            shadow.opacity = share(shadow.opacity);
        }
    }
    for line in &mut block.lines {
        position(&mut line.origin);
        [&mut line.width, &mut line.ascent, &mut line.descent].into_iter().for_each(length);
        for value in [&mut line.confidence, &mut line.similarity, &mut line.overlap, &mut line.weakest] {
            *value = share(*value);
        }
        line.alternatives.iter_mut().for_each(|other| other.similarity = share(other.similarity));
    }
}
