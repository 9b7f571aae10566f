//! Who this box is: its id, its TPM's keys, its TLS identity.
//!
//! Refuses to change its id, and to present another TPM's keys. Invariant: the private half of the TLS key never leaves the
//! TPM; a handshake asks the TPM to sign.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freehold_channel::{RemoteKey, RemoteSignFailed, TlsIdentity, der_signature, self_signed_box};
use freehold_collect::{Keys, Limits, Tpm};
use freehold_protocol::fingerprint::words_of;
use freehold_trust::{KeyKind, PublicKey, Sha256Digest};
use freehold_verify::tpm::Public;
use freehold_verify::{Refusal as _, RefusalReport};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::clock::BoxClock;
use crate::fault::Fault;
use crate::state::State;

const BOX: &str = "box.json";
const KEYS: &str = "keys/tpm-keys";
const CERTIFICATE: &str = "certificate.der";

/// The first certificate's dates mean nothing to the console; it is made anew at each start until one is issued.
const FIRST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

// A field of the version after this one is passed over: a system that was gone back from may have written it.
#[derive(Debug, Serialize, Deserialize)]
struct BoxFile {
    v: u32,
    #[serde(rename = "box")]
    box_id: String,
}

/// The box's id, made on the first start: two words and four digits, so that a person can say it.
pub(crate) fn box_id(state: &State) -> Result<String, Fault> {
    if let Some(file) = state.json::<BoxFile>(BOX)? {
        if file.v != 1 {
            return Err(Fault::State {
                path: state.path(BOX),
                detail: format!("version {}", file.v),
            });
        }
        return Ok(file.box_id);
    }
    let mut random = [0_u8; 4];
    freehold_channel::provider()
        .secure_random
        .fill(&mut random)
        .map_err(|_| Fault::State {
            path: state.path(BOX),
            detail: "no randomness".to_owned(),
        })?;
    let (words, digits) = random.split_at(2);
    let box_id = format!("{}-{}", words_of(words, 2).replace(' ', "-"), hex::encode(digits));
    state.put_json(
        BOX,
        &BoxFile {
            v: 1,
            box_id: box_id.clone(),
        },
    )?;
    Ok(box_id)
}

/// The TPM with this box's keys; nothing is opened before the first use.
pub(crate) fn tpm(state: &State, tcti: &str) -> Result<Tpm, Fault> {
    let keys = match state.bytes(KEYS)? {
        None => None,
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Some(Keys::from_text(&text).map_err(|error| Fault::State {
                path: state.path(KEYS),
                detail: error.to_string(),
            })?)
        }
    };
    Ok(Tpm::new(tcti, keys, Limits::default())?)
}

/// A box that can speak to its console.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The box's id.
    pub(crate) box_id: String,
    /// TPMT_PUBLIC of the AK.
    pub(crate) ak_public: Vec<u8>,
    /// TPMT_PUBLIC of the TLS key.
    pub(crate) tls_public: Vec<u8>,
    /// SHA-256 of the TLS key's SPKI.
    pub(crate) tls: Sha256Digest,
    /// For handshakes.
    pub(crate) handshake: Arc<TlsIdentity>,
    /// Why the last handshake was not signed, when it was not.
    pub(crate) unsigned: Unsigned,
}

/// What the TPM said when it should have signed a handshake: TLS only knows that there was no signature.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unsigned(Arc<Mutex<Option<RefusalReport>>>);

impl Unsigned {
    fn put(&self, report: Option<RefusalReport>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }

    /// Takes it out.
    pub(crate) fn take(&self) -> Option<RefusalReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Identity {
    /// Opens the TPM, makes and stores the keys of a new box, and takes up the last certificate.
    ///
    /// # Errors
    /// The TPM's fault, for example `tpm.unavailable` or `tpm.other_chip`.
    pub(crate) fn open(state: &State, tpm: &Tpm, box_id: &str, clock: &BoxClock) -> Result<Self, Fault> {
        let keys = tpm.keys()?;
        if state.bytes(KEYS)?.is_none() {
            state.put_secret(KEYS, keys.to_text().as_bytes())?;
        }
        let spki = spki_of(&keys.tls.public)?;
        let signer = tpm.clone();
        let unsigned = Unsigned::default();
        let told = unsigned.clone();
        let remote = RemoteKey::new(spki.spki_der(), move |message| {
            let numbers = signer.sign_tls(message).map_err(|error| {
                told.put(Some(error.report()));
                RemoteSignFailed {
                    reason: error.to_string(),
                }
            })?;
            told.put(None);
            Ok(der_signature(&numbers.r, &numbers.s))
        })?;
        let issued = state.bytes(CERTIFICATE)?.map(CertificateDer::from);
        let handshake = match issued.map(|certificate| TlsIdentity::remote(&remote, vec![certificate])) {
            Some(Ok(handshake)) => handshake,
            // None yet, or one over another key: show our own.
            _ => {
                let now = OffsetDateTime::from_unix_timestamp(clock.now()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                let own = self_signed_box(&remote, box_id, now, FIRST_LIFETIME)?;
                TlsIdentity::remote(&remote, vec![own])?
            }
        };
        Ok(Self {
            box_id: box_id.to_owned(),
            ak_public: keys.ak.public,
            tls_public: keys.tls.public,
            tls: spki.fingerprint(),
            handshake,
            unsigned,
        })
    }

    /// Takes a new certificate over our key from the console.
    pub(crate) fn renew(&self, state: &State, certificate: &[u8]) -> Result<(), Fault> {
        self.handshake
            .replace(vec![CertificateDer::from(certificate.to_vec())])?;
        state.put(CERTIFICATE, certificate)
    }
}

/// The SPKI of a P-256 key in a TPMT_PUBLIC.
pub(crate) fn spki_of(public: &[u8]) -> Result<PublicKey, Fault> {
    let garbage = |detail: String| Fault::of("tpm.garbage", detail);
    let parsed = Public::parse(public).map_err(|error| garbage(error.to_string()))?;
    let key = parsed.public_key().map_err(|error| garbage(error.to_string()))?;
    if key.kind() != KeyKind::P256 {
        return Err(garbage(format!("the TLS key is a {} key", key.kind())));
    }
    Ok(key)
}
