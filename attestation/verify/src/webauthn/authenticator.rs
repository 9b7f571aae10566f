//! Authenticator data (WebAuthn, 6.1): which relying party, who was there, and at registration the new key.
//!
//! Refuses bytes that are left over. Invariant: flags are read from the bytes that are signed.

use freehold_trust::digest::sha256;
use freehold_trust::key::PublicKey;

use super::MAX_CREDENTIAL;
use super::cbor::{self, Item};
use super::cose;
use super::rejection::PasskeyRejection;

/// Longest authenticator data: a key, a long credential id and extensions fit; bounds what is parsed.
pub(super) const MAX_AUTHENTICATOR_DATA: usize = 8 * 1024;

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;

/// What it says.
#[derive(Debug)]
pub(super) struct AuthenticatorData<'a> {
    relying_party: &'a [u8],
    flags: u8,
    pub(super) count: u32,
    /// Credential id and key, at registration.
    pub(super) credential: Option<(&'a [u8], PublicKey)>,
}

impl<'a> AuthenticatorData<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, PasskeyRejection> {
        let malformed = PasskeyRejection::Malformed("authenticator data");
        if bytes.len() > MAX_AUTHENTICATOR_DATA {
            return Err(malformed);
        }
        let take = |bytes: &'a [u8], count| bytes.split_at_checked(count).ok_or(malformed.clone());
        let (relying_party, rest) = take(bytes, 32)?;
        let (flags, rest) = take(rest, 1)?;
        let flags = flags.first().copied().unwrap_or_default();
        let (count, mut rest) = take(rest, 4)?;
        let count = count.iter().fold(0_u32, |n, b| (n << 8) | u32::from(*b));
        let mut credential = None;
        if flags & ATTESTED != 0 {
            let (_model, after) = take(rest, 16)?;
            let (length, after) = take(after, 2)?;
            let length = length.iter().fold(0_usize, |n, b| (n << 8) | usize::from(*b));
            if length == 0 || length > MAX_CREDENTIAL {
                return Err(malformed);
            }
            let (id, after) = take(after, length)?;
            let (key, after) = cbor::read(after).ok_or(malformed.clone())?;
            credential = Some((id, cose::public_key(&key)?));
            rest = after;
        }
        if flags & EXTENSIONS != 0 {
            let (Item::Map(_), after) = cbor::read(rest).ok_or(malformed.clone())? else {
                return Err(malformed);
            };
            rest = after;
        }
        if !rest.is_empty() {
            return Err(malformed);
        }
        Ok(Self {
            relying_party,
            flags,
            count,
            credential,
        })
    }

    /// For this relying party, with a person who was there and whom the authenticator verified.
    pub(super) fn check(&self, relying_party: &str) -> Result<(), PasskeyRejection> {
        if self.relying_party != sha256(relying_party.as_bytes()).as_bytes() {
            return Err(PasskeyRejection::RelyingParty {
                expected: relying_party.to_owned(),
            });
        }
        if self.flags & PRESENT == 0 {
            return Err(PasskeyRejection::UserAbsent);
        }
        if self.flags & VERIFIED == 0 {
            return Err(PasskeyRejection::UserUnverified);
        }
        Ok(())
    }

    /// Whether its key lies in somebody's cloud, too.
    pub(super) const fn backed_up(&self) -> bool {
        self.flags & BACKED_UP != 0
    }
}
