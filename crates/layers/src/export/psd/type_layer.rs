//! Type layers: words, style and place beside the pixels (`TySh`, "Type tool object setting" in Adobe's specification).

use super::super::words::Words;
use super::ExportError;
use super::descriptor::{self, Value};
use super::engine_data::engine_data;

const VERSION: i16 = 1;
const TEXT_VERSION: i16 = 50;
const WARP_VERSION: i16 = 1;

/// The content of a layer's `TySh` block. The pixels of the layer stay what programs show until the words are edited.
pub(super) fn type_layer(words: &Words<'_>) -> Result<Vec<u8>, ExportError> {
    let text = words.text;
    let (sin, cos) = f64::from(text.angle).to_radians().sin_cos();
    let mut out = VERSION.to_be_bytes().to_vec();
    for value in [cos, sin, -sin, cos, f64::from(text.position.x), f64::from(text.position.y)] {
        out.extend(value.to_be_bytes());
    }
    let [left, top, right, bottom] = extent(words);
    let bounds = || {
        let sides = [("Left", left), ("Top ", top), ("Rght", right), ("Btom", bottom)];
        sides.map(|(key, value)| (key, Value::Points(value))).into_iter().collect::<Vec<_>>()
    };
    let data = engine_data(words);
    let content = lines_of(words);
    out.extend(TEXT_VERSION.to_be_bytes());
    out.extend(descriptor::write(
        "TxLr",
        &[
            ("Txt ", Value::Text(&content)),
            ("textGridding", Value::Enum("textGridding", "None")),
            ("Ornt", Value::Enum("Ornt", "Hrzn")),
            ("AntA", Value::Enum("Annt", "AnCr")),
            ("bounds", Value::Object("bounds", bounds())),
            ("boundingBox", Value::Object("boundingBox", bounds())),
            ("TextIndex", Value::Long(0)),
            ("EngineData", Value::Raw(&data)),
        ],
    )?);
    out.extend(WARP_VERSION.to_be_bytes());
    out.extend(descriptor::write(
        "warp",
        &[
            ("warpStyle", Value::Enum("warpStyle", "warpNone")),
            ("warpValue", Value::Double(0.0)),
            ("warpPerspective", Value::Double(0.0)),
            ("warpPerspectiveOther", Value::Double(0.0)),
            ("warpRotate", Value::Enum("Ornt", "Hrzn")),
        ],
    )?);
    // Left, top, right and bottom of a paragraph's frame: text at a point has none.
    out.extend([0; 16]);
    Ok(out)
}

/// The text as Photoshop has it: lines end with a carriage return, but for the last.
pub(super) fn lines_of(words: &Words<'_>) -> String {
    words.text.words().replace('\n', "\r")
}

/// What the lines cover, from the text's position.
fn extent(words: &Words<'_>) -> [f64; 4] {
    let all = words.lines.iter().map(|line| {
        let bounds = line.bounds;
        [bounds.x, bounds.baseline - bounds.ascent, bounds.x + bounds.width, bounds.baseline + bounds.descent]
    });
    let around = |a: [f32; 4], b: [f32; 4]| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
    all.reduce(around).unwrap_or_default().map(f64::from)
}
