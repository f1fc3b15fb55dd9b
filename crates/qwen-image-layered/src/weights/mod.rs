//! Where weights come from: the published folder, single files and GGUF.
//!
//! A model part gets a [`Weights`], a place in a checkpoint that hands out
//! tensors and [`Linear`]s by the checkpoint's own names. Whether they were
//! bf16, fp8 with a scale or GGUF blocks stays in here.

mod checkpoint;
mod file;
mod gguf;
mod names;
mod occupied;
mod packed;
mod place;
mod safetensors;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};

use crate::nn::{Linear, Products};
use crate::stream::Staging;
use crate::{Error, Result};

pub use checkpoint::{Checkpoint, read_json};
pub(crate) use file::{Entry, MadeFile, Make, Stored};
pub use names::Part;
pub(crate) use occupied::Occupied;
pub use packed::Packed;
pub(crate) use packed::float8_e4m3;
pub use place::Place;

/// One opened checkpoint part. Names are the published ones of diffusers and
/// transformers; a source that stores other names translates them.
pub trait Source: Send + Sync {
    /// The file that holds (or should hold) `name`, for error texts.
    fn path(&self, name: &str) -> PathBuf;

    /// Stored shape of `name`, outermost first; `None` when it is not there.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// Bytes of each piece that `name` is stored in; none when it is not there.
    fn stored(&self, name: &str) -> Vec<usize>;

    /// The dense tensor `name` (dequantised where needed) in `dtype`, brought to `place`.
    ///
    /// # Errors
    /// When it is missing, broken or of a type that cannot be used.
    fn tensor(&self, name: &str, dtype: DType, place: &Place) -> Result<Tensor>;

    /// Rows `ids` (ids, columns) of the matrix `name`, for tables too large to load.
    ///
    /// # Errors
    /// As [`Source::tensor`], and when a row is not there.
    fn gather(&self, name: &str, ids: &[u32], dtype: DType, place: &Place) -> Result<Tensor>;

    /// The matrix `{prefix}.weight` and, if `bias`, `{prefix}.bias`, as a layer
    /// that computes in `dtype`. Quantised matrices stay quantised.
    ///
    /// # Errors
    /// As [`Source::tensor`].
    fn linear(&self, prefix: &str, bias: bool, dtype: DType, place: &Place) -> Result<Linear> {
        let weight = self.tensor(&format!("{prefix}.weight"), dtype, place)?;
        let bias = if bias { Some(self.tensor(&format!("{prefix}.bias"), dtype, place)?) } else { None };
        Ok(Linear::dense(weight, bias))
    }
}

/// A place in a checkpoint: a source, a name prefix, and what the model computes in.
#[derive(Clone)]
pub struct Weights {
    source: Arc<dyn Source>,
    prefix: String,
    dtype: DType,
    products: Products,
    place: Place,
    /// Full names that were asked for, shared by all places in one checkpoint.
    used: Arc<Mutex<BTreeSet<String>>>,
}

/// A matrix that stays in its file; rows are read when needed.
pub struct Rows {
    weights: Weights,
    name: String,
}

impl Rows {
    /// Rows `ids` as (ids, columns), in the model's type and place.
    ///
    /// # Errors
    /// When a row is not there or the device fails.
    pub fn gather(&self, ids: &[u32]) -> Result<Tensor> {
        let Weights { source, dtype, place, .. } = &self.weights;
        source.gather(&self.name, ids, *dtype, place)
    }
}

impl Weights {
    pub fn new(source: Arc<dyn Source>, dtype: DType, device: &Device) -> Self {
        let (products, place) = (Products::default(), Place::on(device));
        Self { source, prefix: String::new(), dtype, products, place, used: Arc::default() }
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Self { prefix: self.full(&name.to_string()), ..self.clone() }
    }

    /// The same place in the checkpoint; its layers multiply as `products` says.
    #[must_use]
    pub fn multiplying(&self, products: Products) -> Self {
        Self { products, ..self.clone() }
    }

    /// What the model computes in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub fn device(&self) -> &Device {
        self.place.device()
    }

    /// The same place in the checkpoint; its tensors go to the device through `staging`.
    #[must_use]
    pub(crate) fn through(&self, staging: Arc<Staging>) -> Self {
        Self { place: self.place.through(staging), ..self.clone() }
    }

    /// Room that staging all tensors below this place takes, in bytes.
    pub(crate) fn room(&self) -> usize {
        let below = format!("{}.", self.prefix);
        let names = self.source.names().into_iter().filter(|name| name.starts_with(&below));
        names.flat_map(|name| self.source.stored(&name)).map(Staging::room).sum()
    }

    /// Whether tensor `name` exists below this place.
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
        self.source.tensor(&name, self.dtype, &self.place)
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

    /// The layer whose `weight` is (`out_dim`, `in_dim`) at this place.
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
        Ok(self.source.linear(&self.prefix, bias, self.dtype, &self.place)?.multiplying(self.products))
    }

    /// Declares everything below this place as rightly there but not needed.
    pub fn skip(&self) {
        let below = format!("{}.", self.prefix);
        for name in self.source.names() {
            if self.prefix.is_empty() || name == self.prefix || name.starts_with(&below) {
                self.mark(&name);
            }
        }
    }

    /// Checks, when a model has taken all its tensors, that none is left over:
    /// more layers than the config says, or another model's file.
    ///
    /// # Errors
    /// Names the first tensor that nothing asked for.
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

    /// Names and shapes of all tensors below this place.
    pub fn listing(&self) -> Vec<(String, Vec<usize>)> {
        let below = format!("{}.", self.prefix);
        let names = self.source.names().into_iter();
        let within = names.filter_map(|name| Some((name.strip_prefix(&below)?.to_owned(), self.source.shape(&name)?)));
        within.collect()
    }

    /// Declares tensor `name` as needed: it is loaded later.
    pub fn take(&self, name: &str) {
        self.mark(&self.full(name));
    }

    /// The file that holds (or should hold) tensor `name`, for error texts.
    pub fn path(&self, name: &str) -> PathBuf {
        self.source.path(&self.full(name))
    }

    /// The error for a tensor that is not there.
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
