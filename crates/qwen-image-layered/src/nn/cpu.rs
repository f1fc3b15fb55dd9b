//! Shared by the CPU kernels: element types, access to values, fast exponentials.

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, Layout, Storage, Tensor, WithDType};
use half::{bf16, f16};
use rayon::prelude::*;

use crate::{Error, Result};

/// A type that weights and activations are stored in; kernels compute in f32.
pub trait Element: WithDType + Default + Send + Sync {
    fn widen(self) -> f32;
    fn narrow(value: f32) -> Self;
    /// The nearest bf16.
    #[inline(always)]
    fn rounded(self) -> bf16 {
        bf16::narrow(self.widen())
    }
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }
}

impl Element for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
    /// Nearest, ties to even, without the branch for NaN payloads, so that loops vectorise.
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
        bf16::from_bits(if value.is_nan() { 0x7fc0 } else { rounded })
    }
    #[inline(always)]
    fn rounded(self) -> bf16 {
        self
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        f16::from_f32(value)
    }
}

/// Whether the kernels here can take tensors of this device and type.
pub fn takes(tensor: &Tensor) -> bool {
    #[cfg(any(test, feature = "testing"))]
    if AS_DEVICE.get() {
        return false;
    }
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::BF16 | DType::F16)
}

#[cfg(any(test, feature = "testing"))]
thread_local! {
    static AS_DEVICE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `work` with what other devices compute with, on the CPU.
#[cfg(any(test, feature = "testing"))]
pub fn as_device<T>(work: impl FnOnce() -> T) -> T {
    AS_DEVICE.set(true);
    let result = work();
    AS_DEVICE.set(false);
    result
}

/// Calls `$body` with `$T` bound to the element type of `$tensor`, which [`takes`] has accepted.
macro_rules! with_element {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            candle_core::DType::F16 => {
                type $T = half::f16;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// A mistake of the code that called a kernel.
pub fn defect(what: impl Into<String>) -> Error {
    Error::Compute(candle_core::Error::Msg(what.into()))
}

/// Read access to the values of a CPU tensor.
pub struct Values<'a> {
    storage: Box<dyn Deref<Target = Storage> + 'a>,
    layout: &'a Layout,
}

impl<'a> Values<'a> {
    pub fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage: Box::new(storage), layout }
    }

    fn cpu(&self) -> Result<&CpuStorage> {
        match &**self.storage {
            Storage::Cpu(storage) => Ok(storage),
            _ => Err(defect("a CPU kernel got a tensor of another device")),
        }
    }

    /// The values in order.
    ///
    /// # Errors
    /// When the tensor is not contiguous, of another type, or not on the CPU.
    pub fn slice<T: WithDType>(&self) -> Result<&[T]> {
        let Some((start, end)) = self.layout.contiguous_offsets() else {
            return Err(defect("a CPU kernel needs a contiguous tensor"));
        };
        Ok(&self.cpu()?.as_slice::<T>()?[start..end])
    }

    /// All values from the tensor's first one on, to be read by its strides.
    ///
    /// # Errors
    /// When the tensor is of another type or not on the CPU.
    pub fn strided<T: WithDType>(&self) -> Result<&[T]> {
        Ok(&self.cpu()?.as_slice::<T>()?[self.layout.start_offset()..])
    }
}

/// A tensor of `shape` from rows of `width` values, each computed by `row(index, out)` on some thread.
///
/// # Errors
/// When `shape` does not hold a whole number of rows.
pub fn from_rows<T: Element>(shape: &[usize], width: usize, row: impl Fn(usize, &mut [T]) + Sync) -> Result<Tensor> {
    let mut values = vec![T::default(); shape.iter().product()];
    // Large enough to pay for a task, small enough to balance.
    let rows = (16_384 / width.max(1)).max(1);
    values.par_chunks_mut(rows * width).enumerate().for_each(|(chunk, out)| {
        pulp::Arch::new().dispatch(|| {
            for (i, out) in out.chunks_mut(width).enumerate() {
                row(chunk * rows + i, out);
            }
        });
    });
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// `e^x` to about 2 ulp for `x` in [-87, 88], saturating outside; written so that loops over it vectorise.
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "the digits of the Cephes library, whose polynomial this is")]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    // Adding and taking away 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    let shifted = x * std::f32::consts::LOG2_E + 12_582_912.0;
    let n = shifted - 12_582_912.0;
    let r = x - n * 0.693359375 + n * 2.12194440e-4;
    let mut y = 1.9875691500e-4;
    y = y * r + 1.3981999507e-3;
    y = y * r + 8.3334519073e-3;
    y = y * r + 4.1665795894e-2;
    y = y * r + 1.6666665459e-1;
    y = y * r + 5.0000001201e-1;
    y = y * r * r + r + 1.0;
    let power = shifted.to_bits().wrapping_add(127) << 23;
    y * f32::from_bits(power)
}

/// Sum of `term(i)` over 0..count in 16 running sums, so that it vectorises and stays exact to about sqrt(n) ulp.
#[inline(always)]
pub fn sum(count: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut sums = [0.0_f32; 16];
    let whole = count / 16 * 16;
    for start in (0..whole).step_by(16) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    (whole..count).for_each(|i| sums[i % 16] += term(i));
    sums.iter().sum()
}
