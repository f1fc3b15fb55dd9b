//! The peak of a GPU's memory, asked of its driver many times a second; and the rest of it taken away.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use qwen_image_layered::gpu;

/// Often enough to see what lives as long as one large product.
const EVERY: Duration = Duration::from_millis(2);

pub(crate) struct Watch {
    number: usize,
    /// Bytes that were in use when it began.
    before: u64,
    least_free: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn start(number: usize) -> Result<Self, Box<dyn Error>> {
        let now = gpu::probe(number)?;
        let (least_free, end) = (Arc::new(AtomicU64::new(now.free)), Arc::new(AtomicBool::new(false)));
        let body = {
            let (least_free, end) = (least_free.clone(), end.clone());
            move || {
                while !end.load(Ordering::Relaxed) {
                    if let Ok(gpu) = gpu::probe(number) {
                        least_free.fetch_min(gpu.free, Ordering::Relaxed);
                    }
                    std::thread::sleep(EVERY);
                }
            }
        };
        let thread = Some(std::thread::spawn(body));
        Ok(Self { number, before: now.total - now.free, least_free, end, thread })
    }

    /// The most bytes that were in use beyond those at the start.
    pub(crate) fn peak(mut self) -> Result<u64, Box<dyn Error>> {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let total = gpu::probe(self.number)?.total;
        Ok((total - self.least_free.load(Ordering::Relaxed)).saturating_sub(self.before))
    }
}

/// Takes all of a GPU's memory but `leave` bytes, until it is dropped.
pub(crate) fn ballast(device: &Device, number: usize, leave: u64) -> Result<Vec<Tensor>, Box<dyn Error>> {
    let mut taken = Vec::new();
    loop {
        let free = gpu::probe(number)?.free;
        // In pieces, for what is left lies in pieces too.
        let piece = free.saturating_sub(leave).min(1 << 30);
        if piece < 32 << 20 {
            return Ok(taken);
        }
        taken.push(Tensor::zeros(piece as usize, DType::U8, device)?);
        device.synchronize()?;
    }
}
