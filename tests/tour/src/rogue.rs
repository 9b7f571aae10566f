//! A box turned against its console: it holds real TPM keys and speaks the real protocol, but not as it should.

use std::fs;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use freehold_channel::{
    Clock, Dates, Protocols, RemoteKey, RemoteSignFailed, ServerPin, TlsIdentity, client_config, der_signature,
    self_signed_box,
};
use freehold_collect::{Keys, Limits, Tpm};
use freehold_dial::Dialer;
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge, Pairing};
use freehold_protocol::report::{Challenge, ChallengeRequest};
use freehold_protocol::{Base64, V1, routes};
use freehold_trust::key::PublicKey;
use freehold_trust::signing::SigningKey;
use freehold_trust::{KeyKind, Sha256Digest};
use freehold_verify::boot::Manifest;
use freehold_verify::evidence::{Bound, Evidence, qualifying_data};
use freehold_verify::quote::PcrValues;
use freehold_verify::tpm::Public;
use http::Method;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use time::OffsetDateTime;

use crate::network::Network;
use crate::world::{DemoBox, World};

/// What the console answered: the code when it refused.
#[derive(Debug)]
pub enum Answer {
    /// It took it.
    Taken(Vec<u8>),
    /// It refused.
    Refused(String),
}

impl Answer {
    /// The code, or an error when it was taken.
    pub fn code(self) -> anyhow::Result<String> {
        match self {
            Self::Refused(code) => Ok(code),
            Self::Taken(_) => bail!("the console took it"),
        }
    }

    /// The body, or an error when it was refused.
    pub fn taken(self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Taken(body) => Ok(body),
            Self::Refused(code) => bail!("refused with {code}"),
        }
    }
}

/// Runs `work` in a box's namespace, on a thread and a runtime of its own.
pub fn inside<T: Send, F: Future<Output = anyhow::Result<T>>>(
    namespace: &str,
    work: impl FnOnce() -> F + Send,
) -> anyhow::Result<T> {
    let handle = fs::File::open(Network::handle(namespace))?;
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&handle), Some(LinkNameSpaceType::Network))?;
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(work())
            })
            .join()
            .map_err(|_| anyhow::anyhow!("the rogue's thread failed"))?
    })
}

/// A rogue with a TLS key in hand.
pub struct Rogue {
    dialer: Dialer,
}

fn clock() -> Clock {
    Clock::new(|| OffsetDateTime::now_utc().unix_timestamp())
}

/// The pairing that the boxes got.
pub fn pairing(world: &World) -> anyhow::Result<Pairing> {
    Ok(serde_json::from_slice(&fs::read(
        world.folder.join("console/state/pairing.json"),
    )?)?)
}

impl Rogue {
    fn new(pairing: &Pairing, identity: Arc<TlsIdentity>) -> anyhow::Result<Self> {
        let pin = ServerPin::FleetAuthority(pairing.fleet_ca.parse()?);
        let config = client_config(pin, Dates::Enforced, Some(identity), Protocols::Http1, &clock())?;
        Ok(Self {
            dialer: Dialer::new(&pairing.console, config)?,
        })
    }

    /// A computer that nobody knows, with a key of its own making.
    pub fn stranger(pairing: &Pairing) -> anyhow::Result<Self> {
        let key = SigningKey::generate(KeyKind::P256)?;
        let spki = key.public().spki_der().to_vec();
        let remote = RemoteKey::new(&spki, move |message| Ok::<_, RemoteSignFailed>(key.sign(message)))?;
        let day = std::time::Duration::from_secs(86_400);
        let own = self_signed_box(&remote, "stranger", OffsetDateTime::now_utc(), day)?;
        Self::new(pairing, TlsIdentity::remote(&remote, vec![own])?)
    }

    /// A computer with TPM keys; `issued` is a certificate of the fleet CA when it has one.
    pub fn with_tpm(
        pairing: &Pairing,
        tpm: &Tpm,
        issued: Option<Vec<u8>>,
    ) -> anyhow::Result<(Self, Keys, Sha256Digest)> {
        let keys = tpm.keys()?;
        let spki: PublicKey = Public::parse(&keys.tls.public)?.public_key()?;
        let signer = tpm.clone();
        let remote = RemoteKey::new(spki.spki_der(), move |message| {
            let numbers = signer.sign_tls(message).map_err(|error| RemoteSignFailed {
                reason: error.to_string(),
            })?;
            Ok(der_signature(&numbers.r, &numbers.s))
        })?;
        let certificate = match issued {
            Some(issued) => CertificateDer::from(issued),
            None => self_signed_box(
                &remote,
                "second",
                OffsetDateTime::now_utc(),
                std::time::Duration::from_secs(86_400),
            )?,
        };
        let rogue = Self::new(pairing, TlsIdentity::remote(&remote, vec![certificate])?)?;
        Ok((rogue, keys, spki.fingerprint()))
    }

