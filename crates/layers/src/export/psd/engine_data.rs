//! The data of Photoshop's text engine: a tree in the syntax of PDF. Adobe documents the container alone; the names are
//! those that Photoshop's own files have.

use std::fmt::Write as _;

use typeset::{Align, Colour, Fill, Style};

use super::super::words::Words;
use super::type_layer::lines_of;

enum Tree {
    Number(f64),
    Integer(usize),
    Bool(bool),
    Text(String),
    List(Vec<Tree>),
    Dict(Vec<(&'static str, Tree)>),
}

/// Words, their styles and the fonts that these name.
pub(super) fn engine_data(words: &Words<'_>) -> Vec<u8> {
    let mut fonts: Vec<&str> = Vec::new();
    let mut styles: Vec<(Tree, usize)> = Vec::new();
    for line in &words.lines {
        let units = |text: &str| text.encode_utf16().count();
        for styled in &line.runs {
            let known = fonts.iter().position(|font| *font == styled.postscript);
            let font = known.unwrap_or_else(|| {
                fonts.push(&styled.postscript);
                fonts.len() - 1
            });
            styles.push((style_sheet(&styled.run.style, font), units(&styled.run.text)));
        }
        // The end of the line belongs to its last run; a line without any takes the style of the one before.
        match styles.last_mut() {
            Some((_, length)) => *length += 1,
            None => styles.push((Tree::Dict(Vec::new()), 1)),
        }
    }
    let lengths: Vec<usize> = styles.iter().map(|(_, length)| *length).collect();
    let paragraphs: Vec<usize> = words
        .text
        .lines
        .iter()
        .map(|line| line.runs.iter().map(|run| run.text.encode_utf16().count()).sum::<usize>() + 1)
        .collect();
    let paragraph = || paragraph_sheet(words.text.align);
    let editor = Tree::Dict(vec![("Text", Tree::Text(lines_of(words) + "\r"))]);
    let engine = Tree::Dict(vec![
        ("Editor", editor),
        ("ParagraphRun", run_array(paragraphs.iter().map(|_| paragraph()).collect(), &paragraphs, paragraph(), 1)),
        (
            "StyleRun",
            run_array(
                styles.into_iter().map(|(style, _)| sheet(style)).collect(),
                &lengths,
                sheet(Tree::Dict(Vec::new())),
                2,
            ),
        ),
        ("GridInfo", grid()),
        ("AntiAlias", Tree::Integer(4)),
        ("UseFractionalGlyphWidths", Tree::Bool(true)),
        ("Rendered", rendered()),
    ]);
    let resources = || {
        let font = |name: &str| {
            Tree::Dict(vec![
                ("Name", Tree::Text(name.to_owned())),
                ("Script", Tree::Integer(0)),
                ("FontType", Tree::Integer(0)),
                ("Synthetic", Tree::Integer(0)),
            ])
        };
        let set = |data: &'static str| {
            let content =
                if data == "Properties" { Tree::Dict(justification(Align::Left)) } else { Tree::Dict(normal_style()) };
            Tree::List(vec![Tree::Dict(vec![
                ("Name", Tree::Text("Normal RGB".to_owned())),
                ("DefaultStyleSheet", Tree::Integer(0)),
                (data, content),
            ])])
        };
        Tree::Dict(vec![
            ("KinsokuSet", Tree::List(Vec::new())),
            ("MojiKumiSet", Tree::List(Vec::new())),
            ("TheNormalStyleSheet", Tree::Integer(0)),
            ("TheNormalParagraphSheet", Tree::Integer(0)),
            ("ParagraphSheetSet", set("Properties")),
            ("StyleSheetSet", set("StyleSheetData")),
            ("FontSet", Tree::List(fonts.iter().map(|name| font(name)).collect())),
            ("SuperscriptSize", Tree::Number(0.583)),
            ("SuperscriptPosition", Tree::Number(0.333)),
            ("SubscriptSize", Tree::Number(0.583)),
            ("SubscriptPosition", Tree::Number(0.333)),
            ("SmallCapSize", Tree::Number(0.7)),
        ])
    };
    let all =
        Tree::Dict(vec![("EngineDict", engine), ("ResourceDict", resources()), ("DocumentResources", resources())]);
    let mut out = b"\n\n".to_vec();
    all.write(0, &mut out);
    out
}

/// Runs with the number of UTF-16 units of each.
fn run_array(runs: Vec<Tree>, lengths: &[usize], default: Tree, joinable: usize) -> Tree {
    Tree::Dict(vec![
        ("DefaultRunData", default),
        ("RunArray", Tree::List(runs)),
        ("RunLengthArray", Tree::List(lengths.iter().map(|&length| Tree::Integer(length)).collect())),
        ("IsJoinable", Tree::Integer(joinable)),
    ])
}

fn sheet(data: Tree) -> Tree {
    Tree::Dict(vec![("StyleSheet", Tree::Dict(vec![("StyleSheetData", data)]))])
}

fn paragraph_sheet(align: Align) -> Tree {
    Tree::Dict(vec![
        (
            "ParagraphSheet",
            Tree::Dict(vec![("DefaultStyleSheet", Tree::Integer(0)), ("Properties", Tree::Dict(justification(align)))]),
        ),
        (
            "Adjustments",
            Tree::Dict(vec![
                ("Axis", Tree::List([1.0, 0.0, 1.0].map(Tree::Number).into())),
                ("XY", Tree::List([0.0, 0.0].map(Tree::Number).into())),
            ]),
        ),
    ])
}

fn justification(align: Align) -> Vec<(&'static str, Tree)> {
    let number = match align {
        Align::Left => 0,
        Align::Right => 1,
        Align::Centre => 2,
    };
    vec![
        ("Justification", Tree::Integer(number)),
        ("FirstLineIndent", Tree::Number(0.0)),
        ("StartIndent", Tree::Number(0.0)),
        ("EndIndent", Tree::Number(0.0)),
        ("SpaceBefore", Tree::Number(0.0)),
        ("SpaceAfter", Tree::Number(0.0)),
        ("AutoHyphenate", Tree::Bool(false)),
        // How much higher lines are than their letters, where a style does not say.
        ("AutoLeading", Tree::Number(1.2)),
        ("LeadingType", Tree::Integer(0)),
        ("EveryLineComposer", Tree::Bool(false)),
    ]
}

/// A run's own style; what it does not say is as in the normal one.
fn style_sheet(style: &Style, font: usize) -> Tree {
    // A gradient is an effect of the layer in Photoshop: its first colour stands for it.
    let fill = match &style.fill {
        Fill::Colour(colour) => *colour,
        Fill::Gradient(gradient) => gradient.stops.first().map_or(Colour::rgb(0, 0, 0), |stop| stop.colour),
    };
    // In thousandths of an em.
    let tracking = f64::from(style.letter_spacing) / f64::from(style.size.max(1.0)) * 1000.0;
    let mut items = vec![
        ("Font", Tree::Integer(font)),
        ("FontSize", Tree::Number(style.size.into())),
        // The face is named exactly.
        ("FauxBold", Tree::Bool(false)),
        ("FauxItalic", Tree::Bool(false)),
        ("AutoLeading", Tree::Bool(false)),
        ("Leading", Tree::Number(style.line_height.into())),
        ("HorizontalScale", Tree::Number(1.0)),
        ("VerticalScale", Tree::Number(1.0)),
        ("Tracking", Tree::Number(tracking.round())),
        ("AutoKerning", Tree::Bool(true)),
        ("BaselineShift", Tree::Number(0.0)),
        ("FillColor", colour(fill)),
        ("FillFlag", Tree::Bool(true)),
    ];
    match style.outline.filter(|outline| outline.width > 0.0) {
        None => items.push(("StrokeFlag", Tree::Bool(false))),
        Some(outline) => items.extend([
            ("StrokeColor", colour(outline.colour)),
            ("StrokeFlag", Tree::Bool(true)),
            ("FillFirst", Tree::Bool(false)),
            ("OutlineWidth", Tree::Number(2.0 * f64::from(outline.width))),
        ]),
    }
    Tree::Dict(items)
}

fn normal_style() -> Vec<(&'static str, Tree)> {
    vec![
        ("Font", Tree::Integer(0)),
        ("FontSize", Tree::Number(12.0)),
        ("AutoLeading", Tree::Bool(true)),
        ("Tracking", Tree::Number(0.0)),
        ("FillColor", colour(Colour::rgb(0, 0, 0))),
        ("FillFlag", Tree::Bool(true)),
        ("StrokeFlag", Tree::Bool(false)),
    ]
}

/// Alpha, red, green and blue, 0 to 1.
fn colour(Colour { red, green, blue, alpha }: Colour) -> Tree {
    let values = [alpha, red, green, blue].map(|value| Tree::Number(f64::from(value) / 255.0));
    Tree::Dict(vec![("Type", Tree::Integer(1)), ("Values", Tree::List(values.into()))])
}

fn grid() -> Tree {
    Tree::Dict(vec![
        ("GridIsOn", Tree::Bool(false)),
        ("ShowGrid", Tree::Bool(false)),
        ("GridSize", Tree::Number(18.0)),
        ("GridLeading", Tree::Number(22.0)),
        ("GridColor", colour(Colour::rgb(0, 0, 255))),
        ("GridLeadingFillColor", colour(Colour::rgb(0, 0, 255))),
        ("AlignLineHeightToGridFlags", Tree::Bool(false)),
    ])
}

/// Text at a point.
fn rendered() -> Tree {
    let pair = |x: f64, y: f64| Tree::List(vec![Tree::Number(x), Tree::Number(y)]);
    let base = Tree::Dict(vec![
        ("ShapeType", Tree::Integer(0)),
        ("TransformPoint0", pair(1.0, 0.0)),
        ("TransformPoint1", pair(0.0, 1.0)),
        ("TransformPoint2", pair(0.0, 0.0)),
    ]);
    let photoshop = Tree::Dict(vec![("ShapeType", Tree::Integer(0)), ("PointBase", pair(0.0, 0.0)), ("Base", base)]);
    let child = Tree::Dict(vec![
        ("ShapeType", Tree::Integer(0)),
        ("Procession", Tree::Integer(0)),
        ("Lines", Tree::Dict(vec![("WritingDirection", Tree::Integer(0)), ("Children", Tree::List(Vec::new()))])),
        ("Cookie", Tree::Dict(vec![("Photoshop", photoshop)])),
    ]);
    let shapes = Tree::Dict(vec![("WritingDirection", Tree::Integer(0)), ("Children", Tree::List(vec![child]))]);
    Tree::Dict(vec![("Version", Tree::Integer(1)), ("Shapes", shapes)])
}

impl Tree {
    /// Each item of a dictionary on a line of its own, indented by `depth` tabs.
    fn write(&self, depth: usize, out: &mut Vec<u8>) {
        let indent = |depth: usize, out: &mut Vec<u8>| {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b'\t', depth));
        };
        match self {
            Self::Number(value) => out.extend(number(*value).into_bytes()),
            Self::Integer(value) => out.extend(value.to_string().into_bytes()),
            Self::Bool(value) => out.extend(value.to_string().into_bytes()),
            Self::Text(text) => string(text, out),
            Self::List(items) => {
                out.push(b'[');
                for item in items {
                    match item {
                        Self::Dict(_) => {
                            indent(depth, out);
                            item.write(depth, out);
                        }
                        _ => {
                            out.push(b' ');
                            item.write(depth, out);
                        }
                    }
                }
                out.extend(b" ]");
            }
            Self::Dict(items) => {
                out.extend(b"<<");
                for (name, value) in items {
                    indent(depth + 1, out);
                    out.push(b'/');
                    out.extend(name.as_bytes());
                    if matches!(value, Self::Dict(_)) {
                        indent(depth + 1, out);
                    } else {
                        out.push(b' ');
                    }
                    value.write(depth + 1, out);
                }
                indent(depth, out);
                out.extend(b">>");
            }
        }
    }
}

/// Readers tell numbers from integers by the point.
fn number(value: f64) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(out, "{value:.5}");
    let kept = out.trim_end_matches('0').len();
    out.truncate(kept);
    if out.ends_with('.') {
        out.push('0');
    }
    out
}

/// UTF-16 with its mark in parentheses; bytes that end a string or escape one are escaped.
fn string(text: &str, out: &mut Vec<u8>) {
    out.extend(b"(\xfe\xff");
    for byte in text.encode_utf16().flat_map(u16::to_be_bytes) {
        if matches!(byte, b'(' | b')' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b')');
}
