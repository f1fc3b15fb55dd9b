//! cuBLASLt: matrix products as in cuBLAS, with epilogues and fp8.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;

use candle_core::backend::BackendDevice as _;
use candle_core::cuda_backend::cudarc::cublaslt::result::{self, CublasError};
use candle_core::cuda_backend::cudarc::cublaslt::sys;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DevicePtr as _, DevicePtrMut as _};
use candle_core::{CudaDevice, DeviceLocation, Error};
use half::bf16;

use super::ops::Raw;

/// `y = x W^T`, with what is done to the sums before they are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Product {
    /// Rows of `x`.
    pub count: usize,
    /// Columns of `x` and of `W`.
    pub depth: usize,
    /// Rows of `W`.
    pub rows: usize,
    pub epilogue: Epilogue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Epilogue {
    Nothing,
    Bias,
    BiasAndGelu,
}

/// The factors.
pub enum Factors<'a> {
    Bf16 {
        x: CudaView<'a, bf16>,
        weight: CudaView<'a, bf16>,
    },
    /// Float8 E4M3, each to be multiplied with its scale.
    Float8 {
        x: CudaView<'a, u8>,
        x_scale: CudaView<'a, f32>,
        weight: CudaView<'a, u8>,
        weight_scale: CudaView<'a, f32>,
    },
}

/// Bytes of the workspace: what NVIDIA recommends for Hopper.
pub const WORKSPACE: usize = 32 << 20;

/// `CUBLAS_OP_T` of cuBLAS, which these bindings do not have.
const TRANSPOSED: i32 = 1;

/// The library on one GPU, however often that is opened.
struct Library {
    workspace: CudaSlice<u8>,
    handle: Owned<sys::cublasLtHandle_t>,
    /// The algorithm that the library chose; choosing takes longer than a launch.
    chosen: HashMap<(Product, bool), sys::cublasLtMatmulAlgo_t>,
}

thread_local! {
    /// Each thread has its own stream, and products of two streams must not share a workspace.
    static LIBRARIES: RefCell<HashMap<DeviceLocation, Library>> = RefCell::default();
}

/// (count, rows), row after row.
pub fn multiply(
    device: &CudaDevice,
    product: Product,
    factors: &Factors,
    bias: Option<&CudaView<bf16>>,
) -> Raw<CudaSlice<bf16>> {
    #[allow(unsafe_code, reason = "zeroing what is overwritten would cost a pass over memory")]
    // SAFETY: the product below writes every element before anything reads it.
    let mut out = unsafe { device.alloc::<bf16>(product.count * product.rows) }?;
    LIBRARIES.with_borrow_mut(|libraries| -> Raw<()> {
        let library = match libraries.entry(device.location()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Library {
                workspace: device.alloc_zeros::<u8>(WORKSPACE)?,
                handle: Owned { raw: result::create_handle().map_err(Error::wrap)?, destroy: result::destroy_handle },
                chosen: HashMap::new(),
            }),
        };
        library.multiply(device, product, factors, bias, &mut out).map_err(Error::wrap)
    })?;
    Ok(out)
}

impl Library {
    fn multiply(
        &mut self,
        device: &CudaDevice,
        product: Product,
        factors: &Factors,
        bias: Option<&CudaView<bf16>>,
        out: &mut CudaSlice<bf16>,
    ) -> Result<(), CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;

