//! Matrix products whose bias and GELU cost no pass over memory of their own, and products in fp8.

use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, PushKernelArg as _};
use candle_core::cuda_backend::{CudaDevice, WrapErr as _};
use candle_core::{CudaStorage, Shape, Storage, Tensor, bail};
use half::bf16;

use super::launch::Launch;
use super::library::{Epilogue, Factors, Product, multiply};
use super::ops::{Input, KERNELS, MODULE, OnCuda, Operation, Raw, config, slice};
use crate::Result;

/// `x W^T + b`, and GELU in its tanh form after it when `gelu`: `x` (..., in), `weight` (out, in), `bias` (out)
/// -> (..., out). Sums are f32, and so are bias and GELU before the result is rounded.
pub fn product(x: &Tensor, weight: &Tensor, bias: &Tensor, gelu: bool) -> Result<Tensor> {
    let (x, weight, bias) = (aligned(x)?, aligned(weight)?, aligned(bias)?);
    Ok(x.apply_op3_no_bwd(&weight, &bias, &OnCuda(InBf16 { gelu }))?)
}

/// `x W^T + b` of factors in float8 E4M3: `x` (..., in) in bf16 is rounded to it with one scale, so that its largest
/// value is 448; `weight` are bytes (out * in) and what each is multiplied with (1), in f32. -> (..., out) in bf16.
pub fn product_float8(x: &Tensor, [weight, scale]: [&Tensor; 2], rows: usize, bias: Option<&Tensor>) -> Result<Tensor> {
    let (x, weight) = (aligned(x)?, aligned(weight)?);
    let (bias, biased) = match bias {
        Some(bias) => (aligned(bias)?, true),
        // An operation of candle has three inputs.
        None => (x.clone(), false),
    };
    let work = InFloat8 { rows, scale: aligned(scale)?, biased };
    Ok(x.apply_op3_no_bwd(&weight, &bias, &OnCuda(work))?)
}

/// The library chooses among algorithms that take matrices from places that are multiples of this many bytes, where
/// the device's allocations begin. Parts of a tensor may begin elsewhere.
const ALIGNMENT: usize = 256;

fn aligned(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let start = x.layout().start_offset() * x.dtype().size_in_bytes();
    Ok(if start.is_multiple_of(ALIGNMENT) { x } else { x.force_contiguous()? })
}

struct InBf16 {
    gelu: bool,
}

impl Operation for InBf16 {
    const NAME: &'static str = "product";

    fn run(&self, inputs: [Input; 3]) -> Raw<(CudaStorage, Shape)> {
        let [(x, x_layout), (weight, weight_layout), (bias, bias_layout)] = inputs;
        let (rows, depth) = weight_layout.shape().dims2()?;
        let dims = x_layout.dims();
        if dims.last() != Some(&depth) || bias_layout.dims() != [rows] {
            bail!("{dims:?}, {:?} and {:?} do not go together", weight_layout.dims(), bias_layout.dims());
        }
        let epilogue = if self.gelu { Epilogue::BiasAndGelu } else { Epilogue::Bias };
        let product = Product { count: x_layout.shape().elem_count() / depth, depth, rows, epilogue };
        let device = x.device();
        let factors =
            Factors::Bf16 { x: slice::<bf16>((x, x_layout))?, weight: slice::<bf16>((weight, weight_layout))? };
        let out = multiply(device, product, &factors, Some(&slice::<bf16>((bias, bias_layout))?))?;
        Ok(with_rows(out, device, dims, rows))
    }
}

struct InFloat8 {
    rows: usize,
    /// Of the matrix, (1).
    scale: Tensor,
    /// Whether the third input is a bias.
    biased: bool,
}

impl Operation for InFloat8 {
    const NAME: &'static str = "product in fp8";

    fn run(&self, inputs: [Input; 3]) -> Raw<(CudaStorage, Shape)> {
        let [(x, x_layout), (weight, weight_layout), (bias, bias_layout)] = inputs;
        let (dims, rows) = (x_layout.dims(), self.rows);
        let depth = dims.last().copied().unwrap_or(0);
        let count = x_layout.shape().elem_count() / depth.max(1);
        let fits = weight_layout.dims() == [rows * depth] && (!self.biased || bias_layout.dims() == [rows]);
        if depth == 0 || !fits || self.scale.elem_count() != 1 {
            bail!("{dims:?}, {:?} and {:?} do not go together", weight_layout.dims(), bias_layout.dims());
        }
        let device = x.device();
        let (narrow, x_scale) = narrowed(device, &slice::<bf16>((x, x_layout))?)?;
        let (scale, scale_layout) = self.scale.storage_and_layout();
        let Storage::Cuda(scale) = &*scale else { bail!("the scale is not on the device") };
        let factors = Factors::Float8 {
            x: narrow.as_view(),
            x_scale: x_scale.as_view(),
            weight: slice::<u8>((weight, weight_layout))?,
            weight_scale: slice::<f32>((scale, scale_layout))?,
        };
        let bias = if self.biased { Some(slice::<bf16>((bias, bias_layout))?) } else { None };
        let epilogue = if self.biased { Epilogue::Bias } else { Epilogue::Nothing };
        let out = multiply(device, Product { count, depth, rows, epilogue }, &factors, bias.as_ref())?;
        Ok(with_rows(out, device, dims, rows))
    }
}

/// `x` in float8 E4M3, and what each of its values is multiplied with.
fn narrowed(device: &CudaDevice, x: &CudaView<bf16>) -> Raw<(CudaSlice<u8>, CudaSlice<f32>)> {
    let pairs = x.len() as u64 / 2;
    let config = config(Launch::of_pairs(pairs));
    let largest = device.alloc_zeros::<u32>(1)?;
    let kernel = device.get_or_load_custom_func("largest_bf16", MODULE, KERNELS)?;
    let mut builder = kernel.builder();
    builder.arg(x).arg(&largest).arg(&pairs);
    #[allow(unsafe_code, reason = "a kernel launch is a foreign call")]
    // SAFETY: the arguments are those of the kernel in kernels.cu, which reads `pairs` pairs, as many as `x` has.
    unsafe { builder.launch(config) }.w()?;
    #[allow(unsafe_code, reason = "zeroing what is overwritten would cost a pass over memory")]
    // SAFETY: the kernel below writes every element of both before anything reads them.
    let (narrow, scale) = unsafe { (device.alloc::<u8>(x.len())?, device.alloc::<f32>(1)?) };
    let kernel = device.get_or_load_custom_func("to_float8_bf16", MODULE, KERNELS)?;
    let mut builder = kernel.builder();
    builder.arg(x).arg(&largest).arg(&narrow).arg(&scale).arg(&pairs);
    #[allow(unsafe_code, reason = "a kernel launch is a foreign call")]
    // SAFETY: the arguments are those of the kernel in kernels.cu, which writes as many pairs as it reads from `x`.
    unsafe { builder.launch(config) }.w()?;
    Ok((narrow, scale))
}

/// `out` in the shape of what was multiplied, but for `rows` values in place of the last axis.
fn with_rows(out: CudaSlice<bf16>, device: &CudaDevice, dims: &[usize], rows: usize) -> (CudaStorage, Shape) {
    let shape = [&dims[..dims.len() - 1], &[rows]].concat();
    (CudaStorage::wrap_cuda_slice(out, device.clone()), Shape::from(shape))
}
