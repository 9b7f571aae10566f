//! The bytes of evidence, and what its quote is bound to.
//!
//! Refuses bytes in any but the one deterministic form, and everything beyond the limits below. Invariant: box and verifier
//! compute the quote's qualifyingData with the one function [`qualifying_data`].
//!
//! ```text
//! evidence = { 0: 1, 1: bound, 2: bytes (TPMS_ATTEST), 3: bytes (TPMT_SIGNATURE), 4: { * pcr => bytes .size 32 }, 5: bytes (boot log),
//!              ? 6: bytes (log of user space, CEL-JSON) }
//! bound    = { 0: 1, 1: nonce, 2: box, 3: tls, 4: checkpoint / null, 5: [* model], 6: supervisor, 7: boot }
//! checkpoint = { 0: origin, 1: size, 2: root }    boot = { 0: release, 1: version, 2: SHA-256 of the boot log }
//! ```

use freehold_trust::digest::{Sha256Digest, Sha256Hasher, sha256};
use serde::{Deserialize, Serialize};

use super::rejection::EvidenceRejection;
use crate::cbor::{CborFault, Reader, Writer};
use crate::quote::PcrValues;

/// Longest evidence: both logs and 8 KiB for the rest; bounds the memory that one message can take.
pub const MAX_EVIDENCE: usize = MAX_BOOT_LOG + MAX_RUNTIME_LOG + 8 * 1024;
/// Longest log of user space: systemd writes some ten records of 300 bytes; bounds replay time.
pub const MAX_RUNTIME_LOG: usize = 256 * 1024;
/// Longest boot log: real ones have 15 to 70 KiB, padded ones 256 KiB; bounds replay time.
pub const MAX_BOOT_LOG: usize = 512 * 1024;
/// Most running models that evidence names.
pub const MAX_MODELS: usize = 64;
/// Longest text: box id, release name, version, origin.
const MAX_TEXT: usize = 128;
/// Longest TPMS_ATTEST or TPMT_SIGNATURE: RSA-8192 signatures have 1,030 bytes.
const MAX_TPM: usize = 2048;
/// Before the bound facts, so that no other message hashes to the same bytes.
const DOMAIN: &[u8] = b"freehold evidence binding v1\0";

/// Where the box's record stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Origin line of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Merkle root over them.
    pub root: Sha256Digest,
}

/// What a box says it booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootClaim {
    /// Name of the OS release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the boot log that comes with the evidence.
    pub log: Sha256Digest,
}

/// The facts that the quote is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The console's challenge.
    pub nonce: [u8; 32],
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    pub tls: Sha256Digest,
    /// Where the box's record stands; `None` before its first entry.
    pub checkpoint: Option<Checkpoint>,
    /// Digests of the running models, ascending, each once.
    pub models: Vec<Sha256Digest>,
    /// Version of the supervisor.
    pub supervisor: String,
    /// What the box says it booted.
    pub boot: BootClaim,
}

/// One message of evidence. Decoded is not verified: see [`super::verify_evidence`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What the quote is bound to.
    pub bound: Bound,
    /// TPMS_ATTEST of the quote.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE over it.
    pub signature: Vec<u8>,
    /// Claimed values of the quoted PCRs, SHA-256 bank.
    pub pcrs: PcrValues,
    /// The boot log (TCG PC Client, crypto-agile).
    pub boot_log: Vec<u8>,
    /// What user space measured after it (CEL-JSON, as systemd-pcrextend writes it); empty when nothing did. It is read after the
    /// quote and bound to it by nothing but its replay: what the quote does not cover is said to be so.
    pub runtime_log: Vec<u8>,
}

/// The 32 bytes that the quote must carry as qualifyingData.
#[must_use]
pub fn qualifying_data(bound: &Bound) -> Sha256Digest {
    let mut writer = Writer::default();
    put_bound(&mut writer, bound);
    over_bound(&writer.0)
}

fn over_bound(encoded: &[u8]) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(encoded);
    hasher.finish()
}

