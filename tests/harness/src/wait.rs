//! Waiting for a value, with a limit.
//!
//! Refuses to sleep for a guess: it asks again and again until there is an answer, and says what it waited for when the
//! limit is over.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long one look waits for the next; short beside everything that is waited for.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks `look` until it answers `Some`, at most for `limit`; `what` is named in the error.
///
/// # Errors
/// When the limit is over, or when `look` itself fails.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = look()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(PAUSE);
    }
}