        let stream = device.cuda_stream();
        let Product { count, depth, rows, epilogue } = product;
        let float8 = matches!(factors, Factors::Float8 { .. });
        let factor = if float8 { sys::cudaDataType_t::CUDA_R_8F_E4M3 } else { sys::cudaDataType_t::CUDA_R_16BF };
        // The library's matrices lie in columns, so it sees all of these transposed: y^T = W x^T.
        let (weight_layout, x_layout) = (matrix(factor, depth, rows)?, matrix(factor, depth, count)?);
        let out_layout = matrix(sys::cudaDataType_t::CUDA_R_16BF, rows, count)?;
        let work = Work::new()?;
        work.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        let epilogue = match epilogue {
            Epilogue::Nothing => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_DEFAULT,
            Epilogue::Bias => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS,
            Epilogue::BiasAndGelu => sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        work.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        // The guards keep the buffers in place until the product is queued.
        let bias = bias.map(|bias| bias.device_ptr(&stream));
        if let Some((pointer, _)) = &bias {
            work.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointer)?;
            work.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &sys::cudaDataType_t::CUDA_R_16BF)?;
        }
        let (x, weight, _scales) = match factors {
            Factors::Bf16 { x, weight } => (x.device_ptr(&stream), weight.device_ptr(&stream), None),
            Factors::Float8 { x, x_scale, weight, weight_scale } => {
                let scales = (x_scale.device_ptr(&stream), weight_scale.device_ptr(&stream));
                work.set(Attribute::CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &scales.0.0)?;
                work.set(Attribute::CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &scales.1.0)?;
                // Sums stay in the tensor cores, which keep fewer bits of them; widening them between costs a third of
                // the speed.
                work.set(Attribute::CUBLASLT_MATMUL_DESC_FAST_ACCUM, &1_i8)?;
                (x.device_ptr(&stream), weight.device_ptr(&stream), Some(scales))
            }
        };
        let algorithm = match self.chosen.entry((product, float8)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let preference = preference()?;
                #[allow(unsafe_code, reason = "cuBLASLt is called through its C interface")]
                // SAFETY: the handle, descriptors and layouts were made by the library and are alive.
                let found = unsafe {
                    result::get_matmul_algo_heuristic(
                        self.handle.raw,
                        work.raw,
                        weight_layout.raw,
                        x_layout.raw,
                        out_layout.raw,
                        out_layout.raw,
                        preference.raw,
                    )
                }?;
                *entry.insert(found.algo)
            }
        };
        let (out, _written) = out.device_ptr_mut(&stream);
        let (workspace, _used) = self.workspace.device_ptr_mut(&stream);
        let (one, zero) = (1.0_f32, 0.0_f32);
        #[allow(unsafe_code, reason = "cuBLASLt is called through its C interface")]
        // SAFETY: each layout is that of its matrix, and the guards keep the matrices and the workspace alive until the
        // product is queued on their stream.
        unsafe {
            result::matmul(
                self.handle.raw,
                work.raw,
                (&raw const one).cast(),
                (&raw const zero).cast(),
                weight.0 as *const c_void,
                weight_layout.raw,
                x.0 as *const c_void,
                x_layout.raw,
                out as *const c_void,
                out_layout.raw,
                out as *mut c_void,
                out_layout.raw,
                &raw const algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream.cu_stream().cast(),
            )
        }
    }
}

/// An object of the library, destroyed when it is dropped.
struct Owned<T: Copy> {
    raw: T,
    destroy: unsafe fn(T) -> Result<(), CublasError>,
}

impl<T: Copy> Drop for Owned<T> {
    fn drop(&mut self) {
        #[allow(unsafe_code, reason = "cuBLASLt is called through its C interface")]
        // SAFETY: the library made `raw`, and it is destroyed once. A failure leaks it: there is nobody to report it to.
        let _ = unsafe { (self.destroy)(self.raw) };
    }
}

/// How a matrix lies in memory: columns of `height` values, one after the other.
fn matrix(
    kind: sys::cudaDataType_t,
    height: usize,
    width: usize,
) -> Result<Owned<sys::cublasLtMatrixLayout_t>, CublasError> {
    let raw = result::create_matrix_layout(kind, height as u64, width as u64, height as i64)?;
    Ok(Owned { raw, destroy: result::destroy_matrix_layout })
}

/// The description of a product; sums are f32.
type Work = Owned<sys::cublasLtMatmulDesc_t>;

impl Work {
    fn new() -> Result<Self, CublasError> {
        let sums = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        let raw = result::create_matmul_desc(sums, sys::cudaDataType_t::CUDA_R_32F)?;
        Ok(Self { raw, destroy: result::destroy_matmul_desc })
    }

    /// `value` has the type that the manual gives for `attribute`.
    fn set<T>(&self, attribute: sys::cublasLtMatmulDescAttributes_t, value: &T) -> Result<(), CublasError> {
        #[allow(unsafe_code, reason = "cuBLASLt is called through its C interface")]
        // SAFETY: the descriptor is alive, and the library copies `size_of::<T>()` bytes of `value`.
        unsafe {
            result::set_matmul_desc_attribute(self.raw, attribute, std::ptr::from_ref(value).cast(), size_of::<T>())
        }
    }
}

/// That an algorithm may use the workspace.
fn preference() -> Result<Owned<sys::cublasLtMatmulPreference_t>, CublasError> {
    use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;

    let preference = Owned { raw: result::create_matmul_pref()?, destroy: result::destroy_matmul_pref };
    #[allow(unsafe_code, reason = "cuBLASLt is called through its C interface")]
    // SAFETY: the preference is alive, and the library copies `size_of::<usize>()` bytes of the constant.
    unsafe {
        result::set_matmul_pref_attribute(
            preference.raw,
            Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            std::ptr::from_ref(&WORKSPACE).cast(),
            size_of::<usize>(),
        )
    }?;
    Ok(preference)
}
