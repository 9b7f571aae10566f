//! Verdicts: what the console made of a box's evidence, and for how long that counts.
//!
//! Refuses to let an old or missing verdict read as trust: age turns every verdict into "unknown". Invariant: what pages and
//! routes see is [`VerdictView`], never the stored word alone.

use freehold_protocol::status::VerdictWord;
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::rules::Rules;

/// The claim that says that evidence came by stick.
pub const BY_STICK: &str = "by_stick";

/// One verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The word.
    pub word: VerdictWord,
    /// Sentences that say why, the deciding policy's first.
    pub because: Vec<String>,
    /// Faults found.
    pub refusals: Vec<RefusalReport>,
    /// Unix seconds, by the console's clock.
    pub at: i64,
    /// SHA-256 of the evidence bytes, hex.
    pub evidence: String,
    /// What was claimed and appraised, as JSON: TPM kind, boot, PCR by PCR, event by event.
    pub claims: serde_json::Value,
    /// Names of the policies that decided.
    pub policies: Vec<String>,
}

impl Verdict {
    /// Whether the evidence came by stick, where the way back takes days.
    #[must_use]
    pub fn is_by_stick(&self) -> bool {
        self.claims.get(BY_STICK).and_then(serde_json::Value::as_bool) == Some(true)
    }

    /// The verdict without PCRs and events: what is kept in memory of one that is no longer the last.
    #[must_use]
    pub fn lean(&self) -> Self {
        let mut lean = self.clone();
        if let Some(claims) = lean.claims.as_object_mut() {
            claims.remove("pcrs");
            claims.remove("events");
        }
        lean
    }
}

/// Whether a stored verdict still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// It counts.
    Current,
    /// Too old.
    Expired,
    /// Reached before this console process started: a restored backup must not re-trust a box.
    BeforeStart,
    /// There is none.
    Never,
}

/// The verdict as it counts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictView<'a> {
    /// The word that counts now.
    pub word: VerdictWord,
    /// Why the stored one does or does not count.
    pub freshness: Freshness,
    /// The stored one.
    pub stored: Option<&'a Verdict>,
}

/// Says which verdict counts at `now` for a console that started at `started`.
#[must_use]
pub fn view<'a>(stored: Option<&'a Verdict>, rules: &Rules, started: i64, now: i64) -> VerdictView<'a> {
    let Some(verdict) = stored else {
        return VerdictView {
            word: VerdictWord::Unknown,
            freshness: Freshness::Never,
            stored,
        };
    };
    // A refusal stays visible however old: forgetting a fault is no kindness.
    // Evidence of a box without a network outlives a restart of the console: nothing else could be asked of it before the next stick.
    let (since, life) = if verdict.is_by_stick() {
        (i64::MIN, rules.stick_max_age)
    } else {
        (started, rules.verdict_max_age)
    };
    let freshness = if verdict.at < since {
        Freshness::BeforeStart
    } else if now.saturating_sub(verdict.at) > life {
        Freshness::Expired
    } else {
        Freshness::Current
    };
    let word = match (freshness, verdict.word) {
        (Freshness::Current, word) => word,
        (_, VerdictWord::Refused) => VerdictWord::Refused,
        _ => VerdictWord::Unknown,
    };
    VerdictView {
        word,
        freshness,
        stored,
    }
}
