//! Whether kernels give on a device what candle's own operations give there. Until that is seen they are not used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, DeviceLocation, Tensor};

use super::{composed, fused};
use crate::Result;
use crate::gpu::FLOAT8_CAPABILITY;
use crate::weights::float8_e4m3;

/// Kernels that are tried, and then used or not, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernels {
    /// Norms, sums, and products in bf16.
    Fused,
    /// FlashAttention 3, which is for Hopper alone.
    #[cfg(feature = "flash-attn-v3")]
    Flash3,
    /// Products in fp8.
    Float8,
}

/// What was found on a card: nothing, or what is wrong.
type Found = HashMap<(DeviceLocation, Kernels), Option<String>>;

static FOUND: Mutex<Option<Found>> = Mutex::new(None);

/// Whether `kernels` may be used on `device`. The first call on a card tries them there.
pub fn passed(device: &Device, kernels: Kernels) -> bool {
    if !capability(device).is_some_and(|capability| kernels.are_for(capability)) {
        return false;
    }
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    match found.get_or_insert_default().entry((device.location(), kernels)) {
        Entry::Occupied(entry) => entry.get().is_none(),
        Entry::Vacant(entry) => match kernels.errors(device) {
            Ok(errors) => entry.insert(worst(&errors)).is_none(),
            // Says nothing of the kernels; there may be room another time.
            Err(error) if error.is_out_of_memory() => false,
            Err(error) => entry.insert(Some(error.to_string())).is_none(),
        },
    }
}

/// What is wrong with kernels that gave these errors.
fn worst(errors: &[Error]) -> Option<String> {
    let (name, error, _) = errors.iter().find(|(_, error, most)| error.is_nan() || error > most)?;
    Some(format!("{name} is off by {error:.1e} on this device; please report it with its name"))
}

/// Compute capability of a GPU that is open.
fn capability(device: &Device) -> Option<(u32, u32)> {
    let (major, minor) = device.as_cuda_device().ok()?.cuda_stream().context().compute_capability().ok()?;
    Some((major.unsigned_abs(), minor.unsigned_abs()))
}

/// Which of the kernels that were tried on this device are not used, and why.
pub fn remark(device: &Device) -> Option<String> {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let on_device = found.iter().flatten().filter(|((location, _), _)| *location == device.location());
    let mut remarks: Vec<String> = on_device
        .filter_map(|((_, kernels), wrong)| Some(format!("{}: {}", kernels.instead(), wrong.as_ref()?)))
        .collect();
    remarks.sort();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

/// Name of a kernel, its relative L2 error, and the most that it may be.
pub type Error = (&'static str, f64, f64);

impl Kernels {
    /// Whether cards of this compute capability have what the kernels need.
    fn are_for(self, capability: (u32, u32)) -> bool {
        match self {
            Self::Fused => true,
            #[cfg(feature = "flash-attn-v3")]
            Self::Flash3 => capability == (9, 0),
            Self::Float8 => capability >= FLOAT8_CAPABILITY,
        }
    }

    fn instead(self) -> &'static str {
        match self {
            Self::Fused => "kernels of our own are not used, which is slower",
            #[cfg(feature = "flash-attn-v3")]
            Self::Flash3 => "FlashAttention 2 is used in place of 3, which is slower",
            Self::Float8 => "products are not in fp8, which is slower and exact",
        }
    }

    fn errors(self, device: &Device) -> Result<Vec<Error>> {
        match self {
            Self::Fused => fused_errors(device),
            #[cfg(feature = "flash-attn-v3")]
            Self::Flash3 => super::device_attention::flash_3_errors(device),
            Self::Float8 => float8_errors(device),
        }
    }
}

/// Relative L2 error up to which both are the same, in f32 and in bf16.
const SAME: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::BF16, 1e-2)];

