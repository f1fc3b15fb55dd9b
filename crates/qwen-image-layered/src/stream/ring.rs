use crate::Result;

/// Buffers that are used in turn. What a device copies from one, it copies later: a buffer is free again when the device
/// has come to the mark that it was left with.
pub struct Ring<B, M> {
    slots: Vec<Slot<B, M>>,
    /// The buffer in use.
    current: usize,
    wait: fn(&M) -> Result<()>,
}

struct Slot<B, M> {
    buffer: B,
    left: Option<M>,
}

impl<B, M> Ring<B, M> {
    /// At least one buffer; `wait` waits until the device has come to a mark.
    pub fn new(buffers: Vec<B>, wait: fn(&M) -> Result<()>) -> Self {
        let slots: Vec<_> = buffers.into_iter().map(|buffer| Slot { buffer, left: None }).collect();
        Self { current: slots.len().saturating_sub(1), slots, wait }
    }

    /// Goes on to the next buffer, when the device is done with it.
    ///
    /// # Errors
    /// When the device fails.
    pub fn advance(&mut self) -> Result<()> {
        let next = (self.current + 1) % self.slots.len().max(1);
        if let Some(slot) = self.slots.get_mut(next)
            && let Some(mark) = &slot.left
        {
            (self.wait)(mark)?;
            slot.left = None;
        }
        self.current = next;
        Ok(())
    }

    /// The buffer in use.
    pub fn buffer(&mut self) -> Option<&mut B> {
        self.slots.get_mut(self.current).map(|slot| &mut slot.buffer)
    }

    /// At `mark` the device has copied everything from the buffer in use.
    pub fn leave(&mut self, mark: M) {
        if let Some(slot) = self.slots.get_mut(self.current) {
            slot.left = Some(mark);
        }
    }
}

impl<B, M> Drop for Ring<B, M> {
    /// No buffer goes while the device copies from it.
    fn drop(&mut self) {
        for mark in self.slots.iter().filter_map(|slot| slot.left.as_ref()) {
            // A device that fails copies nothing any more.
            let _ = (self.wait)(mark);
        }
    }
}
