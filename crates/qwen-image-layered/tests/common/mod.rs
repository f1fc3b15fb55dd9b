//! What the test programs share beyond `qwen_image_layered::testing`.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of this")]

use std::ops::ControlFlow;

pub(crate) use qwen_image_layered::testing::runs::{input, relative, tensors};
pub(crate) use qwen_image_layered::testing::{
    checkpoint, checkpoint_as, copy_folder, crc32, fixture, uniform, weight, whole_checkpoint,
};
use qwen_image_layered::{Monitor, Progress};

/// Calls `work` with a monitor that never stops it.
pub(crate) fn monitored<T>(work: impl FnOnce(&Monitor) -> T) -> T {
    let mut report = |_: Progress| ControlFlow::Continue(());
    work(&Monitor::new(&mut report))
}
