//! Guessing passwords takes time: failures are counted per account and per address.
//!
//! Refuses to lock anybody out for good, and to grow with the number of strangers. Invariant: a correct password after the
//! wait is always accepted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Failures before waiting starts.
const FREE: u32 = 4;
/// Longest wait in seconds.
const LONGEST: i64 = 900;
/// Names remembered: bounds the memory of an attack with made-up names; the oldest are forgotten.
const REMEMBERED: usize = 20_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: i64,
}

impl Failures {
    fn wait(self, now: i64) -> i64 {
        if self.count < FREE {
            return 0;
        }
        let doubled = 1i64
            .checked_shl(self.count.saturating_sub(FREE).min(30))
            .unwrap_or(LONGEST);
        self.last
            .saturating_add(doubled.min(LONGEST))
            .saturating_sub(now)
            .max(0)
    }
}

/// Failures by account and by address.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<String, Failures>>);

impl Throttle {
    /// Seconds to wait before any of these names may try again.
    pub fn wait(&self, names: &[&str], now: i64) -> i64 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .filter_map(|name| known.get(*name))
            .map(|failures| failures.wait(now))
            .max()
            .unwrap_or(0)
    }

    /// A try failed.
    pub fn failed(&self, names: &[&str], now: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let failures = known
                .entry((*name).to_owned())
                .or_insert(Failures { count: 0, last: now });
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
        if known.len() > REMEMBERED {
            known.retain(|_, failures| now.saturating_sub(failures.last) < LONGEST);
            if known.len() > REMEMBERED {
                known.clear();
            }
        }
    }

    /// A try succeeded: its account starts anew. The address does not, else one own account would free all others.
    pub fn succeeded(&self, account: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_and_ends() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.wait(&["account a"], 100), 0);
            throttle.failed(&["account a", "address b"], 100);
        }
        assert_eq!(throttle.wait(&["account a"], 100), 1);
        throttle.failed(&["account a"], 100);
        assert_eq!(throttle.wait(&["account a"], 100), 2);
        for _ in 0..60 {
            throttle.failed(&["account a"], 100);
        }
        assert_eq!(throttle.wait(&["account a"], 100), LONGEST);
        assert_eq!(throttle.wait(&["account a"], 100 + LONGEST), 0);
        throttle.succeeded("account a");
        assert_eq!(throttle.wait(&["account a"], 100), 0);
        assert_eq!(throttle.wait(&["address b"], 100), 1);
    }
}
