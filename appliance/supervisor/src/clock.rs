//! The box's sense of time: the system's clock, never below a floor, corrected by what the console signed.
//!
//! Refuses to go back behind the last signed time. Invariant: the floor in the state folder only rises.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use freehold_trust::PublicKey;
use freehold_trust::dsse::Envelope;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::state::State;

const FILE: &str = "clock.json";
/// Payload type of the console's signed time.
const TIME_TYPE: &str = "application/vnd.freehold.time.v1+json";
/// Bounds the envelope of a signed time.
const MAX_TIME: usize = 4096;
/// How far the clock may be from the signed time before it is corrected, in seconds: certificates start ten minutes early.
const TOLERANCE: i64 = 60;
/// How much the signed time must have moved before the floor is written again, in seconds: the disk wears out, too.
const WRITE_EVERY: i64 = 60;

/// The floor of a box that has never heard a signed time: it cannot be earlier than its own program was built. Set by the
/// build (`SOURCE_DATE_EPOCH`), else the day on which this line was written.
const BUILT: i64 = match option_env!("SOURCE_DATE_EPOCH") {
    Some(text) => match i64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => WRITTEN,
    },
    None => WRITTEN,
};
/// 2026-11-21, 00:00 UTC.
const WRITTEN: i64 = 1_795_219_200;

// A field of the version after this one is passed over: a system that was gone back from may have written it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    v: u32,
    floor: i64,
    offset: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedTime {
    v: u32,
    nonce: String,
    at: i64,
}

