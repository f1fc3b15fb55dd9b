//! Values that only have to differ: from short cycles, so that making them is as fast as copying.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use half::bf16;

use crate::nn::float8_e4m3;
use crate::weights::{Entry, ReadRange, Stored};

/// Values of a cycle: whole blocks of every kind (256), in a number that divides no row, so that the rows of a
/// matrix begin at different places of it.
const CYCLE: usize = 256 * 4099;

/// The largest float8 that is used of 448.
const FLOAT8_TOP: f32 = 240.0;

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bf16,
    F32,
    Float8,
    /// The factor of a float8 matrix.
    Scale {
        columns: usize,
    },
    Blocks(GgmlDType),
}

/// A tensor to be generated.
#[derive(Debug, Clone)]
pub struct Planned {
    pub name: String,
    pub shape: Vec<usize>,
    pub(super) kind: Kind,
}

impl Planned {
    pub fn bf16(name: String, shape: Vec<usize>) -> Self {
        Self { name, shape, kind: Kind::Bf16 }
    }

    pub fn f32(name: String, shape: Vec<usize>) -> Self {
        Self { name, shape, kind: Kind::F32 }
    }

    pub fn float8(name: String, shape: Vec<usize>) -> Self {
        Self { name, shape, kind: Kind::Float8 }
    }

    /// The scale of a float8 matrix with rows of `columns` values.
    pub fn scale(name: String, columns: usize) -> Self {
        Self { name, shape: vec![], kind: Kind::Scale { columns } }
    }

    /// `shape` has rows of whole blocks.
    pub fn blocks(name: String, shape: Vec<usize>, kind: GgmlDType) -> Self {
        Self { name, shape, kind: Kind::Blocks(kind) }
    }

    pub fn bytes(&self) -> usize {
        let (values, bytes) = self.unit();
        self.shape.iter().product::<usize>() / values * bytes
    }

    pub fn stored(&self) -> Stored {
        match self.kind {
            Kind::Bf16 => Stored::Plain(DType::BF16),
            Kind::F32 | Kind::Scale { .. } => Stored::Plain(DType::F32),
            Kind::Float8 => Stored::Plain(DType::F8E4M3),
            Kind::Blocks(kind) => Stored::Blocks(kind),
        }
    }

    /// The smallest whole piece: its values and its bytes.
    fn unit(&self) -> (usize, usize) {
        match self.kind {
            Kind::Bf16 => (1, 2),
            Kind::F32 | Kind::Scale { .. } => (1, 4),
            Kind::Float8 => (1, 1),
            Kind::Blocks(kind) => (kind.block_size(), kind.type_size()),
        }
    }

    /// Centre and half width of the values: those of matrices keep the variance of what they multiply.
    fn distribution(&self) -> (f32, f32) {
        let wide = self.shape.iter().filter(|&&size| size > 1).count() > 1;
        match (wide, self.name.ends_with("bias")) {
            (false, true) => (0.0, 0.1),
            (false, false) => (1.0, 0.1),
            (true, _) => (0.0, (3.0 / self.shape[1..].iter().product::<usize>() as f32).sqrt()),
        }
    }
}

/// A run of values that was made before: for which kind, and around which middle and width (their bits).
type Cycle = (Kind, u32, u32, Arc<Vec<u8>>);

/// Makes up the values of the tensors of a file.
pub struct Generator {
    /// First byte of each tensor in the file that does not exist.
    tensors: BTreeMap<usize, Planned>,
    cycles: Mutex<Vec<Cycle>>,
}

impl Generator {
    /// The tensors one after the other.
    pub fn new(planned: Vec<Planned>) -> Self {
        let mut at = 0;
        let tensors = planned.into_iter().map(|tensor| {
            let start = at;
            // Each at a multiple of 8 bytes, and none without an address of its own.
            at += tensor.bytes().next_multiple_of(8).max(8);
            (start, tensor)
        });
        Self { tensors: tensors.collect(), cycles: Mutex::default() }
    }

    pub fn tensors(&self) -> impl Iterator<Item = &Planned> {
        self.tensors.values()
    }

    pub fn entries(&self) -> BTreeMap<String, Entry> {
        let entry = |(&start, tensor): (&usize, &Planned)| {
            let (stored, shape, range) = (tensor.stored(), tensor.shape.clone(), start..start + tensor.bytes());
            (tensor.name.clone(), Entry { stored, shape, range })
        };
        self.tensors.iter().map(entry).collect()
    }

