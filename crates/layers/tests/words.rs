//! Exports with live text, opened by programs that are not ours.

#[path = "readers/support.rs"]
mod support;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use image::{Rgba, RgbaImage};
use layers::{Document, ExportOptions, Format, Kind, Layer, LayerStack, Node, TextMode, export};
use serde_json::json;
use typeset::{
    Align, Bounds, Colour, Fonts, Line, Outline, Position, Run, Shadow, Sources, Style, Text, Wanted, render,
};

const SIZE: (u32, u32) = (800, 600);

fn run(text: &str, style: &Style) -> Run {
    Run { text: text.to_owned(), style: style.clone() }
}

/// A Korean title in two styles with an outline and a shadow; words that formats have to escape, turned; what needs other
/// fonts, from right to left.
fn texts() -> Vec<(&'static str, Text)> {
    let bold = Style { weight: 700, line_height: 70.0, ..Style::new("Noto Sans KR", 60.0, Colour::rgb(230, 60, 90)) };
    let mut jua = Style { letter_spacing: 3.0, ..Style::new("Jua", 48.0, Colour::rgb(20, 90, 200)) };
    jua.line_height = 72.0;
    jua.outline = Some(Outline { width: 3.0, colour: Colour::rgb(255, 255, 255) });
    jua.shadow = Some(Shadow { dx: 4.0, dy: 5.0, blur: 6.0, colour: Colour::rgb(0, 0, 0), opacity: 0.5 });
    let plain = Style::new("Noto Serif KR", 30.0, Colour::rgb(40, 40, 40));
    let title = Text {
        lines: vec![
            Line { runs: vec![run("봄날의 ", &bold), run("Jazz", &jua)] },
            Line { runs: vec![run("둘째 줄", &jua)] },
        ],
        align: Align::Centre,
        angle: 0.0,
        position: Position { x: 400.0, y: 120.0 },
    };
    let turned = Text {
        lines: vec![Line { runs: vec![run(r#"(50 % \ "sale") & <more>"#, &plain)] }],
        align: Align::Left,
        angle: 12.0,
        position: Position { x: 150.0, y: 300.0 },
    };
    let others = Text {
        lines: vec![Line { runs: vec![run("שלום 😀 סלאם", &plain)] }],
        align: Align::Right,
        angle: 0.0,
        position: Position { x: 700.0, y: 500.0 },
    };
    vec![("제목", title), ("Turned & <escaped>", turned), ("Right to left", others)]
}

/// The texts as layers above white, each with its words as live text.
fn document(texts: &[(&str, Text)], fonts: &Fonts) -> (Document, LayerStack) {
    let (width, height) = SIZE;
    let mut layers = vec![Layer::new("Ground", Kind::Background, RgbaImage::from_pixel(width, height, Rgba([255; 4])))];
    for (name, text) in texts {
        let drawn = render(text, fonts, Bounds { x: 0, y: 0, width, height }).expect("the text is in its ranges");
        let place = |at: i32| u32::try_from(at).expect("it lies within the bounds");
        let words = text.lines.iter().map(|line| line.runs.iter().map(|run| run.text.as_str()).collect::<String>());
        layers.push(Layer {
            text: Some(words.collect::<Vec<_>>().join("\n")),
            x: place(drawn.x),
            y: place(drawn.y),
            ..Layer::new(*name, Kind::Text, drawn.picture)
        });
    }
    let stack = LayerStack::new(width, height, layers).expect("all layers lie on the canvas");
    let mut document = Document::from_stack("Words", &stack);
    for (node, (_, text)) in document.nodes[1..].iter_mut().zip(texts) {
        let Node::Layer(layer) = node else { panic!("no groups here") };
        layer.live_text = vec![text.clone()];
    }
    (document, stack)
}

fn write(folder: &Path, document: &Document, stack: &LayerStack, text: TextMode, fonts: &Arc<Fonts>) {
    for format in Format::ALL {
        let path = folder.join(Path::new("document").with_extension(format.extension()));
        let file = BufWriter::new(File::create(path).expect("the folder is there"));
        let options = ExportOptions { text, fonts: Some(fonts.clone()), ..ExportOptions::default() };
        export(document, stack, format, &options, file).expect("the document is small");
    }
}

#[test]
fn other_programs_read_words_with_font_size_colour_and_place() {
    let fonts = Arc::new(Fonts::load(&Sources::default()));
    let texts = texts();
    let (document, stack) = document(&texts, &fonts);
    let names = |run: &Run| {
        let style = &run.style;
        let wanted = Wanted { family: &style.family, weight: style.weight, slant: style.slant, width: style.width };
        let face = fonts.find(&wanted).expect("it ships");
        (face.postscript().to_owned(), face.family().to_owned())
    };
    for (both, text) in [(true, TextMode::Both), (false, TextMode::Live)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write(folder.path(), &document, &stack, text, &fonts);
        let layers: Vec<_> = texts
            .iter()
            .map(|(name, text)| {
                let runs: Vec<Vec<_>> = text.lines.iter().map(|line| line.runs.iter().map(names).collect()).collect();
                json!({ "name": name, "text": text, "runs": runs })
            })
            .collect();
        let expected = json!({ "layers": layers, "both": both });
        std::fs::write(folder.path().join("words.json"), expected.to_string()).expect("the folder is there");
        support::run_readers(folder.path(), "words");
    }
}

/// LibreOffice draws the text boxes where the lifted words are.
#[test]
fn a_slide_shows_words_where_they_were() {
    let black = Style { weight: 700, ..Style::new("DejaVu Sans", 40.0, Colour::rgb(0, 0, 0)) };
    let lines = ["Left of all", "second line", "third"];
    let text = |align, angle, x, y| Text {
        lines: lines.iter().map(|words| Line { runs: vec![run(words, &black)] }).collect(),
        align,
        angle,
        position: Position { x, y },
    };
    let system = Arc::new(Fonts::load(&Sources { system: true, ..Sources::default() }));
    let wanted = Wanted { family: "DejaVu Sans", weight: 700, slant: typeset::Slant::Upright, width: 100 };
    if system.find(&wanted).is_none_or(|face| face.family() != "DejaVu Sans") {
        return support::skip("DejaVu Sans is not there", "apt install fonts-dejavu-core");
    }
    let texts = [
        ("left", text(Align::Left, 0.0, 40.0, 60.0)),
        ("right", text(Align::Right, 0.0, 760.0, 220.0)),
        ("turned", text(Align::Centre, -15.0, 300.0, 430.0)),
    ];
    let (document, stack) = document(&texts, &system);
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), &document, &stack, TextMode::Live, &system);
    let Some(slide) = support::rendered(folder.path(), SIZE) else { return };
    // Dark pixels of a part of the canvas, as a box.
    let dark = |picture: &RgbaImage, part: [u32; 4]| -> [u32; 4] {
        let [left, top, right, bottom] = part;
        let inside = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
        inside
            .filter(|&(x, y)| picture.get_pixel(x, y)[0] < 128)
            .fold([u32::MAX, u32::MAX, 0, 0], |b, (x, y)| [b[0].min(x), b[1].min(y), b[2].max(x), b[3].max(y)])
    };
    let truth = layers::flatten(&stack);
    for part in [[0, 0, 400, 200], [400, 160, 800, 380], [0, 330, 700, 600]] {
        let (found, wanted) = (dark(&slide, part), dark(&truth, part));
        println!("{found:?} instead of {wanted:?}");
        for (n, (found, wanted)) in found.into_iter().zip(wanted).enumerate() {
            let side = if n % 2 == 0 { SIZE.0 } else { SIZE.1 };
            assert!(found.abs_diff(wanted) * 100 <= 4 * side, "{part:?}: {found} instead of {wanted}");
        }
    }
}
