//! Where weights come from: the published folder, single files and GGUF.
//!
//! A part of the model gets a [`Weights`], a position in a checkpoint from which tensors and [`Linear`] layers are
//! loaded by their published names. Whether they are stored as bf16, fp8 with a scale or GGUF blocks is not visible
//! outside this module.

mod checkpoint;
mod file;
mod files;
#[cfg(test)]
mod fuzz;
mod gguf;
mod names;
mod occupied;
mod safetensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};

use crate::nn::{Additions, Conv2d, MatmulPrecision, Place};
use crate::stream::Staging;
use crate::{Error, Result};

pub use checkpoint::{Checkpoint, read_json};
pub(crate) use file::{Entry, MappedFile, Stored};
#[cfg(feature = "synthetic")]
pub(crate) use file::{ReadRange, VirtualFile};
pub use files::{ModelFiles, OpenPart, WeightSource};
pub use names::Part;
pub(crate) use occupied::Occupied;
pub(crate) use safetensors::parse as parse_safetensors;

pub use crate::bytes::Target;
pub use crate::nn::{Linear, Packed};

/// The opened weights of one part. Names are the published ones of diffusers and transformers; a source that stores
/// other names translates them.
pub trait Source: Send + Sync {
    /// The file that holds (or should hold) `name`, for error messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Stored shape of `name`, outermost dimension first; `None` if there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// Size in bytes of each piece that `name` is stored in; empty if there is no such tensor.
    fn stored(&self, name: &str) -> Vec<usize>;

    /// The dense tensor `name`, dequantized if needed, in `dtype` on `target`.
    ///
    /// # Errors
    /// When it is missing, broken or of an unsupported type.
    fn tensor(&self, name: &str, dtype: DType, target: &Target) -> Result<Tensor>;

    /// Rows `ids` (ids, columns) of the matrix `name`, for tables too large to load.
    ///
    /// # Errors
    /// As [`Source::tensor`], and when there is no such row.
    fn gather(&self, name: &str, ids: &[u32], dtype: DType, target: &Target) -> Result<Tensor>;

    /// The matrix `{prefix}.weight` and, if `bias`, `{prefix}.bias`, as a layer
    /// that computes in `dtype`. Quantized matrices stay quantized.
    ///
    /// # Errors
    /// As [`Source::tensor`].
    fn linear(&self, prefix: &str, bias: bool, dtype: DType, target: &Target) -> Result<Linear> {
        let weight = self.tensor(&format!("{prefix}.weight"), dtype, target)?;
        let bias = if bias { Some(self.tensor(&format!("{prefix}.bias"), dtype, target)?) } else { None };
        Ok(Linear::dense(weight, bias))
    }
}

/// A position in a checkpoint: a source, a name prefix, and what the model computes in. [`Weights::pp`] goes deeper, as
/// with candle's `VarBuilder`.
///
/// ```no_run
/// use candle_core::{DType, Device};
/// use qwen_image_layered::ModelFiles;
/// use qwen_image_layered::weights::{Part, Weights};
///
/// let checkpoint = ModelFiles::folder("Qwen-Image-Layered").open(Part::Transformer)?;
/// let weights = Weights::new(std::sync::Arc::new(checkpoint), DType::BF16, &Device::Cpu);
/// let proj_out = weights.pp("proj_out").linear(3072, 64, true)?;
/// # Ok::<(), qwen_image_layered::Error>(())
/// ```
#[derive(Clone)]
pub struct Weights {
    source: Arc<dyn Source>,
    prefix: String,
    dtype: DType,
    matmul_precision: MatmulPrecision,
    additions: Option<Arc<Additions>>,
    target: Target,
    /// Full names that were asked for, shared by all positions in one checkpoint.
    used: Arc<Mutex<BTreeSet<String>>>,
}

/// A matrix that stays in its file; rows are read as needed.
pub struct Rows {
    weights: Weights,
    name: String,
}

impl Rows {
    /// Rows `ids` as (ids, columns), in the model's type and on its device.
    ///
    /// # Errors
    /// When there is no such row or the device fails.
    pub fn gather(&self, ids: &[u32]) -> Result<Tensor> {
        let Weights { source, dtype, target, .. } = &self.weights;
        source.gather(&self.name, ids, *dtype, target)
    }
}

impl Weights {
    /// The root of `source`, for a model that computes in `dtype` on `device`.
    pub fn new(source: Arc<dyn Source>, dtype: DType, device: &Device) -> Self {
        let (matmul_precision, target) = (MatmulPrecision::default(), Target::on(device));
        let (prefix, additions, used) = (String::new(), None, Arc::default());
        Self { source, prefix, dtype, matmul_precision, additions, target, used }
    }

