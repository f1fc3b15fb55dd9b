//! What text layers say.
#![cfg(feature = "networks")]

use std::ops::ControlFlow;

use draft::{Options, decompose};
use layers::Kind;
use synth::{Script, poster};

/// The words of text, in any order of the lines. By its shape a large z is a Z as well.
fn lines(text: &str) -> Vec<String> {
    let joined = |line: &str| line.split_whitespace().collect::<String>().to_lowercase();
    let mut lines: Vec<String> = text.lines().map(joined).collect();
    lines.sort();
    lines
}

/// Headline and small print with digits, in the scripts that the networks know.
#[test]
fn posters_are_read() {
    for (number, script) in [(5, Script::Korean), (0, Script::Latin), (10, Script::Chinese)] {
        let made = poster(number, 720, 960);
        assert_eq!(std::mem::discriminant(&made.script), std::mem::discriminant(&script));
        let options = Options { layers: Some(4), ..Default::default() };
        let output = decompose(&made.picture, &options, &mut |_| ControlFlow::Continue(())).expect("layers");
        let read = output.stack.layers().iter().filter(|layer| layer.kind == Kind::Text);
        let read: Vec<&str> = read.filter_map(|layer| layer.text.as_deref()).collect();
        let said = made.truth.layers().iter().find_map(|layer| layer.text.as_deref()).expect("it says something");
        assert_eq!(lines(&read.join("\n")), lines(said), "poster {number}");
    }
}
