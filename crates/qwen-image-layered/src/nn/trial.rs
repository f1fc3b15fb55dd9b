//! Whether kernels give on a device what candle's own operations give there. Until that is known they are not used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, DeviceLocation, Tensor};

use crate::gpu::FLOAT8_CAPABILITY;
use crate::{Degradation, KernelSet, Result};

/// What was found on a device: `None`, or what is wrong.
type Verdicts = HashMap<(DeviceLocation, KernelSet), Option<String>>;

static VERDICTS: Mutex<Option<Verdicts>> = Mutex::new(None);

/// Compares kernels with candle's operations on a device.
pub type Trial = fn(&Device) -> Result<Vec<Error>>;

/// Whether `kernels` may be used on `device`. The first call for a device runs `trial` there.
pub fn passed(device: &Device, kernels: KernelSet, trial: Trial) -> bool {
    if !capability(device).is_some_and(|capability| supports(kernels, capability)) {
        return false;
    }
    let mut verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
    match verdicts.get_or_insert_default().entry((device.location(), kernels)) {
        Entry::Occupied(entry) => entry.get().is_none(),
        Entry::Vacant(entry) => match trial(device) {
            Ok(errors) => entry.insert(worst(&errors)).is_none(),
            // This says nothing about the kernels, and there may be room another time.
            Err(error) if error.is_out_of_memory() => false,
            Err(error) => entry.insert(Some(error.to_string())).is_none(),
        },
    }
}

/// What is wrong with kernels that gave these errors.
fn worst(errors: &[Error]) -> Option<String> {
    let (name, error, _) = errors.iter().find(|(_, error, most)| error.is_nan() || error > most)?;
    Some(format!("{name} has a relative error of {error:.1e} on this device"))
}

/// Compute capability of a GPU that is open.
fn capability(device: &Device) -> Option<(u32, u32)> {
    let (major, minor) = device.as_cuda_device().ok()?.cuda_stream().context().compute_capability().ok()?;
    Some((major.unsigned_abs(), minor.unsigned_abs()))
}

/// Whether GPUs of this compute capability have what the kernels need.
fn supports(kernels: KernelSet, capability: (u32, u32)) -> bool {
    match kernels {
        KernelSet::Fused => true,
        KernelSet::Flash3 => capability == (9, 0),
        KernelSet::Float8 => capability >= FLOAT8_CAPABILITY,
    }
}

/// Which of the kernels that were tried on this device are not used, and why.
pub fn degradations(device: &Device) -> Vec<Degradation> {
    let verdicts = VERDICTS.lock().unwrap_or_else(PoisonError::into_inner);
    let on_device = verdicts.iter().flatten().filter(|((location, _), _)| *location == device.location());
    let rejected = on_device
        .filter_map(|(&(_, kernels), reason)| Some(Degradation::KernelsRejected { kernels, reason: reason.clone()? }));
    let mut rejected: Vec<_> = rejected.collect();
    rejected.sort();
    rejected
}

/// Name of a kernel, its relative L2 error, and the largest that is accepted.
pub type Error = (&'static str, f64, f64);

/// The relative error in the L2 norm.
pub fn relative_error(found: &Tensor, expected: &Tensor) -> Result<f64> {
    let norm =
        |x: &Tensor| -> candle_core::Result<f64> { Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt()) };
    let (found, expected) = (found.to_dtype(DType::F32)?, expected.to_dtype(DType::F32)?);
    Ok(norm(&(found - &expected)?)? / norm(&expected)?)
}

/// Values between -1 and 1 without a short period, which do not depend on a device's random generator.
pub fn values(shape: &[usize], salt: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let count = shape.iter().product::<usize>();
    let value = |i: usize| ((i + 1) * (2 * salt + 7919) % 2003) as f32 / 1001.5 - 1.0;
    Ok(Tensor::from_vec((0..count).map(value).collect(), shape, device)?.to_dtype(dtype)?)
}
