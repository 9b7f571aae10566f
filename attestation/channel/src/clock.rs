//! The caller's clock, handed to TLS.
//!
//! Refuses to read the system's clock by itself: a box whose clock is wrong passes the time it trusts. Invariant: two
//! certificate checks of one connection see times from the same source.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

/// A source of the present as unix seconds, shared and cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// A clock that asks `now` for unix seconds at each handshake.
    pub fn new(now: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// A clock that stands still; for tests and for offline checks at a given time.
    #[must_use]
    pub fn fixed(unix: i64) -> Self {
        Self::new(move || unix)
    }

    /// The present, unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.now()))
    }
}

/// Unix seconds as the time of rustls; a time before 1970 counts as 1970, at which every certificate is not yet valid.
pub(crate) fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}
