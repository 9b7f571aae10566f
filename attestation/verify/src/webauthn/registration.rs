//! A registration: a passkey's new key (WebAuthn, 7.1), with attestation "none".
//!
//! Refuses to believe an attestation statement: it is skipped. Invariant: the key comes from the authenticator data, over a
//! challenge of ours, with a verified person.

use serde::{Deserialize, Serialize};

use freehold_trust::key::PublicKey;

use super::assertion::{AssertionExpectation, decoded};
use super::authenticator::AuthenticatorData;
use super::cbor::{self, Item};
use super::client;
use super::rejection::PasskeyRejection;
use crate::verified::Verified;

/// Longest attestation object: statements with chains of certificates take some kilobytes; bounds what is parsed.
const MAX_ATTESTATION: usize = 64 * 1024;

/// What a browser hands over: two byte strings, base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Client data, the JSON that the browser made.
    pub client_data: String,
    /// The attestation object, CBOR.
    pub attestation: String,
}

/// A passkey that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPasskey {
    /// Its credential id.
    pub credential: Vec<u8>,
    /// Its public key.
    pub key: PublicKey,
    /// The authenticator's counter; 0 when it keeps none.
    pub count: u32,
    /// Whether it lies in somebody's cloud, too.
    pub backed_up: bool,
}

/// Checks a registration.
///
/// # Errors
/// [`PasskeyRejection`] by the first thing that is not as it should be.
pub fn verify_registration(
    registration: &Registration,
    expectation: &AssertionExpectation<'_>,
) -> Result<Verified<NewPasskey>, PasskeyRejection> {
    let client_data = decoded(&registration.client_data, client::MAX_CLIENT_DATA, "client data")?;
    client::check(
        &client_data,
        "webauthn.create",
        expectation.challenge,
        expectation.origins,
    )?;
    let malformed = PasskeyRejection::Malformed("attestation object");
    let bytes = decoded(&registration.attestation, MAX_ATTESTATION, "attestation object")?;
    let (object, rest) = cbor::read(&bytes).ok_or(malformed.clone())?;
    if !rest.is_empty() {
        return Err(malformed);
    }
    let data = object
        .named("authData")
        .and_then(Item::bytes)
        .ok_or(malformed.clone())?;
    let data = AuthenticatorData::parse(data)?;
    data.check(expectation.relying_party)?;
    let (count, backed_up) = (data.count, data.backed_up());
    let (credential, key) = data.credential.ok_or(malformed)?;
    Ok(Verified::seal(NewPasskey {
        credential: credential.to_vec(),
        key,
        count,
        backed_up,
    }))
}
