//! A TPM quote: does the enrolled AK say, about this very challenge, that these PCRs have these values?
//!
//! Refuses every structure that is not a quote made inside a TPM, every signature that the enrolled key did not make in its
//! own scheme, every selection but the required one, and every value that the quote does not cover. Invariant: the values
//! of a [`Verified<Quote>`] are exactly those of the required PCRs in the SHA-256 bank.

use freehold_trust::digest::{Sha256Digest, Sha256Hasher, ct_eq};
use freehold_trust::key::SignatureRejected;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::AttestationKey;
use crate::rejection::Refusal;
use crate::tpm::attest::MAGIC;
use crate::tpm::{Attest, AttestBody, AttestKind, ClockInfo, PcrSet, TpmParseError, TpmSignature, algorithm};
use crate::verified::Verified;

/// PCR values of the SHA-256 bank, ascending by index, each index once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PcrValues(Vec<(u8, Sha256Digest)>);

impl PcrValues {
    /// The values of `list`, when indices ascend, occur once and stay below 24.
    #[must_use]
    pub fn of(list: Vec<(u8, Sha256Digest)>) -> Option<Self> {
        let ascending = list.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        let known = list
            .last()
            .is_none_or(|(index, _)| *index < crate::tpm::selection::PCRS);
        (ascending && known).then_some(Self(list))
    }

    /// The value of PCR `index`.
    #[must_use]
    pub fn get(&self, index: u8) -> Option<Sha256Digest> {
        self.0.iter().find(|(i, _)| *i == index).map(|(_, value)| *value)
    }

    /// Indices and values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Sha256Digest)> + '_ {
        self.0.iter().copied()
    }

    /// The indices.
    #[must_use]
    pub fn set(&self) -> PcrSet {
        PcrSet::of(&self.0.iter().map(|(index, _)| *index).collect::<Vec<_>>())
    }
}

/// What a quote must be about.
#[derive(Debug, Clone, Copy)]
pub struct QuoteExpectation<'a> {
    /// The enrolled attestation key.
    pub ak: &'a AttestationKey,
    /// The 32 bytes that must be the quote's extraData.
    pub qualifying_data: &'a [u8],
    /// The PCRs that must be quoted, no more and no fewer.
    pub selection: PcrSet,
    /// Clock of the last accepted quote of this box.
    pub previous: Option<ClockInfo>,
}

/// How the clock moved since the last accepted quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockStep {
    /// There is no earlier quote to compare with.
    First,
    /// Same boot, later.
    SameBoot,
    /// Same boot, resumed from sleep.
    Resumed,
    /// The box was started again.
    Rebooted,
}

/// The facts of an accepted quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quote {
    /// Values of the required PCRs, SHA-256 bank.
    pub pcrs: PcrValues,
    /// Clock and firmware version: to be remembered for the next quote.
    pub clock: ClockInfo,
    /// What happened since the last quote.
    pub step: ClockStep,
    /// The TPM's firmware version is another than in the last quote: appraise anew.
    pub firmware_changed: bool,
}

/// Why a quote is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuoteRejection {
    /// Not a TPMS_ATTEST or TPMT_SIGNATURE: truncated, too long, bytes left over.
    #[error("the quote is malformed: {0}")]
    Malformed(TpmParseError),
    /// Made outside a TPM.
    #[error("the signed structure starts with {found:#010x}, not with what only a TPM writes")]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// Another kind of attestation.
    #[error("the signed structure is `{found}`, not a quote")]
    Kind {
        /// What it is.
        found: AttestKind,
    },
    /// The scheme or hash is not the one of the enrolled key.
    #[error(
        "signed with scheme {found_scheme:#06x} and hash {found_hash:#06x}, the enrolled key uses {expected_scheme:#06x} and {expected_hash:#06x}"
    )]
    Scheme {
        /// TPM_ALG_ID of the enrolled key's scheme.
        expected_scheme: u16,
        /// TPM_ALG_ID of its hash.
        expected_hash: u16,
        /// TPM_ALG_ID in the signature.
        found_scheme: u16,
        /// TPM_ALG_ID of the hash in the signature.
        found_hash: u16,
    },
    /// Not signed by the enrolled key.
    #[error("the enrolled attestation key did not sign this quote")]
    Signature(#[source] SignatureRejected),
    /// Bound to other facts: another challenge, box, TLS key, checkpoint, set of models or boot claim.
    #[error("the quote is bound to {found}, not to {expected}")]
    Binding {
        /// qualifyingData that was expected, hexadecimal.
        expected: String,
        /// extraData in the quote, hexadecimal.
        found: String,
    },
    /// Only banks weaker than SHA-256 are quoted.
    #[error("the quote covers bank `{found}` only, SHA-256 is required")]
    Bank {
        /// The banks, by name.
        found: String,
    },
    /// Another set of PCRs.
    #[error("the quote covers PCRs {found}, required are {expected}")]
    Selection {
        /// The required PCRs.
        expected: PcrSet,
        /// The quoted banks and PCRs.
        found: String,
    },
    /// A value is claimed for a PCR that is not quoted, or one is missing.
    #[error("values are claimed for PCRs {found}, quoted are {expected}")]
    Values {
        /// The quoted PCRs.
        expected: PcrSet,
        /// The PCRs with a claimed value.
        found: PcrSet,
    },
    /// The claimed values are not the quoted ones.
    #[error("the claimed PCR values are not the quoted ones")]
    Digest,
    /// The TPM's counters ran backwards.
    #[error("the TPM's `{counter}` went from {previous} back to {found}")]
    Clock {
        /// Which counter.
        counter: &'static str,
        /// Its last accepted value.
        previous: u64,
        /// Its value now.
        found: u64,
    },
}

