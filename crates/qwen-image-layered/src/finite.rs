//! NaN and infinity in weights and results become an error instead of noise or black layers.

use candle_core::{DType, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// Bytes that one thread checks at a time.
const PART: usize = 1 << 20;

/// Whether all numbers of type `stored` in `bytes` are finite.
pub fn all_finite(bytes: &[u8], stored: DType) -> bool {
    // An exponent of all ones means infinity or NaN. No early exit, so that the loop vectorises.
    fn each<const N: usize>(bytes: &[u8], finite: impl Fn([u8; N]) -> bool) -> bool {
        bytes.as_chunks::<N>().0.iter().fold(true, |all, &value| all & finite(value))
    }
    bytes.par_chunks(PART).all(|bytes| match stored {
        DType::BF16 => each(bytes, |value| u16::from_le_bytes(value) & 0x7f80 != 0x7f80),
        DType::F16 => each(bytes, |value| u16::from_le_bytes(value) & 0x7c00 != 0x7c00),
        DType::F32 => each(bytes, |value| u32::from_le_bytes(value) & 0x7f80_0000 != 0x7f80_0000),
        DType::F64 => each(bytes, |value| f64::from_le_bytes(value).is_finite()),
        _ => true,
    })
}

/// Checks that a result of `part` has only finite values.
pub fn check(result: &Tensor, part: &'static str) -> Result<()> {
    // 0 for every finite value, NaN for all others.
    let zero = (result.to_dtype(DType::F32)? * 0.0)?.sum_all()?.to_scalar::<f32>()?;
    if zero == 0.0 { Ok(()) } else { Err(Error::NotFinite { part }) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use half::{bf16, f16};

    use super::*;

    #[test]
    fn one_value_that_is_no_number_is_found_wherever_it_is() {
        fn bytes<const N: usize>(values: &[f64], bits: impl Fn(f64) -> [u8; N]) -> Vec<u8> {
            values.iter().flat_map(|&value| bits(value)).collect()
        }
        type Store = fn(&[f64]) -> Vec<u8>;
        let types: [(DType, Store); 4] = [
            (DType::BF16, |values| bytes(values, |v| bf16::from_f64(v).to_le_bytes())),
            (DType::F16, |values| bytes(values, |v| f16::from_f64(v).to_le_bytes())),
            (DType::F32, |values| bytes(values, |v| (v as f32).to_le_bytes())),
            (DType::F64, |values| bytes(values, |v| v.to_le_bytes())),
        ];
        let good: Vec<f64> = (0..PART / 2 + 5).map(|i| i as f64 / 9.0 - 3.0e4).collect();
        for (dtype, stored) in types {
            assert!(all_finite(&stored(&good), dtype), "{dtype:?}");
            for (at, value) in [(0, f64::NAN), (good.len() - 1, f64::INFINITY), (77, f64::NEG_INFINITY)] {
                let mut bad = good.clone();
                bad[at] = value;
                assert!(!all_finite(&stored(&bad), dtype), "{dtype:?} {value} at {at}");
            }
        }
    }

    #[test]
    fn a_result_has_to_be_finite() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        check(&tensor(&[1.0e38, -1.0e38, 3.0]), "text encoder").unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let error = check(&tensor(&[0.0, bad]), "text encoder").unwrap_err().to_string();
            assert!(error.contains("text encoder") && error.contains("download"), "{error}");
        }
    }
}
