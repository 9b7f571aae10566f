//! Who the peer is, as data for the routes.
//!
//! Refuses to decide what a peer may do. Invariant: the identity is the SHA-256 of the key; everything else is an attribute
//! of the certificate that carried it.

use freehold_trust::digest::{Sha256Digest, sha256};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;

use crate::clock::unix_time;
use crate::fault::ChannelFault;
use crate::leaf::Leaf;
use crate::provider::provider;

/// The fleet CA, ready to say whether it issued a certificate.
#[derive(Debug, Clone)]
pub struct FleetRoot {
    verifier: Arc<dyn ClientCertVerifier>,
    fingerprint: Sha256Digest,
}

impl FleetRoot {
    /// From the CA's certificate (DER).
    ///
    /// # Errors
    /// When the bytes are not a certificate that can be a root.
    pub fn new(authority: &CertificateDer<'_>) -> Result<Self, ChannelFault> {
        let fingerprint = sha256(authority);
        let mut roots = RootCertStore::empty();
        roots
            .add(authority.clone().into_owned())
            .map_err(|source| ChannelFault::Tls {
                what: "fleet ca",
                source,
            })?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| ChannelFault::Unreadable { what: "fleet ca" })?;
        Ok(Self { verifier, fingerprint })
    }

    /// SHA-256 of the CA's certificate (DER): what boxes pin.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        self.fingerprint
    }
}

/// Who signed the peer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuedBy {
    /// The fleet CA.
    Fleet,
    /// Issuer and subject are the same: a box that has no certificate yet.
    Itself,
    /// Somebody else.
    Other,
}

/// Whether the certificate gives its bearer a place in the fleet at a given time. The console still looks the key up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Issued by the fleet CA and within its dates.
    Current,
    /// Issued by the fleet CA, but its time is over: may attest and renew, nothing else.
    Expired,
    /// Issued by the fleet CA for a time that has not come.
    NotYetValid,
    /// Not issued by the fleet CA: may enrol and attest, nothing else.
    NotIssued,
}

impl Standing {
    /// The refusal code for routes that need [`Standing::Current`]; `None` when it is.
    #[must_use]
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Current => None,
            Self::Expired => Some("channel.certificate_expired"),
            Self::NotYetValid => Some("channel.certificate_not_yet_valid"),
            Self::NotIssued => Some("channel.certificate_not_issued"),
        }
    }
}

/// The peer of a finished handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    /// SHA-256 of the SPKI DER: the identity.
    pub spki: Sha256Digest,
    /// The SPKI itself, DER.
    pub spki_der: Vec<u8>,
    /// Who signed the certificate.
    pub issued_by: IssuedBy,
    /// Start of validity, unix seconds.
    pub not_before: i64,
    /// End of validity, unix seconds.
    pub not_after: i64,
}

impl PeerIdentity {
    /// From the certificates that the peer sent (leaf first), as rustls hands them out after the handshake. `None` when
    /// there is none, or when the leaf cannot be read.
    #[must_use]
    pub fn from_certificates(chain: &[CertificateDer<'_>], fleet: &FleetRoot) -> Option<Self> {
        let (end_entity, intermediates) = chain.split_first()?;
        let leaf = Leaf::read(end_entity)?;
        // Whether the fleet CA signed it and whether its dates hold are two questions: the first is asked at a moment
        // within the dates.
        let signed = fleet
            .verifier
            .verify_client_cert(end_entity, intermediates, unix_time(leaf.not_before))
            .is_ok();
        Some(Self {
            spki: leaf.spki(),
            issued_by: match (signed, leaf.self_issued) {
                (true, _) => IssuedBy::Fleet,
                (false, true) => IssuedBy::Itself,
                (false, false) => IssuedBy::Other,
            },
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            spki_der: leaf.spki_der,
        })
    }

    /// The certificate's standing at `now` (unix seconds).
    #[must_use]
    pub fn standing(&self, now: i64) -> Standing {
        match self.issued_by {
            IssuedBy::Itself | IssuedBy::Other => Standing::NotIssued,
            IssuedBy::Fleet if now < self.not_before => Standing::NotYetValid,
            IssuedBy::Fleet if now > self.not_after => Standing::Expired,
            IssuedBy::Fleet => Standing::Current,
        }
    }
}
