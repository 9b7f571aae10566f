//! Enrolment in two steps: begin (who are you, and here is a credential), complete (the credential's answer and the TLS key).
//!
//! Refuses to become an identity half-way: [`Enrolling`] gives nothing away but the credential, and only
//! [`Enrolling::complete`] makes a `Verified<Identity>` (the fault of keylime 08c0c67c is a type error). Invariant: one EK,
//! one id; one id, one EK.

use freehold_trust::{PublicKey, Sha256Digest};
use thiserror::Error;

use super::activation::{Credential, check_activation, make_credential};
use super::attestation_key::AttestationKey;
use super::certified::verify_certified_key;
use super::endorsement::{EkPolicy, EkTrust, Endorsement, TpmKind, verify_endorsement};
use super::rejection::IdentityRejection;
use crate::rejection::Refusal;
use crate::verified::Verified;

/// What a box says about itself at first.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// TPMT_PUBLIC of the EK.
    pub ek_public: &'a [u8],
    /// DER certificate of the EK, where there is one.
    pub ek_certificate: Option<&'a [u8]>,
    /// DER intermediates.
    pub ek_chain: &'a [Vec<u8>],
    /// TPMT_PUBLIC of the AK.
    pub ak_public: &'a [u8],
    /// TPMT_PUBLIC of the TLS key.
    pub tls_public: &'a [u8],
    /// The key that the TLS client has proven to hold.
    pub session: &'a PublicKey,
}

/// What a box answers.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// What TPM2_ActivateCredential returned.
    pub activated: &'a [u8],
    /// TPMS_ATTEST of TPM2_Certify over the TLS key.
    pub certify_attest: &'a [u8],
    /// TPMT_SIGNATURE over it.
    pub certify_signature: &'a [u8],
}

/// An enrolment that waits for the box's answer. Lives in memory only; holds the secret, does not show it.
pub struct Enrolling {
    endorsement: Verified<Endorsement>,
    ak: AttestationKey,
    tls_public: Vec<u8>,
    session: PublicKey,
    secret: [u8; 32],
    challenge: [u8; 32],
    credential: Credential,
}

/// A box that has proven who it is. A person still has to approve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the EK's SubjectPublicKeyInfo.
    pub ek: Sha256Digest,
    /// Software, hardware, or nobody knows: derived.
    pub tpm: TpmKind,
    /// Why the EK is believed.
    pub trust: EkTrust,
    /// The attestation key.
    pub ak: AttestationKey,
    /// The TLS key.
    pub tls: PublicKey,
}

impl Enrolling {
    /// Checks EK and AK and makes a credential. `random` fills a slice with random bytes: secret, challenge, seed.
    ///
    /// # Errors
    /// [`IdentityRejection`].
    pub fn begin(
        candidate: &Candidate<'_>,
        policy: &EkPolicy<'_>,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Self, IdentityRejection> {
        let endorsement = verify_endorsement(
            candidate.ek_public,
            candidate.ek_certificate,
            candidate.ek_chain,
            policy,
        )?;
        let ak = AttestationKey::from_public(candidate.ak_public)?;
        let mut secret = [0; 32];
        random(&mut secret);
        let mut challenge = [0; 32];
        random(&mut challenge);
        let credential = make_credential(&endorsement.public, ak.name(), &secret, random)?;
        let tls_public = candidate.tls_public.to_vec();
        Ok(Self {
            endorsement,
            ak,
            tls_public,
            session: candidate.session.clone(),
            secret,
            challenge,
            credential,
        })
    }

    /// What to send to the box.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The qualifyingData that the box must use in TPM2_Certify.
    #[must_use]
    pub fn challenge(&self) -> &[u8; 32] {
        &self.challenge
    }

    /// SHA-256 of the EK's SubjectPublicKeyInfo.
    #[must_use]
    pub fn ek(&self) -> Sha256Digest {
        self.endorsement.digest
    }

