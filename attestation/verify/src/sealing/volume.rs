//! What lies on the data partition: nothing, a volume in the making, our volume, or something else.
//!
//! Refuses to guess: what is not exactly ours is foreign. Invariant: a volume counts as made only when its label says so,
//! and that label is written last; what a power cut left in between is made anew, and nothing else ever is.
//! Source: LUKS2 On-Disk Format Specification 1.1.3, section 2.1 (binary header).

use freehold_trust::digest::hmac_sha256;
use freehold_trust::{PublicKey, Sha256Digest};
use serde::{Deserialize, Serialize};

use super::escrow::Escrow;
use super::floor::Level;
use super::policy::{LITERAL_PCRS, Pin};
use super::rejection::SealRejection;

/// Label of a finished volume.
pub const LABEL: &str = "freehold-data";
/// Label of a volume that is being made.
pub const LABEL_MAKING: &str = "freehold-making";
/// Subsystem of both.
pub const SUBSYSTEM: &str = "freehold";

/// How much of the partition's beginning must be zero for it to be empty, and is read: LUKS2's own limit for headers and
/// key slots is 16 MiB by default, and every file system shows itself long before.
pub const HEAD: usize = 16 * 1024 * 1024;
/// How much of its end.
pub const TAIL: usize = 4096;

/// Written at the partition's end before anything else is, and wiped once the volume has a header that says the same.
pub const MAKING: &[u8; 32] = b"freehold: volume in the making\n\0";

/// What lies on the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Nothing.
    Empty,
    /// A volume whose making was cut off.
    HalfMade,
    /// Our volume.
    Volume {
        /// Its UUID.
        uuid: String,
    },
    /// Something else, named for people.
    Foreign(String),
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    let bytes = bytes?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok()
}

/// Looks at the first [`HEAD`] bytes (or all, when there are fewer) and the last [`TAIL`].
#[must_use]
pub fn contents(head: &[u8], tail: &[u8]) -> Contents {
    let making = tail.starts_with(MAKING);
    if head.starts_with(b"LUKS\xba\xbe\x00\x02") {
        let (label, subsystem) = (text(head.get(24..72)), text(head.get(208..256)));
        if subsystem == Some(SUBSYSTEM) && label == Some(LABEL) {
            if let Some(uuid) = text(head.get(168..208)).filter(|uuid| uuid.len() == 36) {
                return Contents::Volume { uuid: uuid.to_owned() };
            }
            return Contents::Foreign("a LUKS2 volume without an identifier".to_owned());
        }
        if making || (subsystem == Some(SUBSYSTEM) && label == Some(LABEL_MAKING)) {
            return Contents::HalfMade;
        }
        return Contents::Foreign("a LUKS2 volume of somebody else".to_owned());
    }
    if making {
        return Contents::HalfMade;
    }
    if head.iter().all(|byte| *byte == 0) && tail.iter().all(|byte| *byte == 0) {
        return Contents::Empty;
    }
    Contents::Foreign(guess(head).to_owned())
}

fn guess(head: &[u8]) -> &'static str {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"LUKS\xba\xbe\x00\x01") {
        "a LUKS1 volume"
    } else if at(1080, &[0x53, 0xef]) {
        "an ext4 file system"
    } else if at(0, b"XFSB") {
        "an XFS file system"
    } else if at(0x10040, b"_BHRfS_M") {
        "a btrfs file system"
    } else if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) {
        "an erofs file system"
    } else if at(3, b"NTFS") {
        "an NTFS file system"
    } else if at(510, &[0x55, 0xaa]) {
        "a FAT file system or a boot sector"
    } else {
        "data of an unknown kind"
    }
}

/// The volume's own note about its seal: a LUKS2 token of type `freehold-seal`. Nothing in it is secret, and nothing in it
/// is believed: the TPM decides, with these as input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedKey {
    #[serde(rename = "type")]
    kind: String,
    /// The key slot that the sealed key opens.
    pub keyslots: Vec<String>,
    v: u8,
    /// TPMT_PUBLIC of the sealed object.
    #[serde(with = "hex")]
    pub public: Vec<u8>,
    /// Its private half, wrapped by the storage key.
    #[serde(with = "hex")]
    pub private: Vec<u8>,
    /// TPMT_PUBLIC of the storage key: the session that carries the volume key is salted to it.
    #[serde(with = "hex")]
    pub storage: Vec<u8>,
    /// The PCR-policy key whose signature is asked for, SubjectPublicKeyInfo.
    #[serde(with = "hex")]
    pub key: Vec<u8>,
    /// PCR 7 when the volume was sealed; 12 and 13 are zero.
    pub pcr7: Sha256Digest,
    /// Whether a PIN is asked for.
    pub pin: bool,
    /// The floor when the volume was last sealed; a cleared TPM gets it back from here.
    pub floor: Level,
}

/// The volume's note about its recovery key: a LUKS2 token of type `freehold-recovery`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySlot {
    #[serde(rename = "type")]
    kind: String,
    /// The key slot that the recovery key opens.
    pub keyslots: Vec<String>,
    v: u8,
    /// The recovery key for two persons, when the publisher named some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<Escrow>,
}

