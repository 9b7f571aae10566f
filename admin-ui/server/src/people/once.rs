//! What waits for an answer that counts once: challenges, first steps, people who are at the identity provider.
//!
//! Refuses an answer that comes twice, or too late. Invariant: bounded; where there is no room, what waits longest is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How much is remembered: bounds the memory that strangers can take.
const REMEMBERED: usize = 4096;

/// Things that wait, each under a key, until a time (Unix seconds).
#[derive(Debug)]
pub struct Once<T>(Mutex<HashMap<String, (T, i64)>>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Once<T> {
    /// Keeps something until `until`; what waited under this key before is forgotten.
    pub fn keep(&self, key: String, thing: T, until: i64, now: i64) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= REMEMBERED {
            waiting.retain(|_, (_, until)| *until >= now);
        }
        if waiting.len() >= REMEMBERED && !waiting.contains_key(&key) {
            let oldest = waiting.iter().min_by_key(|(_, (_, until))| *until);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.and_then(|oldest| waiting.remove(&oldest));
        }
        waiting.insert(key, (thing, until));
    }

    /// Takes it, if it still counts at `now`; it does not count a second time.
    pub fn take(&self, key: &str, now: i64) -> Option<T> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (thing, until) = waiting.remove(key)?;
        (until >= now).then_some(thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_once_and_for_a_while() {
        let waiting = Once::default();
        waiting.keep("a".to_owned(), 1, 100, 50);
        assert_eq!(waiting.take("b", 50), None);
        assert_eq!((waiting.take("a", 100), waiting.take("a", 100)), (Some(1), None));
        waiting.keep("a".to_owned(), 1, 100, 50);
        assert_eq!(waiting.take("a", 101), None);
    }

    #[test]
    fn a_crowd_drives_out_the_oldest_and_nobody_else() {
        let waiting = Once::default();
        waiting.keep("first".to_owned(), 0, 100, 0);
        waiting.keep("mine".to_owned(), 0, 500, 0);
        for stranger in 0..REMEMBERED - 1 {
            waiting.keep(format!("stranger {stranger}"), 0, 600, 0);
        }
        assert_eq!(waiting.take("first", 0), None);
        assert_eq!(waiting.take("mine", 0), Some(0));
    }
}