/// Unix seconds as the box believes them. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BoxClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    floor: AtomicI64,
    /// What is added to the system's clock.
    offset: AtomicI64,
    written: AtomicI64,
    /// Whether the console has signed a time since the start.
    signed: std::sync::atomic::AtomicBool,
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl BoxClock {
    pub(crate) fn open(state: &State) -> Result<Self, Fault> {
        let stored = state.json::<Stored>(FILE)?.unwrap_or(Stored {
            v: 1,
            floor: 0,
            offset: 0,
        });
        if stored.v != 1 {
            return Err(Fault::State {
                path: state.path(FILE),
                detail: format!("version {}", stored.v),
            });
        }
        Ok(Self(Arc::new(Inner {
            floor: AtomicI64::new(stored.floor.max(BUILT)),
            offset: AtomicI64::new(stored.offset),
            written: AtomicI64::new(stored.floor),
            signed: false.into(),
        })))
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.now_ms() / 1000
    }

    /// Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        let corrected = system_ms().saturating_add(self.0.offset.load(Ordering::Relaxed).saturating_mul(1000));
        corrected.max(self.0.floor.load(Ordering::Relaxed).saturating_mul(1000))
    }

    /// Whether the console has signed a time since the start: before that, certificate dates say little.
    pub(crate) fn is_signed(&self) -> bool {
        self.0.signed.load(Ordering::Relaxed)
    }

    /// For TLS.
    pub(crate) fn for_tls(&self) -> freehold_channel::Clock {
        let clock = self.clone();
        freehold_channel::Clock::new(move || clock.now())
    }

    /// Takes a time that the director signed over `nonce`.
    pub(crate) fn take(&self, state: &State, envelope: &[u8], director: &PublicKey, nonce: &[u8]) -> Result<(), Fault> {
        let refused = |message: String| Fault::of("console.answer", message);
        let envelope = Envelope::parse(envelope, MAX_TIME).map_err(|error| refused(error.to_string()))?;
        let payload = envelope
            .verify(TIME_TYPE, std::slice::from_ref(director), 1)
            .map_err(|error| refused(format!("the signed time: {error}")))?;
        let signed: SignedTime =
            serde_json::from_slice(&payload).map_err(|error| refused(format!("the signed time: {error}")))?;
        if signed.v != 1 || signed.nonce != hex::encode(nonce) {
            return Err(refused("the signed time is about another question".to_owned()));
        }
        self.correct(&signed);
        self.raise(state, signed.at)
    }

    /// Takes the time at which a signed bundle was made: it is at least that late. A stick is as old as its way was long, so it
    /// never takes time back.
    pub(crate) fn at_least(&self, state: &State, at: i64) -> Result<(), Fault> {
        self.raise(state, at)
    }

    fn correct(&self, signed: &SignedTime) {
        let difference = signed.at.saturating_sub(system_ms() / 1000);
        if difference.abs() > TOLERANCE {
            if self.0.offset.swap(difference, Ordering::Relaxed).abs_diff(difference) > TOLERANCE.unsigned_abs() {
                tracing::warn!(
                    seconds = difference,
                    "the system's clock differs from the console's; the console's counts"
                );
            }
        } else {
            self.0.offset.store(0, Ordering::Relaxed);
        }
        self.0.signed.store(true, Ordering::Relaxed);
    }

    fn raise(&self, state: &State, at: i64) -> Result<(), Fault> {
        let floor = self.0.floor.fetch_max(at, Ordering::Relaxed).max(at);
        if floor.saturating_sub(self.0.written.load(Ordering::Relaxed)) >= WRITE_EVERY {
            state.put_json(
                FILE,
                &Stored {
                    v: 1,
                    floor,
                    offset: self.0.offset.load(Ordering::Relaxed),
                },
            )?;
            self.0.written.store(floor, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::{KeyKind, SigningKey};

    fn signed(key: &SigningKey, nonce: &[u8], at: i64) -> Vec<u8> {
        let payload = serde_json::json!({ "v": 1, "nonce": hex::encode(nonce), "at": at });
        Envelope::sign(TIME_TYPE, &serde_json::to_vec(&payload).unwrap(), &[key]).to_json()
    }

    #[test]
    fn j02_a_clock_ten_years_off_takes_the_signed_time_and_never_goes_back_behind_it() {
        const TEN_YEARS: i64 = 10 * 365 * 86_400;
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        let clock = BoxClock::open(&state).unwrap();
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let system = clock.now();
        let later = system + TEN_YEARS;
        clock
            .take(&state, &signed(&key, b"n", later), key.public(), b"n")
            .unwrap();
        assert!((later..later + 60).contains(&clock.now()));
        // Another question's answer, another signer and an envelope that is none change nothing.
        let other = SigningKey::generate(KeyKind::P256).unwrap();
        for bad in [signed(&key, b"m", system), signed(&other, b"n", system), b"{}".to_vec()] {
            assert_eq!(
                clock.take(&state, &bad, key.public(), b"n").unwrap_err().code(),
                "console.answer"
            );
        }
        // After a restart the floor holds, whatever the system's clock says.
        assert!(BoxClock::open(&state).unwrap().now() >= later);
        clock
            .take(&state, &signed(&key, b"n", system), key.public(), b"n")
            .unwrap();
        assert!(clock.now() >= later, "time went back behind what was signed");
    }

    #[test]
    fn j02_a_box_that_has_heard_nothing_is_not_before_its_own_build() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        let clock = BoxClock::open(&state).unwrap();
        assert!(clock.now() >= BUILT);
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        // A console whose own clock is ten years behind takes nobody back there.
        let early = BUILT - 10 * 365 * 86_400;
        clock
            .take(&state, &signed(&key, b"n", early), key.public(), b"n")
            .unwrap();
        assert!(clock.now() >= BUILT);
    }

    #[test]
    fn a_stick_brings_time_and_never_takes_it_back() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        let clock = BoxClock::open(&state).unwrap();
        let later = clock.now() + 86_400;
        clock.at_least(&state, later).unwrap();
        clock.at_least(&state, later - 1_000_000).unwrap();
        assert!(clock.now() >= later);
        assert!(BoxClock::open(&state).unwrap().now() >= later);
    }

    #[test]
    fn a_clock_file_that_is_none_stops_the_box() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        for bad in ["", "{}", "{\"v\":2,\"floor\":0,\"offset\":0}"] {
            std::fs::write(world.path().join(FILE), bad).unwrap();
            assert_eq!(BoxClock::open(&state).unwrap_err().code(), "box.state", "{bad}");
        }
    }
}