    /// The position `name` below this one.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Self { prefix: self.full(&name.to_string()), ..self.clone() }
    }

    /// The same position; its layers multiply in `precision` as far as their weights allow.
    #[must_use]
    pub fn with_matmul_precision(&self, precision: MatmulPrecision) -> Self {
        Self { matmul_precision: precision, ..self.clone() }
    }

    /// The same position; its layers add what `additions` holds under their names at the time.
    #[must_use]
    pub(crate) fn with_additions(&self, additions: &Arc<Additions>) -> Self {
        Self { additions: Some(additions.clone()), ..self.clone() }
    }

    /// What the model computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that tensors are loaded to.
    pub fn device(&self) -> &Device {
        self.target.device()
    }

    /// The same position; its tensors go to the device by way of `staging`.
    #[must_use]
    pub(crate) fn through(&self, staging: Arc<Staging>) -> Self {
        Self { target: self.target.through(staging), ..self.clone() }
    }

    /// Bytes that staging all tensors below this position takes.
    pub(crate) fn room(&self) -> usize {
        let below = format!("{}.", self.prefix);
        let names = self.source.names().into_iter().filter(|name| name.starts_with(&below));
        names.flat_map(|name| self.source.stored(&name)).map(Staging::room).sum()
    }

    /// Whether tensor `name` exists below this position.
    pub fn contains(&self, name: &str) -> bool {
        self.source.shape(&self.full(name)).is_some()
    }

    /// Tensor `name` of exactly `shape`.
    ///
    /// # Errors
    /// When it is missing, broken, or of another shape.
    pub fn get(&self, shape: impl Into<Shape>, name: &str) -> Result<Tensor> {
        let name = self.full(name);
        self.expect_shape(&name, shape.into().dims())?;
        self.mark(&name);
        self.source.tensor(&name, self.dtype, &self.target)
    }

    /// The matrix `name` of exactly `shape`, left in its file.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn rows(&self, shape: (usize, usize), name: &str) -> Result<Rows> {
        let name = self.full(name);
        self.expect_shape(&name, &[shape.0, shape.1])?;
        self.mark(&name);
        Ok(Rows { weights: self.clone(), name })
    }

    /// The layer at this position whose `weight` is (`out_dim`, `in_dim`), with a `bias` (`out_dim`) if asked for.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn linear(&self, in_dim: usize, out_dim: usize, bias: bool) -> Result<Linear> {
        self.expect_shape(&self.full("weight"), &[out_dim, in_dim])?;
        if bias {
            self.expect_shape(&self.full("bias"), &[out_dim])?;
            self.mark(&self.full("bias"));
        }
        self.mark(&self.full("weight"));
        let layer = self.source.linear(&self.prefix, bias, self.dtype, &self.target)?;
        let layer = layer.with_precision(self.matmul_precision);
        Ok(match &self.additions {
            Some(additions) => layer.at(Place::new(&self.prefix, additions)),
            None => layer,
        })
    }

    /// The 2D convolution at this position: `weight` (out, in, k, k) and `bias` (out).
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub(crate) fn conv2d(&self, in_channels: usize, out_channels: usize, kernel: usize) -> Result<Conv2d> {
        let weight = self.get((out_channels, in_channels, kernel, kernel), "weight")?;
        Conv2d::new(weight, self.get(out_channels, "bias")?)
    }

    /// The causal 3D convolution at this position, `weight` (out, in, k, k, k), as it acts on a single frame: the past
    /// is zeros, so only the last temporal slice of the kernel counts.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub(crate) fn causal_conv2d(&self, in_channels: usize, out_channels: usize, kernel: usize) -> Result<Conv2d> {
        let weight = self.get((out_channels, in_channels, kernel, kernel, kernel), "weight")?;
        Conv2d::new(weight.narrow(2, kernel - 1, 1)?.squeeze(2)?, self.get(out_channels, "bias")?)
    }

    /// Marks everything below this position as part of the model although it is not loaded.
    pub fn skip(&self) {
        let below = format!("{}.", self.prefix);
        for name in self.source.names() {
            if self.prefix.is_empty() || name == self.prefix || name.starts_with(&below) {
                self.mark(&name);
            }
        }
    }

    /// Checks, after a model has loaded all its tensors, that none is left over: then the file has more layers than the
    /// config says, or is of another model.
    ///
    /// # Errors
    /// Names the first tensor that was not loaded.
    pub fn finish(&self) -> Result<()> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let left: Vec<String> = self.source.names().into_iter().filter(|name| !used.contains(name)).collect();
        let Some(first) = left.first() else { return Ok(()) };
        let others = match left.len() - 1 {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        let reason = format!(
            "tensor `{first}`{others} is not part of the model that the config describes; weights and config do not \
             belong together, download both again"
        );
        Err(Error::Checkpoint { path: self.source.path(first), reason })
    }

    /// Names and shapes of all tensors below this position.
    pub fn listing(&self) -> Vec<(String, Vec<usize>)> {
        let below = format!("{}.", self.prefix);
        let names = self.source.names().into_iter();
        let within = names.filter_map(|name| Some((name.strip_prefix(&below)?.to_owned(), self.source.shape(&name)?)));
        within.collect()
    }

    /// Marks tensor `name` as loaded later.
    pub fn defer(&self, name: &str) {
        self.mark(&self.full(name));
    }

    /// The file that holds (or should hold) tensor `name`, for error messages.
    pub fn path(&self, name: &str) -> PathBuf {
        self.source.path(&self.full(name))
    }

    /// The error for a missing tensor.
    pub fn missing(&self, name: &str) -> Error {
        Error::TensorMissing { path: self.path(name), tensor: self.full(name) }
    }

    fn mark(&self, name: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let path = || self.source.path(name);
        let found =
            self.source.shape(name).ok_or_else(|| Error::TensorMissing { path: path(), tensor: name.to_owned() })?;
        if found != expected {
            let expected = expected.to_vec();
            return Err(Error::TensorShape { path: path(), tensor: name.to_owned(), found, expected });
        }
        Ok(())
    }
}