/// Type of the token that holds the seal.
pub const SEAL_TOKEN: &str = "freehold-seal";
/// Type of the token that holds the escrow.
pub const RECOVERY_TOKEN: &str = "freehold-recovery";
/// Longest token that is read: bounds parsing; the header's own area has 64 KiB.
const MAX_TOKEN: usize = 48 * 1024;

/// What a seal is made of.
#[derive(Debug, Clone)]
pub struct SealParts {
    /// TPMT_PUBLIC of the sealed object.
    pub public: Vec<u8>,
    /// Its private half.
    pub private: Vec<u8>,
    /// TPMT_PUBLIC of the storage key.
    pub storage: Vec<u8>,
}

impl SealedKey {
    /// The note for key slot `slot`.
    #[must_use]
    pub fn new(slot: u8, parts: SealParts, key: &PublicKey, pcr7: Sha256Digest, pin: Pin, floor: Level) -> Self {
        Self {
            kind: SEAL_TOKEN.to_owned(),
            keyslots: vec![slot.to_string()],
            v: 1,
            public: parts.public,
            private: parts.private,
            storage: parts.storage,
            key: key.spki_der().to_vec(),
            pcr7,
            pin: pin == Pin::Asked,
            floor,
        }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`SealRejection::Seal`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SealRejection> {
        let token: Self = parse(bytes)?;
        check(&token.kind, SEAL_TOKEN, token.v, &token.keyslots)?;
        Ok(token)
    }

    /// The PCR-policy key.
    ///
    /// # Errors
    /// [`SealRejection::Seal`].
    pub fn policy_key(&self) -> Result<PublicKey, SealRejection> {
        PublicKey::from_spki_der(&self.key).map_err(|error| SealRejection::Seal(error.to_string()))
    }

    /// The literal PCR values.
    #[must_use]
    pub fn literal(&self) -> std::collections::BTreeMap<u8, Sha256Digest> {
        literal(self.pcr7)
    }

    /// Whether a PIN is asked for.
    #[must_use]
    pub const fn pin(&self) -> Pin {
        if self.pin { Pin::Asked } else { Pin::None }
    }

    /// The token as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl RecoverySlot {
    /// The note for key slot `slot`.
    #[must_use]
    pub fn new(slot: u8, escrow: Option<Escrow>) -> Self {
        Self {
            kind: RECOVERY_TOKEN.to_owned(),
            keyslots: vec![slot.to_string()],
            v: 1,
            escrow,
        }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`SealRejection::Seal`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SealRejection> {
        let token: Self = parse(bytes)?;
        check(&token.kind, RECOVERY_TOKEN, token.v, &token.keyslots)?;
        Ok(token)
    }

    /// The token as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The literal PCR values of a seal: PCR 7 as given, 12 and 13 zero.
#[must_use]
pub fn literal(pcr7: Sha256Digest) -> std::collections::BTreeMap<u8, Sha256Digest> {
    let [first, rest @ ..] = LITERAL_PCRS;
    std::iter::once((first, pcr7))
        .chain(rest.map(|pcr| (pcr, Sha256Digest::default())))
        .collect()
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, SealRejection> {
    if bytes.len() > MAX_TOKEN {
        return Err(SealRejection::Seal(format!("{} bytes", bytes.len())));
    }
    serde_json::from_slice(bytes).map_err(|error| SealRejection::Seal(error.to_string()))
}

fn check(kind: &str, wanted: &str, v: u8, slots: &[String]) -> Result<(), SealRejection> {
    if kind != wanted || v != 1 {
        return Err(SealRejection::Seal(format!("type `{kind}`, version {v}")));
    }
    match slots {
        [slot] if slot.parse::<u8>().is_ok_and(|slot| slot < 32) => Ok(()),
        _ => Err(SealRejection::Seal("it names not exactly one key slot".to_owned())),
    }
}

/// The key slot in a list that a token names.
///
/// # Errors
/// [`SealRejection::Seal`].
pub fn slot_of(slots: &[String]) -> Result<u8, SealRejection> {
    slots
        .first()
        .and_then(|slot| slot.parse().ok())
        .ok_or_else(|| SealRejection::Seal("it names no key slot".to_owned()))
}

/// What is measured into PCR 15 right after opening: HMAC-SHA-256, keyed with the volume key, over the name of the
/// measurement and the volume's UUID. It names the volume key without telling it.
#[must_use]
pub fn volume_measurement(volume_key: &[u8], uuid: &str) -> Sha256Digest {
    hmac_sha256(volume_key, format!("freehold data volume v1\0{uuid}").as_bytes())
}

/// A secret that belongs to the volume: HMAC-SHA-256, keyed with the volume key, over a name. The TPM's owner and lockout
/// authorisations are made this way, so that they are on the volume and nowhere else, and no power cut can lose them.
#[must_use]
pub fn volume_secret(volume_key: &[u8], uuid: &str, name: &str) -> Sha256Digest {
    hmac_sha256(
        volume_key,
        format!("freehold volume secret v1\0{uuid}\0{name}").as_bytes(),
    )
}
