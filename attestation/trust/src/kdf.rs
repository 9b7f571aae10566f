//! The TPM's own key derivations: KDFa (SP 800-108, counter mode, HMAC) and KDFe (SP 800-56A, concatenation).
//!
//! Refuses nothing by itself: lengths are the caller's. Source: TCG TPM 2.0 Library, Part 1, sections 11.4.10.2 and
//! 11.4.10.3. Invariant: the result has exactly `bits / 8` bytes; callers ask for whole bytes only.

use crate::digest::{HashAlgorithm, hmac};

/// KDFa: derives `bits` bits from `key`. `label` is given without its terminating zero, which is added here.
#[must_use]
pub fn kdfa(hash: HashAlgorithm, key: &[u8], label: &str, context_u: &[u8], context_v: &[u8], bits: u32) -> Vec<u8> {
    let want = usize::try_from(bits / 8).unwrap_or(0);
    let mut out = Vec::with_capacity(want);
    let mut counter: u32 = 0;
    while out.len() < want {
        counter = counter.wrapping_add(1);
        let block = hmac(
            hash,
            key,
            &[
                &counter.to_be_bytes(),
                label.as_bytes(),
                &[0],
                context_u,
                context_v,
                &bits.to_be_bytes(),
            ],
        );
        out.extend_from_slice(&block);
    }
    out.truncate(want);
    out
}

/// KDFe: derives `bits` bits from the shared point `z` (its x coordinate, padded to the curve's size). `label` is given
/// without its terminating zero; `party_u` and `party_v` are x coordinates, padded likewise.
#[must_use]
pub fn kdfe(hash: HashAlgorithm, z: &[u8], label: &str, party_u: &[u8], party_v: &[u8], bits: u32) -> Vec<u8> {
    let want = usize::try_from(bits / 8).unwrap_or(0);
    let mut out = Vec::with_capacity(want);
    let mut counter: u32 = 0;
    while out.len() < want {
        counter = counter.wrapping_add(1);
        let block = hash.hash_parts(&[&counter.to_be_bytes(), z, label.as_bytes(), &[0], party_u, party_v]);
        out.extend_from_slice(&block);
    }
    out.truncate(want);
    out
}
