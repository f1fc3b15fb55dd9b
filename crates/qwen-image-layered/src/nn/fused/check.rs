//! Whether the kernels give on a device what candle's own operations give there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, DeviceLocation, Tensor};

use super::{ops, product};
use crate::Result;
use crate::nn::composed;

/// Relative L2 error up to which both are the same, in f32 and in bf16.
const SAME: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::BF16, 1e-2)];

/// What was found on each card: nothing, or what is wrong.
static FOUND: Mutex<Option<HashMap<DeviceLocation, Option<String>>>> = Mutex::new(None);

/// Whether the kernels can take tensors of this device and type.
pub fn takes(x: &Tensor) -> bool {
    matches!(x.dtype(), DType::F32 | DType::BF16) && found(x.device()).is_some_and(|wrong| wrong.is_none())
}

/// Why the kernels are not used on this device, where they could be.
pub fn remark(device: &Device) -> Option<String> {
    let reason = found(device)??;
    Some(format!("kernels of our own are not used, which is slower: {reason}"))
}

/// `None` where there are no such kernels. The first call on a card tries them.
fn found(device: &Device) -> Option<Option<String>> {
    if !device.is_cuda() {
        return None;
    }
    let mut all = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let of_device = all.get_or_insert_default().entry(device.location()).or_insert_with(|| wrong(device));
    Some(of_device.clone())
}

fn wrong(device: &Device) -> Option<String> {
    match errors(device) {
        Ok(errors) => {
            errors.into_iter().find(|(_, error, most)| error.is_nan() || error > most).map(|(name, error, _)| {
                format!("{name} is off by {error:.1e} on this device; please report it with its name")
            })
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Of each kernel its name, its error, and the most that it may be.
fn errors(device: &Device) -> Result<Vec<(&'static str, f64, f64)>> {
    const EPS: f64 = 1e-6;
    let mut errors = Vec::new();
    for (dtype, most) in SAME {
        // Shapes that fill neither a warp nor a block.
        let values = |shape: &[usize], salt: usize| values(shape, salt, dtype, device);
        let (heads, weight) = (values(&[1, 33, 3, 96], 1)?, values(&[96], 2)?);
        let rotation = values(&[33, 96], 3)?.to_dtype(DType::F32)?;
        let own = ops::rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        let plain = composed::rms_norm_rotate(&heads, &weight, EPS, &rotation)?;
        errors.push(("norm and rotation", apart(&own, &plain)?, most));
        let (x, y, gate) = (values(&[1, 33, 520], 4)?, values(&[1, 33, 520], 5)?, values(&[1, 520], 6)?);
        let own = ops::add_gated(&x, &gate, &y)?;
        errors.push(("the gated sum", apart(&own, &composed::add_gated(&x, &gate, &y)?)?, most));
        if dtype == DType::BF16 {
            let (weight, bias) = (values(&[264, 520], 7)?, values(&[264], 8)?);
            let plain = composed::product(&x, &weight, Some(&bias))?;
            let own = product::product(&x, &weight, &bias, false)?;
            errors.push(("the product", apart(&own, &plain)?, most));
            let own = product::product(&x, &weight, &bias, true)?;
            errors.push(("the product with GELU", apart(&own, &plain.gelu()?)?, most));
        }
    }
    Ok(errors)
}

/// Relative L2.
fn apart(own: &Tensor, plain: &Tensor) -> Result<f64> {
    let norm =
        |x: &Tensor| -> candle_core::Result<f64> { Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt()) };
    let (own, plain) = (own.to_dtype(DType::F32)?, plain.to_dtype(DType::F32)?);
    Ok(norm(&(own - &plain)?)? / norm(&plain)?)
}

/// Values between -1 and 1 that nothing repeats soon: they are not to depend on a generator of the device.
fn values(shape: &[usize], salt: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    let value = |i: usize| ((i + 1) * (2 * salt + 7919) % 2003) as f32 / 1001.5 - 1.0;
    Ok(Tensor::from_vec((0..count).map(value).collect(), shape, device)?.to_dtype(dtype)?)
}
