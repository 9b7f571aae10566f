//! A passkey in memory: a real key that signs real assertions, for tests where no browser takes part.
//!
//! Refuses nothing: it also makes the answers that must be refused ([`Ceremony`] says how). Invariant: what it makes when
//! nothing is said is what an authenticator with user verification makes.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use freehold_trust::key::KeyKind;
use freehold_trust::{SigningKey, sha256};
use freehold_verify::approval::ApproverKey;
use freehold_verify::webauthn::{Assertion, Registration, encoded};
use serde_json::json;

/// A person was there and was verified.
pub const PRESENT_AND_VERIFIED: u8 = 0x05;
const ATTESTED: u8 = 0x40;

/// What an authenticator and a browser put into an answer.
#[derive(Debug, Clone)]
pub struct Ceremony {
    /// `webauthn.get` or `webauthn.create`.
    pub kind: String,
    /// The page that asked.
    pub origin: String,
    /// The relying party.
    pub relying_party: String,
    /// Flags of the authenticator data.
    pub flags: u8,
    /// The authenticator's counter.
    pub count: u32,
    /// More members of the client data.
    pub more: serde_json::Map<String, serde_json::Value>,
    /// More bytes of the authenticator data.
    pub tail: Vec<u8>,
}

/// A passkey.
#[derive(Debug)]
pub struct Passkey {
    key: SigningKey,
    credential: Vec<u8>,
    origin: String,
    relying_party: String,
    count: AtomicU32,
}

impl Passkey {
    /// A new one for this page; the relying party is the host in it.
    ///
    /// # Errors
    /// When the page has no host, or no key can be made.
    pub fn new(kind: KeyKind, origin: &str) -> Result<Self> {
        let key = SigningKey::generate(kind)?;
        let host = origin.strip_prefix("https://").context("an https page")?;
        let relying_party = host.split(':').next().unwrap_or_default().to_owned();
        Ok(Self {
            credential: key.public().fingerprint().as_bytes()[..16].to_vec(),
            key,
            origin: origin.to_owned(),
            relying_party,
            count: AtomicU32::new(7),
        })
    }

    /// As the policy lists it.
    #[must_use]
    pub fn listed(&self) -> ApproverKey {
        ApproverKey {
            credential: encoded(&self.credential),
            key: self.key.public().clone(),
        }
    }

    /// What an honest answer consists of; the counter rises each time.
    #[must_use]
    pub fn ceremony(&self) -> Ceremony {
        Ceremony {
            kind: "webauthn.get".to_owned(),
            origin: self.origin.clone(),
            relying_party: self.relying_party.clone(),
            flags: PRESENT_AND_VERIFIED,
            count: self.count.fetch_add(1, Ordering::Relaxed),
            more: serde_json::Map::new(),
            tail: Vec::new(),
        }
    }

    /// An honest assertion.
    #[must_use]
    pub fn answer(&self, challenge: &[u8]) -> Assertion {
        self.answer_with(challenge, &self.ceremony())
    }

    /// An assertion as told.
    #[must_use]
    pub fn answer_with(&self, challenge: &[u8], ceremony: &Ceremony) -> Assertion {
        let client = client_data(challenge, ceremony);
        let mut data = header(ceremony);
        data.extend(&ceremony.tail);
        let mut signed = data.clone();
        signed.extend_from_slice(sha256(&client).as_bytes());
        Assertion::of(&self.credential, &data, &client, &self.key.sign(&signed))
    }

    /// An honest registration with attestation "none".
    #[must_use]
    pub fn register(&self, challenge: &[u8]) -> Registration {
        let mut ceremony = self.ceremony();
        "webauthn.create".clone_into(&mut ceremony.kind);
        ceremony.flags |= ATTESTED;
        self.register_with(challenge, &ceremony)
    }

    /// A registration as told; the new key stands in it.
    #[must_use]
    pub fn register_with(&self, challenge: &[u8], ceremony: &Ceremony) -> Registration {
        let mut data = header(ceremony);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential.len()).unwrap_or(0).to_be_bytes());
        data.extend(&self.credential);
        data.extend(self.cose());
        data.extend(&ceremony.tail);
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        object.push(0x59);
        object.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        object.extend(data);
        Registration {
            client_data: encoded(&client_data(challenge, ceremony)),
            attestation: encoded(&object),
        }
    }

    /// The public key as a COSE_Key.
    fn cose(&self) -> Vec<u8> {
        match self.key.public().ec_point() {
            Some((x, y)) => {
                let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32];
                key.extend(x);
                key.extend([0x22, 0x58, 32]);
                key.extend(y);
                key
            }
            None => {
                let mut key = vec![0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 32];
                let spki = self.key.public().spki_der();
                key.extend(&spki[spki.len().saturating_sub(32)..]);
                key
            }
        }
    }
}

fn client_data(challenge: &[u8], ceremony: &Ceremony) -> Vec<u8> {
    let mut client = json!({
        "type": ceremony.kind, "challenge": encoded(challenge), "origin": ceremony.origin, "crossOrigin": false,
    });
    if let Some(members) = client.as_object_mut() {
        members.extend(ceremony.more.clone());
    }
    client.to_string().into_bytes()
}

fn header(ceremony: &Ceremony) -> Vec<u8> {
    let mut data = sha256(ceremony.relying_party.as_bytes()).as_bytes().to_vec();
    data.push(ceremony.flags);
    data.extend(ceremony.count.to_be_bytes());
    data
}
