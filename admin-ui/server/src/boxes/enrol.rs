//! Enrolment over the wire: begin, activate, status.
//!
//! Refuses a TLS key that is not the connection's, and never answers with anything derived from the expected activation.
//! Invariant: cryptographic checks are `freehold_verify::identity`'s, rules are `freehold_fleet`'s; here they meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use freehold_channel::PeerIdentity;
use freehold_fleet::{EkTrust, Event, Keys, Member, Membership, Session, TpmKind};
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge, EnrolState, EnrolStatus, Pairing};
use freehold_protocol::fingerprint::Fingerprint;
use freehold_protocol::{Base64, V1};
use freehold_trust::{KeyKind, PublicKey};
use freehold_verify::Refusal as _;
use freehold_verify::identity::{self, Candidate, EkPolicy, Enrolling, IdentityRejection, Proof};

use super::caller::Key;
use crate::body::Told;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// Most intermediate certificates that are read: bounds chain building for a stranger.
const CHAIN_LIMIT: usize = 8;

/// `POST /box/v1/enrol/begin`.
///
/// # Errors
/// The verifier's or the fleet's refusal.
pub async fn begin(
    State(console): State<Console>,
    Extension(Key(peer)): Extension<Key>,
    Told(message): Told<EnrolBegin>,
) -> Result<Json<EnrolChallenge>, Refused> {
    begin_with(&console, peer, message, Way::Wire).await.map(Json)
}

/// How the messages of an enrolment travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over a connection of the box's TLS key.
    Wire,
    /// By stick, signed by the box's TLS key.
    Stick,
}

/// Begins an enrolment for whoever holds `peer`'s key.
pub(crate) async fn begin_with(
    console: &Console,
    peer: PeerIdentity,
    message: EnrolBegin,
    way: Way,
) -> Result<EnrolChallenge, Refused> {
    let session_key =
        PublicKey::from_spki_der(&peer.spki_der).map_err(|error| Refused::unreadable(error.to_string()))?;
    check_record_key(&message)?;
    let inner = console.clone();
    let (message, enrolling) = tokio::task::spawn_blocking(move || {
        let checked = examine(&inner, &message, &session_key);
        (message, checked)
    })
    .await
    .map_err(|error| Refused::inside(&error))?;
    let (enrolling, ek_trust, ek_by_hash) = match enrolling {
        Ok(checked) => checked,
        Err(rejection) => return Err(refuse_stranger(console, &message, &rejection).await),
    };
    let name = random::hex::<16>().map_err(|error| Refused::inside(&error))?;
    let tls_spki = peer.spki.to_string();
    let fingerprint = Fingerprint::over(&message.ek_public.0, &message.ak_public.0, &message.tls_public.0);
    let session = Session {
        session: name.clone(),
        fleet: message.fleet,
        site: message.site,
        box_id: message.box_id,
        label: message.label,
        ek: enrolling.ek().to_hex(),
        ek_public: message.ek_public.0,
        ek_trust: if ek_by_hash { EkTrust::Hash } else { ek_trust },
        keys: Keys {
            ak_public: message.ak_public.0,
            tls_public: message.tls_public.0,
            tls_spki,
            tls_spki_der: peer.spki_der,
            fingerprint: fingerprint.hex(),
            record_spki_der: message.record_key.map(|key| key.0).unwrap_or_default(),
        },
        opened: console.now(),
        by_stick: way == Way::Stick,
    };
    let credential = enrolling.credential();
    let answer = EnrolChallenge {
        v: V1,
        session: name.clone(),
        credential: Base64(credential.id_object.clone()),
        secret: Base64(credential.encrypted_secret.clone()),
        certify_nonce: Base64(enrolling.challenge().to_vec()),
    };
    console.happen(Event::EnrolBegun(Box::new(session))).await?;
    console.keep_enrolling(&name, Arc::new(enrolling));
    Ok(answer)
}

/// A record key is an Ed25519 key or it is none: anything else would be kept and never verify.
fn check_record_key(message: &EnrolBegin) -> Result<(), Refused> {
    let Some(key) = &message.record_key else {
        return Ok(());
    };
    let kind = PublicKey::from_spki_der(&key.0).map(|key| key.kind());
    match kind {
        Ok(KeyKind::Ed25519) => Ok(()),
        Ok(kind) => Err(Refused::unreadable(format!("the record's key is {kind}, not Ed25519"))),
        Err(error) => Err(Refused::unreadable(format!("the record's key: {error}"))),
    }
}

type Examined = (Enrolling, EkTrust, bool);

