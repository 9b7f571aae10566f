//! One simulated box: software keys where a TPM's would be, and the box's side of the real protocol.
//!
//! Refuses to shortcut the protocol: it opens the console's credential as TPM2_ActivateCredential does (TPM 2.0 Part 1, section
//! 24), certifies its TLS key, quotes over the boot log, and dials with the certificate that the last verdict gave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use freehold_channel::{RemoteKey, RemoteSignFailed, TlsIdentity, self_signed_box};
use freehold_dial::Dialer;
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge};
use freehold_protocol::report::{
    BoxReport, Challenge, ChallengeRequest, GatewayDoor, RecordCheckpoint, RecordCosignature, ReportAnswer,
    VerdictAnswer,
};
use freehold_protocol::status::{ModelPhase, ModelState};
use freehold_protocol::{Base64, V1, routes};
use freehold_trust::digest::sha256;
use freehold_trust::{HashAlgorithm, KeyKind, SigningKey, cipher, kdf};
use freehold_verify::evidence::{Bound, Evidence, qualifying_data};
use freehold_verify::quote::PcrValues;
use freehold_verify::tpm::public::{Attributes, Public, PublicParameters, Symmetric};
use freehold_verify::tpm::{ClockInfo, algorithm};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::record::BoxRecord;
use super::world::{Maker, Places};
use crate::paper_tpm::{self, Statement, ec_public, sign, sized};

/// Bounds an answer of the console.
const ANSWER: usize = 1 << 20;
/// TPM_ST_ATTEST_CERTIFY.
const CERTIFY: u16 = 0x8017;

/// A simulated box.
pub struct SimulatedBox {
    /// Its identifier.
    pub id: String,
    places: Arc<Places>,
    ak: SigningKey,
    ak_public: Public,
    tls: RemoteKey,
    tls_public: Public,
    tls_spki: freehold_trust::Sha256Digest,
    record: BoxRecord,
    dialer: Dialer,
    started: Instant,
    sequence: u64,
    number: usize,
}

/// What a round did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Round {
    /// Evidence was shown.
    pub evidence: bool,
}

impl SimulatedBox {
    /// Makes the keys, enrols, and leaves the rest to a person. The fingerprint that a person compares comes back, too.
    pub async fn enrol(number: usize, places: Arc<Places>, maker: &Maker) -> anyhow::Result<(Self, String)> {
        let id = name_of(number);
        let ak = SigningKey::generate(KeyKind::P256)?;
        let tls_key = SigningKey::generate(KeyKind::P256)?;
        let (ak_public, tls_public) = (ec_public(&ak, paper_tpm::AK), ec_public(&tls_key, paper_tpm::TLS));
        let tls_spki = tls_key.public().fingerprint();
        let spki_der = tls_key.public().spki_der().to_vec();
        let tls = RemoteKey::new(&spki_der, move |message: &[u8]| -> Result<Vec<u8>, RemoteSignFailed> {
            Ok(tls_key.sign(message))
        })?;
        let own = self_signed_box(&tls, &id, OffsetDateTime::now_utc(), Duration::from_secs(86_400))?;
        let dialer = places.dialer(TlsIdentity::remote(&tls, vec![own])?)?;
        let mut made = Self {
            record: BoxRecord::new(&id)?,
            places,
            ak,
            ak_public,
            tls,
            tls_public,
            tls_spki,
            dialer,
            started: Instant::now(),
            sequence: 0,
            number,
            id,
        };
        let fingerprint = made.prove_possession(maker).await?;
        Ok((made, fingerprint))
    }

    async fn prove_possession(&mut self, maker: &Maker) -> anyhow::Result<String> {
        let ek = EndorsementKey::new()?;
        let begin = EnrolBegin {
            v: V1,
            fleet: self.places.fleet.clone(),
            site: self.places.site.clone(),
            box_id: self.id.clone(),
            label: format!("rack {} · unit {}", self.number / 40 + 1, self.number % 40 + 1),
            ek_public: Base64(ek.public.to_bytes()),
            ek_certificate: Some(Base64(maker.certify(&ek.spki()?)?)),
            ek_chain: Vec::new(),
            ak_public: Base64(self.ak_public.to_bytes()),
            tls_public: Base64(self.tls_public.to_bytes()),
            record_key: Some(Base64(self.record.key.clone())),
        };
        let challenge: EnrolChallenge = self.post(routes::ENROL_BEGIN, &begin).await?;
        let ak_name = self.ak_public.name().context("the attestation key has no name")?;
        let tls_name = self.tls_public.name().context("the TLS key has no name")?;
        let mut attest = Statement {
            magic: 0xff54_4347,
            tag: CERTIFY,
            extra: challenge.certify_nonce.0.clone(),
            clock: self.clock(),
            selections: Vec::new(),
            digest: Vec::new(),
        }
        .head();
        sized(&mut attest, &tls_name);
        sized(&mut attest, &tls_name);
        let activate = EnrolActivate {
            v: V1,
            session: challenge.session,
            activated: Base64(ek.activate(&ak_name, &challenge.credential.0, &challenge.secret.0)?),
            certify_signature: Base64(sign(&self.ak, &attest)),
            certify_attest: Base64(attest),
        };
        let _: serde_json::Value = self.post(routes::ENROL_ACTIVATE, &activate).await?;
        let fingerprint = freehold_protocol::fingerprint::Fingerprint::over(
            &begin.ek_public.0,
            &begin.ak_public.0,
            &begin.tls_public.0,
        );
        Ok(fingerprint.hex())
    }

