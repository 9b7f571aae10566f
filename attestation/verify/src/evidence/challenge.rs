//! One outstanding challenge per box: fresh, used once, for a short time.
//!
//! Refuses to draw the nonce: 32 random bytes are an argument. Invariant: a challenge that was answered, replaced or is
//! outside its time is never accepted again; a clock that jumped in either direction refuses.

use freehold_trust::digest::ct_eq;
use serde::{Deserialize, Serialize};

use super::rejection::EvidenceRejection;

/// How long a challenge may be answered, in seconds: a quote takes milliseconds, a slow TPM three seconds, a slow line more.
pub const CHALLENGE_SECONDS: i64 = 120;

/// A challenge that waits for its answer. A new one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 random bytes.
    pub nonce: [u8; 32],
    /// When it was issued, unix seconds.
    pub issued: i64,
    /// Until when it may be answered, unix seconds.
    pub expires: i64,
}

impl Challenge {
    /// A challenge issued `now` with a nonce that the caller drew.
    #[must_use]
    pub const fn issue(nonce: [u8; 32], now: i64) -> Self {
        Self {
            nonce,
            issued: now,
            expires: now.saturating_add(CHALLENGE_SECONDS),
        }
    }

    /// Checks a nonce against this challenge at `now`.
    ///
    /// # Errors
    /// [`EvidenceRejection::Nonce`] and [`EvidenceRejection::NonceExpired`].
    pub fn check(&self, nonce: &[u8], now: i64) -> Result<(), EvidenceRejection> {
        if !ct_eq(&self.nonce, nonce) {
            return Err(EvidenceRejection::Nonce {
                found: hex::encode(nonce),
            });
        }
        if now < self.issued || now > self.expires {
            return Err(EvidenceRejection::NonceExpired {
                issued: self.issued,
                expires: self.expires,
                now,
            });
        }
        Ok(())
    }
}

/// Takes the outstanding challenge out of its place when `nonce` answers it; a wrong nonce leaves it there, a right one
/// uses it up, expired or not.
///
/// # Errors
/// As [`Challenge::check`]; [`EvidenceRejection::Nonce`] when none is outstanding.
pub fn answer(outstanding: &mut Option<Challenge>, nonce: &[u8], now: i64) -> Result<Challenge, EvidenceRejection> {
    let Some(challenge) = outstanding.take_if(|challenge| ct_eq(&challenge.nonce, nonce)) else {
        return Err(EvidenceRejection::Nonce {
            found: hex::encode(nonce),
        });
    };
    challenge.check(nonce, now)?;
    Ok(challenge)
}
