//! Shapes as the basic ones of SVG, or as `<path>`.

use std::fmt::Write as _;

use kurbo::{BezPath, PathEl, Point};
use typeset::Colour;

use super::super::shapes::{FlatShape, Geometry};
use super::text::{alpha, hex, number};

/// The element of a shape.
pub(super) fn shape(shape: &FlatShape) -> String {
    let [red, green, blue] = shape.colour;
    let colour = Colour { red, green, blue, alpha: shape.alpha };
    let paint = |kind: &str| {
        let opacity = if shape.alpha < u8::MAX {
            format!(" {kind}-opacity=\"{}\"", number(alpha(colour)))
        } else {
            String::new()
        };
        format!("{kind}=\"{}\"{opacity}", hex(colour))
    };
    let fill = paint("fill");
    match &shape.geometry {
        Geometry::Ellipse { centre, radii, .. } if radii.x == radii.y => {
            format!(
                "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" {fill}/>\n",
                number(centre.x),
                number(centre.y),
                number(radii.x)
            )
        }
        Geometry::Ellipse { centre, radii, angle } => format!(
            "<ellipse cx=\"{}\" cy=\"{}\" rx=\"{}\" ry=\"{}\" {fill}{}/>\n",
            number(centre.x),
            number(centre.y),
            number(radii.x),
            number(radii.y),
            turned(*angle, *centre)
        ),
        Geometry::Rectangle { centre, size, radius, angle } => {
            let corner = *centre - *size / 2.0;
            let round = if *radius > 0.0 { format!(" rx=\"{}\"", number(*radius)) } else { String::new() };
            format!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{round} {fill}{}/>\n",
                number(corner.x),
                number(corner.y),
                number(size.x),
                number(size.y),
                turned(*angle, *centre)
            )
        }
        Geometry::Line { from, to, width, is_round } => format!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" {} stroke-width=\"{}\"{}/>\n",
            number(from.x),
            number(from.y),
            number(to.x),
            number(to.y),
            paint("stroke"),
            number(*width),
            if *is_round { " stroke-linecap=\"round\"" } else { "" }
        ),
        Geometry::Path(path) => format!("<path d=\"{}\" fill-rule=\"evenodd\" {fill}/>\n", data(path)),
    }
}

fn turned(angle: f64, centre: Point) -> String {
    if angle == 0.0 {
        return String::new();
    }
    let degrees = number(angle.to_degrees());
    format!(" transform=\"rotate({degrees} {} {})\"", number(centre.x), number(centre.y))
}

fn data(path: &BezPath) -> String {
    let point = |p: Point| format!("{} {}", number(p.x), number(p.y));
    let mut out = String::new();
    for element in path {
        let _ = match element {
            PathEl::MoveTo(to) => write!(out, "M{}", point(to)),
            PathEl::LineTo(to) => write!(out, "L{}", point(to)),
            PathEl::QuadTo(by, to) => write!(out, "Q{} {}", point(by), point(to)),
            PathEl::CurveTo(by, and, to) => write!(out, "C{} {} {}", point(by), point(and), point(to)),
            PathEl::ClosePath => write!(out, "Z"),
        };
    }
    out
}
