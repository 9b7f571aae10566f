//! The escrow of a recovery key: two persons together can read it, one alone cannot.
//!
//! Refuses fewer than two persons, the same person twice, and shares that do not make the key. Invariant: for every pair of
//! persons the key is split anew, and each half is sealed (RFC 9180) to one of the two; a half alone is random.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use freehold_trust::hpke::{self, OpeningKey};
use freehold_trust::{PublicKey, Sha256Digest, sha256};
use serde::{Deserialize, Serialize};

use super::blocks::{KEY_BYTES, RecoveryKey, Share};
use super::rejection::SealRejection;

/// What the encryption is for; it goes into the key derivation.
const INFO: &[u8] = b"freehold recovery escrow v1";
/// Most persons: five make ten pairs and 20 sealed halves, which the volume's header holds with room.
const MAX_PERSONS: usize = 5;
/// Longest escrow that is read: five persons take about 6 KiB; bounds parsing.
const MAX_ESCROW: usize = 64 * 1024;

/// A person that the publisher named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowPerson {
    /// What people call them.
    pub name: String,
    /// Fingerprint of their recovery key.
    pub key: Sha256Digest,
}

/// One half for one person of one pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedHalf {
    /// Whom it is sealed to, and with whom they can use it: places in the list of persons.
    to: usize,
    with: usize,
    /// Encapsulated point and ciphertext, base64.
    sealed: String,
}

/// The escrow of one recovery key. It holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escrow {
    /// Version of this format: 1.
    v: u8,
    /// UUID of the volume.
    volume: String,
    /// SHA-256 over the key, which is random: tells whether two shares made the right one.
    check: Sha256Digest,
    persons: Vec<EscrowPerson>,
    halves: Vec<SealedHalf>,
}

fn check_of(volume: &str, key: &RecoveryKey) -> Sha256Digest {
    let mut bytes = b"freehold recovery key v1\0".to_vec();
    bytes.extend_from_slice(volume.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(key.as_bytes());
    sha256(&bytes)
}

fn context(volume: &str, to: &Sha256Digest, with: &Sha256Digest) -> Vec<u8> {
    format!("{volume}\0{to}\0{with}").into_bytes()
}

impl Escrow {
    /// Seals `key` for every pair out of `persons` (two to five); `random` gives 16 fresh bytes for each pair.
    ///
    /// # Errors
    /// [`SealRejection::Escrow`].
    pub fn seal(
        volume: &str,
        key: &RecoveryKey,
        persons: &[(String, PublicKey)],
        mut random: impl FnMut() -> [u8; KEY_BYTES],
    ) -> Result<Self, SealRejection> {
        let refused = |what: String| SealRejection::Escrow(what);
        if !(2..=MAX_PERSONS).contains(&persons.len()) {
            return Err(refused(format!(
                "{} persons, two to {MAX_PERSONS} can be named",
                persons.len()
            )));
        }
        let list: Vec<EscrowPerson> = persons
            .iter()
            .map(|(name, public)| EscrowPerson {
                name: name.clone(),
                key: public.fingerprint(),
            })
            .collect();
        let mut halves = Vec::new();
        for (first, (_, a)) in persons.iter().enumerate() {
            for (second, (_, b)) in persons.iter().enumerate().skip(first + 1) {
                if a.fingerprint() == b.fingerprint() {
                    return Err(refused("the same key is named twice".to_owned()));
                }
                let one = Share::from_bytes(random());
                let other = key.share_beside(&one);
                for (to, public, with, beside, share) in [(first, a, second, b, &one), (second, b, first, a, &other)] {
                    let aad = context(volume, &public.fingerprint(), &beside.fingerprint());
                    let sealed =
                        hpke::seal(public, INFO, &aad, share.as_bytes()).map_err(|error| refused(error.to_string()))?;
                    halves.push(SealedHalf {
                        to,
                        with,
                        sealed: BASE64.encode(sealed),
                    });
                }
            }
        }
        Ok(Self {
            v: 1,
            volume: volume.to_owned(),
            check: check_of(volume, key),
            persons: list,
            halves,
        })
    }

    /// Reads an escrow.
    ///
    /// # Errors
    /// [`SealRejection::Escrow`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SealRejection> {
        let refused = SealRejection::Escrow;
        if bytes.len() > MAX_ESCROW {
            return Err(refused(format!("{} bytes, at most {MAX_ESCROW} are read", bytes.len())));
        }
        let escrow: Self = serde_json::from_slice(bytes).map_err(|error| refused(error.to_string()))?;
        if escrow.v != 1 {
            return Err(refused(format!("version {}, known is 1", escrow.v)));
        }
        Ok(escrow)
    }

    /// The escrow as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and digests: this cannot fail.
        let mut out = serde_json::to_vec_pretty(self).unwrap_or_default();
        out.push(b'\n');
        out
    }

    /// The persons, any two of whom can open it.
    #[must_use]
    pub fn persons(&self) -> &[EscrowPerson] {
        &self.persons
    }

    /// UUID of the volume that it is for.
    #[must_use]
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// The share that the holder of `key` can use together with the person called `with`, or with the only other one.
    ///
    /// # Errors
    /// [`SealRejection::EscrowPerson`] when the escrow has no such share, [`SealRejection::Escrow`] when it is broken.
    pub fn share(&self, key: &OpeningKey, with: Option<&str>) -> Result<Share, SealRejection> {
        let own = key.public().fingerprint();
        let to = self
            .persons
            .iter()
            .position(|person| person.key == own)
            .ok_or(SealRejection::EscrowPerson)?;
        let mut candidates = self.halves.iter().filter(|half| half.to == to).filter(|half| {
            let other = self.persons.get(half.with);
            with.is_none_or(|name| other.is_some_and(|person| person.name == name))
        });
        let (Some(half), None) = (candidates.next(), candidates.next()) else {
            return Err(SealRejection::EscrowPerson);
        };
        let other = self.persons.get(half.with).ok_or(SealRejection::EscrowPerson)?;
        let sealed = BASE64
            .decode(&half.sealed)
            .map_err(|error| SealRejection::Escrow(error.to_string()))?;
        let bytes = key
            .open(INFO, &context(&self.volume, &own, &other.key), &sealed)
            .map_err(|error| SealRejection::Escrow(error.to_string()))?;
        let bytes: [u8; KEY_BYTES] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| SealRejection::Escrow("a half has another length".to_owned()))?;
        Ok(Share::from_bytes(bytes))
    }

    /// The recovery key out of two shares.
    ///
    /// # Errors
    /// [`SealRejection::EscrowShares`] when they are not two halves of it.
    pub fn combine(&self, one: &Share, other: &Share) -> Result<RecoveryKey, SealRejection> {
        let key = one.combine(other);
        if check_of(&self.volume, &key) == self.check {
            Ok(key)
        } else {
            Err(SealRejection::EscrowShares)
        }
    }
}
