//! NVIDIA GPUs, asked of their driver. Without the feature `cuda` there are none.

use std::fmt;

/// The oldest compute capability that has numbers in bf16, and that kernels are compiled for.
pub const LEAST_CAPABILITY: (u32, u32) = (8, 0);

/// The oldest compute capability whose tensor cores multiply in fp8.
pub const FLOAT8_CAPABILITY: (u32, u32) = (8, 9);

/// A GPU as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    /// Bytes that it has, and that nobody uses.
    pub total: u64,
    pub free: u64,
    /// Compute capability (major, minor).
    pub capability: (u32, u32),
}

/// Why a GPU cannot be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("this build has no CUDA; build it with --features cuda, or use --device cpu")]
    NotBuilt,
    #[error(
        "NVIDIA's {} cannot be loaded; install the driver (580 or newer) and the CUDA 13 libraries (cuBLAS, cuRAND), or \
         use --device cpu", .0.join(", "))]
    Libraries(Vec<&'static str>),
    #[error("GPU {number} cannot be used: {reason}; see nvidia-smi")]
    Driver { number: usize, reason: String },
    #[error("{name} has compute capability {}.{}, 8.0 (Ampere) or newer is needed; use --device cpu", .capability.0, .capability.1)]
    TooOld { name: String, capability: (u32, u32) },
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.capability;
        write!(f, "{}, compute capability {major}.{minor}", self.name)
    }
}

/// GPU `number` of this machine. Never panics, whatever is missing.
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
    // A driver that is older than the program can lack functions, which the bindings answer with a panic.
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

/// Libraries that are loaded at run time and are not here.
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

/// Linked libraries are there, or the program would not have started.
#[cfg(not(all(feature = "cuda", feature = "dynamic-loading")))]
fn missing_libraries() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_gpu_gets_a_word_and_no_panic() {
        match probe(0) {
            Ok(gpu) => assert!(gpu.free <= gpu.total && gpu.capability >= LEAST_CAPABILITY, "{gpu}"),
            Err(why) => {
                let text = why.to_string();
                let advice = ["--device cpu", "nvidia-smi"];
                assert!(advice.iter().any(|advice| text.contains(advice)), "{text}");
            }
        }
        // No machine has that many.
        assert!(probe(4000).is_err());
    }
}
