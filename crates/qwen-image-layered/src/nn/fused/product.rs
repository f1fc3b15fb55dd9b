//! Matrix products whose bias and GELU cost no pass over memory of their own (cuBLASLt's epilogues).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice as _, BackendStorage as _};
use candle_core::cuda_backend::cudarc::cublaslt::{Activation, CudaBlasLT, Matmul as _, MatmulConfig};
use candle_core::{CudaDevice, CudaStorage, DType, DeviceLocation, Shape, Tensor, bail};
use half::bf16;

use super::ops::{Input, OnCuda, Operation, Raw, slice};
use crate::Result;

/// Whether [`product`] can be asked: for bf16. In f32 cuBLASLt's wrapper would round what it multiplies to 10 bits.
pub fn takes_product(x: &Tensor, weight: &Tensor) -> bool {
    x.dtype() == DType::BF16 && weight.dtype() == DType::BF16 && super::takes(x)
}

/// `x W^T + b`, and GELU in its tanh form after it when `gelu`: `x` (..., in), `weight` (out, in), `bias` (out)
/// -> (..., out). Sums are f32, and so are bias and GELU before the result is rounded.
pub fn product(x: &Tensor, weight: &Tensor, bias: &Tensor, gelu: bool) -> Result<Tensor> {
    let (x, weight, bias) = (aligned(x)?, aligned(weight)?, aligned(bias)?);
    Ok(x.apply_op3_no_bwd(&weight, &bias, &OnCuda(Product { gelu }))?)
}

/// The library chooses among algorithms that take matrices from places that are multiples of this many bytes, where
/// the device's allocations begin. Parts of a tensor may begin elsewhere.
const ALIGNMENT: usize = 256;

fn aligned(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let start = x.layout().start_offset() * x.dtype().size_in_bytes();
    Ok(if start.is_multiple_of(ALIGNMENT) { x } else { x.force_contiguous()? })
}

struct Product {
    gelu: bool,
}

/// One for each card, with its workspace, however often the card is opened: a card's products come from one thread at a
/// time.
static LIBRARY: Mutex<Option<HashMap<DeviceLocation, CudaBlasLT>>> = Mutex::new(None);

/// Bytes of the workspace, at most.
const WORKSPACE: usize = 32 << 20;

fn with_library<T>(device: &CudaDevice, work: impl FnOnce(&CudaBlasLT) -> Raw<T>) -> Raw<T> {
    let mut libraries = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match libraries.get_or_insert_default().entry(device.location()) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            // The wrapper panics where there is no memory for its workspace; this is an error there.
            drop(device.alloc_zeros::<u8>(WORKSPACE)?);
            entry.insert(CudaBlasLT::new(device.cuda_stream()).map_err(candle_core::Error::wrap)?)
        }
    };
    work(library)
}

impl Operation for Product {
    const NAME: &'static str = "product";

    fn run(&self, inputs: [Input; 3]) -> Raw<(CudaStorage, Shape)> {
        let [(x, x_layout), (weight, weight_layout), (bias, bias_layout)] = inputs;
        let (rows, columns) = weight_layout.shape().dims2()?;
        let dims = x_layout.dims();
        if dims.last() != Some(&columns) || bias_layout.dims() != [rows] {
            bail!("{dims:?}, {:?} and {:?} do not go together", weight_layout.dims(), bias_layout.dims());
        }
        let count = x_layout.shape().elem_count() / columns;
        let device = x.device();
        let (x, weight) = (slice::<bf16>((x, x_layout))?, slice::<bf16>((weight, weight_layout))?);
        let bias = slice::<bf16>((bias, bias_layout))?;
        #[allow(unsafe_code, reason = "the product writes all of it")]
        let mut out = unsafe { device.alloc::<bf16>(count * rows) }?;
        // The library's matrices lie in columns, so it sees all of these transposed: out^T = W x^T.
        let config = MatmulConfig {
            transa: true,
            transb: false,
            transc: false,
            m: rows as u64,
            n: count as u64,
            k: columns as u64,
            alpha: 1.0,
            lda: columns as i64,
            ldb: columns as i64,
            beta: 0.0,
            ldc: rows as i64,
            stride_a: None,
            stride_b: None,
            stride_c: None,
            stride_bias: None,
            batch_size: None,
        };
        let activation = self.gelu.then_some(Activation::Gelu);
        with_library(device, |library| {
            #[allow(unsafe_code, reason = "the shapes above are those of the three matrices and of the bias")]
            unsafe { library.matmul(config, &weight, &x, &mut out, Some(&bias), activation.as_ref()) }
                .map_err(candle_core::Error::wrap)
        })?;
        let shape = [&dims[..dims.len() - 1], &[rows]].concat();
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), Shape::from(shape)))
    }
}
