//! Chunks of a release's files, from the console.
//!
//! Refuses nothing itself: every chunk is checked by the judge before it is written. Invariant: only paths below the
//! release's own folder of targets are asked for, over a connection of the download's own, so that no report waits for it.

use bytes::Bytes;
use freehold_execute::{ChunkSource, StepFailed};

use crate::console::Console;

/// The console as a source.
pub(crate) struct FromConsole(pub(crate) Console);

impl ChunkSource for FromConsole {
    async fn read(&self, target: &str, path: &str, start: u64, end: u64) -> Result<Bytes, StepFailed> {
        let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.0
            .range(&format!("{folder}/{path}"), start, end)
            .await
            .map_err(|fault| StepFailed::Away(fault.report()))
    }
}
