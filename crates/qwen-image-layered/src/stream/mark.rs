//! Places in the queues of real devices.

use candle_core::Device;

use crate::Result;

/// A place in the queue of the thread that made it, see [`Load`](super::Load).
///
/// Candle's CUDA devices give each thread a stream of its own (CUDA's per-thread default stream), so a thread that only
/// loads copies beside the thread that computes. Other devices have one queue, or none: they are waited for at once.
#[derive(Debug)]
pub enum Mark {
    Passed,
    #[cfg(feature = "cuda")]
    Event(candle_core::cuda_backend::cudarc::driver::CudaEvent),
}

impl Mark {
    /// After everything that the calling thread has given `device` so far.
    ///
    /// # Errors
    /// When the device fails.
    pub fn here(device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(cuda) = device {
            use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;

            // A waiting thread sleeps; by default it would keep a core busy.
            let flags = Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC);
            return Ok(Self::Event(cuda.cuda_stream().record_event(flags).map_err(candle_core::Error::wrap)?));
        }
        device.synchronize()?;
        Ok(Self::Passed)
    }

    /// Makes `device` run what the calling thread submits from now on after this mark.
    ///
    /// # Errors
    /// When the device fails.
    pub fn follow(&self, device: &Device) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let (Self::Event(event), Device::Cuda(cuda)) = (self, device) {
            cuda.cuda_stream().wait(event).map_err(candle_core::Error::wrap)?;
        }
        let _ = device;
        Ok(())
    }

    /// Waits until the device has come here.
    ///
    /// # Errors
    /// When the device fails.
    pub fn wait(&self) -> Result<()> {
        match self {
            Self::Passed => Ok(()),
            #[cfg(feature = "cuda")]
            Self::Event(event) => Ok(event.synchronize().map_err(candle_core::Error::wrap)?),
        }
    }
}
