//! Matrices that stay compressed in memory and are widened tile by tile.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, DType, Device, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

use super::file::Bytes;
use crate::Result;

/// A matrix (`rows`, `columns`) in GGUF blocks or scaled fp8.
///
/// Products are taken with the widened values, in the model's own type: equal
/// to the dequantised model, where a product of blocks with activations
/// rounded to 8 bit is off by up to a percent.
#[derive(Debug, Clone)]
pub struct Packed {
    rows: usize,
    columns: usize,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// Blocks of a mapped file, for the CPU.
    MappedBlocks { kind: GgmlDType, bytes: Bytes },
    /// Blocks on an accelerator.
    DeviceBlocks(Arc<QTensor>),
    /// Float8 E4M3 values of a mapped file, for the CPU.
    MappedFloat8 { bytes: Bytes, scale: f32 },
    /// Float8 E4M3 values on an accelerator.
    DeviceFloat8 { values: Tensor, scale: f32 },
}

impl Packed {
    /// Blocks of type `kind`; `bytes` hold exactly `rows * columns` values.
    pub fn blocks(kind: GgmlDType, bytes: Bytes, rows: usize, columns: usize, device: &Device) -> Result<Self> {
        let form = if device.is_cpu() {
            Form::MappedBlocks { kind, bytes }
        } else {
            let storage = QStorage::from_data(Cow::Borrowed(bytes.as_slice()), device, kind)?;
            Form::DeviceBlocks(Arc::new(QTensor::new(storage, (rows, columns))?))
        };
        Ok(Self { rows, columns, form })
    }

    /// Float8 E4M3 values, each to be multiplied with `scale`.
    pub fn float8(bytes: Bytes, scale: f32, rows: usize, columns: usize, device: &Device) -> Result<Self> {
        let form = if device.is_cpu() {
            Form::MappedFloat8 { bytes, scale }
        } else {
            let shape = [rows, columns];
            let values = Tensor::from_raw_buffer(bytes.as_slice(), DType::F8E4M3, &shape, device)?;
            Form::DeviceFloat8 { values, scale }
        };
        Ok(Self { rows, columns, form })
    }

    /// Number of output features.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of input features.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The whole matrix (rows, columns) in `dtype`.
    ///
    /// # Errors
    /// When the device fails.
    pub fn unpack(&self, dtype: DType) -> Result<Tensor> {
        self.unpack_rows(0, self.rows, dtype)
    }

    /// Rows `start..start + count` in `dtype`.
    ///
    /// # Errors
    /// When the device fails, or the rows are not all there.
    pub fn unpack_rows(&self, start: usize, count: usize, dtype: DType) -> Result<Tensor> {
        Ok(match &self.form {
            Form::MappedBlocks { kind, bytes } => self.widen_blocks(*kind, bytes, start, count)?.to_dtype(dtype)?,
            Form::MappedFloat8 { bytes, scale } => self.widen_float8(bytes, *scale, start, count)?.to_dtype(dtype)?,
            Form::DeviceBlocks(blocks) => {
                blocks.dequantize(&blocks.device())?.narrow(0, start, count)?.to_dtype(dtype)?
            }
            Form::DeviceFloat8 { values, scale } => {
                let values = values.narrow(0, start, count)?.to_dtype(DType::F32)?;
                (values * f64::from(*scale))?.to_dtype(dtype)?
            }
        })
    }

    fn widen_blocks(&self, kind: GgmlDType, bytes: &Bytes, start: usize, count: usize) -> Result<Tensor> {
        let row_bytes = self.columns / kind.block_size() * kind.type_size();
        let bytes = &bytes.as_slice()[start * row_bytes..(start + count) * row_bytes];
        let mut values = vec![0f32; count * self.columns];
        let rows = tile_rows(self.columns);
        values
            .par_chunks_mut(rows * self.columns)
            .zip(bytes.par_chunks(rows * row_bytes))
            .try_for_each(|(values, bytes)| -> candle_core::Result<()> {
                let tile = kind.from_data(Cow::Borrowed(bytes)).dequantize(values.len())?;
                let CpuStorage::F32(tile) = tile else { candle_core::bail!("blocks did not widen to f32") };
                values.copy_from_slice(&tile);
                Ok(())
            })?;
        Ok(Tensor::from_vec(values, (count, self.columns), &Device::Cpu)?)
    }

    fn widen_float8(&self, bytes: &Bytes, scale: f32, start: usize, count: usize) -> Result<Tensor> {
        let bytes = &bytes.as_slice()[start * self.columns..(start + count) * self.columns];
        let table: [f32; 256] = std::array::from_fn(|bits| float8_e4m3(bits as u8) * scale);
        let mut values = vec![0f32; count * self.columns];
        let tile = tile_rows(self.columns) * self.columns;
        values.par_chunks_mut(tile).zip(bytes.par_chunks(tile)).for_each(|(values, bytes)| {
            for (value, &bits) in values.iter_mut().zip(bytes) {
                *value = table[usize::from(bits)];
            }
        });
        Ok(Tensor::from_vec(values, (count, self.columns), &Device::Cpu)?)
    }
}

/// About 64 Ki values a task: enough work for a thread, little enough for its cache.
fn tile_rows(columns: usize) -> usize {
    (65_536 / columns.max(1)).max(1)
}

/// The value of float8 E4M3 (`e4m3fn`: no infinities, 0x7f and 0xff are NaN).
fn float8_e4m3(bits: u8) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 3 & 0x0f);
    let mantissa = f32::from(bits & 0x07);
    let magnitude = match (exponent, bits & 0x07) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2f32.powi(exponent - 7),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float8_matches_candle() {
        let bits: Vec<u8> = (0..=255).collect();
        let values = Tensor::from_raw_buffer(&bits, DType::F8E4M3, &[256], &Device::Cpu)
            .and_then(|values| values.to_dtype(DType::F32))
            .and_then(|values| values.to_vec1::<f32>())
            .expect("256 float8 values");
        for (bits, value) in bits.iter().zip(values) {
            let ours = float8_e4m3(*bits);
            assert!(ours == value || (ours.is_nan() && value.is_nan()), "{bits:#x}: {ours} and {value}");
        }
    }
}
