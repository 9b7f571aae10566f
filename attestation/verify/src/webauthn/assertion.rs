//! An assertion: a passkey's signature over a challenge (WebAuthn, 7.2).
//!
//! Refuses an assertion that carries a new key. Invariant: the signature is checked last and over the very bytes that were
//! read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_trust::digest::sha256;
use freehold_trust::key::PublicKey;
use serde::{Deserialize, Serialize};

use super::authenticator::AuthenticatorData;
use super::rejection::PasskeyRejection;
use super::{client, cose};
use crate::verified::Verified;

/// What a browser hands over: four byte strings, base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Which passkey.
    pub credential: String,
    /// Authenticator data.
    pub authenticator_data: String,
    /// Client data, the JSON that the browser made.
    pub client_data: String,
    /// Signature over authenticator data and the client data's SHA-256.
    pub signature: String,
}

impl Assertion {
    /// From the bytes that a browser or a security key hands over.
    #[must_use]
    pub fn of(credential: &[u8], authenticator_data: &[u8], client_data: &[u8], signature: &[u8]) -> Self {
        Self {
            credential: encoded(credential),
            authenticator_data: encoded(authenticator_data),
            client_data: encoded(client_data),
            signature: encoded(signature),
        }
    }
}

/// Bytes as WebAuthn spells them in JSON: base64url without padding.
#[must_use]
pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What an assertion has to answer.
#[derive(Debug, Clone, Copy)]
pub struct AssertionExpectation<'a> {
    /// The challenge that was given.
    pub challenge: &'a [u8],
    /// Relying party id: a host name.
    pub relying_party: &'a str,
    /// Pages that may ask: `https://host:port`.
    pub origins: &'a [String],
}

/// What a good assertion says beside yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionSeen {
    /// The authenticator's counter; 0 when it keeps none.
    pub count: u32,
}

/// Decodes base64url without padding.
pub(super) fn decoded(text: &str, limit: usize, what: &'static str) -> Result<Vec<u8>, PasskeyRejection> {
    let malformed = PasskeyRejection::Malformed(what);
    if text.len() > limit.saturating_mul(2) {
        return Err(malformed);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed)
}

/// Checks an assertion with the passkey's public key.
///
/// # Errors
/// [`PasskeyRejection`] by the first thing that is not as it should be.
pub fn verify_assertion(
    assertion: &Assertion,
    key: &PublicKey,
    expectation: &AssertionExpectation<'_>,
) -> Result<Verified<AssertionSeen>, PasskeyRejection> {
    let client_data = decoded(&assertion.client_data, client::MAX_CLIENT_DATA, "client data")?;
    client::check(&client_data, "webauthn.get", expectation.challenge, expectation.origins)?;
    let mut signed = decoded(
        &assertion.authenticator_data,
        super::authenticator::MAX_AUTHENTICATOR_DATA,
        "authenticator data",
    )?;
    let data = AuthenticatorData::parse(&signed)?;
    if data.credential.is_some() {
        return Err(PasskeyRejection::Malformed("an assertion with a new key"));
    }
    data.check(expectation.relying_party)?;
    let count = data.count;
    // A P-256 signature in DER has at most 72 bytes, an Ed25519 signature 64.
    let signature = decoded(&assertion.signature, 128, "signature")?;
    signed.extend_from_slice(sha256(&client_data).as_bytes());
    let scheme = cose::scheme(key.kind()).ok_or(PasskeyRejection::Algorithm("no passkey has such a key"))?;
    key.verify(scheme, &signed, &signature)
        .map_err(|_| PasskeyRejection::Signature)?;
    Ok(Verified::seal(AssertionSeen { count }))
}