    /// Answers a challenge; from then on the connection shows the certificate that came with the verdict.
    pub async fn attest(&mut self) -> anyhow::Result<()> {
        let challenge: Challenge = self.post(routes::CHALLENGE, &ChallengeRequest { v: V1 }).await?;
        let nonce: [u8; 32] = challenge.nonce.0.as_slice().try_into().context("a nonce of 32 bytes")?;
        let bound = Bound {
            nonce,
            box_id: self.id.clone(),
            tls: self.tls_spki,
            checkpoint: Some(self.record.head()).filter(|head| head.size > 0),
            models: vec![self.places.model],
            supervisor: env!("CARGO_PKG_VERSION").to_owned(),
            boot: Evidence::boot_claim("freehold", "1.0.0", &self.places.log),
        };
        let pcrs = self.places.pcrs(&challenge.pcrs)?;
        let mut statement = Statement::over(&pcrs, qualifying_data(&bound).as_bytes());
        statement.clock = self.clock();
        let attest = statement.bytes();
        let evidence = Evidence {
            bound,
            signature: sign(&self.ak, &attest),
            attest,
            pcrs,
            boot_log: self.places.log.clone(),
            runtime_log: Vec::new(),
        };
        let kind = "application/vnd.freehold.evidence+cbor";
        let answer: VerdictAnswer = self.send(routes::EVIDENCE, kind, evidence.encode()).await?;
        let certificate = answer.certificate.with_context(|| {
            format!(
                "{}: no certificate, {} because {:?}",
                self.id,
                answer.verdict.word(),
                answer.because
            )
        })?;
        let identity = TlsIdentity::remote(&self.tls, vec![certificate.0.into()])?;
        self.dialer = self.places.dialer(identity)?;
        Ok(())
    }

    /// What a supervisor says in one round: evidence when it is due, the report, a look at the repository's timestamp, the head
    /// of the record that has grown.
    pub async fn round(&mut self, due: bool) -> anyhow::Result<Round> {
        let mut done = Round { evidence: due };
        if due {
            self.attest().await?;
        }
        self.sequence += 1;
        let report = self.report();
        let answer: ReportAnswer = self.post(routes::REPORT, &report).await?;
        if answer.attest && !done.evidence {
            self.attest().await?;
            done.evidence = true;
        }
        let timestamp = format!("{}timestamp.json", routes::REPOSITORY_METADATA);
        let answer = self
            .dialer
            .ask(Method::GET, &timestamp, &[], bytes::Bytes::new(), ANSWER)
            .await?;
        ensure!(answer.status.is_success(), "timestamp: {}", answer.status);
        self.record.grow();
        let checkpoint = RecordCheckpoint {
            v: V1,
            checkpoint: self.record.note()?,
            old_size: self.record.cosigned,
            proof: self
                .record
                .proof()
                .iter()
                .map(|hash| Base64(hash.as_bytes().to_vec()))
                .collect(),
        };
        let answer: RecordCosignature = self.post(routes::RECORD, &checkpoint).await?;
        ensure!(!answer.cosignature.is_empty(), "no cosignature");
        self.record.cosigned = self.record.head().size;
        Ok(done)
    }

    fn report(&self) -> BoxReport {
        BoxReport {
            v: V1,
            sequence: self.sequence,
            at: super::now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            achieved: None,
            pursuing: None,
            doing: String::new(),
            refusals: Vec::new(),
            models: vec![ModelState {
                name: "triage".to_owned(),
                version: "2.1.0".to_owned(),
                digest: self.places.model.to_hex(),
                signer: self.places.model.to_hex(),
                phase: ModelPhase::Serving,
                reason: None,
                memory_bound: "cgroup".to_owned(),
                progress: None,
            }],
            gateway: Some(GatewayDoor {
                url: format!(
                    "https://10.{}.{}.{}:8444",
                    self.number / 65_536,
                    self.number / 256 % 256,
                    self.number % 256
                ),
                spki: self.tls_spki.to_hex(),
            }),
            // Told once after each start, as a box does.
            inventory: (self.sequence == 1).then(|| self.places.inventory.clone()),
            health: Vec::new(),
        }
    }

