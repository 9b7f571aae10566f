//! Every reason to refuse that can be seen in software, before the TPM is asked.
//!
//! Refuses in the order in which a person would want to know. Invariant: it can only refuse; that nothing is wrong here does
//! not open anything, because the TPM checks all of it again.

use std::collections::BTreeMap;

use freehold_trust::{PublicKey, Sha256Digest};

use super::floor::Floor;
use super::rejection::SealRejection;
use super::signed::{PcrPolicies, PcrPolicy};
use super::volume::SealedKey;

/// What the machine has booted, as far as it matters here.
#[derive(Debug, Clone)]
pub struct BootState {
    /// PCRs 7, 11, 12 and 13 of the SHA-256 bank.
    pub pcrs: BTreeMap<u8, Sha256Digest>,
    /// The floor.
    pub floor: Floor,
    /// Whether the firmware says that Secure Boot is on and its keys are locked.
    pub secure_boot: bool,
}

impl BootState {
    /// A PCR's value; zero when it was not read.
    #[must_use]
    pub fn pcr(&self, index: u8) -> Sha256Digest {
        self.pcrs.get(&index).copied().unwrap_or_default()
    }

    /// What would be refused whatever the volume says: things slipped in beside the image, an image that nobody signed, an
    /// image below the floor.
    fn image<'a>(&self, policies: &'a PcrPolicies, key: &PublicKey) -> Result<&'a PcrPolicy, SealRejection> {
        let zero = Sha256Digest::default();
        if self.pcr(12) != zero {
            return Err(SealRejection::CommandLine { found: self.pcr(12) });
        }
        if self.pcr(13) != zero {
            return Err(SealRejection::Extension { found: self.pcr(13) });
        }
        let policy = policies.select(key, self.pcr(11))?;
        if let Floor::At(floor) = self.floor
            && policy.level < floor
        {
            return Err(SealRejection::Floor {
                level: policy.level,
                floor,
            });
        }
        Ok(policy)
    }
}

/// Whether a volume may be made now, sealed to policies of `key`.
///
/// # Errors
/// [`SealRejection`].
pub fn may_make<'a>(
    state: &BootState,
    policies: &'a PcrPolicies,
    key: &PublicKey,
) -> Result<&'a PcrPolicy, SealRejection> {
    if !state.secure_boot {
        return Err(SealRejection::SecureBoot);
    }
    if state.floor == Floor::Foreign {
        return Err(SealRejection::FloorIndex("not this project's"));
    }
    state.image(policies, key)
}

/// Whether the volume that `sealed` belongs to may open now.
///
/// # Errors
/// [`SealRejection`]; those that are [`recoverable`](SealRejection::recoverable) come last, so that a recovery key is asked
/// for only where it may be used.
pub fn may_open<'a>(
    state: &BootState,
    policies: &'a PcrPolicies,
    sealed: &SealedKey,
) -> Result<&'a PcrPolicy, SealRejection> {
    let policy = state.image(policies, &sealed.policy_key()?)?;
    if policy.level < sealed.floor {
        return Err(SealRejection::Floor {
            level: policy.level,
            floor: sealed.floor,
        });
    }
    match state.floor {
        Floor::At(_) => {}
        // The index is made before the first seal: this TPM has none of ours.
        Floor::Missing => return Err(SealRejection::OtherTpm),
        Floor::Foreign => return Err(SealRejection::FloorIndex("not this project's")),
    }
    if state.pcr(7) != sealed.pcr7 {
        return Err(SealRejection::Firmware {
            expected: sealed.pcr7,
            found: state.pcr(7),
        });
    }
    Ok(policy)
}

/// Whether a typed recovery key may open the volume now: in a signed image that is not below the floor, with Secure Boot on
/// and nothing slipped in. `sealed` is the volume's note when it can be read.
///
/// # Errors
/// [`SealRejection`].
pub fn may_recover<'a>(
    state: &BootState,
    policies: &'a PcrPolicies,
    key: &PublicKey,
    sealed: Option<&SealedKey>,
) -> Result<&'a PcrPolicy, SealRejection> {
    let policy = state.image(policies, key)?;
    if let Some(sealed) = sealed
        && policy.level < sealed.floor
    {
        return Err(SealRejection::Floor {
            level: policy.level,
            floor: sealed.floor,
        });
    }
    if !state.secure_boot {
        return Err(SealRejection::SecureBoot);
    }
    Ok(policy)
}