    /// Bytes `range` of `tensor`.
    pub fn fill(&self, tensor: &Planned, range: Range<usize>, out: &mut [u8]) -> candle_core::Result<()> {
        if let Kind::Scale { columns } = tensor.kind {
            let scale = (3.0 / columns as f32).sqrt() / FLOAT8_TOP;
            out.copy_from_slice(&scale.to_le_bytes()[range]);
            return Ok(());
        }
        let cycle = self.cycle(tensor)?;
        let (_, unit) = tensor.unit();
        let mut at = (hash(&tensor.name) as usize * unit + range.start) % cycle.len();
        let mut out = out;
        while !out.is_empty() {
            let count = out.len().min(cycle.len() - at);
            out[..count].copy_from_slice(&cycle[at..at + count]);
            out = &mut out[count..];
            at = 0;
        }
        Ok(())
    }

    /// A run of values in the tensor's form.
    fn cycle(&self, tensor: &Planned) -> candle_core::Result<Arc<Vec<u8>>> {
        let (centre, spread) = match tensor.kind {
            Kind::Float8 => (0.0, FLOAT8_TOP),
            _ => tensor.distribution(),
        };
        let mut cycles = self.cycles.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tensor.kind, centre.to_bits(), spread.to_bits());
        if let Some((.., cycle)) = cycles.iter().find(|cycle| (cycle.0, cycle.1, cycle.2) == key) {
            return Ok(cycle.clone());
        }
        let values = uniform().map(|value| centre + spread * value);
        let bytes = match tensor.kind {
            Kind::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
            Kind::F32 | Kind::Scale { .. } => values.flat_map(f32::to_le_bytes).collect(),
            Kind::Float8 => values.map(nearest_float8).collect(),
            Kind::Blocks(kind) => {
                let values = Tensor::from_iter(values, &Device::Cpu)?;
                QTensor::quantize(&values, kind)?.data()?.into_owned()
            }
        };
        let cycle = Arc::new(bytes);
        cycles.push((key.0, key.1, key.2, cycle.clone()));
        Ok(cycle)
    }
}

impl ReadRange for Generator {
    fn read(&self, range: Range<usize>) -> candle_core::Result<Vec<u8>> {
        let Some((start, tensor)) = self.tensors.range(..=range.start).next_back() else {
            candle_core::bail!("no tensor begins before byte {}", range.start)
        };
        let mut out = vec![0; range.len()];
        self.fill(tensor, range.start - start..range.end - start, &mut out)?;
        Ok(out)
    }
}

/// [`CYCLE`] values in [-1, 1).
fn uniform() -> impl Iterator<Item = f32> {
    // Knuth's linear congruential generator (The Art of Computer Programming, volume 2, 3.3.4).
    let step =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(1), step).take(CYCLE).map(|state: u64| (state >> 40) as f32 / (1 << 23) as f32 - 1.0)
}

/// FNV-1a.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The float8 E4M3 whose value is nearest to `value`, which lies between the largest and the smallest.
fn nearest_float8(value: f32) -> u8 {
    // Positive numbers are ordered as their bits are; 0x7f is not a number.
    let (mut low, mut high) = (0_u8, 0x7e);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if float8_e4m3(middle) <= value.abs() {
            low = middle;
        } else {
            high = middle;
        }
    }
    let nearest = if value.abs() - float8_e4m3(low) <= float8_e4m3(high) - value.abs() { low } else { high };
    if value.is_sign_negative() { nearest | 0x80 } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float8_is_rounded_to_the_nearest() {
        for bits in (0..0x7f).chain(0x81..0xff) {
            assert_eq!(nearest_float8(float8_e4m3(bits)), bits);
        }
        assert_eq!(float8_e4m3(nearest_float8(239.0)), 240.0);
        assert_eq!(float8_e4m3(nearest_float8(-0.3)), -0.3125);
    }

    #[test]
    fn a_part_of_a_tensor_is_the_part_of_the_whole() {
        let planned = Planned::blocks("m.weight".to_owned(), vec![9000, 512], GgmlDType::Q4K);
        let generator = Generator::new(vec![Planned::bf16("first".to_owned(), vec![3]), planned]);
        let entry = &generator.entries()["m.weight"];
        let whole = generator.read(entry.range.clone()).unwrap();
        let at = entry.range.start;
        assert_eq!(generator.read(at + 1_000_000..at + 1_300_000).unwrap(), whole[1_000_000..1_300_000]);
        // Rows begin at different places of the cycle.
        let row = 2 * GgmlDType::Q4K.type_size();
        let mut rows: Vec<&[u8]> = whole.chunks(row).take(4000).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 4000);
    }
}
