//! Where the parts of the model are while it runs, and how its passes go through it.

/// Where the text encoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextPlace {
    /// On the device, next to everything else.
    #[default]
    Resident,
    /// On the device until the prompt is encoded; the transformer is loaded after it.
    Staged,
    /// In the computer's own memory, where it also computes.
    Host,
}

/// Where the transformer's blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlockPlace {
    /// On the device.
    #[default]
    Resident,
    /// Some on the device; the others are copied to it one after the other at each step.
    Streamed {
        /// How many of the first blocks stay on the device.
        resident: usize,
        /// How many of the others are on the device at a time, 2 or more: one in use, the rest on their way.
        in_flight: usize,
    },
}

/// How the two passes of a guided step, with the prompt and with the negative one, go through a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Passes {
    /// One after the other.
    #[default]
    Sequential,
    /// As one batch, except in attention: weights are read, and widened, once for both. Takes more memory.
    Batched,
}

/// Where the parts of the model are while a job runs. By default all are on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// The text encoder.
    pub text: TextPlace,
    /// The transformer's blocks.
    pub blocks: BlockPlace,
}

impl Placement {
    /// In words, such as `text encoder staged, 4 of 60 blocks streamed`; `blocks` is how many the model has.
    pub fn describe(&self, blocks: usize) -> String {
        let text = match self.text {
            TextPlace::Resident => None,
            TextPlace::Staged => Some("text encoder staged".to_owned()),
            TextPlace::Host => Some("text encoder on the CPU".to_owned()),
        };
        let streamed = match self.blocks {
            BlockPlace::Resident => None,
            BlockPlace::Streamed { resident, .. } => {
                Some(format!("{} of {blocks} blocks streamed", blocks.saturating_sub(resident)))
            }
        };
        let words: Vec<_> = text.into_iter().chain(streamed).collect();
        if words.is_empty() { "everything resident".to_owned() } else { words.join(", ") }
    }
}