    async fn send(&self, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
        let answer = self
            .dialer
            .ask(
                Method::POST,
                path,
                &[("content-type", kind)],
                Bytes::from(body),
                1 << 20,
            )
            .await?;
        if answer.status.is_success() {
            return Ok(Answer::Taken(answer.body.to_vec()));
        }
        let refused: serde_json::Value = serde_json::from_slice(&answer.body)
            .with_context(|| format!("status {} without a reason", answer.status))?;
        Ok(Answer::Refused(
            refused["code"].as_str().context("a refusal without a code")?.to_owned(),
        ))
    }

    /// Posts a message.
    pub async fn post(&self, path: &str, message: &impl Serialize) -> anyhow::Result<Answer> {
        self.send(path, "application/json", serde_json::to_vec(message)?).await
    }

    /// Asks for a nonce.
    pub async fn challenge(&self) -> anyhow::Result<Answer> {
        self.post(routes::CHALLENGE, &ChallengeRequest { v: V1 }).await
    }

    /// Shows evidence.
    pub async fn evidence(&self, evidence: Vec<u8>) -> anyhow::Result<Answer> {
        self.send(routes::EVIDENCE, "application/vnd.freehold.evidence+cbor", evidence)
            .await
    }
}

/// A box's TPM with the keys from its state folder.
pub fn tpm_of(one: &DemoBox) -> anyhow::Result<Tpm> {
    let keys = fs::read_to_string(one.state().join("keys/tpm-keys"))?;
    Ok(Tpm::new(
        &one.tpm.tcti(),
        Some(Keys::from_text(&keys)?),
        Limits::default(),
    )?)
}

/// Evidence over `nonce`, made with the box's own TPM.
pub fn evidence(
    one: &DemoBox,
    tpm: &Tpm,
    tls: Sha256Digest,
    challenge: &Challenge,
    nonce: [u8; 32],
) -> anyhow::Result<Vec<u8>> {
    let manifest = Manifest::parse(&fs::read(one.folder.join("boot.manifest.json"))?)?;
    let boot_log = fs::read(one.folder.join("boot.log"))?;
    let bound = Bound {
        nonce,
        box_id: one.id().context("the box has no identifier")?,
        tls,
        checkpoint: None,
        models: Vec::new(),
        supervisor: "rogue".into(),
        boot: Evidence::boot_claim(&manifest.release, &manifest.version, &boot_log),
    };
    let quote = tpm.quote(&challenge.pcrs, *qualifying_data(&bound).as_bytes())?;
    let values = tpm.read_pcrs(&challenge.pcrs)?;
    let pcrs = PcrValues::of(values.into_iter().collect()).context("a PCR that there is not")?;
    Ok(Evidence {
        bound,
        attest: quote.attest,
        signature: quote.signature,
        pcrs,
        boot_log,
        runtime_log: Vec::new(),
    }
    .encode())
}

/// Tries to enrol a TPM that is a member already, under another name and with new keys.
pub async fn enrol_again(pairing: &Pairing, tcti: &str, chain: Vec<Vec<u8>>) -> anyhow::Result<Answer> {
    let tpm = Tpm::new(tcti, None, Limits::default())?;
    let (rogue, keys, _) = Rogue::with_tpm(pairing, &tpm, None)?;
    let endorsement = tpm.endorsement(None)?;
    let begin = EnrolBegin {
        v: V1,
        fleet: pairing.fleet.clone(),
        site: pairing.site.clone(),
        box_id: "second-name-0001".into(),
        label: "second".into(),
        ek_public: Base64(endorsement.public.clone()),
        ek_certificate: endorsement.certificate.clone().map(Base64),
        ek_chain: chain.into_iter().map(Base64).collect(),
        ak_public: Base64(keys.ak.public.clone()),
        tls_public: Base64(keys.tls.public.clone()),
        record_key: None,
    };
    let challenge: EnrolChallenge = match rogue.post(routes::ENROL_BEGIN, &begin).await? {
        Answer::Taken(body) => serde_json::from_slice(&body)?,
        refused @ Answer::Refused(_) => return Ok(refused),
    };
    let activated = tpm.activate(endorsement.kind, &challenge.credential.0, &challenge.secret.0)?;
    let nonce: [u8; 32] = challenge.certify_nonce.0.as_slice().try_into()?;
    let certified = tpm.certify_tls(nonce)?;
    let activate = EnrolActivate {
        v: V1,
        session: challenge.session,
        activated: Base64(activated),
        certify_attest: Base64(certified.attest),
        certify_signature: Base64(certified.signature),
    };
    rogue.post(routes::ENROL_ACTIVATE, &activate).await
}
