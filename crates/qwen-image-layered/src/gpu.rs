//! The NVIDIA GPUs of this machine, as their driver reports them. Without the feature `cuda` there are none.

use std::fmt;

/// The lowest compute capability that has bf16, and that kernels are compiled for.
pub const LEAST_CAPABILITY: (u32, u32) = (8, 0);

/// The lowest compute capability whose tensor cores multiply in fp8.
pub const FLOAT8_CAPABILITY: (u32, u32) = (8, 9);

/// A GPU as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its product name.
    pub name: String,
    /// Bytes of memory that it has.
    pub total: u64,
    /// Bytes of memory that are not in use.
    pub free: u64,
    /// Compute capability (major, minor).
    pub capability: (u32, u32),
}

/// Why a GPU cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// This build has no support for CUDA.
    #[error("this build has no CUDA")]
    NotBuilt,
    /// Libraries of NVIDIA's cannot be loaded: `driver` (580 or newer), `cuBLAS` and `cuRAND` (of CUDA 13).
    #[error("NVIDIA's {} cannot be loaded", .0.join(", "))]
    Libraries(Vec<&'static str>),
    /// The driver refused, or the GPU does not exist.
    #[error("GPU {number} cannot be used: {reason}")]
    Driver {
        /// Number of the GPU, from 0.
        number: usize,
        /// What the driver said.
        reason: String,
    },
    /// The GPU is older than [`LEAST_CAPABILITY`].
    #[error("{name} has compute capability {}.{}, 8.0 (Ampere) or newer is needed", .capability.0, .capability.1)]
    TooOld {
        /// Its product name.
        name: String,
        /// Its compute capability (major, minor).
        capability: (u32, u32),
    },
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(f, "{}, compute capability {major}.{minor}", self.name)
    }
}

/// Looks up GPU `number` of this machine. Never panics, whatever is missing.
///
/// # Errors
/// Why it cannot be used.
pub fn probe(number: usize) -> Result<Gpu, Unusable> {
    let missing = missing_libraries();
    if !missing.is_empty() {
        return Err(Unusable::Libraries(missing));
    }
    let gpu = ask(number)?;
    if gpu.capability < LEAST_CAPABILITY {
        return Err(Unusable::TooOld { name: gpu.name, capability: gpu.capability });
    }
    Ok(gpu)
}

#[cfg(not(feature = "cuda"))]
fn ask(_number: usize) -> Result<Gpu, Unusable> {
    Err(Unusable::NotBuilt)
}

#[cfg(feature = "cuda")]
fn ask(number: usize) -> Result<Gpu, Unusable> {
    use candle_core::cuda_backend::cudarc::driver::CudaContext;

    let failed = |reason: &dyn fmt::Display| Unusable::Driver { number, reason: reason.to_string() };
    // A driver that is older than the program can lack functions; the bindings then panic.
    let asked = std::panic::catch_unwind(|| {
        let context = CudaContext::new(number)?;
        let (free, total) = context.mem_get_info()?;
        Ok::<_, candle_core::cuda_backend::cudarc::driver::DriverError>((
            context.name()?,
            context.compute_capability()?,
            free,
            total,
        ))
    });
    let asked = asked.map_err(|_| failed(&"the driver is too old for this program"))?;
    let (name, (major, minor), free, total) = asked.map_err(|error| failed(&error))?;
    let capability = (major.unsigned_abs(), minor.unsigned_abs());
    Ok(Gpu { name, total: total as u64, free: free as u64, capability })
}

/// Libraries that are loaded at run time and are missing.
#[cfg(all(feature = "cuda", feature = "dynamic-loading"))]
#[allow(unsafe_code, reason = "loading a library runs its initialisers: here those of NVIDIA's own")]
fn missing_libraries() -> Vec<&'static str> {
    use candle_core::cuda_backend::cudarc::{cublas, curand, driver};

    // SAFETY: the three calls only open the libraries by their usual names and close them again.
    let present = unsafe {
        [
            ("driver", driver::sys::is_culib_present()),
            ("cuBLAS", cublas::sys::is_culib_present()),
            ("cuRAND", curand::sys::is_culib_present()),
        ]
    };
    present.into_iter().filter(|(_, present)| !present).map(|(name, _)| name).collect()
}

/// Linked libraries exist, or the program would not have started.
#[cfg(not(all(feature = "cuda", feature = "dynamic-loading")))]
fn missing_libraries() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_gpu_gets_an_error_and_no_panic() {
        match probe(0) {
            Ok(gpu) => assert!(gpu.free <= gpu.total && gpu.capability >= LEAST_CAPABILITY, "{gpu}"),
            Err(why) => assert_eq!(why == Unusable::NotBuilt, cfg!(not(feature = "cuda")), "{why}"),
        }
        // No machine has that many.
        assert!(probe(4000).is_err());
    }
}