impl Evidence {
    /// The boot claim for a log: its release, version and digest.
    #[must_use]
    pub fn boot_claim(release: &str, version: &str, boot_log: &[u8]) -> BootClaim {
        BootClaim {
            release: release.to_owned(),
            version: version.to_owned(),
            log: sha256(boot_log),
        }
    }

    /// The bytes to send.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.0.reserve(self.boot_log.len().saturating_add(4096));
        w.map(if self.runtime_log.is_empty() { 6 } else { 7 });
        w.uint(0);
        w.uint(1);
        w.uint(1);
        put_bound(&mut w, &self.bound);
        w.uint(2);
        w.bytes(&self.attest);
        w.uint(3);
        w.bytes(&self.signature);
        w.uint(4);
        w.map(self.pcrs.set().len());
        for (index, value) in self.pcrs.iter() {
            w.uint(index.into());
            w.bytes(value.as_bytes());
        }
        w.uint(5);
        w.bytes(&self.boot_log);
        if !self.runtime_log.is_empty() {
            w.uint(6);
            w.bytes(&self.runtime_log);
        }
        w.0
    }

    /// Reads evidence; nothing is verified.
    ///
    /// # Errors
    /// [`EvidenceRejection`]: too large, malformed, not canonical, another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, EvidenceRejection> {
        let (bound, rest) = decode(bytes)?;
        Ok(Self {
            bound,
            attest: rest.attest.to_vec(),
            signature: rest.signature.to_vec(),
            pcrs: rest.pcrs,
            boot_log: rest.boot_log.to_vec(),
            runtime_log: rest.runtime_log.to_vec(),
        })
    }
}

/// The parts of evidence beside the bound facts, borrowed from the message.
pub(super) struct Parts<'a> {
    pub(super) qualifying_data: Sha256Digest,
    pub(super) attest: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) pcrs: PcrValues,
    pub(super) boot_log: &'a [u8],
    pub(super) runtime_log: &'a [u8],
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Bound, Parts<'_>), EvidenceRejection> {
    if bytes.len() > MAX_EVIDENCE {
        return Err(EvidenceRejection::TooLarge {
            limit: MAX_EVIDENCE,
            found: bytes.len(),
        });
    }
    let mut r = Reader::new(bytes);
    let fields = r.map(7, "evidence")?;
    if fields < 6 {
        return Err(CborFault::Malformed("evidence").into());
    }
    r.key(0, "v")?;
    let version = r.uint("v")?;
    if version != 1 {
        return Err(EvidenceRejection::Version { found: version });
    }
    r.key(1, "bound")?;
    let before = r.rest();
    let bound = get_bound(&mut r)?;
    let encoded = before
        .get(..before.len().saturating_sub(r.rest().len()))
        .unwrap_or_default();
    r.key(2, "attest")?;
    let attest = r.bytes(MAX_TPM, "attest")?;
    r.key(3, "signature")?;
    let signature = r.bytes(MAX_TPM, "signature")?;
    r.key(4, "pcrs")?;
    let mut pcrs = Vec::with_capacity(24);
    for _ in 0..r.map(24, "pcrs")? {
        let index = u8::try_from(r.uint("pcr")?).map_err(|_| CborFault::Malformed("pcr"))?;
        pcrs.push((index, Sha256Digest::from_bytes(r.array32("pcr value")?)));
    }
    let pcrs = PcrValues::of(pcrs).ok_or(CborFault::NotCanonical("pcrs"))?;
    r.key(5, "boot_log")?;
    let boot_log = r.bytes(MAX_BOOT_LOG, "boot_log")?;
    let runtime_log = if fields == 7 {
        r.key(6, "runtime_log")?;
        r.bytes(MAX_RUNTIME_LOG, "runtime_log")?
    } else {
        &[]
    };
    // One form for each message: a log that is not there is left out.
    if fields == 7 && runtime_log.is_empty() {
        return Err(CborFault::NotCanonical("runtime_log").into());
    }
    r.end("evidence")?;
    let qualifying_data = over_bound(encoded);
    Ok((
        bound,
        Parts {
            qualifying_data,
            attest,
            signature,
            pcrs,
            boot_log,
            runtime_log,
        },
    ))
}

