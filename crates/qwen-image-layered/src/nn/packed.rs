//! Matrices that stay compressed in memory and are widened tile by tile.

use std::borrow::Cow;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, DType, Device, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

use crate::Result;
use crate::bytes::{Bytes, Target};

/// A matrix (`rows`, `columns`) in GGUF blocks or scaled fp8.
///
/// It is multiplied in widened form, in the model's own type, which equals the dequantized model. A product of blocks
/// with activations rounded to 8 bit would be off by up to a percent.
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
    /// Blocks on an accelerator, in pieces of [`rows_at_a_time`] rows.
    DeviceBlocks(Vec<Arc<QTensor>>),
    /// Float8 E4M3 values of a mapped file, for the CPU.
    MappedFloat8 { bytes: Bytes, scale: f32 },
    /// Float8 E4M3 values on an accelerator, as indices into a table of all 256 scaled values: GPUs below compute
    /// capability 8.9 do not have this type.
    DeviceFloat8 { values: Tensor, table: Tensor },
}

impl Packed {
    /// Blocks of type `kind`; `bytes` hold exactly `rows * columns` values.
    pub(crate) fn blocks(kind: GgmlDType, bytes: Bytes, rows: usize, columns: usize, target: &Target) -> Result<Self> {
        let form = if target.device().is_cpu() {
            Form::MappedBlocks { kind, bytes }
        } else {
            Self::blocks_on(kind, target.staged(bytes).as_slice(), (rows, columns), target.device())?
        };
        Ok(Self { rows, columns, form })
    }

    fn blocks_on(kind: GgmlDType, bytes: &[u8], (rows, columns): (usize, usize), device: &Device) -> Result<Form> {
        let row = columns / kind.block_size() * kind.type_size();
        let mut pieces = Vec::new();
        for start in (0..rows).step_by(rows_at_a_time(columns)) {
            let count = rows_at_a_time(columns).min(rows - start);
            let part = &bytes[start * row..(start + count) * row];
            let storage = QStorage::from_data(Cow::Borrowed(part), device, kind)?;
            pieces.push(Arc::new(QTensor::new(storage, (count, columns))?));
        }
        Ok(Form::DeviceBlocks(pieces))
    }

    /// Float8 E4M3 values, each to be multiplied with `scale`.
    pub(crate) fn float8(bytes: Bytes, scale: f32, rows: usize, columns: usize, target: &Target) -> Result<Self> {
        let form = if target.device().is_cpu() {
            Form::MappedFloat8 { bytes, scale }
        } else {
            Self::float8_on(target.staged(bytes).as_slice(), scale, target.device())?
        };
        Ok(Self { rows, columns, form })
    }

    /// As [`Packed::float8`], from bytes in memory.
    #[cfg(any(test, feature = "testing"))]
    pub fn float8_of(bytes: Vec<u8>, scale: f32, rows: usize, columns: usize, device: &Device) -> Result<Self> {
        Self::float8(Bytes::Owned(Arc::new(bytes)), scale, rows, columns, &Target::on(device))
    }

    fn float8_on(bytes: &[u8], scale: f32, device: &Device) -> Result<Form> {
        let values = Tensor::from_raw_buffer(bytes, DType::U8, &[bytes.len()], device)?;
        let table: [f32; 256] = std::array::from_fn(|bits| float8_e4m3(bits as u8) * scale);
        Ok(Form::DeviceFloat8 { values, table: Tensor::new(&table, device)? })
    }

    /// Whether the values are float8 E4M3.
    pub fn is_float8(&self) -> bool {
        matches!(self.form, Form::MappedFloat8 { .. } | Form::DeviceFloat8 { .. })
    }

    /// Of float8 values on an accelerator: their bytes (rows * columns), and what each value is multiplied with (1).
    ///
    /// # Errors
    /// When the device fails.
    pub fn float8_values(&self) -> Result<Option<(Tensor, Tensor)>> {
        /// The bits of 1.
        const ONE: usize = 0x38;
        Ok(match &self.form {
            Form::DeviceFloat8 { values, table } => Some((values.clone(), table.narrow(0, ONE, 1)?)),
            _ => None,
        })
    }

