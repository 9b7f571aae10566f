//! The one check that both sides make of the other: the peer holds the key of the certificate that it showed.
//!
//! Refuses TLS 1.2 outright. Invariant: client and server check handshake signatures with this very code.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Checks handshake signatures with the provider's algorithms.
#[derive(Debug, Clone)]
pub(crate) struct Holder(pub(crate) Arc<CryptoProvider>);

impl Holder {
    /// TLS 1.2 is not spoken; its signatures are never good.
    pub(crate) fn tls12(&self) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }

    /// Whether the handshake's signature verifies under the key of the leaf.
    pub(crate) fn tls13(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0.signature_verification_algorithms)
    }

    /// The schemes that are taken.
    pub(crate) fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