impl QuoteRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &[
        "quote.malformed",
        "quote.magic",
        "quote.kind",
        "quote.scheme",
        "quote.signature",
        "quote.binding",
        "quote.bank",
        "quote.selection",
        "quote.values",
        "quote.digest",
        "quote.clock",
    ];
}

impl From<TpmParseError> for QuoteRejection {
    fn from(error: TpmParseError) -> Self {
        Self::Malformed(error)
    }
}

impl Refusal for QuoteRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "quote.malformed",
            Self::Magic { .. } => "quote.magic",
            Self::Kind { .. } => "quote.kind",
            Self::Scheme { .. } => "quote.scheme",
            Self::Signature(_) => "quote.signature",
            Self::Binding { .. } => "quote.binding",
            Self::Bank { .. } => "quote.bank",
            Self::Selection { .. } => "quote.selection",
            Self::Values { .. } => "quote.values",
            Self::Digest => "quote.digest",
            Self::Clock { .. } => "quote.clock",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Magic { .. } => Some(format!("{MAGIC:#010x}")),
            Self::Kind { .. } => Some("quote".to_owned()),
            Self::Scheme {
                expected_scheme,
                expected_hash,
                ..
            } => Some(format!("{expected_scheme:#06x}/{expected_hash:#06x}")),
            Self::Binding { expected, .. } => Some(expected.clone()),
            Self::Bank { .. } => Some("sha256".to_owned()),
            Self::Selection { expected, .. } => Some(format!("sha256:{expected}")),
            Self::Values { expected, .. } => Some(expected.to_string()),
            Self::Clock { previous, .. } => Some(format!("{previous} or more")),
            Self::Malformed(_) | Self::Signature(_) | Self::Digest => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Magic { found } => Some(format!("{found:#010x}")),
            Self::Kind { found } => Some(found.to_string()),
            Self::Scheme {
                found_scheme,
                found_hash,
                ..
            } => Some(format!("{found_scheme:#06x}/{found_hash:#06x}")),
            Self::Binding { found, .. } | Self::Bank { found } | Self::Selection { found, .. } => Some(found.clone()),
            Self::Values { found, .. } => Some(found.to_string()),
            Self::Clock { found, .. } => Some(found.to_string()),
            Self::Malformed(_) | Self::Signature(_) | Self::Digest => None,
        }
    }
}

