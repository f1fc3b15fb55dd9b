use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Element, Matrix, Threads, Values, with_element};
use crate::weights::Weights;
use crate::{Monitor, Result};

/// Values of one task's patch matrix on the CPU: 2 MiB in f32, about the second-level cache.
const PATCH_VALUES: usize = 1 << 19;

/// A 2D convolution over pictures (b, h, w, c), square kernel, channels last.
///
/// Channels last lets a patch be copied as whole runs and norms read whole rows;
/// devices with a library for (b, c, h, w) get that.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// On the CPU (kernel * kernel * in, out), in f32 however the model computes; elsewhere (out, in, kernel, kernel).
    weight: Tensor,
    bias: Tensor,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
}

/// How a convolution walks over the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Every pixel, zeros around: same size out.
    Same,
    /// Every second pixel, zeros right and below only: half the size.
    Half,
    /// Every pixel of the picture doubled in both directions: twice the size.
    Doubled,
}

impl Conv2d {
    /// The convolution at this place, stored in 2D (out, in, k, k).
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn load(in_channels: usize, out_channels: usize, kernel: usize, weights: &Weights) -> Result<Self> {
        let weight = weights.get((out_channels, in_channels, kernel, kernel), "weight")?;
        Self::new(weight, weights.get(out_channels, "bias")?)
    }

    /// The causal 3D convolution at this place, stored as (out, in, k, k, k), as it acts on a single frame:
    /// the past is zeros, so only the last temporal slice counts.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn load_causal(in_channels: usize, out_channels: usize, kernel: usize, weights: &Weights) -> Result<Self> {
        let weight = weights.get((out_channels, in_channels, kernel, kernel, kernel), "weight")?;
        Self::new(weight.narrow(2, kernel - 1, 1)?.squeeze(2)?, weights.get(out_channels, "bias")?)
    }

    fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (out_channels, in_channels, kernel, _) = weight.dims4()?;
        let (weight, bias) = if cpu::takes(&weight) {
            let matrix = weight.permute((2, 3, 1, 0))?.reshape((kernel * kernel * in_channels, out_channels))?;
            (matrix.to_dtype(DType::F32)?.contiguous()?, bias.to_dtype(DType::F32)?)
        } else {
            (weight.contiguous()?, bias)
        };
        Ok(Self { weight, bias, in_channels, out_channels, kernel })
    }

    /// `x` (b, h, w, in) -> (b, h', w', out) with the size that `walk` says.
    ///
    /// # Errors
    /// When shapes do not fit, the device fails, or the monitor says stop.
    pub fn forward(&self, x: &Tensor, walk: Walk, monitor: &Monitor) -> Result<Tensor> {
        monitor.check()?;
        if !cpu::takes(x) {
            return self.on_device(x, walk);
        }
        let x = x.contiguous()?;
        with_element!(x, T => self.on_cpu::<T>(&x, walk))
    }

    fn on_cpu<T: Element>(&self, x: &Tensor, walk: Walk) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        if channels != self.in_channels {
            return Err(cpu::defect(format!("a convolution of {} channels got {:?}", self.in_channels, x.shape())));
        }
        let (out_height, out_width) = match walk {
            Walk::Same => (height, width),
            Walk::Half => (height / 2, width / 2),
            Walk::Doubled => (2 * height, 2 * width),
        };
        let guards = (Values::of(x), Values::of(&self.weight), Values::of(&self.bias));
        let (values, weight, bias) = (guards.0.slice::<T>()?, guards.1.slice::<f32>()?, guards.2.slice::<f32>()?);
        let depth = self.kernel * self.kernel * channels;
        let weight = Matrix::new(weight, depth, self.out_channels);

        let mut out = vec![T::default(); batch * out_height * out_width * self.out_channels];
        let pixels = (PATCH_VALUES / depth).clamp(64, 4096);
        out.par_chunks_mut(pixels * self.out_channels).enumerate().for_each_init(
            || (Vec::new(), Vec::new()),
            |(patches, sums), (chunk, out)| {
                let count = out.len() / self.out_channels;
                patches.resize(count * depth, 0.0);
                let patch = Patch { values, height, width, channels, kernel: self.kernel, walk };
                for (i, row) in patches.chunks_mut(depth).enumerate() {
                    let pixel = chunk * pixels + i;
                    let (picture, rest) = (pixel / (out_height * out_width), pixel % (out_height * out_width));
                    patch.copy(picture, rest / out_width, rest % out_width, row);
                }
                sums.clear();
                (0..count).for_each(|_| sums.extend_from_slice(bias));
                let patches = Matrix::new(patches, count, depth);
                cpu::multiply(sums, self.out_channels, true, patches, weight, Threads::One);
                pulp::Arch::new().dispatch(|| {
                    for (out, &sum) in out.iter_mut().zip(sums.iter()) {
                        *out = T::narrow(sum);
                    }
                });
            },
        );
        Ok(Tensor::from_vec(out, (batch, out_height, out_width, self.out_channels), &Device::Cpu)?)
    }

    fn on_device(&self, x: &Tensor, walk: Walk) -> Result<Tensor> {
        let x = x.permute((0, 3, 1, 2))?.contiguous()?;
        let (_, _, height, width) = x.dims4()?;
        let y = match walk {
            Walk::Same => x.conv2d(&self.weight, self.kernel / 2, 1, 1, 1)?,
            Walk::Half => x.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?.conv2d(&self.weight, 0, 2, 1, 1)?,
            Walk::Doubled => {
                x.upsample_nearest2d(2 * height, 2 * width)?.conv2d(&self.weight, self.kernel / 2, 1, 1, 1)?
            }
        };
        let y = y.broadcast_add(&self.bias.reshape((1, self.out_channels, 1, 1))?)?;
        Ok(y.permute((0, 2, 3, 1))?.contiguous()?)
    }
}

