//! Questions to models that describe layers, and validation of the answers.

use engine::{LayerAnalysis, MAX_LAYERS, Quality, Recommendation, Verdict};
use layers::{Kind, LayerStack};
use serde::Deserialize;

/// Longer names and texts are cut.
const MAX_NAME_CHARS: usize = 60;
const MAX_TEXT_CHARS: usize = 600;

/// The question about one layer on grey, for models that see one picture at a time.
pub(super) const LAYER_QUESTION: &str = "This is one layer that was cut out of a poster, on a plain grey ground. Answer \
with one JSON object and nothing else: {\"name\": a short name of two to four words, \"description\": one sentence, \
\"kind\": \"background\", \"object\", \"subject\" or \"text\", \"language\": the language tag of the text in it such as \
\"en\", or null, \"quality_notes\": what is wrong with its edges or content, or \"\"}";

/// The question about all layers side by side.
pub(super) const WHOLE_QUESTION: &str = "The first tile is a poster, the next ones are the layers it was taken apart into, \
the lowest first, each on a checkerboard; then come the layers put together again and the lowest alone. Answer with one JSON object and nothing else: {\"quality\": \"good\", \
\"fair\" or \"poor\", \"reason\": one sentence, \"num_layers\": a good number of layers for this poster, \"redo\": the \
list of the numbers of layers that should be split again, counted from 0, \"recommendation\": one sentence}";

/// A model's answer about one layer, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LayerAnswer {
    /// The layer's index, if the model describes several at a time.
    pub index: Option<u32>,
    /// A short name.
    pub name: Option<String>,
    /// What the layer shows, in a sentence.
    pub description: Option<String>,
    /// `background`, `object`, `subject` or `text`.
    pub kind: Option<String>,
    /// The language of its text, as a BCP 47 tag.
    pub language: Option<String>,
    /// What is wrong with it.
    pub quality_notes: Option<String>,
}

/// A model's answer about the decomposition as a whole, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WholeAnswer {
    /// `good`, `fair` or `poor`.
    pub quality: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// A good number of layers for the picture.
    pub num_layers: Option<i64>,
    /// Indices of the layers that should be split again.
    pub redo: Vec<i64>,
    /// What to do differently, in a sentence.
    pub recommendation: Option<String>,
}

/// Parses the JSON object in a text that may contain more.
pub(super) fn json_in<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    serde_json::from_str(text.get(start..=end)?).ok()
}

/// Validates the answer about the layer that the engine named `engine_name`.
fn layer(answer: LayerAnswer, engine_name: &str) -> LayerAnalysis {
    let language = answer.language.map(|tag| tag.trim().to_owned());
    let is_tag =
        |tag: &String| (2..=20).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    LayerAnalysis {
        name: answer.name.map(|name| tidy(&name, MAX_NAME_CHARS)).filter(|name| !name.is_empty()),
        engine_name: engine_name.to_owned(),
        description: tidy(&answer.description.unwrap_or_default(), MAX_TEXT_CHARS),
        kind: match answer.kind.unwrap_or_default().to_ascii_lowercase().as_str() {
            "background" => Kind::Background,
            "object" => Kind::Object,
            "subject" => Kind::Subject,
            "text" => Kind::Text,
            _ => Kind::Unknown,
        },
        language: language.filter(is_tag),
        quality_notes: tidy(&answer.quality_notes.unwrap_or_default(), MAX_TEXT_CHARS),
    }
}

