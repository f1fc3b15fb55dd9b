use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::cpu::{self, Element, Values, with_element};
use super::panels::Panels;
use super::tile::{PANEL, ROWS};
use super::word::Word;
use crate::{Monitor, Result};

/// Pixels of one task on the CPU: what they see and their sums fit the second-level cache.
const PIXELS: usize = 256;

/// Bytes of the patches that a device lays out at a time: without a library of its own for convolutions, candle
/// copies the input once for each tap of the kernel, which for a whole picture would be gigabytes.
pub const CONV_COLUMNS_BYTES: usize = 256 << 20;

/// A 2D convolution over pictures (b, h, w, c), square kernel, channels last.
///
/// Channels last lets a patch be copied as whole runs and norms read whole rows;
/// devices with a library for (b, c, h, w) get that.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Weight,
    bias: Tensor,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
}

#[derive(Debug, Clone)]
enum Weight {
    /// (kernel * kernel * in, out), in f32 however the model computes.
    Cpu(Arc<Panels<f32>>),
    /// (out, in, kernel, kernel)
    Device(Tensor),
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
    /// From `weight` (out, in, kernel, kernel) and `bias` (out).
    ///
    /// # Errors
    /// When the shapes do not fit or the device fails.
    pub fn new(weight: Tensor, bias: Tensor) -> Result<Self> {
        let (out_channels, in_channels, kernel, _) = weight.dims4()?;
        let (weight, bias) = if cpu::takes(&weight) {
            let depth = kernel * kernel * in_channels;
            let rows = weight.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?.contiguous()?;
            let mut panels = Panels::default();
            panels.refill_transposed(Values::of(&rows).slice::<f32>()?, depth, out_channels, depth);
            (Weight::Cpu(Arc::new(panels)), bias.to_dtype(DType::F32)?)
        } else {
            (Weight::Device(weight.contiguous()?), bias)
        };
        Ok(Self { weight, bias, in_channels, out_channels, kernel })
    }

    /// `x` (b, h, w, in) -> (b, h', w', out) with the size that `walk` says.
    ///
    /// # Errors
    /// When shapes do not fit, the device fails, or the monitor says stop.
    pub fn forward(&self, x: &Tensor, walk: Walk, monitor: &Monitor) -> Result<Tensor> {
        self.run(x, walk, None, monitor)
    }

