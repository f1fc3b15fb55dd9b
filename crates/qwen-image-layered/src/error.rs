use std::path::PathBuf;

use candle_core::DType;

/// Why a model could not be loaded or run. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's progress function asked to stop.
    #[error("stopped on request")]
    Stopped,

    /// A file of the checkpoint is missing or cannot be read.
    #[error("cannot read {path}: {source}; check that the model folder is complete and readable")]
    File { path: PathBuf, source: std::io::Error },

    /// A file of the checkpoint is there but not what it should be (broken JSON,
    /// truncated safetensors, unknown GGUF type, ...). `reason` says what is wrong and what to do.
    #[error("{path}: {reason}")]
    Checkpoint { path: PathBuf, reason: String },

    /// A tensor that the model needs is not in the checkpoint.
    #[error("{path}: tensor `{tensor}` is missing; the download is incomplete or the file is of another model")]
    TensorMissing { path: PathBuf, tensor: String },

    /// A tensor has another shape than the config says.
    #[error(
        "{path}: tensor `{tensor}` has shape {found:?}, expected {expected:?}; weights and config do not belong together"
    )]
    TensorShape { path: PathBuf, tensor: String, found: Vec<usize>, expected: Vec<usize> },

    /// A tensor is stored in a type that cannot be used here.
    #[error(
        "{path}: tensor `{tensor}` is stored as {found}, which cannot be used as {wanted:?}; take weights in bf16, fp8 \
         (E4M3, one scale a tensor) or GGUF"
    )]
    TensorType { path: PathBuf, tensor: String, found: String, wanted: DType },

    /// What a part computed is not numbers, though its weights looked right when they were loaded.
    #[error(
        "the {part} computed values that are not finite numbers; its weights are damaged or of another model: \
         download them again (`unflatten pull` checks every file)"
    )]
    NotFinite { part: &'static str },

    /// The caller's input is outside of what the model can do.
    #[error("{0}")]
    Input(String),

    /// The computation itself failed: out of memory, device lost, or a defect here.
    #[error("the computation failed: {0}")]
    Compute(#[from] candle_core::Error),
}

impl Error {
    /// Whether the device had too little memory left: the same may work in less.
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Compute(error) = self else { return false };
        // The bindings pass the driver's and cuBLAS's own names on as text.
        let text = format!("{error:?}");
        ["OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"].iter().any(|name| text.contains(name))
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