/// Validates the answers and assigns them to the layers of `stack`. Layers without an answer keep the engine's names.
pub fn assemble(
    stack: &LayerStack,
    answers: Vec<LayerAnswer>,
    whole: WholeAnswer,
) -> (Vec<LayerAnalysis>, Option<Verdict>, Option<Recommendation>) {
    let mut by_layer: Vec<Option<LayerAnswer>> = stack.layers().iter().map(|_| None).collect();
    for (place, answer) in answers.into_iter().enumerate() {
        let index = answer.index.map_or(place, |index| index as usize);
        if let Some(slot) = by_layer.get_mut(index) {
            slot.get_or_insert(answer);
        }
    }
    let count = by_layer.len() as i64;
    let described = by_layer.into_iter().zip(stack.layers());
    let layers = described.map(|(answer, own)| layer(answer.unwrap_or_default(), &own.name)).collect();
    let quality = match whole.quality.unwrap_or_default().to_ascii_lowercase().as_str() {
        "good" => Some(Quality::Good),
        "fair" => Some(Quality::Fair),
        "poor" => Some(Quality::Poor),
        _ => None,
    };
    let reason = tidy(&whole.reason.unwrap_or_default(), MAX_TEXT_CHARS);
    let verdict = quality.map(|quality| Verdict { quality, reason });
    let text = tidy(&whole.recommendation.unwrap_or_default(), MAX_TEXT_CHARS);
    let num_layers = whole.num_layers.and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=MAX_LAYERS).contains(n));
    let mut redo: Vec<u32> =
        whole.redo.into_iter().filter(|n| (0..count).contains(n)).filter_map(|n| u32::try_from(n).ok()).collect();
    redo.sort_unstable();
    redo.dedup();
    let says_something = num_layers.is_some() || !redo.is_empty() || !text.is_empty();
    (layers, verdict, says_something.then_some(Recommendation { num_layers, redo, text }))
}

/// One line without control characters, cut to `most` characters.
fn tidy(text: &str, most: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(most).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;
    use layers::Layer;

    use super::*;

    fn stack(names: &[&str]) -> LayerStack {
        let layer = |name: &&str| Layer::new(*name, Kind::Unknown, RgbaImage::new(2, 2));
        LayerStack::new(2, 2, names.iter().map(layer).collect()).expect("a stack")
    }

    #[test]
    fn answers_go_to_their_layers_and_are_not_trusted() {
        let answers: Vec<LayerAnswer> = serde_json::from_str(
            r#"[{"index": 1, "name": " Red \n sun\u0007 ", "kind": "Subject", "language": "ko; drop", "extra": 1},
                {"index": 9, "name": "nowhere"}, {"index": 1, "name": "second"},
                {"index": 2, "name": "", "language": "ko", "kind": "poem"}]"#,
        )
        .expect("answers");
        let whole: WholeAnswer = serde_json::from_str(
            r#"{"quality": "Fair", "reason": "Edges.", "num_layers": 99, "redo": [2, -1, 2, 7], "recommendation": ""}"#,
        )
        .expect("an answer");
        let (layers, verdict, recommendation) = assemble(&stack(&["Ground", "Layer 1", "Layer 2"]), answers, whole);
        assert_eq!(layers.len(), 3);
        assert_eq!((layers[0].name.as_deref(), layers[0].engine_name.as_str()), (None, "Ground"));
        assert_eq!(layers[1].name.as_deref(), Some("Red sun"));
        assert_eq!((layers[1].kind, layers[1].language.as_deref()), (Kind::Subject, None));
        assert_eq!((layers[2].name.as_deref(), layers[2].kind), (None, Kind::Unknown));
        assert_eq!(layers[2].language.as_deref(), Some("ko"));
        assert_eq!(verdict.map(|v| (v.quality, v.reason)), Some((Quality::Fair, "Edges.".to_owned())));
        assert_eq!(recommendation, Some(Recommendation { num_layers: None, redo: vec![2], text: String::new() }));
    }

    #[test]
    fn without_answers_there_is_no_verdict() {
        let (layers, verdict, recommendation) = assemble(&stack(&["a"]), Vec::new(), WholeAnswer::default());
        assert_eq!((layers.len(), verdict, recommendation), (1, None, None));
        let long = LayerAnswer { name: Some("x".repeat(500)), ..LayerAnswer::default() };
        assert_eq!(layer(long, "a").name.map(|name| name.len()), Some(MAX_NAME_CHARS));
    }

    #[test]
    fn json_is_found_inside_other_text() {
        let text = "Sure! ```json\n{\"name\": \"Sun\"}\n``` I hope that helps.";
        assert_eq!(json_in::<LayerAnswer>(text).and_then(|answer| answer.name).as_deref(), Some("Sun"));
        for text in ["", "no", "} {", "{\"name\": 7}", "{\"name\": \"Su"] {
            assert!(json_in::<LayerAnswer>(text).is_none(), "{text}");
        }
    }
}
