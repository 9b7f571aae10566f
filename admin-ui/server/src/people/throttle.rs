//! Guessing passwords takes time: failures are counted per account and per address.
//!
//! Refuses to lock anybody out for good, and to grow with the number of strangers. Invariant: a correct password after the
//! wait is always accepted; killing the console frees nobody from waiting, for what counts here is in the store, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use freehold_store::{FailureRow, PendingChange};

/// Failures before waiting starts.
const FREE: u32 = 4;
/// Longest wait in seconds.
pub const LONGEST: i64 = 900;
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
    /// What the store holds.
    #[must_use]
    pub fn of(rows: Vec<FailureRow>) -> Self {
        let known = rows.into_iter().map(|row| {
            let count = u32::try_from(row.count).unwrap_or(u32::MAX);
            (row.name, Failures { count, last: row.last })
        });
        Self(Mutex::new(known.collect()))
    }

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

    /// A try failed; what is to be stored comes back.
    pub fn failed(&self, names: &[&str], now: i64) -> Vec<PendingChange> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for name in names {
            let failures = known
                .entry((*name).to_owned())
                .or_insert(Failures { count: 0, last: now });
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
            changes.push(PendingChange::Failed(FailureRow {
                name: (*name).to_owned(),
                count: i64::from(failures.count),
                last: now,
            }));
        }
        if known.len() > REMEMBERED {
            known.retain(|_, failures| now.saturating_sub(failures.last) < LONGEST);
            if known.len() > REMEMBERED {
                known.clear();
            }
        }
        changes
    }

    /// A try succeeded: its account starts anew. The address does not, else one own account would free all others. What is to
    /// be stored comes back.
    pub fn succeeded(&self, account: &str) -> Option<PendingChange> {
        let had = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
        had.map(|_| PendingChange::Succeeded {
            name: account.to_owned(),
        })
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

    #[test]
    fn a_start_takes_up_what_was_stored() {
        let throttle = Throttle::default();
        let mut stored = Vec::new();
        for _ in 0..=FREE {
            stored = throttle.failed(&["account a"], 100);
        }
        let rows = stored.into_iter().filter_map(|change| match change {
            PendingChange::Failed(row) => Some(row),
            _ => None,
        });
        let again = Throttle::of(rows.collect());
        assert_eq!(again.wait(&["account a"], 100), throttle.wait(&["account a"], 100));
        assert!(again.succeeded("account a").is_some());
        assert!(again.succeeded("account a").is_none());
    }
}
