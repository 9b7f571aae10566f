//! Digests of TPM policies, computed without a TPM.
//!
//! Refuses nothing: it computes. Invariant: equal to what a trial session of a TPM gives after the same commands. Source:
//! TCG TPM 2.0 Library, Part 3, sections 23.4 (PolicyAuthorize: 23.16), 23.7 (PolicyPCR), 23.9 (PolicyNV), 23.17
//! (PolicyAuthValue).

use std::collections::BTreeMap;

use freehold_trust::{KeyKind, PublicKey, Sha256Digest, Sha256Hasher};

use super::floor::{Floor, Level};
use crate::tpm::algorithm;
use crate::tpm::public::{Attributes, KeyScheme, Public, PublicParameters};

/// TPM_CC_PolicyNV.
const CC_POLICY_NV: u32 = 0x0000_0149;
/// TPM_CC_PolicyAuthorize.
const CC_POLICY_AUTHORIZE: u32 = 0x0000_016a;
/// TPM_CC_PolicyAuthValue.
const CC_POLICY_AUTH_VALUE: u32 = 0x0000_016b;
/// TPM_CC_PolicyPCR.
const CC_POLICY_PCR: u32 = 0x0000_017f;

/// TPM_EO_BITCLEAR: all bits set in the operand are clear in the index.
pub const EO_BITCLEAR: u16 = 0x000b;

/// What a signature of the PCR-policy key is about, beside the policy: no other signature of that key fits.
pub const POLICY_REF: &[u8] = b"freehold.pcr-policy.v1";

/// The PCR that a signed policy is about: the kernel image and the boot phase.
pub const SIGNED_PCR: u8 = 11;
/// The PCRs that are bound to literal values: Secure Boot's keys and state; the command line and credentials; extensions.
pub const LITERAL_PCRS: [u8; 3] = [7, 12, 13];

/// Whether a person has to type a PIN at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// They have.
    Asked,
    /// The box opens by itself.
    None,
}

/// A policy digest in the making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyDigest(Sha256Digest);

impl PolicyDigest {
    /// The digest of a session in which no command has run: zeros.
    pub const START: Self = Self(Sha256Digest::from_bytes([0; 32]));

    fn extended(self, parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256Hasher::new();
        hasher.update(self.0.as_bytes());
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finish())
    }

    /// After TPM2_PolicyNV: the index with `name` compared with `operand` at `offset`.
    #[must_use]
    pub fn nv(self, name: &[u8], operand: &[u8], offset: u16, operation: u16) -> Self {
        let mut arguments = Sha256Hasher::new();
        arguments.update(operand);
        arguments.update(&offset.to_be_bytes());
        arguments.update(&operation.to_be_bytes());
        self.extended(&[&CC_POLICY_NV.to_be_bytes(), arguments.finish().as_bytes(), name])
    }

    /// After TPM2_PolicyPCR over the SHA-256 bank.
    #[must_use]
    pub fn pcr(self, values: &BTreeMap<u8, Sha256Digest>) -> Self {
        let mut together = Sha256Hasher::new();
        for value in values.values() {
            together.update(value.as_bytes());
        }
        let pcrs: Vec<u8> = values.keys().copied().collect();
        self.extended(&[
            &CC_POLICY_PCR.to_be_bytes(),
            &pcr_selection(&pcrs),
            together.finish().as_bytes(),
        ])
    }

    /// After TPM2_PolicyAuthorize by the key with `name`: whatever came before is replaced.
    #[must_use]
    pub fn authorize(name: &[u8], policy_ref: &[u8]) -> Self {
        Self::START
            .extended(&[&CC_POLICY_AUTHORIZE.to_be_bytes(), name])
            .extended(&[policy_ref])
    }

    /// After TPM2_PolicyAuthValue.
    #[must_use]
    pub fn auth_value(self) -> Self {
        self.extended(&[&CC_POLICY_AUTH_VALUE.to_be_bytes()])
    }

    /// The digest.
    #[must_use]
    pub const fn digest(self) -> Sha256Digest {
        self.0
    }
}

/// TPML_PCR_SELECTION of one SHA-256 bank with the given PCRs, three bytes of bitmap.
#[must_use]
pub fn pcr_selection(pcrs: &[u8]) -> Vec<u8> {
    let bits = pcrs
        .iter()
        .filter(|pcr| **pcr < 24)
        .fold(0_u32, |bits, pcr| bits | (1 << pcr));
    let [a, b, c, _] = bits.to_le_bytes();
    let mut out = 1_u32.to_be_bytes().to_vec();
    out.extend_from_slice(&algorithm::SHA256.to_be_bytes());
    out.extend_from_slice(&[3, a, b, c]);
    out
}

/// The policy of one image, which the PCR-policy key signs: the floor is not above the image's level, and PCR 11 is what
/// the image measures.
#[must_use]
pub fn image_policy(level: Level, pcr11: Sha256Digest) -> Sha256Digest {
    PolicyDigest::START
        .nv(&Floor::name(), &level.forbidden().to_be_bytes(), 0, EO_BITCLEAR)
        .pcr(&BTreeMap::from([(SIGNED_PCR, pcr11)]))
        .digest()
}

/// The bytes whose SHA-256 the PCR-policy key signs (TPM 2.0 Library, Part 3, TPM2_PolicyAuthorize: aHash).
#[must_use]
pub fn to_be_signed(policy: &Sha256Digest) -> Vec<u8> {
    [policy.as_bytes().as_slice(), POLICY_REF].concat()
}

/// The policy of the sealed volume key: an image policy signed by the key with `key_name`, and literal values of
/// [`LITERAL_PCRS`], and the PIN.
#[must_use]
pub fn volume_policy(key_name: &[u8], literal: &BTreeMap<u8, Sha256Digest>, pin: Pin) -> Sha256Digest {
    let policy = PolicyDigest::authorize(key_name, POLICY_REF).pcr(literal);
    match pin {
        Pin::Asked => policy.auth_value(),
        Pin::None => policy,
    }
    .digest()
}

/// The PCR-policy key as a TPM loads it: ECC P-256, ECDSA with SHA-256. `None` for a key of another kind.
#[must_use]
pub fn policy_key_public(key: &PublicKey) -> Option<Public> {
    let (KeyKind::P256, Some((x, y))) = (key.kind(), key.ec_point()) else {
        return None;
    };
    Some(Public {
        name_hash: algorithm::SHA256,
        attributes: Attributes(Attributes::SIGN | Attributes::USER_WITH_AUTH),
        auth_policy: Vec::new(),
        symmetric: None,
        scheme: Some(KeyScheme {
            algorithm: algorithm::ECDSA,
            hash: Some(algorithm::SHA256),
            count: None,
        }),
        parameters: PublicParameters::Ecc {
            curve: algorithm::NIST_P256,
            kdf: None,
            x,
            y,
        },
    })
}
