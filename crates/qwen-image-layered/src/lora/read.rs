//! From a LoRA's file to the additions of the transformer's layers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{FileState, Lora, LoraUse, OfLayer, Role, modules};
use crate::finite::all_finite;
use crate::nn::{Addition, Additions};
use crate::transformer::TransformerConfig;
use crate::weights::{Entry, Stored};
use crate::{Error, Result};

/// The LoRAs whose tensors are on a model's device.
#[derive(Debug, Default)]
pub struct Attached {
    read: Vec<(Arc<Lora>, OnDevice)>,
    strengths: Vec<f64>,
}

/// Additions with the strength 1, by the layers' names.
type OnDevice = Vec<(String, Vec<Addition>)>;

impl Attached {
    /// Makes `uses` the LoRAs of the model whose additions are `all`. Those that were in use are not read again; those
    /// that no longer are go first, so that their memory is free.
    ///
    /// # Errors
    /// When a file does not fit the model or cannot be read. Then the model has none.
    pub fn replace(
        &mut self,
        uses: &[LoraUse],
        all: &Additions,
        config: &TransformerConfig,
        (dtype, device): (DType, &Device),
    ) -> Result<()> {
        let strengths: Vec<_> = uses.iter().map(|lora| lora.strength).collect();
        let same = |((found, _), wanted): (&(Arc<Lora>, _), &LoraUse)| found.is_same(&wanted.lora);
        if self.strengths == strengths && self.read.iter().zip(uses).all(same) {
            return Ok(());
        }
        all.replace(HashMap::new());
        let mut before = std::mem::take(self).read;
        before.retain(|(lora, _)| uses.iter().any(|wanted| lora.is_same(&wanted.lora)));
        let mut read = Vec::with_capacity(uses.len());
        for LoraUse { lora, .. } in uses {
            let kept = before.iter().position(|(found, _)| found.is_same(lora)).map(|at| before.swap_remove(at));
            read.push(match kept {
                Some(kept) => kept,
                None => (lora.clone(), lora.read(config, dtype, device)?),
            });
        }
        let mut additions: HashMap<String, Vec<Addition>> = HashMap::new();
        for ((_, layers), strength) in read.iter().zip(&strengths).filter(|(_, strength)| **strength != 0.0) {
            for (layer, of_layer) in layers {
                additions.entry(layer.clone()).or_default().extend(of_layer.iter().map(|one| one.times(*strength)));
            }
        }
        all.replace(additions);
        *self = Self { read, strengths };
        Ok(())
    }
}

impl Lora {
    /// Reads all values; the file is not mapped, so that they are in memory once.
    fn read(&self, config: &TransformerConfig, dtype: DType, device: &Device) -> Result<OnDevice> {
        self.check_fit(config)?;
        if FileState::of(&self.path)? != self.state {
            return Err(self.broken("was changed while it was in use; begin again".to_owned()));
        }
        let read =
            |(name, layer): (&String, &OfLayer)| Ok((name.clone(), self.read_layer(name, layer, dtype, device)?));
        let layers = self.layers.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        // The threads of a device have their own queues: the copies must be complete before another thread multiplies.
        device.synchronize()?;
        Ok(layers)
    }

    fn read_layer(&self, name: &str, layer: &OfLayer, dtype: DType, device: &Device) -> Result<Vec<Addition>> {
        let mut file = File::open(&self.path).map_err(|source| self.unreadable(source))?;
        let mut tensor = |role| layer.0.get(&role).map(|found| self.read_tensor(&mut file, found)).transpose();
        let placed = |tensor: Tensor| -> Result<Tensor> { Ok(tensor.to_dtype(dtype)?.to_device(device)?) };
        let alpha = match tensor(Role::Alpha)? {
            Some(alpha) => Some(f64::from(alpha.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?[0])),
            None => None,
        };
        let scale = layer.rank().map_or(1.0, |rank| self.config.scale(name, rank, alpha)) as f32;
        let mut additions = Vec::new();
        if let (Some(down), Some(up)) = (tensor(Role::Down)?, tensor(Role::Up)?) {
            additions.push(Addition::LowRank { down: placed(down)?, up: placed(up)?, scale });
        }
        for (role, scale) in [(Role::UpBias, scale), (Role::BiasDifference, 1.0)] {
            if let Some(bias) = tensor(role)? {
                additions.push(Addition::Bias { bias: placed(bias)?, scale });
            }
        }
        if let Some(weight) = tensor(Role::Difference)? {
            additions.push(Addition::Matrix { weight: placed(weight)?, scale: 1.0 });
        }
        if device.is_cuda() {
            device.synchronize()?;
        }
        Ok(additions)
    }

    /// The tensor in the type that it is stored in, in the computer's memory.
    fn read_tensor(&self, file: &mut File, (name, entry): &(String, Entry)) -> Result<Tensor> {
        let Stored::Plain(stored @ (DType::F32 | DType::F16 | DType::BF16 | DType::F64)) = entry.stored else {
            return Err(self
                .broken(format!("tensor `{name}` is stored as {}; take the LoRA in f32, f16 or bf16", entry.stored)));
        };
        let mut bytes = vec![0; entry.range.len()];
        let seek = file.seek(SeekFrom::Start(entry.range.start as u64));
        seek.and_then(|_| file.read_exact(&mut bytes)).map_err(|source| self.unreadable(source))?;
        if !all_finite(&bytes, stored) {
            return Err(self.broken(format!(
                "tensor `{name}` holds values that are not finite numbers; take another copy of the file"
            )));
        }
        Ok(Tensor::from_raw_buffer(&bytes, stored, &entry.shape, &Device::Cpu)?)
    }

    /// Every layer is one of the model's and of its widths.
    fn check_fit(&self, config: &TransformerConfig) -> Result<()> {
        for (name, layer) in &self.layers {
            let Some((takes, gives)) = modules::widths(config, name) else {
                let key = layer.0.values().next().map_or(name, |(key, _)| key);
                return Err(self.broken(format!(
                    "tensor `{key}` is for `{name}`, which the model with its {} blocks does not have; take a LoRA of \
                     this model",
                    config.num_layers
                )));
            };
            for (role, (key, entry)) in &layer.0 {
                let rank = layer.rank().unwrap_or(0);
                let expected = match role {
                    Role::Down => vec![rank, takes],
                    Role::Up => vec![gives, rank],
                    Role::Difference => vec![gives, takes],
                    Role::UpBias | Role::BiasDifference => vec![gives],
                    Role::Alpha => continue,
                };
                if entry.shape != expected {
                    let (path, tensor, found) = (self.path.clone(), key.clone(), entry.shape.clone());
                    return Err(Error::TensorShape { path, tensor, found, expected });
                }
            }
        }
        Ok(())
    }

    fn broken(&self, reason: String) -> Error {
        Error::Checkpoint { path: self.path.clone(), reason }
    }

    fn unreadable(&self, source: std::io::Error) -> Error {
        Error::File { path: self.path.clone(), source }
    }
}
