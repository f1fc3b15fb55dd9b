use candle_core::DType;

use super::file::Stored;
use super::{Checkpoint, Source};
use crate::nn::WIDENED_VALUES;

/// Memory that a tensor takes once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Occupied {
    /// Bytes while the model is loaded.
    pub bytes: u64,
    /// Bytes of its widened form during a product; 0 if it is not compressed.
    pub widened: u64,
    /// Values that are stored compressed.
    pub compressed_values: u64,
    /// Whether those are in fp8.
    pub float8: bool,
}

impl Checkpoint {
    /// What tensor `name` takes once it is loaded, for a model that computes in `dtype`; nothing if it is missing.
    pub(crate) fn occupied(&self, name: &str, dtype: DType) -> Occupied {
        let (Some(item), Some(shape)) = (self.items.get(name), self.shape(name)) else { return Occupied::default() };
        let values = shape.iter().product::<usize>() as u64;
        // As `linear` and `packed` decide; tables of embeddings are loaded dense.
        let is_layer = shape.len() == 2 && name.ends_with(".weight") && !name.ends_with("embedding.weight");
        if let ([Some(piece)], true) = (item.pieces.as_slice(), is_layer) {
            let per_value = match piece.entry.stored {
                // Blocks become f32 on their way.
                Stored::Blocks(kind) if shape[1].is_multiple_of(kind.block_size()) => 4 + dtype.size_in_bytes(),
                Stored::Plain(DType::F8E4M3) => dtype.size_in_bytes(),
                _ => 0,
            };
            if per_value > 0 {
                let bytes = piece.entry.range.len() as u64;
                let widened = values.min(WIDENED_VALUES as u64) * per_value as u64;
                let float8 = piece.entry.stored == Stored::Plain(DType::F8E4M3);
                return Occupied { bytes, widened, compressed_values: values, float8 };
            }
        }
        Occupied { bytes: values * dtype.size_in_bytes() as u64, ..Occupied::default() }
    }
}
