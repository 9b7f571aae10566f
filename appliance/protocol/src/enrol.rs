//! Enrolment: how a box that nobody knows becomes one that an operator may approve.
//!
//! The box sends its EK (with certificate, when it has one), AK and TLS key; the console answers with a credential that
//! only a TPM holding that EK and AK can open (TPM 2.0 Part 1, section 24, "Credential Protection"); the box returns the
//! secret together with the AK's certification of the TLS key. Nothing is a member of the fleet before a person compared
//! the fingerprint and approved. Refuses to carry private material: all of this may be read by anyone.

use serde::{Deserialize, Serialize};

use crate::binary::Base64;
use crate::version::V1;

/// What a box carries in its pairing file, confirmed on its screen: which console is mine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// Message version.
    pub v: V1,
    /// The fleet's identifier.
    pub fleet: String,
    /// The site this box stands at.
    pub site: String,
    /// Where the console's port for boxes listens, `https://ADDRESS:PORT`.
    pub console: String,
    /// SHA-256 of the fleet CA certificate (DER), hex. The box trusts TLS servers of this CA only.
    pub fleet_ca: String,
    /// SHA-256 of the first TUF root metadata file, hex.
    pub tuf_root: String,
    /// SHA-256 of the director's public key (SPKI DER), hex.
    pub director: String,
}

/// First message of enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolBegin {
    /// Message version.
    pub v: V1,
    /// The fleet the box was paired with.
    pub fleet: String,
    /// The site the box was paired with.
    pub site: String,
    /// The box's random identifier (three words, `amber-fox-9d1e`), bound to the EK at enrolment.
    pub box_id: String,
    /// A name that people gave the box; shown escaped, never trusted.
    pub label: String,
    /// TPMT_PUBLIC of the endorsement key.
    pub ek_public: Base64,
    /// X.509 certificate (DER) of the endorsement key, when the TPM carries one.
    pub ek_certificate: Option<Base64>,
    /// Intermediate certificates (DER), nearest the leaf first.
    pub ek_chain: Vec<Base64>,
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Base64,
    /// TPMT_PUBLIC of the TLS key; its SPKI must be that of the client certificate of this connection.
    pub tls_public: Base64,
    /// The public key (SPKI, DER) that signs the heads of this box's record. Said over the connection of the TLS key that the
    /// AK then certifies, so it is bound to the enrolment that a person approves. A box of the version before says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_key: Option<Base64>,
}

/// The console's answer: a credential for [`EnrolBegin::ak_public`]'s name under its EK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolChallenge {
    /// Message version.
    pub v: V1,
    /// Names this enrolment session; random, single use, expires in five minutes.
    pub session: String,
    /// TPM2B_ID_OBJECT for TPM2_ActivateCredential.
    pub credential: Base64,
    /// TPM2B_ENCRYPTED_SECRET for TPM2_ActivateCredential.
    pub secret: Base64,
    /// 32 bytes to be the qualifyingData of the TPM2_Certify over the TLS key.
    pub certify_nonce: Base64,
}

/// The box's proof: the secret, and the AK's certification of the TLS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolActivate {
    /// Message version.
    pub v: V1,
    /// From [`EnrolChallenge::session`].
    pub session: String,
    /// What TPM2_ActivateCredential returned.
    pub activated: Base64,
    /// TPMS_ATTEST (TPM_ST_ATTEST_CERTIFY) over the TLS key by the AK.
    pub certify_attest: Base64,
    /// TPMT_SIGNATURE by the AK.
    pub certify_signature: Base64,
}

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolState {
    /// The console has never seen this key.
    Unknown,
    /// The proof holds; a person has to compare the fingerprint and approve.
    WaitingForApproval,
    /// The box is a member of the fleet.
    Approved,
    /// A person refused it.
    Refused,
}

/// Answer about an enrolment, with what the box needs to check its console from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolStatus {
    /// Message version.
    pub v: V1,
    /// Where it stands.
    pub state: EnrolState,
    /// What a person compares on both screens: the fingerprint of EK, AK and TLS key, in words and hex.
    pub fingerprint: Option<String>,
    /// The director's public key (SPKI DER); its SHA-256 must be the one of the pairing.
    pub director: Option<Base64>,
    /// The first TUF root metadata; its SHA-256 must be the one of the pairing.
    pub tuf_root: Option<Base64>,
}