/// Reads the surroundings of a pixel.
struct Patch<'a, T> {
    values: &'a [T],
    height: usize,
    width: usize,
    channels: usize,
    kernel: usize,
    walk: Walk,
}

impl<T: Element> Patch<'_, T> {
    /// Writes what the kernel sees at output pixel (`y`, `x`) to `row`, as (kernel, kernel, channels).
    fn copy(&self, picture: usize, y: usize, x: usize, row: &mut [f32]) {
        let before = if self.walk == Walk::Half { 0 } else { self.kernel / 2 };
        let step = if self.walk == Walk::Half { 2 } else { 1 };
        let zoom = if self.walk == Walk::Doubled { 2 } else { 1 };
        let source = |output: usize, tap: usize, size: usize| {
            (output * step + tap).checked_sub(before).map(|i| i / zoom).filter(|&i| i < size)
        };
        for (ky, line) in row.chunks_mut(self.kernel * self.channels).enumerate() {
            let Some(sy) = source(y, ky, self.height) else {
                line.fill(0.0);
                continue;
            };
            let start = (picture * self.height + sy) * self.width;
            for (kx, pixel) in line.chunks_mut(self.channels).enumerate() {
                match source(x, kx, self.width) {
                    None => pixel.fill(0.0),
                    Some(sx) => {
                        let values = &self.values[(start + sx) * self.channels..][..self.channels];
                        pixel.iter_mut().zip(values).for_each(|(to, from)| *to = from.widen());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle_core::D;

    use super::*;

    /// The kernel here against candle's own convolution, which is a different algorithm.
    #[test]
    fn matches_the_device_path_on_every_walk() {
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        let x = Tensor::randn(0.0_f32, 1.0, (2, 7, 10, 5), &Device::Cpu).unwrap();
        for (kernel, walk) in [(3, Walk::Same), (3, Walk::Half), (3, Walk::Doubled), (1, Walk::Same)] {
            let weight = Tensor::randn(0.0_f32, 1.0, (7, 5, kernel, kernel), &Device::Cpu).unwrap();
            let bias = Tensor::randn(0.0_f32, 1.0, 7, &Device::Cpu).unwrap();
            let here = Conv2d::new(weight.clone(), bias.clone()).unwrap().forward(&x, walk, &monitor).unwrap();
            let there = Conv2d { weight, bias, in_channels: 5, out_channels: 7, kernel };
            let there = there.on_device(&x, walk).unwrap();
            assert_eq!(here.dims(), there.dims());
            let worst = (here - there).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-4, "{walk:?}: {worst}");
        }
    }

    #[test]
    fn keeps_sixteen_bit_types() {
        let mut report = |_| ControlFlow::Continue(());
        let monitor = Monitor::new(&mut report);
        let ones = |shape: &[usize]| Tensor::ones(shape, DType::BF16, &Device::Cpu).unwrap();
        let conv = Conv2d::new(ones(&[4, 3, 3, 3]), ones(&[4])).unwrap();
        let y = conv.forward(&ones(&[1, 3, 3, 3]), Walk::Same, &monitor).unwrap();
        assert_eq!(y.dtype(), DType::BF16);
        let centre = y.narrow(1, 1, 1).unwrap().narrow(2, 1, 1).unwrap().narrow(D::Minus1, 0, 1).unwrap();
        assert_eq!(centre.to_dtype(DType::F32).unwrap().max_all().unwrap().to_scalar::<f32>().unwrap(), 28.0);
    }
}
