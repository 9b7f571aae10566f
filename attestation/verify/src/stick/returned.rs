//! The return: what a box says to its console by stick, signed by the box's TLS key and sealed to the console.
//!
//! Refuses a return whose contents are not exactly those of the signed statement. Invariant: outside the seal stands only what
//! the console needs to open it, so that whoever finds a stick learns nothing about the box.
//!
//! On the stick it is a container with two entries: [`TO`] in clear and [`SEALED`], which is a container of [`STATEMENT`] and
//! the messages that the statement lists.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_trust::dsse::{Envelope, Signature, pae};
use freehold_trust::hpke::{self, OpeningKey};
use freehold_trust::key::PublicKey;
use serde::{Deserialize, Serialize};

use super::StickRejection;
use super::bundle::{Listed, open};
use crate::container::{Container, ContainerRejection, Kind, write};
use crate::rejection::RefusalReport;
use crate::text::shown;
use crate::verified::Verified;
use crate::{Refusal as _, json};

/// The DSSE payload type of a return's statement.
pub const RETURN_TYPE: &str = "application/vnd.freehold.return.v1+json";
/// What the seal is for; it goes into the key derivation.
pub const INFO: &[u8] = b"freehold return v1";
/// The entry in clear.
pub const TO: &str = "to.json";
/// The sealed entry.
pub const SEALED: &str = "sealed";
/// The signed statement inside the seal.
pub const STATEMENT: &str = "return.dsse";
/// Bounds the entry in clear.
const MAX_TO: usize = 4096;
const WHAT: &str = "return";

/// What stands outside the seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedTo {
    /// Major version, 1.
    pub v: u32,
    /// The fleet's id.
    pub fleet: String,
    /// SHA-256 of the key that it is sealed to.
    pub key: Sha256Digest,
    /// Number of the bundle that it answers.
    pub number: u64,
}

/// What a box states about its return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Return {
    /// Major version, 1.
    pub v: u32,
    /// The fleet that the box was paired with.
    pub fleet: String,
    /// The box's id, as it says itself: the console knows it by its key.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Its TLS key (SPKI, DER, base64).
    pub key: String,
    /// Number of the bundle that it answers.
    pub number: u64,
    /// SHA-256 of that bundle's list.
    pub set: Sha256Digest,
    /// Rises with each return of this box.
    pub sequence: u64,
    /// When it was written, unix seconds by the box's clock.
    pub at: i64,
    /// The messages.
    pub files: Vec<Listed>,
}

/// The statement's payload, and the bytes that the box's TLS key must sign for it.
#[must_use]
pub fn return_payload(statement: &Return) -> (Vec<u8>, Vec<u8>) {
    let payload = serde_json::to_vec(statement).unwrap_or_default();
    let message = pae(RETURN_TYPE, &payload);
    (payload, message)
}

/// The envelope of a payload and the signature (ECDSA, DER) over [`return_payload`]'s message.
#[must_use]
pub fn signed_return(payload: Vec<u8>, signature: Vec<u8>) -> Vec<u8> {
    Envelope {
        payload_type: RETURN_TYPE.to_owned(),
        payload,
        signatures: vec![Signature {
            keyid: None,
            sig: signature,
        }],
    }
    .to_json()
}

/// Seals a statement's envelope and its messages to the console.
///
/// # Errors
/// What a container refuses, or `stick.sealed` when the key is not one to seal to.
pub fn seal_return(
    envelope: Vec<u8>,
    mut messages: BTreeMap<String, Vec<u8>>,
    to: &PublicKey,
    fleet: &str,
    number: u64,
    set: Sha256Digest,
) -> Result<Vec<u8>, RefusalReport> {
    messages.insert(STATEMENT.to_owned(), envelope);
    let inner = write(Kind::Return, set, &messages).map_err(|fault| fault.report())?;
    let clear = SealedTo {
        v: 1,
        fleet: fleet.to_owned(),
        key: to.fingerprint(),
        number,
    };
    let clear = serde_json::to_vec(&clear).unwrap_or_default();
    let sealed = hpke::seal(to, INFO, &clear, &inner).map_err(|_| StickRejection::Sealed.report())?;
    let outer = BTreeMap::from([(TO.to_owned(), clear), (SEALED.to_owned(), sealed)]);
    write(Kind::Return, set, &outer).map_err(|fault| fault.report())
}