    fn clock(&self) -> ClockInfo {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        ClockInfo {
            clock: 100_000_u64.saturating_add(passed),
            ..paper_tpm::clock()
        }
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, message: &impl Serialize) -> anyhow::Result<T> {
        self.send(path, "application/json", serde_json::to_vec(message)?).await
    }

    async fn send<T: DeserializeOwned>(&self, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<T> {
        let headers = [("content-type", kind)];
        let answer = self
            .dialer
            .ask(Method::POST, path, &headers, body.into(), ANSWER)
            .await?;
        let value = super::json(path, &answer)?;
        serde_json::from_value(value).with_context(|| path.to_owned())
    }
}

/// A name of the form of a box's, for a number.
fn name_of(number: usize) -> String {
    const FIRST: [&str; 8] = ["amber", "blue", "calm", "dawn", "early", "fern", "green", "hazel"];
    const SECOND: [&str; 8] = ["fox", "owl", "elk", "hare", "lynx", "wren", "crane", "otter"];
    let pick = |words: &[&'static str; 8], place: usize| words.get(place % 8).copied().unwrap_or("box");
    format!("{}-{}-{number:04x}", pick(&FIRST, number), pick(&SECOND, number / 8))
}

/// An endorsement key in software: P-256 with AES-128 in CFB mode, as template L-2 of the TCG's EK credential profile has it.
struct EndorsementKey {
    scalar: [u8; 32],
    x: Vec<u8>,
    y: Vec<u8>,
    public: Public,
}

impl EndorsementKey {
    fn new() -> anyhow::Result<Self> {
        let mut scalar = [0_u8; 32];
        freehold_channel::provider()
            .secure_random
            .fill(&mut scalar)
            .ok()
            .context("randomness")?;
        scalar[0] &= 0x7f;
        // The public point falls out of an agreement with any other key.
        let other = SigningKey::generate(KeyKind::P256)?;
        let (x, y) = other.public().ec_point().context("a point")?;
        let agreed = cipher::ecdh(KeyKind::P256, &scalar, &x, &y)?;
        let (x, y) = (agreed.ephemeral_x, agreed.ephemeral_y);
        let attributes = Attributes::FIXED_TPM
            | Attributes::FIXED_PARENT
            | Attributes::SENSITIVE_DATA_ORIGIN
            | Attributes::RESTRICTED
            | Attributes::DECRYPT;
        let public = Public {
            name_hash: algorithm::SHA256,
            attributes: Attributes(attributes),
            auth_policy: Vec::new(),
            symmetric: Some(Symmetric {
                algorithm: algorithm::AES,
                bits: 128,
                mode: algorithm::CFB,
            }),
            scheme: None,
            parameters: PublicParameters::Ecc {
                curve: algorithm::NIST_P256,
                kdf: None,
                x: x.clone(),
                y: y.clone(),
            },
        };
        Ok(Self { scalar, x, y, public })
    }

    fn spki(&self) -> anyhow::Result<Vec<u8>> {
        ensure!(self.y.len() == 32, "a point of P-256");
        Ok(self.public.public_key()?.spki_der().to_vec())
    }

    /// TPM2_ActivateCredential.
    fn activate(&self, name: &[u8], credential: &[u8], secret: &[u8]) -> anyhow::Result<Vec<u8>> {
        let hash = HashAlgorithm::Sha256;
        let (point, _) = take_sized(secret)?;
        let (x, rest) = take_sized(point)?;
        let (y, _) = take_sized(rest)?;
        let agreed = cipher::ecdh(KeyKind::P256, &self.scalar, x, y)?;
        let seed = kdf::kdfe(hash, &agreed.z, "IDENTITY", x, &self.x, 256);
        let key = kdf::kdfa(hash, &seed, "STORAGE", name, &[], 128);
        let (object, _) = take_sized(credential)?;
        let (_integrity, identity) = take_sized(object)?;
        let mut identity = identity.to_vec();
        cipher::aes_cfb128_decrypt(&key, &mut identity)?;
        Ok(take_sized(&identity)?.0.to_vec())
    }
}

/// A TPM2B at the beginning of `bytes`, and what follows it.
fn take_sized(bytes: &[u8]) -> anyhow::Result<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(2).context("a TPM2B")?;
    let length = usize::from(u16::from_be_bytes(length.try_into()?));
    rest.split_at_checked(length).context("a TPM2B")
}

/// The PCRs that the boot log leads to.
pub fn values(log: &[u8], wanted: &[u8]) -> anyhow::Result<PcrValues> {
    let replay = freehold_verify::event_log::EventLog::parse(log)?.replay_sha256();
    let values = wanted
        .iter()
        .filter_map(|pcr| Some((*pcr, *replay.get(usize::from(*pcr))?)))
        .collect();
    PcrValues::of(values).context("PCRs")
}

/// The digest that stands for the model of every box.
pub fn model() -> freehold_trust::Sha256Digest {
    sha256(b"triage 2.1.0")
}