    /// Checks the box's answer. The enrolment stays usable after a wrong answer; the caller bounds the attempts.
    ///
    /// # Errors
    /// [`IdentityRejection`]; nothing in it tells the expected answer.
    pub fn complete(&self, proof: &Proof<'_>) -> Result<Verified<Identity>, IdentityRejection> {
        check_activation(&self.secret, proof.activated)?;
        let tls = verify_certified_key(
            proof.certify_attest,
            proof.certify_signature,
            &self.tls_public,
            &self.ak,
            &self.session,
            &self.challenge,
        )?;
        Ok(Verified::seal(Identity {
            ek: self.endorsement.digest,
            tpm: self.endorsement.tpm,
            trust: self.endorsement.trust.clone(),
            ak: self.ak.clone(),
            tls: tls.into_inner().key,
        }))
    }
}

impl std::fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Enrolling(EK {}, AK {})",
            self.endorsement.digest,
            self.ak.fingerprint()
        )
    }
}

/// A box that the fleet knows, member or not, removed ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBox<'a> {
    /// Its id.
    pub id: &'a str,
    /// SHA-256 of its EK's SubjectPublicKeyInfo.
    pub ek: Sha256Digest,
}

/// Whether a box is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// Neither id nor EK is known.
    New,
    /// The same EK under the same id: a cleared TPM, to be approved again.
    Again,
}

/// Why a box may not enrol under this id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnrolRejection {
    /// The id belongs to another EK.
    #[error("box `{id}` is bound to another endorsement key")]
    OtherEk {
        /// The id.
        id: String,
        /// The EK that the id is bound to.
        expected: Sha256Digest,
        /// The EK that came.
        found: Sha256Digest,
    },
    /// The EK belongs to another id.
    #[error("this endorsement key is already enrolled as box `{enrolled}`")]
    SameEk {
        /// The id that the EK is bound to.
        enrolled: String,
        /// The id that came.
        id: String,
    },
    /// An id that no box makes.
    #[error("a box id has 1 to 64 lower-case letters, digits and dashes")]
    Id,
}

impl EnrolRejection {
    /// Every code of this rejection.
    pub const CODES: &[&str] = &["enrol.other_ek", "enrol.same_ek", "enrol.id"];
}

impl Refusal for EnrolRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherEk { .. } => "enrol.other_ek",
            Self::SameEk { .. } => "enrol.same_ek",
            Self::Id => "enrol.id",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::OtherEk { expected, .. } => Some(expected.to_hex()),
            Self::SameEk { enrolled, .. } => Some(enrolled.clone()),
            Self::Id => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::OtherEk { found, .. } => Some(found.to_hex()),
            Self::SameEk { id, .. } => Some(id.clone()),
            Self::Id => None,
        }
    }
}

/// Checks the id's form: 1 to 64 of `a-z`, `0-9`, `-`. Log lines, file names and pages carry it as it is.
///
/// # Errors
/// [`EnrolRejection::Id`].
pub fn check_id(id: &str) -> Result<(), EnrolRejection> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=64).contains(&id.len()) && id.bytes().all(allowed) {
        Ok(())
    } else {
        Err(EnrolRejection::Id)
    }
}

/// Whether `id` may be bound to `ek`, given every box that the fleet knows. The caller must hold its database's write lock
/// from before reading `known` until after writing (CVE-2025-13609 was a gap between the two).
///
/// # Errors
/// [`EnrolRejection`].
pub fn check_novelty<'a>(
    id: &str,
    ek: Sha256Digest,
    known: impl IntoIterator<Item = KnownBox<'a>>,
) -> Result<Novelty, EnrolRejection> {
    check_id(id)?;
    let mut novelty = Novelty::New;
    for other in known {
        match (other.id == id, other.ek == ek) {
            (true, false) => {
                return Err(EnrolRejection::OtherEk {
                    id: id.to_owned(),
                    expected: other.ek,
                    found: ek,
                });
            }
            (false, true) => {
                return Err(EnrolRejection::SameEk {
                    enrolled: other.id.to_owned(),
                    id: id.to_owned(),
                });
            }
            (true, true) => novelty = Novelty::Again,
            (false, false) => {}
        }
    }
    Ok(novelty)
}
