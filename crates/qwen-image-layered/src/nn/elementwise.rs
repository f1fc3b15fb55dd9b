//! Norms, activations and modulations, fused on the CPU: one pass over memory, f32 inside.

use candle_core::{D, DType, Tensor};

use super::composed;
use super::cpu::{self, Element, Values, with_element};
#[cfg(feature = "cuda")]
use super::fused;
use crate::Result;

/// `x / sqrt(mean(x^2) + eps) * weight` over the last axis; `weight` (c).
///
/// # Errors
/// When shapes do not fit or the device fails.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if !cpu::takes(x) {
        return Ok(candle_nn::ops::rms_norm(&x.contiguous()?, weight, eps as f32)?);
    }
    let (x, weight) = (x.contiguous()?, weight.to_dtype(DType::F32)?);
    with_element!(x, T => {
        let (x_values, weight_values) = (Values::of(&x), Values::of(&weight));
        let (values, weight) = (x_values.slice::<T>()?, weight_values.slice::<f32>()?);
        let c = weight.len();
        cpu::from_rows::<T>(x.dims(), c, |i, out| {
            let row = &values[i * c..][..c];
            let factor = inverse_rms(row, eps as f32);
            for ((out, &x), &weight) in out.iter_mut().zip(row).zip(weight) {
                *out = T::narrow(x.widen() * factor * weight);
            }
        })
    })
}

#[inline(always)]
fn inverse_rms<T: Element>(row: &[T], eps: f32) -> f32 {
    let squares = cpu::sum(row.len(), |i| row[i].widen() * row[i].widen());
    1.0 / (squares / row.len() as f32 + eps).sqrt()
}

/// Layer norm without affine, then `x * (1 + scale) + shift`; `shift` and `scale` (1, c), `x` (1, n, c).
///
/// # Errors
/// When shapes do not fit or the device fails.
pub fn modulate(x: &Tensor, shift: &Tensor, scale: &Tensor, eps: f64) -> Result<Tensor> {
    if !cpu::takes(x) {
        // One kernel: a layer norm's own weight and bias are what the modulation is.
        let (weight, bias) = ((scale.squeeze(0)? + 1.0)?, shift.squeeze(0)?);
        return Ok(candle_nn::ops::layer_norm(&x.contiguous()?, &weight, &bias.contiguous()?, eps as f32)?);
    }
    let x = x.contiguous()?;
    let (shift, scale) = (shift.to_dtype(DType::F32)?.contiguous()?, scale.to_dtype(DType::F32)?.contiguous()?);
    with_element!(x, T => {
        let guards = (Values::of(&x), Values::of(&shift), Values::of(&scale));
        let (values, shift, scale) = (guards.0.slice::<T>()?, guards.1.slice::<f32>()?, guards.2.slice::<f32>()?);
        let c = shift.len();
        cpu::from_rows::<T>(x.dims(), c, |i, out| {
            let row = &values[i * c..][..c];
            let mean = cpu::sum(c, |i| row[i].widen()) / c as f32;
            let square = |i: usize| (row[i].widen() - mean) * (row[i].widen() - mean);
            let factor = 1.0 / (cpu::sum(c, square) / c as f32 + eps as f32).sqrt();
            for (i, out) in out.iter_mut().enumerate() {
                *out = T::narrow((row[i].widen() - mean) * factor * (1.0 + scale[i]) + shift[i]);
            }
        })
    })
}

/// `x + gate * y`; `gate` (1, c), `x` and `y` (1, n, c).
///
/// # Errors
/// When shapes do not fit or the device fails.
pub fn add_gated(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    if !cpu::takes(x) {
        #[cfg(feature = "cuda")]
        if fused::takes(x) {
            return fused::add_gated(x, gate, y);
        }
        return composed::add_gated(x, gate, y);
    }
    let (x, y, gate) = (x.contiguous()?, y.contiguous()?, gate.to_dtype(DType::F32)?.contiguous()?);
    with_element!(x, T => {
        let guards = (Values::of(&x), Values::of(&y), Values::of(&gate));
        let (x_values, y_values, gate) = (guards.0.slice::<T>()?, guards.1.slice::<T>()?, guards.2.slice::<f32>()?);
        let c = gate.len();
        cpu::from_rows::<T>(x.dims(), c, |i, out| {
            let (x, y) = (&x_values[i * c..][..c], &y_values[i * c..][..c]);
            for (i, out) in out.iter_mut().enumerate() {
                *out = T::narrow(x[i].widen() + gate[i] * y[i].widen());
            }
        })
    })
}

/// GELU in its tanh form: `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
///
/// # Errors
/// When the device fails.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    if !cpu::takes(x) {
        return Ok(x.gelu()?);
    }
    each(x, |x| {
        let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
        // (1 + tanh(u)) / 2 = 1 / (1 + e^-2u)
        x / (1.0 + cpu::exp(-2.0 * inner))
    })
}

/// `x / (1 + e^-x)`.
///
/// # Errors
/// When the device fails.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    if !cpu::takes(x) {
        return Ok(candle_nn::ops::silu(x)?);
    }
    each(x, silu_of)
}

#[inline(always)]
fn silu_of(x: f32) -> f32 {
    x / (1.0 + cpu::exp(-x))
}

