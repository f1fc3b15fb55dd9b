use layers::Kind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a model that looks at a result says of it: of each layer, and of the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Analysis {
    /// `gemini` or `local`.
    pub analyzer: String,
    /// The model that looked.
    pub model: String,
    /// Time it took, in milliseconds.
    pub duration_ms: u64,
    /// One for each layer, the lowest first.
    pub layers: Vec<LayerAnalysis>,
    /// Absent where the model gave none.
    pub verdict: Option<Verdict>,
    /// Absent where the model gave none.
    pub recommendation: Option<Recommendation>,
}

/// What is said of one layer. Its name is the layer's own name too, where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerAnalysis {
    /// A short name; absent where the model gave none that can be used.
    pub name: Option<String>,
    /// What the engine had called the layer.
    pub engine_name: String,
    /// What is to be seen, in a sentence.
    pub description: String,
    pub kind: Kind,
    /// The language of the text in it, as a BCP 47 tag such as `ko`; absent where there is none.
    pub language: Option<String>,
    /// What is wrong with it; empty where nothing is.
    pub quality_notes: String,
}

/// How good a decomposition is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Every thing is in one layer and every layer is clean.
    Good,
    /// Usable with some work.
    Fair,
    /// Not usable.
    Poor,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub quality: Quality,
    /// Why, in a sentence.
    pub reason: String,
}

/// What another run should do differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recommendation {
    /// A good number of layers for this picture.
    pub num_layers: Option<u8>,
    /// Numbers of the layers that should be split again or redone.
    pub redo: Vec<u32>,
    /// In a sentence.
    pub text: String,
}