fn fused_errors(device: &Device) -> Result<Vec<Error>> {
    const EPS: f64 = 1e-6;
    let mut errors = Vec::new();
    for (dtype, most) in SAME {
        // Shapes that fill neither a warp nor a block.
        let values = |shape: &[usize], salt: usize| values(shape, salt, dtype, device);
        let (heads, weight) = (values(&[1, 33, 3, 96], 1)?, values(&[96], 2)?);
        let rotation = values(&[33, 96], 3)?.to_dtype(DType::F32)?;
        let own = fused::rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        let plain = composed::rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        errors.push(("norm and rotation", apart(&own, &plain)?, most));
        let (x, y, gate) = (values(&[1, 33, 520], 4)?, values(&[1, 33, 520], 5)?, values(&[1, 520], 6)?);
        let own = fused::add_gated(&x, &gate, &y)?;
        errors.push(("the gated sum", apart(&own, &composed::add_gated(&x, &gate, &y)?)?, most));
        if dtype == DType::BF16 {
            // Sums about as large as 1, where GELU bends, and a bias of their size.
            let (weight, bias) = ((values(&[264, 520], 7)? * 0.05)?, values(&[264], 8)?);
            let plain = composed::product(&x, &weight, Some(&bias))?;
            let own = fused::product(&x, &weight, &bias, false)?;
            errors.push(("the product", apart(&own, &plain)?, most));
            let own = fused::product(&x, &weight, &bias, true)?;
            errors.push(("the product with GELU", apart(&own, &plain.gelu()?)?, most));
        }
    }
    Ok(errors)
}

/// The plain product has the same rounded factors; it is taken by the processor, as candle's numbers in fp8 are not
/// there on every card.
fn float8_errors(device: &Device) -> Result<Vec<Error>> {
    let values = |shape: &[usize], salt: usize, dtype| values(shape, salt, dtype, &Device::Cpu);
    let mut errors = Vec::new();
    for (name, rows, biased) in [("the product in fp8", 37, true), ("the product in fp8 of many rows", 512, false)] {
        // A bias as large as the sums.
        let (x, bias) = (values(&[1, rows, 528], 9, DType::BF16)?, (values(&[272], 11, DType::BF16)? * 200.0)?);
        let scale = Tensor::new(&[0.37_f32], &Device::Cpu)?;
        // Of both signs, and no NaN.
        let bytes: Vec<u8> = (0..272_usize * 528).map(|i| (i * 7919 % 127 + i % 2 * 128) as u8).collect();
        let weight: Vec<f32> = bytes.iter().map(|&bits| float8_e4m3(bits)).collect();
        let weight = (Tensor::from_vec(weight, (272, 528), &Device::Cpu)? * 0.37)?;
        let bytes = Tensor::new(bytes, &Device::Cpu)?;
        let rounded = composed::as_float8(&x)?.to_dtype(DType::F32)?;
        let plain = composed::product(&rounded, &weight, Some(&bias.to_dtype(DType::F32)?).filter(|_| biased))?;
        let [x, bytes, scale, bias] = [&x, &bytes, &scale, &bias].map(|x| x.to_device(device));
        let own = fused::product_float8(&x?, [&bytes?, &scale?], 272, Some(&bias?).filter(|_| biased))?;
        // Sums of fp8 products keep fewer bits than f32 has.
        errors.push((name, apart(&own.to_device(&Device::Cpu)?, &plain)?, 1e-2));
    }
    Ok(errors)
}

/// Relative L2.
pub fn apart(own: &Tensor, plain: &Tensor) -> Result<f64> {
    let norm =
        |x: &Tensor| -> candle_core::Result<f64> { Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt()) };
    let (own, plain) = (own.to_dtype(DType::F32)?, plain.to_dtype(DType::F32)?);
    Ok(norm(&(own - &plain)?)? / norm(&plain)?)
}

/// Values between -1 and 1 that nothing repeats soon: they are not to depend on a generator of the device.
pub fn values(shape: &[usize], salt: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    let value = |i: usize| ((i + 1) * (2 * salt + 7919) % 2003) as f32 / 1001.5 - 1.0;
    Ok(Tensor::from_vec((0..count).map(value).collect(), shape, device)?.to_dtype(dtype)?)
}
