//! A passkey's public key as authenticators write it (COSE_Key, RFC 9052 and 9053).
//!
//! Refuses every algorithm but ES256 and EdDSA with Ed25519. Invariant: the key that comes out has been parsed by the
//! library, and says itself how its signatures are checked.

use freehold_trust::digest::HashAlgorithm;
use freehold_trust::key::{KeyKind, PublicKey, Scheme};

use super::cbor::Item;
use super::rejection::PasskeyRejection;

const KEY_TYPE: i64 = 1;
const ALGORITHM: i64 = 3;
const CURVE: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;

const ES256: i64 = -7;
const EDDSA: i64 = -8;

/// Reads a key.
pub(super) fn public_key(item: &Item<'_>) -> Result<PublicKey, PasskeyRejection> {
    let number = |key| item.at(key).and_then(Item::integer);
    let bytes = |key| {
        item.at(key)
            .and_then(Item::bytes)
            .ok_or(PasskeyRejection::Malformed("the key's numbers"))
    };
    let key = match (number(KEY_TYPE), number(ALGORITHM)) {
        (Some(2), Some(ES256)) if number(CURVE) == Some(1) => {
            PublicKey::from_ec_point(KeyKind::P256, bytes(X)?, bytes(Y)?)
        }
        (Some(1), Some(EDDSA)) if number(CURVE) == Some(6) => PublicKey::from_ed25519(bytes(X)?),
        _ => return Err(PasskeyRejection::Algorithm("only ES256 and EdDSA are")),
    };
    key.map_err(|_| PasskeyRejection::Malformed("the key's numbers"))
}

/// How a passkey with this key signs; `None` for a key that no passkey has.
pub(super) const fn scheme(kind: KeyKind) -> Option<Scheme> {
    match kind {
        KeyKind::P256 => Some(Scheme::Ecdsa(HashAlgorithm::Sha256)),
        KeyKind::Ed25519 => Some(Scheme::Ed25519),
        KeyKind::Rsa { .. } | KeyKind::P384 | KeyKind::P521 => None,
    }
}
