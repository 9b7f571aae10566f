//! How long to wait before an engine that ended is started again.
//!
//! Refuses to keep state or read a clock: the supervisor counts. Invariant: the wait never shrinks as failures grow.

use std::time::Duration;

/// The first wait; short, since a first failure is often a moment's lack of memory.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait: a person who mended the cause should not wait longer than a minute.
const LONGEST: Duration = Duration::from_secs(60);

/// The wait after `failures` ends in a row (1 is the first); doubles each time.
pub fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<u128> = [0, 1, 2, 3, 7, 8, u32::MAX].map(|n| backoff(n).as_millis()).to_vec();
        assert_eq!(waits, [500, 500, 1000, 2000, 32000, 60000, 60000]);
    }
}