    /// The rows (first, count) that a device widens at a time.
    pub fn tiles(&self) -> impl Iterator<Item = (usize, usize)> {
        let (rows, step) = (self.rows, rows_at_a_time(self.columns));
        (0..rows).step_by(step).map(move |start| (start, step.min(rows - start)))
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
            Form::MappedBlocks { .. } | Form::MappedFloat8 { .. } => self.widen_rows(start, count)?.to_dtype(dtype)?,
            Form::DeviceBlocks(pieces) => {
                let step = rows_at_a_time(self.columns);
                let piece = |index: usize| -> Result<Tensor> {
                    let (first, piece) = (index * step, &pieces[index]);
                    let (from, to) = (start.max(first), (start + count).min(first + step));
                    Ok(piece.dequantize(&piece.device())?.narrow(0, from - first, to - from)?.to_dtype(dtype)?)
                };
                let wanted = start / step..(start + count).div_ceil(step).min(pieces.len());
                match wanted.len() {
                    1 => piece(wanted.start)?,
                    _ => Tensor::cat(&wanted.map(piece).collect::<Result<Vec<_>>>()?, 0)?,
                }
            }
            Form::DeviceFloat8 { values, table } => {
                let values = values.narrow(0, start * self.columns, count * self.columns)?;
                table.to_dtype(dtype)?.index_select(&values, 0)?.reshape((count, self.columns))?
            }
        })
    }

    /// The products of the matrix with each row of `x` (m, columns), row after
    /// row: m * rows values. Widened values stay in the cache, which for a few
    /// rows is what counts. Only for weights on the CPU.
    ///
    /// # Errors
    /// When the blocks are damaged or lie elsewhere.
    pub fn multiply_few(&self, x: &[f32]) -> Result<Vec<f32>> {
        let m = x.len() / self.columns.max(1);
        let tile = tile_rows(self.columns);
        let tiles: Vec<Vec<f32>> = (0..self.rows.div_ceil(tile))
            .into_par_iter()
            .map(|index| {
                let start = index * tile;
                let mut values = vec![0f32; tile.min(self.rows - start) * self.columns];
                self.widen_tile(start, &mut values)?;
                let dots = x.chunks(self.columns).flat_map(|x| values.chunks(self.columns).map(|row| dot(x, row)));
                Ok(dots.collect())
            })
            .collect::<candle_core::Result<_>>()?;
        let mut out = Vec::with_capacity(m * self.rows);
        for row in 0..m {
            for tile in &tiles {
                let count = tile.len() / m;
                out.extend_from_slice(&tile[row * count..(row + 1) * count]);
            }
        }
        Ok(out)
    }

    fn widen_rows(&self, start: usize, count: usize) -> Result<Tensor> {
        let mut values = vec![0f32; count * self.columns];
        let tile = tile_rows(self.columns);
        values
            .par_chunks_mut(tile * self.columns)
            .enumerate()
            .try_for_each(|(index, values)| self.widen_tile(start + index * tile, values))?;
        Ok(Tensor::from_vec(values, (count, self.columns), &Device::Cpu)?)
    }

    /// Writes the rows from `start` on, as many as `values` holds.
    fn widen_tile(&self, start: usize, values: &mut [f32]) -> candle_core::Result<()> {
        match &self.form {
            Form::MappedBlocks { kind, bytes } => {
                let at = |index: usize| index / kind.block_size() * kind.type_size();
                let begin = at(start * self.columns);
                let bytes = &bytes.as_slice()[begin..begin + at(values.len())];
                let tile = kind.from_data(Cow::Borrowed(bytes)).dequantize(values.len())?;
                let CpuStorage::F32(tile) = tile else { candle_core::bail!("blocks did not widen to f32") };
                values.copy_from_slice(&tile);
            }
            Form::MappedFloat8 { bytes, scale } => {
                let table: [f32; 256] = std::array::from_fn(|bits| float8_e4m3(bits as u8) * scale);
                let begin = start * self.columns;
                let bytes = &bytes.as_slice()[begin..begin + values.len()];
                for (value, &bits) in values.iter_mut().zip(bytes) {
                    *value = table[usize::from(bits)];
                }
            }
            Form::DeviceBlocks(_) | Form::DeviceFloat8 { .. } => {
                candle_core::bail!("a CPU product was asked of weights on another device")
            }
        }
        Ok(())
    }
}