    /// As [`Conv2d::forward`], plus `residual` of the result's shape.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn forward_add(&self, x: &Tensor, walk: Walk, residual: &Tensor, monitor: &Monitor) -> Result<Tensor> {
        self.run(x, walk, Some(residual), monitor)
    }

    fn run(&self, x: &Tensor, walk: Walk, residual: Option<&Tensor>, monitor: &Monitor) -> Result<Tensor> {
        monitor.check()?;
        match &self.weight {
            Weight::Cpu(panels) => with_element!(x, T => self.on_cpu::<T>(panels, x, walk, residual)),
            Weight::Device(weight) => {
                let y = self.on_device(weight, x, walk)?;
                Ok(match residual {
                    Some(residual) => (y + residual)?,
                    None => y,
                })
            }
        }
    }

    fn on_cpu<T: Element>(
        &self,
        panels: &Panels<f32>,
        x: &Tensor,
        walk: Walk,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (batch, height, width, channels) = x.dims4()?;
        if channels != self.in_channels {
            return Err(cpu::defect(format!("a convolution of {} channels got {:?}", self.in_channels, x.shape())));
        }
        let (out_height, out_width) = match walk {
            Walk::Same => (height, width),
            Walk::Half => (height / 2, width / 2),
            Walk::Doubled => (2 * height, 2 * width),
        };
        let out_shape = [batch, out_height, out_width, self.out_channels];
        if residual.is_some_and(|residual| residual.dims() != out_shape) {
            return Err(cpu::defect(format!("a convolution gives {out_shape:?}, to which {residual:?} does not fit")));
        }
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        let residual = residual.map(Tensor::contiguous).transpose()?;
        let guards = (Values::of(&x), Values::of(&self.bias), residual.as_ref().map(Values::of));
        let (values, bias) = (guards.0.slice::<f32>()?, guards.1.slice::<f32>()?);
        let residual = guards.2.as_ref().map(Values::slice::<T>).transpose()?;
        let picture =
            Picture { values, height, width, channels, kernel: self.kernel, walk, zeros: &vec![0.0; channels] };

        let kernel = f32::kernel();
        let mut out = vec![T::default(); out_shape.iter().product()];
        out.par_chunks_mut(PIXELS * self.out_channels).enumerate().for_each_init(
            || (Vec::new(), vec![0.0; PIXELS * PANEL]),
            |(seen, sums), (chunk, out)| {
                let count = out.len() / self.out_channels;
                picture.look(chunk * PIXELS, count, (out_height, out_width), seen);
                let tiles = count.div_ceil(ROWS);
                for panel in 0..panels.count() {
                    let columns = panels.width(panel);
                    for (tap, seen) in seen.chunks(tiles).enumerate() {
                        let right = panels.part(panel, tap * channels, channels);
                        for (rows, sums) in seen.iter().zip(sums.chunks_mut(ROWS * PANEL)) {
                            kernel.tile(*rows, right, columns, sums, PANEL, tap > 0);
                        }
                    }
                    let first = panel * PANEL;
                    let bias = &bias[first..(first + PANEL).min(self.out_channels)];
                    pulp::Arch::new().dispatch(|| {
                        for (i, (out, sums)) in out.chunks_mut(self.out_channels).zip(sums.chunks(PANEL)).enumerate() {
                            let out = &mut out[first..][..bias.len()];
                            match residual {
                                None => {
                                    for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                                        *out = T::narrow(sum + bias);
                                    }
                                }
                                Some(residual) => {
                                    let place = (chunk * PIXELS + i) * self.out_channels + first;
                                    let residual = &residual[place..][..bias.len()];
                                    for (((out, sum), bias), old) in out.iter_mut().zip(sums).zip(bias).zip(residual) {
                                        *out = T::narrow(sum + bias + old.widen());
                                    }
                                }
                            }
                        }
                    });
                }
            },
        );
        Ok(Tensor::from_vec(out, &out_shape, &Device::Cpu)?)
    }

    fn on_device(&self, weight: &Tensor, x: &Tensor, walk: Walk) -> Result<Tensor> {
        self.in_bands(weight, x, walk, CONV_COLUMNS_BYTES)
    }

    /// In bands of output rows, each from the input rows that it sees: the same as the whole at once, with no more
    /// than `columns_bytes` of patches at a time.
    fn in_bands(&self, weight: &Tensor, x: &Tensor, walk: Walk, columns_bytes: usize) -> Result<Tensor> {
        let (batch, height, width, _) = x.dims4()?;
        let (rows, columns) = match walk {
            Walk::Same => (height, width),
            Walk::Half => (height / 2, width / 2),
            Walk::Doubled => (2 * height, 2 * width),
        };
        let row = batch * columns * self.in_channels * self.kernel.pow(2) * x.dtype().size_in_bytes();
        // Whole input rows when they are doubled.
        let band = (columns_bytes / row.max(1)).max(2) / 2 * 2;
        let bias = self.bias.reshape((1, 1, 1, self.out_channels))?;
        let one = |start: usize| -> Result<Tensor> {
            let count = band.min(rows - start);
            let y = self.band(weight, x, walk, start, count)?;
            Ok(y.permute((0, 2, 3, 1))?.contiguous()?.broadcast_add(&bias)?)
        };
        if rows <= band {
            return one(0);
        }
        Ok(Tensor::cat(&(0..rows).step_by(band).map(one).collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// Output rows `start..start + count`, without bias: (b, out, count, columns).
    fn band(&self, weight: &Tensor, x: &Tensor, walk: Walk, start: usize, count: usize) -> Result<Tensor> {
        let (_, height, width, _) = x.dims4()?;
        let around = self.kernel / 2;
        // Input rows `from..to`, some of which may lie outside of the picture.
        let rows = |from: isize, to: isize| -> Result<Tensor> {
            let inside = |row: isize| row.clamp(0, height as isize) as usize;
            let (first, end) = (inside(from), inside(to));
            let (above, below) = (first as isize - from, to - end as isize);
            let part = x.narrow(1, first, end - first)?.permute((0, 3, 1, 2))?.contiguous()?;
            Ok(if above + below > 0 { part.pad_with_zeros(2, above as usize, below as usize)? } else { part })
        };
        let (first, end) = (start as isize, (start + count) as isize);
        let halo = around as isize;
        Ok(match walk {
            Walk::Same => {
                let part = rows(first - halo, end + halo)?.pad_with_zeros(3, around, around)?;
                part.conv2d(weight, 0, 1, 1, 1)?
            }
            Walk::Half => {
                let part = rows(2 * first, 2 * end - 2 + self.kernel as isize)?.pad_with_zeros(3, 0, 1)?;
                part.conv2d(weight, 0, 2, 1, 1)?
            }
            Walk::Doubled => {
                // One more input row on each side than the halo needs, cut off after doubling; a row outside of the
                // picture is zeros either way.
                let part = rows(first / 2 - halo, end / 2 + halo)?;
                let doubled = part.upsample_nearest2d(2 * part.dim(2)?, 2 * width)?;
                let cut = doubled.narrow(2, around, count + 2 * around)?.contiguous()?;
                cut.pad_with_zeros(3, around, around)?.conv2d(weight, 0, 1, 1, 1)?
            }
        })
    }
}

/// The input of a convolution: pictures (b, height, width, channels).
struct Picture<'a> {
    values: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
    kernel: usize,
    walk: Walk,
    /// One pixel beyond the border.
    zeros: &'a [f32],
}

impl<'a> Picture<'a> {
    /// Fills `seen` with the input pixels that `count` output pixels from `first` on see: for each tap of the
    /// kernel, in rows of eight neighbours. The last row repeats zeros.
    fn look(
        &self,
        first: usize,
        count: usize,
        (out_height, out_width): (usize, usize),
        seen: &mut Vec<[&'a [f32]; ROWS]>,
    ) {
        seen.clear();
        for tap in 0..self.kernel * self.kernel {
            for start in (0..count).step_by(ROWS) {
                seen.push(std::array::from_fn(|i| {
                    if start + i >= count {
                        return self.zeros;
                    }
                    let pixel = first + start + i;
                    let (picture, rest) = (pixel / (out_height * out_width), pixel % (out_height * out_width));
                    let (y, x) = (rest / out_width, rest % out_width);
                    let source = self.source(y, tap / self.kernel, self.height).zip(self.source(
                        x,
                        tap % self.kernel,
                        self.width,
                    ));
                    match source {
                        None => self.zeros,
                        Some((y, x)) => {
                            let place = (picture * self.height + y) * self.width + x;
                            &self.values[place * self.channels..][..self.channels]
                        }
                    }
                }));
            }
        }
    }

    /// Where along an axis of `size` output `output` finds what the kernel's `tap` meets; nowhere beyond the border.
    fn source(&self, output: usize, tap: usize, size: usize) -> Option<usize> {
        let (step, zoom, before) = match self.walk {
            Walk::Same => (1, 1, self.kernel / 2),
            Walk::Half => (2, 1, 0),
            Walk::Doubled => (1, 2, self.kernel / 2),
        };
        (output * step + tap).checked_sub(before).map(|i| i / zoom).filter(|&i| i < size)
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
            let ours = Conv2d::new(weight.clone(), bias.clone()).unwrap();
            let here = ours.forward(&x, walk, &monitor).unwrap();
            let there = Weight::Device(weight);
            let there = Conv2d { weight: there, bias, in_channels: 5, out_channels: 7, kernel };
            if let Weight::Device(weight) = &there.weight {
                // Bands of two rows against all of it at once.
                let (whole, bands) = (usize::MAX, 1);
                let whole = there.in_bands(weight, &x, walk, whole).unwrap();
                let bands = there.in_bands(weight, &x, walk, bands).unwrap();
                let worst = (whole - bands).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(worst < 1e-5, "{kernel}, {walk:?}: {worst}");
            }
            let residual = Tensor::randn(0.0_f32, 1.0, here.dims(), &Device::Cpu).unwrap();
            let both = ours.forward_add(&x, walk, &residual, &monitor).unwrap();
            let there = there.forward(&x, walk, &monitor).unwrap();
            let rest = ((both - residual).unwrap() - &here).unwrap().abs().unwrap().max_all().unwrap();
            assert!(rest.to_scalar::<f32>().unwrap() < 1e-5, "{walk:?}");
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
