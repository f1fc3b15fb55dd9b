use std::fmt;

use serde::{Deserialize, Serialize};

/// The part of a job that is running. The page has a translation of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the picture.
    Read,
    /// Finding text.
    Text,
    /// Inpainting the background.
    Ground,
    /// Finding objects.
    Objects,
    /// Cutting out the layers.
    Write,
    /// Loading the model.
    Load,
    /// Captioning the picture for the model.
    Caption,
    /// Encoding the prompt.
    EncodeText,
    /// Encoding the picture.
    EncodeImage,
    /// Denoising: the model separates the layers.
    Denoise,
    /// Decoding the layers.
    Decode,
    /// Sending the picture to another machine.
    Send,
    /// Fetching the layers from there.
    Fetch,
    /// Naming and describing the layers.
    Describe,
    /// Upscaling the layers to the picture's size.
    Lift,
    /// Saving the layers.
    Save,
    /// A stage of another version of the program, which this version does not know.
    #[serde(other)]
    Remote,
}

impl Stage {
    /// Every stage, in approximately the order in which they run.
    pub const ALL: [Self; 17] = [
        Self::Send,
        Self::Remote,
        Self::Read,
        Self::Text,
        Self::Ground,
        Self::Objects,
        Self::Write,
        Self::Load,
        Self::Caption,
        Self::EncodeText,
        Self::EncodeImage,
        Self::Denoise,
        Self::Decode,
        Self::Fetch,
        Self::Describe,
        Self::Lift,
        Self::Save,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Text => "text",
            Self::Ground => "ground",
            Self::Objects => "objects",
            Self::Write => "write",
            Self::Load => "load",
            Self::Caption => "caption",
            Self::EncodeText => "encode_text",
            Self::EncodeImage => "encode_image",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
            Self::Send => "send",
            Self::Fetch => "fetch",
            Self::Describe => "describe",
            Self::Lift => "lift",
            Self::Save => "save",
            Self::Remote => "remote",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_written_as_they_are_called_and_unknown_ones_are_read() {
        for stage in Stage::ALL {
            let json = serde_json::to_string(&stage).expect("JSON");
            assert_eq!(json, format!("\"{stage}\""));
            assert_eq!(serde_json::from_str::<Stage>(&json).expect("the same"), stage);
        }
        assert_eq!(serde_json::from_str::<Stage>("\"of_tomorrow\"").expect("read"), Stage::Remote);
    }
}