/// In eight sums, which the compiler turns into one vector register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Values that a device widens at a time: all of a matrix, but for tables as large as the vocabulary.
pub const WIDENED_VALUES: usize = 72 << 20;

/// Rows of a matrix that a device widens at a time.
pub fn rows_at_a_time(columns: usize) -> usize {
    (WIDENED_VALUES / columns.max(1)).max(1)
}

/// About 64 Ki values a task: enough work for a thread, little enough for its cache.
fn tile_rows(columns: usize) -> usize {
    (65_536 / columns.max(1)).max(1)
}

/// The value of float8 E4M3 (`e4m3fn`: no infinities, 0x7f and 0xff are NaN).
pub fn float8_e4m3(bits: u8) -> f32 {
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

    /// What an accelerator does with compressed matrices, on the CPU, against the tiles of the CPU's own path.
    #[test]
    fn both_forms_widen_alike() {
        let (rows, columns) = (7, 512);
        let values = Tensor::randn(0f32, 1.0, (rows, columns), &Device::Cpu).unwrap();
        for kind in [GgmlDType::Q8_0, GgmlDType::Q6K, GgmlDType::Q5K, GgmlDType::Q4K, GgmlDType::Q4_0] {
            let blocks = QTensor::quantize(&values, kind).unwrap();
            let bytes = Bytes::Owned(Arc::new(blocks.data().unwrap().into_owned()));
            let mapped = Packed::blocks(kind, bytes.clone(), rows, columns, &Target::host()).unwrap();
            let form = Packed::blocks_on(kind, bytes.as_slice(), (rows, columns), &Device::Cpu).unwrap();
            same(&mapped, &Packed { rows, columns, form });
        }
        let bytes: Vec<u8> = (0..rows * columns).map(|i| (i % 127 + i % 2 * 128) as u8).collect();
        let form = Packed::float8_on(&bytes, 0.37, &Device::Cpu).unwrap();
        let mapped = Packed::float8(Bytes::Owned(Arc::new(bytes)), 0.37, rows, columns, &Target::host()).unwrap();
        same(&mapped, &Packed { rows, columns, form });
    }

    #[test]
    fn float8_on_a_device_is_bytes_and_a_scale() {
        let bytes: Vec<u8> = (0..=126).collect();
        let form = Packed::float8_on(&bytes, 0.37, &Device::Cpu).unwrap();
        let (values, scale) = Packed { rows: 1, columns: 127, form }.float8_values().unwrap().unwrap();
        assert_eq!(values.to_vec1::<u8>().unwrap(), bytes);
        assert_eq!(scale.to_vec1::<f32>().unwrap(), [0.37]);
    }

    fn same(a: &Packed, b: &Packed) {
        for (start, count) in [(0, 7), (2, 3)] {
            for dtype in [DType::F32, DType::BF16] {
                let wide = |packed: &Packed| {
                    let rows = packed.unpack_rows(start, count, dtype).unwrap().to_dtype(DType::F32).unwrap();
                    rows.to_vec2::<f32>().unwrap()
                };
                assert_eq!(wide(a), wide(b), "{:?}", a.form);
            }
        }
    }

    #[test]
    fn tall_matrices_are_widened_in_pieces() {
        let tall = Packed { rows: 2 * WIDENED_VALUES / 256 + 3, columns: 256, form: Form::DeviceBlocks(Vec::new()) };
        let tiles: Vec<_> = tall.tiles().collect();
        assert_eq!(tiles.len(), 3);
        assert_eq!(tiles[2], (2 * WIDENED_VALUES / 256, 3));
        assert_eq!(tiles.iter().map(|tile| tile.1).sum::<usize>(), tall.rows);
    }

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