/// EK, AK and TLS key on paper: chain or digest, attributes, and a credential for them.
fn examine(console: &Console, message: &EnrolBegin, session: &PublicKey) -> Result<Examined, IdentityRejection> {
    let (roots, software_roots) = console.ek_roots();
    let chain: Vec<Vec<u8>> = message
        .ek_chain
        .iter()
        .take(CHAIN_LIMIT)
        .map(|der| der.0.clone())
        .collect();
    let candidate = Candidate {
        ek_public: &message.ek_public.0,
        ek_certificate: message.ek_certificate.as_ref().map(|der| der.0.as_slice()),
        ek_chain: &chain,
        ak_public: &message.ak_public.0,
        tls_public: &message.tls_public.0,
        session,
    };
    let nobody = BTreeSet::new();
    let mut approved = BTreeSet::new();
    let mut random_fault = false;
    let mut random = |out: &mut [u8]| random_fault |= freehold_channel::provider().secure_random.fill(out).is_err();
    let no_serials = BTreeSet::new();
    let mut policy = EkPolicy {
        roots,
        software_roots,
        approved: &nobody,
        revoked: &no_serials,
        quirks: identity::quirk::Quirks::default(),
        now: console.now(),
    };
    let enrolling = match Enrolling::begin(&candidate, &policy, &mut random) {
        // No certificate: the proof goes on, and a person has to approve this very digest before the box is a member.
        Err(IdentityRejection::EkUnknown { digest }) => {
            if let Ok(digest) = digest.parse() {
                approved.insert(digest);
            }
            policy.approved = &approved;
            Enrolling::begin(&candidate, &policy, &mut random)?
        }
        other => other?,
    };
    let by_hash = !approved.is_empty();
    let trust =
        match identity::verify_endorsement(&message.ek_public.0, candidate.ek_certificate, &chain, &policy)?.get() {
            identity::Endorsement {
                trust: identity::EkTrust::Chain { subject, .. },
                tpm,
                ..
            } => EkTrust::Chain {
                root: subject.clone(),
                kind: kind(*tpm),
            },
            identity::Endorsement {
                trust: identity::EkTrust::ApprovedDigest,
                ..
            } => EkTrust::Hash,
        };
    if random_fault {
        return Err(IdentityRejection::Activation);
    }
    Ok((enrolling, trust, by_hash))
}

const fn kind(tpm: identity::TpmKind) -> TpmKind {
    match tpm {
        identity::TpmKind::Hardware => TpmKind::Hardware,
        identity::TpmKind::Software => TpmKind::Software,
        identity::TpmKind::Unproven => TpmKind::Unproven,
    }
}

async fn refuse_stranger(console: &Console, message: &EnrolBegin, rejection: &IdentityRejection) -> Refused {
    let claimed: String = message.box_id.chars().take(64).flat_map(char::escape_default).collect();
    let entry = console
        .entry("enrol.begun", &format!("box:{claimed}"))
        .about(&claimed)
        .refused(rejection.code());
    match console.record(entry).await {
        Ok(()) => Refused::of(rejection),
        Err(refused) => refused,
    }
}

/// `POST /box/v1/enrol/activate`.
///
/// # Errors
/// The verifier's or the fleet's refusal; the session is over then.
pub async fn activate(
    State(console): State<Console>,
    Extension(Key(peer)): Extension<Key>,
    Told(message): Told<EnrolActivate>,
) -> Result<Json<EnrolStatus>, Refused> {
    let enrolling = console.enrolling(&message.session);
    let fault = match enrolling {
        // The fleet knows the session no better: it says so by its own code.
        None => None,
        Some(enrolling) => {
            let proof = (
                message.activated.0,
                message.certify_attest.0,
                message.certify_signature.0,
            );
            let checked = tokio::task::spawn_blocking(move || {
                let (activated, certify_attest, certify_signature) = &proof;
                enrolling.complete(&Proof {
                    activated,
                    certify_attest,
                    certify_signature,
                })
            })
            .await;
            match checked {
                Ok(Ok(_)) => None,
                Ok(Err(rejection)) => Some((rejection.code(), rejection.to_string())),
                // A verifier that fails is a proof that failed.
                Err(_) => Some(("enrol.proof_failed", "the proof could not be checked".to_owned())),
            }
        }
    };
    let tls_spki = peer.spki.to_string();
    let event = Event::ProofChecked {
        session: message.session,
        tls_spki: tls_spki.clone(),
        fault,
    };
    console.happen(event).await?;
    Ok(Json(standing(&console, &tls_spki)))
}

/// `GET /box/v1/pairing`: fingerprints only, which a person compares at the box.
///
/// # Errors
/// 409 while no publisher is pinned.
pub async fn pairing(State(console): State<Console>) -> Result<Json<Pairing>, Refused> {
    console.pairing(None).map(Json)
}

/// `GET /box/v1/enrol/status`.
pub async fn status(State(console): State<Console>, Extension(Key(peer)): Extension<Key>) -> Json<EnrolStatus> {
    Json(standing(&console, &peer.spki.to_string()))
}

/// Where the enrolment of a key stands.
pub(crate) fn standing(console: &Console, tls_spki: &str) -> EnrolStatus {
    let fleet = console.fleet();
    let member = fleet.by_key(tls_spki);
    let state = member.map_or(EnrolState::Unknown, |member| state_of(member, tls_spki));
    let keys = member.and_then(|member| {
        member
            .pending
            .iter()
            .chain(&member.active)
            .find(|keys| keys.tls_spki == tls_spki)
            .map(|keys| (member, keys))
    });
    let shelf = console.shelf();
    EnrolStatus {
        v: V1,
        state,
        fingerprint: keys
            .map(|(member, keys)| Fingerprint::over(&member.ek_public, &keys.ak_public, &keys.tls_public).to_string()),
        director: Some(Base64(console.director().spki_der().to_vec())),
        tuf_root: (!shelf.pinned_bytes.is_empty()).then(|| Base64(shelf.pinned_bytes.clone())),
    }
}

fn state_of(member: &Member, tls_spki: &str) -> EnrolState {
    match &member.membership {
        Membership::Refused { .. } => EnrolState::Refused,
        Membership::Approved { .. } if member.active.as_ref().is_some_and(|keys| keys.tls_spki == tls_spki) => {
            EnrolState::Approved
        }
        Membership::Approved { .. } | Membership::Waiting => EnrolState::WaitingForApproval,
    }
}
