//! How a caller watches long work, and stops it.
//!
//! Refuses nothing. Invariant: between two looks at `cancelled` at most one buffer is read.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::FilesError;

/// Progress and cancellation of hashing or copying.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called with the number of bytes that were just read; from several threads.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Set to stop; the work then ends with [`FilesError::Cancelled`].
    pub cancelled: &'a AtomicBool,
}

impl Watch<'static> {
    /// Nobody watches, nobody stops.
    #[must_use]
    pub fn nobody() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Self {
            progress: &|_| {},
            cancelled: &NEVER,
        }
    }
}

impl Watch<'_> {
    pub(crate) fn passed(&self, bytes: usize) -> Result<(), FilesError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(FilesError::Cancelled);
        }
        (self.progress)(u64::try_from(bytes).unwrap_or(u64::MAX));
        Ok(())
    }
}