fn put_bound(w: &mut Writer, bound: &Bound) {
    w.map(8);
    w.uint(0);
    w.uint(1);
    w.uint(1);
    w.bytes(&bound.nonce);
    w.uint(2);
    w.text(&bound.box_id);
    w.uint(3);
    w.bytes(bound.tls.as_bytes());
    w.uint(4);
    match &bound.checkpoint {
        None => w.null(),
        Some(checkpoint) => {
            w.map(3);
            w.uint(0);
            w.text(&checkpoint.origin);
            w.uint(1);
            w.uint(checkpoint.size);
            w.uint(2);
            w.bytes(checkpoint.root.as_bytes());
        }
    }
    w.uint(5);
    w.array(bound.models.len());
    for model in &bound.models {
        w.bytes(model.as_bytes());
    }
    w.uint(6);
    w.text(&bound.supervisor);
    w.uint(7);
    w.map(3);
    w.uint(0);
    w.text(&bound.boot.release);
    w.uint(1);
    w.text(&bound.boot.version);
    w.uint(2);
    w.bytes(bound.boot.log.as_bytes());
}

fn get_bound(r: &mut Reader<'_>) -> Result<Bound, EvidenceRejection> {
    if r.map(8, "bound")? != 8 {
        return Err(CborFault::Malformed("bound").into());
    }
    r.key(0, "bound.v")?;
    let version = r.uint("bound.v")?;
    if version != 1 {
        return Err(EvidenceRejection::Version { found: version });
    }
    r.key(1, "nonce")?;
    let nonce = r.array32("nonce")?;
    r.key(2, "box")?;
    let box_id = r.text(MAX_TEXT, "box")?.to_owned();
    r.key(3, "tls")?;
    let tls = Sha256Digest::from_bytes(r.array32("tls")?);
    r.key(4, "checkpoint")?;
    let checkpoint = if r.null() { None } else { Some(get_checkpoint(r)?) };
    r.key(5, "models")?;
    let mut models = Vec::new();
    for _ in 0..r.array(MAX_MODELS, "models")? {
        models.push(Sha256Digest::from_bytes(r.array32("model")?));
    }
    if !models.windows(2).all(|pair| matches!(pair, [a, b] if a < b)) {
        return Err(CborFault::NotCanonical("models").into());
    }
    r.key(6, "supervisor")?;
    let supervisor = r.text(MAX_TEXT, "supervisor")?.to_owned();
    r.key(7, "boot")?;
    if r.map(3, "boot")? != 3 {
        return Err(CborFault::Malformed("boot").into());
    }
    r.key(0, "boot.release")?;
    let release = r.text(MAX_TEXT, "boot.release")?.to_owned();
    r.key(1, "boot.version")?;
    let version = r.text(MAX_TEXT, "boot.version")?.to_owned();
    r.key(2, "boot.log")?;
    let log = Sha256Digest::from_bytes(r.array32("boot.log")?);
    Ok(Bound {
        nonce,
        box_id,
        tls,
        checkpoint,
        models,
        supervisor,
        boot: BootClaim { release, version, log },
    })
}

fn get_checkpoint(r: &mut Reader<'_>) -> Result<Checkpoint, EvidenceRejection> {
    if r.map(3, "checkpoint")? != 3 {
        return Err(CborFault::Malformed("checkpoint").into());
    }
    r.key(0, "checkpoint.origin")?;
    let origin = r.text(MAX_TEXT, "checkpoint.origin")?.to_owned();
    r.key(1, "checkpoint.size")?;
    let size = r.uint("checkpoint.size")?;
    r.key(2, "checkpoint.root")?;
    let root = Sha256Digest::from_bytes(r.array32("checkpoint.root")?);
    Ok(Checkpoint { origin, size, root })
}