/// A return that was opened: the statement, the key that signed it, and its messages.
pub type Opened = (Verified<Return>, PublicKey, BTreeMap<String, Vec<u8>>);

/// Opens a return with the console's key and verifies it. Whether the key is one of a box of the fleet, whether the bundle was
/// made here and whether the return is new are the console's questions.
///
/// # Errors
/// [`StickRejection`] and [`ContainerRejection`], as reports.
pub fn verify_return(bytes: &[u8], key: &OpeningKey, fleet: &str) -> Result<Opened, RefusalReport> {
    let outer = Container::parse(bytes, Kind::Return).map_err(|fault| fault.report())?;
    let clear = outer.need(TO).map_err(|fault| fault.report())?;
    let malformed = |detail: String| {
        StickRejection::Malformed {
            what: WHAT,
            detail: shown(&detail),
        }
        .report()
    };
    let other_fleet = |found: &str| {
        StickRejection::OtherFleet {
            what: WHAT,
            expected: fleet.to_owned(),
            found: shown(found),
        }
        .report()
    };
    let to: SealedTo = json::typed(clear, MAX_TO).map_err(|fault| malformed(fault.to_string()))?;
    if to.v != 1 {
        let found = to.v.to_string();
        return Err(StickRejection::Version { what: WHAT, found }.report());
    }
    if to.fleet != fleet {
        return Err(other_fleet(&to.fleet));
    }
    let sealed = outer.need(SEALED).map_err(|fault| fault.report())?;
    let inner = (key.open(INFO, clear, sealed)).map_err(|_| StickRejection::Sealed.report())?;
    let container = Container::parse(&inner, Kind::Return).map_err(|fault| fault.report())?;
    let envelope = container.need(STATEMENT).map_err(|fault| fault.report())?;
    // The key that signed is named by the statement itself, so it is read before the signature is checked, and for that only.
    let peek = Envelope::parse(envelope, super::bundle::MAX_LIST).map_err(|fault| malformed(fault.to_string()))?;
    let said: Return =
        json::typed(&peek.payload, super::bundle::MAX_LIST).map_err(|fault| malformed(fault.to_string()))?;
    let der = STANDARD
        .decode(&said.key)
        .map_err(|error| malformed(error.to_string()))?;
    let signer = PublicKey::from_spki_der(&der).map_err(|error| malformed(error.to_string()))?;
    let statement: Return = open(envelope, RETURN_TYPE, &signer, WHAT).map_err(|fault| fault.report())?;
    if statement.fleet != fleet {
        return Err(other_fleet(&statement.fleet));
    }
    if container.index().set() != statement.set || statement.number != to.number {
        return Err(StickRejection::OtherSet.report());
    }
    let messages = listed(&container, &statement.files)?;
    Ok((Verified::seal(statement), signer, messages))
}

/// The messages, exactly those of the list.
fn listed(container: &Container<'_>, files: &[Listed]) -> Result<BTreeMap<String, Vec<u8>>, RefusalReport> {
    let mut messages = BTreeMap::new();
    for (name, bytes) in container.entries().filter(|(name, _)| *name != STATEMENT) {
        let fits = (files.iter()).any(|file| file.name == name && file.sha256 == sha256(bytes));
        if !fits {
            return Err(StickRejection::Unlisted { name: shown(name) }.report());
        }
        messages.insert(name.to_owned(), bytes.to_vec());
    }
    match files.iter().find(|file| !messages.contains_key(&file.name)) {
        None => Ok(messages),
        Some(file) => Err(ContainerRejection::Missing {
            name: shown(&file.name),
        }
        .report()),
    }
}
