use std::path::PathBuf;

use candle_core::DType;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's progress function asked to stop.
    #[error("stopped on request")]
    Stopped,

    /// A file of the checkpoint is missing or cannot be read.
    #[error("cannot read {path}: {source}; check that the model folder is complete and readable")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file of the checkpoint exists but is not what it should be (broken JSON, truncated safetensors, unknown GGUF
    /// type, ...).
    #[error("{path}: {reason}")]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and which file would be right.
        reason: String,
    },

    /// A tensor that the model needs is not in the checkpoint.
    #[error("{path}: tensor `{tensor}` is missing; the download is incomplete or the file is of another model")]
    TensorMissing {
        /// The file that should hold it.
        path: PathBuf,
        /// Its published name.
        tensor: String,
    },

    /// A tensor has another shape than the config says.
    #[error(
        "{path}: tensor `{tensor}` has shape {found:?}, expected {expected:?}; weights and config do not belong together"
    )]
    TensorShape {
        /// The file that holds it.
        path: PathBuf,
        /// Its published name.
        tensor: String,
        /// Its shape, outermost dimension first.
        found: Vec<usize>,
        /// The shape that the config implies.
        expected: Vec<usize>,
    },

    /// A tensor is stored in a type that is not supported.
    #[error(
        "{path}: tensor `{tensor}` is stored as {found}, which cannot be used as {wanted:?}; take weights in bf16, fp8 \
         (E4M3, one scale a tensor) or GGUF"
    )]
    TensorType {
        /// The file that holds it.
        path: PathBuf,
        /// Its published name.
        tensor: String,
        /// The type that it is stored in.
        found: String,
        /// The type that the model computes in.
        wanted: DType,
    },

    /// A part computed NaN or infinity, although its weights looked right when they were loaded.
    #[error(
        "the {part} computed values that are not finite numbers; its weights are damaged or of another model: \
         download them again"
    )]
    NotFinite {
        /// Which part: `text encoder`, `transformer` or `autoencoder`.
        part: &'static str,
    },

    /// The caller's input is outside the range that the model supports.
    #[error("{0}")]
    Input(String),

    /// The computation itself failed: out of memory, device lost, or a defect of this crate.
    #[error("the computation failed: {0}")]
    Compute(#[from] candle_core::Error),
}

impl Error {
    /// Whether memory ran out on the device; a plan that needs less may work.
    pub fn is_out_of_memory(&self) -> bool {
        let Self::Compute(error) = self else { return false };
        // The bindings pass on the names of the driver's and cuBLAS's errors as text.
        let text = format!("{error:?}");
        ["OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"].iter().any(|name| text.contains(name))
    }
}

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