/// Verifies a quote: `attest` (TPMS_ATTEST) and `signature` (TPMT_SIGNATURE) against what was expected, and `claimed`
/// against the quote.
///
/// # Errors
/// [`QuoteRejection`], in this order: form, magic, kind, scheme, signature, binding, bank, selection, values, digest, clock.
pub fn verify_quote(
    attest: &[u8],
    signature: &[u8],
    claimed: &PcrValues,
    expectation: &QuoteExpectation<'_>,
) -> Result<Verified<Quote>, QuoteRejection> {
    let parsed = Attest::parse(attest)?;
    check_origin(&parsed, attest, signature, expectation.ak, AttestKind::Quote)?;
    let AttestBody::Quote { selections, pcr_digest } = &parsed.body else {
        return Err(QuoteRejection::Kind { found: parsed.kind });
    };
    if !ct_eq(parsed.extra_data, expectation.qualifying_data) {
        return Err(QuoteRejection::Binding {
            expected: hex::encode(expectation.qualifying_data),
            found: hex::encode(parsed.extra_data),
        });
    }
    let shown = || -> String {
        let parts: Vec<String> = selections
            .iter()
            .map(|s| format!("{}:{}", algorithm::name(s.hash), s.pcrs))
            .collect();
        if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join("+")
        }
    };
    if !selections.is_empty() && selections.iter().all(|s| s.hash != algorithm::SHA256) {
        return Err(QuoteRejection::Bank { found: shown() });
    }
    let [only] = selections.as_slice() else {
        return Err(QuoteRejection::Selection {
            expected: expectation.selection,
            found: shown(),
        });
    };
    if only.pcrs != expectation.selection || only.pcrs.is_empty() {
        return Err(QuoteRejection::Selection {
            expected: expectation.selection,
            found: shown(),
        });
    }
    if claimed.set() != only.pcrs {
        return Err(QuoteRejection::Values {
            expected: only.pcrs,
            found: claimed.set(),
        });
    }
    if !ct_eq(&digest_over(claimed, expectation.ak), pcr_digest) {
        return Err(QuoteRejection::Digest);
    }
    let step = clock_step(expectation.previous, parsed.clock)?;
    let firmware_changed = expectation
        .previous
        .is_some_and(|last| last.firmware_version != parsed.clock.firmware_version);
    Ok(Verified::seal(Quote {
        pcrs: claimed.clone(),
        clock: parsed.clock,
        step,
        firmware_changed,
    }))
}

/// Magic, kind, scheme and signature: what every attestation by the AK must pass.
pub(crate) fn check_origin(
    parsed: &Attest<'_>,
    attest: &[u8],
    signature: &[u8],
    ak: &AttestationKey,
    kind: AttestKind,
) -> Result<(), QuoteRejection> {
    if parsed.magic != MAGIC {
        return Err(QuoteRejection::Magic { found: parsed.magic });
    }
    if parsed.kind != kind {
        return Err(QuoteRejection::Kind { found: parsed.kind });
    }
    let signature = TpmSignature::parse(signature)?;
    let (expected_scheme, expected_hash) = ak.scheme();
    if (signature.scheme, signature.hash) != (expected_scheme, expected_hash) {
        return Err(QuoteRejection::Scheme {
            expected_scheme,
            expected_hash,
            found_scheme: signature.scheme,
            found_hash: signature.hash,
        });
    }
    signature.verify(ak.key(), attest).map_err(QuoteRejection::Signature)
}

/// The digest a TPM computes over the selected values in index order, with the hash of the signing scheme (Part 3,
/// TPM2_Quote).
fn digest_over(claimed: &PcrValues, ak: &AttestationKey) -> Vec<u8> {
    let (_, hash) = ak.scheme();
    match algorithm::hash(hash) {
        Some(freehold_trust::HashAlgorithm::Sha256) | None => {
            let mut hasher = Sha256Hasher::new();
            claimed.iter().for_each(|(_, value)| hasher.update(value.as_bytes()));
            hasher.finish().as_bytes().to_vec()
        }
        Some(other) => {
            let joined: Vec<u8> = claimed.iter().flat_map(|(_, value)| *value.as_bytes()).collect();
            other.hash(&joined)
        }
    }
}

fn clock_step(previous: Option<ClockInfo>, now: ClockInfo) -> Result<ClockStep, QuoteRejection> {
    let Some(last) = previous else {
        return Ok(ClockStep::First);
    };
    let back = |counter, previous: u64, found: u64| {
        Err(QuoteRejection::Clock {
            counter,
            previous,
            found,
        })
    };
    if now.reset_count < last.reset_count {
        return back("resetCount", last.reset_count.into(), now.reset_count.into());
    }
    if now.reset_count > last.reset_count {
        return Ok(ClockStep::Rebooted);
    }
    if now.restart_count < last.restart_count {
        return back("restartCount", last.restart_count.into(), now.restart_count.into());
    }
    if now.clock < last.clock {
        return back("clock", last.clock, now.clock);
    }
    Ok(if now.restart_count > last.restart_count {
        ClockStep::Resumed
    } else {
        ClockStep::SameBoot
    })
}