/// Applies `f` to every value of a CPU tensor.
fn each(x: &Tensor, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    let x = x.contiguous()?;
    let width = x.dim(D::Minus1)?;
    with_element!(x, T => {
        let guard = Values::of(&x);
        let values = guard.slice::<T>()?;
        cpu::from_rows::<T>(x.dims(), width, |i, out| {
            for (out, &x) in out.iter_mut().zip(&values[i * width..]) {
                *out = T::narrow(f(x.widen()));
            }
        })
    })
}

/// RMS norm of each head and then rotation of the adjacent pairs (2k, 2k + 1) by the angles of `rotation`.
///
/// `x` (1, n, h, d), `weight` (d), `rotation` (n, d) in f32 with cosine and sine of pair k at 2k and 2k + 1
/// -> (1, n, h, d).
///
/// # Errors
/// When shapes do not fit or the device fails.
pub fn rms_norm_rotate(x: &Tensor, weight: &Tensor, eps: f64, rotation: &Tensor) -> Result<Tensor> {
    if !cpu::takes(x) {
        #[cfg(feature = "cuda")]
        if fused::takes(x) {
            return fused::rms_norm_rotate(x, weight, eps, rotation);
        }
        return composed::rms_norm_rotate(x, weight, eps, rotation);
    }
    let (_, _, h, d) = x.dims4()?;
    let (x, weight) = (x.contiguous()?, weight.to_dtype(DType::F32)?);
    with_element!(x, T => {
        let guards = (Values::of(&x), Values::of(&weight), Values::of(rotation));
        let (values, weight, rotation) = (guards.0.slice::<T>()?, guards.1.slice::<f32>()?, guards.2.slice::<f32>()?);
        cpu::from_rows::<T>(x.dims(), d, |i, out| {
            let row = &values[i * d..][..d];
            let turn = &rotation[i / h * d..][..d];
            let factor = inverse_rms(row, eps as f32);
            for k in (0..d).step_by(2) {
                let (re, im) = (row[k].widen() * factor * weight[k], row[k + 1].widen() * factor * weight[k + 1]);
                let (cos, sin) = (turn[k], turn[k + 1]);
                out[k] = T::narrow(re * cos - im * sin);
                out[k + 1] = T::narrow(re * sin + im * cos);
            }
        })
    })
}

/// `x / max(||x||, 1e-12) * sqrt(c) * gamma` over the last axis, and SiLU after it when `activate`.
///
/// # Errors
/// When shapes do not fit or the device fails.
pub fn channel_norm(x: &Tensor, gamma: &Tensor, activate: bool) -> Result<Tensor> {
    let c = x.dim(D::Minus1)?;
    let root = (c as f64).sqrt();
    if !cpu::takes(x) {
        // sqrt(c) / ||x|| is 1 / sqrt(mean(x^2)); the square of 1e-12 keeps zeros zero.
        let y = rms_norm(x, gamma, 1e-24)?;
        return if activate { silu(&y) } else { Ok(y) };
    }
    let (x, gamma) = (x.contiguous()?, gamma.to_dtype(DType::F32)?.contiguous()?);
    with_element!(x, T => {
        let guards = (Values::of(&x), Values::of(&gamma));
        let (values, gamma) = (guards.0.slice::<T>()?, guards.1.slice::<f32>()?);
        cpu::from_rows::<T>(x.dims(), c, |i, out| {
            let row = &values[i * c..][..c];
            let norm = cpu::sum(c, |i| row[i].widen() * row[i].widen()).sqrt().max(1e-12);
            let factor = root as f32 / norm;
            for ((out, &x), &gamma) in out.iter_mut().zip(row).zip(gamma) {
                let y = x.widen() * factor * gamma;
                *out = T::narrow(if activate { silu_of(y) } else { y });
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::as_device;

    fn random(shape: &[usize], dtype: DType) -> Tensor {
        Tensor::randn(0.3_f32, 1.0, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    /// The kernels here against what other devices compute with.
    fn compare(dtype: DType, bar: f32, work: impl Fn() -> Result<Tensor>) {
        let (here, there) = (work().unwrap(), as_device(&work).unwrap());
        assert_eq!((here.dtype(), here.dims()), (dtype, there.dims()));
        let wide = |x: Tensor| x.to_dtype(DType::F32).unwrap();
        let norm = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let (here, there) = (wide(here), wide(there));
        let error = norm(&(&here - there).unwrap()) / norm(&here);
        assert!(error <= bar, "{error:e}");
    }

    #[test]
    fn devices_compute_the_same() {
        for (dtype, bar) in [(DType::F32, 1e-5), (DType::BF16, 8e-3)] {
            let (x, y) = (random(&[1, 9, 64], dtype), random(&[1, 9, 64], dtype));
            let (shift, scale) = (random(&[1, 64], dtype), random(&[1, 64], dtype));
            compare(dtype, bar, || modulate(&x, &shift, &scale, 1e-6));
            compare(dtype, bar, || add_gated(&x, &shift, &y));
            compare(dtype, bar, || gelu_tanh(&x));
            compare(dtype, bar, || silu(&x));
            compare(dtype, bar, || rms_norm(&x, &shift.squeeze(0)?, 1e-6));
            let (heads, weight) = (random(&[1, 9, 4, 16], dtype), random(&[16], dtype));
            let rotation = random(&[9, 16], DType::F32);
            compare(dtype, bar, || rms_norm_rotate(&heads, &weight, 1e-6, &rotation));
            let map = random(&[1, 5, 6, 32], dtype);
            let gamma = random(&[32], dtype);
            compare(dtype, bar, || channel_norm(&map, &gamma, false));
            compare(dtype, bar, || channel_norm(&map, &gamma, true));
        }
    }
}
