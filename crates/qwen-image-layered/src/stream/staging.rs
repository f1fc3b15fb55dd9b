//! Page-locked memory on the way from a mapped file to a device.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Device;
use rayon::prelude::*;

use super::mark::Mark;
use super::ring::Ring;
use crate::Result;

/// Blocks that are staged at a time: one is filled from its file while the other is copied to the device.
pub const STAGED: usize = 2;

/// Where a tensor begins in a buffer: devices copy whole lines.
const ALIGNMENT: usize = 256;

/// Bytes that one thread copies at a time.
const PIECE: usize = 1 << 20;

/// Memory that a device copies from by itself, at the full speed of its link, while the thread that asked for the copy
/// goes on. From a mapped file the driver copies through a small buffer of its own, and the thread waits.
pub struct Staging {
    state: Mutex<State>,
}

struct State {
    ring: Ring<Arc<dyn Buffer>, Mark>,
    /// Bytes of the buffer in use that are taken.
    taken: usize,
}

/// Host memory, which may have to come from a driver.
trait Buffer: Send + Sync {
    fn bytes(&self) -> &[u8];
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// Bytes in a buffer, to be copied before the part that they are of is complete.
#[derive(Clone)]
pub struct Staged {
    buffer: Arc<dyn Buffer>,
    range: Range<usize>,
}

impl Staging {
    /// Buffers for parts of `size` bytes on their way to `device`; `None` for devices that do not need them.
    ///
    /// # Errors
    /// When there is no such memory. Parts can then be copied from where they are.
    pub fn new(device: &Device, size: usize) -> Result<Option<Self>> {
        let buffers: Option<Result<Vec<_>>> = (0..STAGED).map(|_| page_locked(device, size)).collect();
        Ok(buffers.transpose()?.map(Self::of))
    }

    fn of(buffers: Vec<Arc<dyn Buffer>>) -> Self {
        Self { state: Mutex::new(State { ring: Ring::new(buffers, Mark::wait), taken: 0 }) }
    }

    /// Bytes that a tensor of `bytes` bytes takes in a buffer.
    pub fn room(bytes: usize) -> usize {
        bytes.next_multiple_of(ALIGNMENT)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part in the next buffer, when the device is done with what was in it. Parts are staged by one thread.
    ///
    /// # Errors
    /// When the device fails.
    pub fn begin(&self) -> Result<()> {
        let mut state = self.lock();
        state.taken = 0;
        state.ring.advance()
    }

    /// Ends a part: at `mark` the device has copied it.
    pub fn end(&self, mark: Mark) {
        self.lock().ring.leave(mark);
    }

    /// `bytes` in the buffer of the part, where they have room in it.
    pub fn stage(&self, bytes: &[u8]) -> Option<Staged> {
        let mut state = self.lock();
        let range = state.taken..state.taken + bytes.len();
        let buffer = state.ring.buffer()?;
        // There is no other reference: what was staged before has been copied.
        let place = Arc::get_mut(buffer)?.bytes_mut().get_mut(range.clone())?;
        place.par_chunks_mut(PIECE).zip(bytes.par_chunks(PIECE)).for_each(|(to, from)| to.copy_from_slice(from));
        let buffer = buffer.clone();
        state.taken += Self::room(bytes.len());
        Some(Staged { buffer, range })
    }
}

impl Staged {
    pub fn as_slice(&self) -> &[u8] {
        self.buffer.bytes().get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("range", &self.range).finish_non_exhaustive()
    }
}

#[cfg(not(feature = "cuda"))]
fn page_locked(_device: &Device, _size: usize) -> Option<Result<Arc<dyn Buffer>>> {
    None
}

#[cfg(feature = "cuda")]
fn page_locked(device: &Device, size: usize) -> Option<Result<Arc<dyn Buffer>>> {
    let Device::Cuda(cuda) = device else { return None };
    let buffer = cuda::PageLocked::new(cuda, size).map_err(|error| candle_core::Error::wrap(error).into());
    Some(buffer.map(|buffer| Arc::new(buffer) as Arc<dyn Buffer>))
}

#[cfg(feature = "cuda")]
mod cuda {
    use candle_core::CudaDevice;
    use candle_core::cuda_backend::cudarc::driver::{DriverError, PinnedHostSlice};

    /// Memory of CUDA's driver. Its own event is never recorded: the ring knows when it may be written again.
    pub struct PageLocked(PinnedHostSlice<u8>);

    impl PageLocked {
        pub fn new(device: &CudaDevice, size: usize) -> Result<Self, DriverError> {
            let stream = device.cuda_stream();
            // Without flags: write-combined memory would be slow to read.
            #[allow(unsafe_code, reason = "the driver returns uninitialised memory")]
            // SAFETY: all of it is written below, before anything reads it.
            let mut memory = unsafe { stream.context().alloc_pinned_with_flags::<u8>(size, 0) }?;
            memory.as_mut_slice()?.fill(0);
            Ok(Self(memory))
        }
    }

    impl super::Buffer for PageLocked {
        fn bytes(&self) -> &[u8] {
            self.0.as_slice().unwrap_or_default()
        }

        fn bytes_mut(&mut self) -> &mut [u8] {
            self.0.as_mut_slice().unwrap_or_default()
        }
    }
}

#[cfg(test)]
pub mod plain {
    use super::*;

    impl Buffer for Vec<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }

        fn bytes_mut(&mut self) -> &mut [u8] {
            self
        }
    }

    /// Staging in ordinary memory.
    pub fn staging(size: usize) -> Staging {
        Staging::of((0..STAGED).map(|_| Arc::new(vec![0_u8; size]) as Arc<dyn Buffer>).collect())
    }
}
