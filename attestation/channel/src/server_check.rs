//! The client's check of a server against its pin.
//!
//! Refuses the system's certificate authorities. Invariant: the handshake signature is checked against the key of the leaf,
//! in every mode.

use freehold_trust::digest::sha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::clock::unix_time;
use crate::fault::PinRejected;
use crate::holder::Holder;
use crate::leaf::Leaf;
use crate::pin::{Dates, ServerPin};

#[derive(Debug)]
pub(crate) struct PinnedServer {
    pub(crate) pin: ServerPin,
    pub(crate) dates: Dates,
    pub(crate) holder: Holder,
}

impl PinnedServer {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), PinRejected> {
        let leaf = Leaf::read(end_entity).ok_or(PinRejected::Unreadable)?;
        match self.pin {
            ServerPin::Key(expected) => {
                let found = leaf.spki();
                if found == expected {
                    Ok(())
                } else {
                    Err(PinRejected::OtherKey { expected, found })
                }
            }
            ServerPin::FleetAuthority(expected) => {
                let authority = intermediates
                    .iter()
                    .find(|der| sha256(der) == expected)
                    .ok_or_else(|| PinRejected::OtherAuthority {
                        expected,
                        found: Some(sha256(intermediates.last().unwrap_or(end_entity))),
                    })?;
                let mut roots = RootCertStore::empty();
                roots
                    .add(authority.clone().into_owned())
                    .map_err(|_| PinRejected::Unreadable)?;
                let parsed = ParsedCertificate::try_from(end_entity).map_err(|_| PinRejected::Unreadable)?;
                let at = match self.dates {
                    Dates::Enforced => now,
                    Dates::ForTimeOnly => unix_time(leaf.not_before),
                };
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &roots,
                    intermediates,
                    at,
                    self.holder.0.signature_verification_algorithms.all,
                )
                .map_err(|error| match error {
                    Error::InvalidCertificate(
                        CertificateError::Expired
                        | CertificateError::ExpiredContext { .. }
                        | CertificateError::NotValidYet
                        | CertificateError::NotValidYetContext { .. },
                    ) => PinRejected::Dates {
                        not_before: leaf.not_before,
                        not_after: leaf.not_after,
                        now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
                    },
                    other => PinRejected::Chain {
                        reason: other.to_string(),
                    },
                })?;
                verify_server_name(&parsed, name).map_err(|_| PinRejected::Name {
                    dialled: name.to_str().into_owned(),
                })
            }
        }
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, server_name, now)
            .map(|()| ServerCertVerified::assertion())
            .map_err(PinRejected::into_tls)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holder.tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.holder.tls13(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.holder.schemes()
    }
}
