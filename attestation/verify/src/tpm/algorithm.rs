//! TPM algorithm identifiers (TPM_ALG_ID, TPM_ECC_CURVE) that this project reads. TCG Algorithm Registry 1.34.
//!
//! Refuses to map an identifier that it does not know. Invariant: numbers here are those of the registry.

use freehold_trust::{HashAlgorithm, KeyKind};

/// RSA key.
pub const RSA: u16 = 0x0001;
/// No algorithm.
pub const NULL: u16 = 0x0010;
/// RSASSA-PKCS1-v1_5.
pub const RSASSA: u16 = 0x0014;
/// RSAES-PKCS1-v1_5.
pub const RSAES: u16 = 0x0015;
/// RSASSA-PSS.
pub const RSAPSS: u16 = 0x0016;
/// RSAES-OAEP.
pub const OAEP: u16 = 0x0017;
/// ECDSA.
pub const ECDSA: u16 = 0x0018;
/// ECDAA, which carries a counter after its hash.
pub const ECDAA: u16 = 0x001a;
/// Elliptic-curve key.
pub const ECC: u16 = 0x0023;
/// AES.
pub const AES: u16 = 0x0006;
/// Cipher feedback mode.
pub const CFB: u16 = 0x0043;
/// SHA-256.
pub const SHA256: u16 = 0x000b;
/// SHA-1.
pub const SHA1: u16 = 0x0004;
/// NIST P-256.
pub const NIST_P256: u16 = 0x0003;

/// The hash with this identifier, when it is known.
#[must_use]
pub fn hash(id: u16) -> Option<HashAlgorithm> {
    match id {
        SHA1 => Some(HashAlgorithm::Sha1),
        SHA256 => Some(HashAlgorithm::Sha256),
        0x000c => Some(HashAlgorithm::Sha384),
        0x000d => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// The identifier of a hash.
#[must_use]
pub const fn hash_id(hash: HashAlgorithm) -> u16 {
    match hash {
        HashAlgorithm::Sha1 => SHA1,
        HashAlgorithm::Sha256 => SHA256,
        HashAlgorithm::Sha384 => 0x000c,
        HashAlgorithm::Sha512 => 0x000d,
    }
}

/// Length of a digest by identifier, for event logs, which may list banks that are not replayed (SM3, SHA-3).
#[must_use]
pub fn digest_len(id: u16) -> Option<usize> {
    match id {
        0x0012 | 0x0027 => Some(32),
        0x0028 => Some(48),
        0x0029 => Some(64),
        known => hash(known).map(HashAlgorithm::digest_len),
    }
}

/// A name for an algorithm identifier, `sha256` or `0x1234`.
#[must_use]
pub fn name(id: u16) -> String {
    match (hash(id), id) {
        (Some(hash), _) => hash.name().to_owned(),
        (None, 0x0012) => "sm3_256".to_owned(),
        (None, 0x0027) => "sha3_256".to_owned(),
        (None, 0x0028) => "sha3_384".to_owned(),
        (None, 0x0029) => "sha3_512".to_owned(),
        (None, other) => format!("{other:#06x}"),
    }
}

/// The curve with this identifier, when keys on it are accepted.
#[must_use]
pub fn curve(id: u16) -> Option<KeyKind> {
    match id {
        NIST_P256 => Some(KeyKind::P256),
        0x0004 => Some(KeyKind::P384),
        0x0005 => Some(KeyKind::P521),
        _ => None,
    }
}

/// The identifier of an accepted curve.
#[must_use]
pub fn curve_id(kind: KeyKind) -> Option<u16> {
    match kind {
        KeyKind::P256 => Some(NIST_P256),
        KeyKind::P384 => Some(0x0004),
        KeyKind::P521 => Some(0x0005),
        KeyKind::Rsa { .. } | KeyKind::Ed25519 => None,
    }
}
