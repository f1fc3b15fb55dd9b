use std::fmt;

/// A choice or a limitation of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The picture gives fewer layers than requested.
    FewerLayers {
        /// How many were requested, the background included.
        asked: usize,
        /// How many there are.
        given: usize,
    },
    /// The number of layers was left to the engine.
    ChoseLayers {
        /// Layers of objects.
        objects: usize,
        /// Layers of subjects.
        subjects: usize,
        /// Layers of text.
        texts: usize,
    },
    /// The networks are missing: text is found by its shape and not read, the subject by its size.
    NoNetworks {
        /// Why, in a sentence.
        reason: String,
    },
}

impl Note {
    /// The number of layers that the note states.
    pub fn layers(&self) -> Option<usize> {
        match self {
            Self::FewerLayers { given, .. } => Some(*given),
            Self::ChoseLayers { objects, subjects, texts } => Some(1 + objects + subjects + texts),
            Self::NoNetworks { .. } => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FewerLayers { asked, given } => write!(
                f,
                "{asked} layers were asked for; the picture gives {given}: no other piece is large enough to stand alone."
            ),
            Self::ChoseLayers { objects, subjects, texts } => {
                match objects + subjects + texts {
                    0 => f.write_str("1 layer: a background")?,
                    others => write!(f, "{} layers: a background", 1 + others)?,
                }
                for (count, one, many) in [
                    (*objects, "one layer of objects", "layers of objects"),
                    (*subjects, "a subject", "subjects"),
                    (*texts, "one layer of text", "layers of text"),
                ] {
                    match count {
                        0 => {}
                        1 => write!(f, ", {one}")?,
                        _ => write!(f, ", {count} {many}")?,
                    }
                }
                f.write_str(".")
            }
            Self::NoNetworks { reason } => {
                write!(f, "{reason} Text is found by its shape only and not read, and the subject by its size.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_sentences() {
        let chose = Note::ChoseLayers { objects: 2, subjects: 0, texts: 1 };
        assert_eq!(chose.to_string(), "4 layers: a background, 2 layers of objects, one layer of text.");
        assert_eq!(chose.layers(), Some(4));
        let alone = Note::ChoseLayers { objects: 0, subjects: 0, texts: 0 };
        assert_eq!(alone.to_string(), "1 layer: a background.");
    }
}
