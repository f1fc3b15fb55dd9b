use candle_core::backend::BackendStorage as _;
use candle_core::cuda_backend::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg as _};
use candle_core::cuda_backend::{CudaDType, WrapErr as _};
use candle_core::{CpuStorage, CudaStorage, CustomOp3, DType, Layout, Shape, Tensor, WithDType, bail};
use half::bf16;

use super::launch::Launch;
use crate::Result;

mod ptx {
    include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
}

/// kernels.cu for the driver to compile.
pub const KERNELS: &str = ptx::KERNELS;

/// Name under which the device caches the compiled kernels.
pub const MODULE: &str = "unflatten";

pub type Raw<T> = candle_core::Result<T>;

/// See [`rms_norm_rotate`](crate::nn::rms_norm_rotate).
pub fn rms_norm_rotate(x: &Tensor, weight: &Tensor, eps: f64, rotation: &Tensor) -> Result<Tensor> {
    let (x, weight, rotation) = (x.contiguous()?, weight.contiguous()?, rotation.contiguous()?);
    Ok(x.apply_op3_no_bwd(&weight, &rotation, &OnCuda(RmsNormRotate { eps: eps as f32 }))?)
}

/// See [`add_gated`](crate::nn::add_gated).
pub fn add_gated(x: &Tensor, gate: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (x, gate, y) = (x.contiguous()?, gate.contiguous()?, y.contiguous()?);
    Ok(x.apply_op3_no_bwd(&gate, &y, &OnCuda(AddGated))?)
}

struct RmsNormRotate {
    eps: f32,
}

struct AddGated;

/// A tensor on the device.
pub type Input<'a> = (&'a CudaStorage, &'a Layout);

/// A type that there are kernels for.
trait Value: CudaDType + DeviceRepr + WithDType {}

impl Value for f32 {}
impl Value for bf16 {}

/// An operation on three tensors on a device; returns the result and its shape.
pub trait Operation {
    const NAME: &'static str;

    fn run(&self, inputs: [Input; 3]) -> Raw<(CudaStorage, Shape)>;
}

/// A kernel of kernels.cu, where its name ends with `suffix` for this type. The result has the shape of the first input.
trait Kernel {
    const KERNEL: &'static str;

    fn launch<T: Value>(&self, suffix: &str, inputs: [Input; 3]) -> Raw<CudaStorage>;
}

impl Kernel for RmsNormRotate {
    const KERNEL: &'static str = "rms_norm_rotate";

    fn launch<T: Value>(&self, suffix: &str, inputs: [Input; 3]) -> Raw<CudaStorage> {
        let [(x, layout), weight, rotation] = inputs;
        let (batch, tokens, heads, width) = layout.shape().dims4()?;
        let pairs = width / 2;
        let fits =
            batch == 1 && width.is_multiple_of(2) && weight.1.dims() == [width] && rotation.1.dims() == [tokens, width];
        let device = x.device();
        let (Ok(rows), true) = (u32::try_from(tokens * heads), fits) else {
            bail!("{:?}, {:?} and {:?} do not go together", layout.shape(), weight.1.shape(), rotation.1.shape())
        };
        let (x, weight, rotation) = (slice::<T>((x, layout))?, slice::<T>(weight)?, slice::<f32>(rotation)?);
        let function = device.get_or_load_custom_func(&format!("{}_{suffix}", Self::KERNEL), MODULE, KERNELS)?;
        let (heads, pairs, eps) = (heads as u32, pairs as u32, self.eps);
        #[allow(unsafe_code, reason = "zeroing what is overwritten would cost a pass over memory")]
        // SAFETY: the kernel below writes every element before anything reads it.
        let out = unsafe { device.alloc::<T>(tokens * heads as usize * width) }?;
        let mut builder = function.builder();
        builder.arg(&x).arg(&weight).arg(&rotation).arg(&out).arg(&rows).arg(&heads).arg(&pairs).arg(&eps);
        #[allow(unsafe_code, reason = "a kernel launch is a foreign call")]
        // SAFETY: the arguments are those of the kernel in kernels.cu; the shapes checked above bound what it accesses.
        unsafe { builder.launch(config(Launch::of_warps(rows))) }.w()?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    }
}

impl Kernel for AddGated {
    const KERNEL: &'static str = "add_gated";

    fn launch<T: Value>(&self, suffix: &str, inputs: [Input; 3]) -> Raw<CudaStorage> {
        let [(x, layout), gate, y] = inputs;
        let (batch, tokens, width) = layout.shape().dims3()?;
        let fits =
            batch == 1 && width.is_multiple_of(2) && gate.1.dims() == [1, width] && y.1.shape() == layout.shape();
        let device = x.device();
        let (Ok(rows), true) = (u32::try_from(tokens), fits) else {
            bail!("{:?}, {:?} and {:?} do not go together", layout.shape(), gate.1.shape(), y.1.shape())
        };
        let (x, gate, y) = (slice::<T>((x, layout))?, slice::<T>(gate)?, slice::<T>(y)?);
        let function = device.get_or_load_custom_func(&format!("{}_{suffix}", Self::KERNEL), MODULE, KERNELS)?;
        let pairs = (width / 2) as u32;
        #[allow(unsafe_code, reason = "zeroing what is overwritten would cost a pass over memory")]
        // SAFETY: the kernel below writes every element before anything reads it.
        let out = unsafe { device.alloc::<T>(tokens * width) }?;
        let mut builder = function.builder();
        builder.arg(&x).arg(&gate).arg(&y).arg(&out).arg(&rows).arg(&pairs);
        #[allow(unsafe_code, reason = "a kernel launch is a foreign call")]
        // SAFETY: the arguments are those of the kernel in kernels.cu; the shapes checked above bound what it accesses.
        unsafe { builder.launch(config(Launch::of_rows(rows, pairs))) }.w()?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    }
}

/// The values of a contiguous tensor; kernels read them in pairs, which begin at even places.
pub fn slice<'a, T: CudaDType>((storage, layout): Input<'a>) -> Raw<CudaView<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) if start.is_multiple_of(2) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        _ => bail!("values have to be contiguous and to begin at an even place"),
    }
}

pub fn config(launch: Launch) -> LaunchConfig {
    let [x, y] = launch.grid;
    let [across, down] = launch.block;
    LaunchConfig { grid_dim: (x, y, 1), block_dim: (across, down, 1), shared_mem_bytes: 0 }
}

/// An operation as candle takes it.
pub struct OnCuda<T>(pub T);

impl<T: Operation> CustomOp3 for OnCuda<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Raw<(CpuStorage, Shape)> {
        bail!("{} is for CUDA", T::NAME)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        z: &CudaStorage,
        z_layout: &Layout,
    ) -> Raw<(CudaStorage, Shape)> {
        self.0.run([(x, x_layout), (y, y_layout), (z, z_layout)])
    }
}

impl<T: Kernel> Operation for T {
    const NAME: &'static str = T::KERNEL;

    fn run(&self, inputs: [Input; 3]) -> Raw<(CudaStorage, Shape)> {
        let [(x, layout), ..] = inputs;
        let out = match x.dtype() {
            DType::F32 => self.launch::<f32>("f32", inputs)?,
            DType::BF16 => self.launch::<bf16>("bf16", inputs)?,
            other => bail!("{} does not take {other:?}", T::KERNEL),
        };
        Ok((out, layout.shape().clone()))
    }
}
