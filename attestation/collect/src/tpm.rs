//! The handle that the rest of the box uses.
//!
//! Refuses to be more than a name for a command each. Invariant: cloning it shares one connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use freehold_trust::Sha256Digest;

use crate::attest::{Attested, Clock, EcdsaNumbers};
use crate::endorsement::{EkKind, Endorsement};
use crate::error::TpmError;
use crate::keys::Keys;
use crate::replay::{BootEvent, Replayed};
use crate::worker::Worker;

/// How long to wait for a TPM.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one command. A slow discrete TPM takes some seconds to make an RSA key.
    pub command: Duration,
    /// Between a fault and the first new try to connect; doubles with every fault.
    pub first_pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command: Duration::from_secs(15),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// A TPM with the keys of this box.
#[derive(Clone)]
pub struct Tpm {
    worker: Arc<Worker>,
}

impl std::fmt::Debug for Tpm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tpm")
    }
}

impl Tpm {
    /// A TPM at `address` (a TCTI string: `device:/dev/tpmrm0`, `swtpm:host=…,port=…`) with stored `keys`, or new ones when
    /// there are none. Nothing is opened before the first command, so that a box can start while its TPM is away.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(address: &str, keys: Option<Keys>, limits: Limits) -> Result<Self, TpmError> {
        Ok(Self {
            worker: Arc::new(Worker::start(address.to_owned(), keys, limits)?),
        })
    }

    /// The keys, made on the first call of a new box: store them.
    ///
    /// # Errors
    /// [`TpmError::OtherChip`] when stored keys do not load here; else see [`TpmError`].
    pub fn keys(&self) -> Result<Keys, TpmError> {
        self.worker.keys()
    }

    /// The endorsement key's public side: of `kind`, else the first kind that the TPM has a certificate for.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn endorsement(&self, kind: Option<EkKind>) -> Result<Endorsement, TpmError> {
        self.worker.call("endorsement", move |device| device.endorsement(kind))
    }

    /// TPM2_ActivateCredential: opens `credential` (TPM2B_ID_OBJECT) and `secret` (TPM2B_ENCRYPTED_SECRET), made for our AK
    /// under the endorsement key of `kind`.
    ///
    /// # Errors
    /// [`TpmError::Command`] when they were made for another key; else see [`TpmError`].
    pub fn activate(&self, kind: EkKind, credential: &[u8], secret: &[u8]) -> Result<Vec<u8>, TpmError> {
        let (credential, secret) = (credential.to_vec(), secret.to_vec());
        self.worker.call("activate credential", move |device| {
            device.activate(kind, &credential, &secret)
        })
    }

    /// TPM2_Certify: the AK states that the TLS key lives in the same TPM, over `qualifying`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn certify_tls(&self, qualifying: [u8; 32]) -> Result<Attested, TpmError> {
        self.worker
            .call("certify", move |device| device.certify_tls(&qualifying))
    }

    /// TPM2_Quote over the SHA-256 bank's `pcrs` and `qualifying`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn quote(&self, pcrs: &[u8], qualifying: [u8; 32]) -> Result<Attested, TpmError> {
        let pcrs = pcrs.to_vec();
        self.worker
            .call("quote", move |device| device.quote(&pcrs, &qualifying))
    }

    /// The SHA-256 bank's values of `pcrs`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn read_pcrs(&self, pcrs: &[u8]) -> Result<BTreeMap<u8, Sha256Digest>, TpmError> {
        let pcrs = pcrs.to_vec();
        self.worker.call("pcr read", move |device| device.read_pcrs(&pcrs))
    }

    /// Extends what is missing of a boot log into the PCRs; for software TPMs only, whose boot nobody else measures.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn replay(&self, events: &[BootEvent]) -> Result<Replayed, TpmError> {
        let events = events.to_vec();
        self.worker.call("pcr extend", move |device| device.replay(&events))
    }

    /// ECDSA P-256 with SHA-256 over `message` by the TLS key.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn sign_tls(&self, message: &[u8]) -> Result<EcdsaNumbers, TpmError> {
        let message = message.to_vec();
        self.worker.call("sign", move |device| device.sign_tls(&message))
    }

    /// The TPM's clock and counts, from a quote over nothing of interest (the library has no TPM2_ReadClock).
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn clock(&self) -> Result<Clock, TpmError> {
        self.worker.call("clock", |device| {
            device.quote(&[0], &[0; 32]).map(|attested| attested.clock)
        })
    }

    /// What the record's counter has counted to; nothing before it counted once.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn counter(&self) -> Result<Option<u64>, TpmError> {
        self.worker.call("nv read", |device| device.counter())
    }

    /// Counts once with the record's counter and answers what it has counted to. `owner` is the owner's authorisation value,
    /// empty on a TPM that nobody owns. Such memory wears out: at most ten times a day.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn count(&self, owner: &[u8]) -> Result<u64, TpmError> {
        let owner = owner.to_vec();
        self.worker.call("nv increment", move |device| device.count(&owner))
    }

    /// `count` random bytes of the TPM, at most 32.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn random(&self, count: usize) -> Result<Vec<u8>, TpmError> {
        self.worker.call("random", move |device| device.random(count))
    }
}
