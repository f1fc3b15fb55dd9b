//! What is added beside a layer's own product, and can be exchanged while the model stays loaded.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use candle_core::Tensor;

/// A term that is added to `x W^T + b`. Tensors are on the device and in the type that the model computes in.
#[derive(Debug, Clone)]
pub enum Addition {
    /// `scale * (x down^T) up^T`: `down` (rank, in), `up` (out, rank).
    LowRank {
        /// To the few values between.
        down: Tensor,
        /// And back to the layer's outputs.
        up: Tensor,
        /// Factor of the product.
        scale: f32,
    },
    /// `scale * x weight^T`: `weight` (out, in).
    Matrix {
        /// As large as the layer's own.
        weight: Tensor,
        /// Factor of the product.
        scale: f32,
    },
    /// `scale * bias`: `bias` (out).
    Bias {
        /// One value for each output.
        bias: Tensor,
        /// Its factor.
        scale: f32,
    },
}

impl Addition {
    /// The same, so many times as strong.
    #[must_use]
    pub fn times(&self, strength: f64) -> Self {
        let mut stronger = self.clone();
        let (Self::LowRank { scale, .. } | Self::Matrix { scale, .. } | Self::Bias { scale, .. }) = &mut stronger;
        *scale = (f64::from(*scale) * strength) as f32;
        stronger
    }
}

/// The additions of one layer.
pub type OfLayer = Arc<[Addition]>;

/// The additions of all layers of a model, by the layers' names. Every layer looks here when it multiplies, so that
/// blocks that are loaded later have theirs too.
#[derive(Debug, Default)]
pub struct Additions(RwLock<HashMap<String, OfLayer>>);

impl Additions {
    /// Puts `additions` in the place of what is there.
    pub fn replace(&self, additions: HashMap<String, Vec<Addition>>) {
        let shared = additions.into_iter().map(|(name, additions)| (name, additions.into())).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shared;
    }

    fn of(&self, layer: &str) -> Option<OfLayer> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(layer).cloned()
    }
}

/// A layer's place in a model.
#[derive(Debug, Clone)]
pub struct Place {
    name: Arc<str>,
    all: Arc<Additions>,
}

impl Place {
    /// The layer called `name` in the model whose additions are `all`.
    pub fn new(name: &str, all: &Arc<Additions>) -> Self {
        Self { name: name.into(), all: all.clone() }
    }

    /// What is added to this layer now, if anything is.
    pub fn additions(&self) -> Option<OfLayer> {
        self.all.of(&self.name)
    }
}
