//! Our own side of a handshake: a key and the certificate of the day.
//!
//! Refuses a certificate for another key. Invariant: replacing the certificate changes the next handshake, never a running
//! connection.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::authority::ServerCertificate;
use crate::fault::ChannelFault;
use crate::provider::provider;
use crate::remote_key::RemoteKey;

/// A key with its present certificate chain; for clients and servers. Share it in an `Arc` and call
/// [`TlsIdentity::replace`] when a certificate is renewed.
#[derive(Debug)]
pub struct TlsIdentity {
    key: Arc<dyn SigningKey>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl TlsIdentity {
    /// Over a remote key (a TPM).
    ///
    /// # Errors
    /// When the first certificate of `chain` is not for that key.
    pub fn remote(key: &RemoteKey, chain: Vec<CertificateDer<'static>>) -> Result<Arc<Self>, ChannelFault> {
        Self::over(Arc::new(key.clone()), chain)
    }

    /// Over a private key in memory (PKCS#8 or SEC1 DER).
    ///
    /// # Errors
    /// When the key cannot be used, or the first certificate of `chain` is not for it.
    pub fn local(key: PrivateKeyDer<'static>, chain: Vec<CertificateDer<'static>>) -> Result<Arc<Self>, ChannelFault> {
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|source| ChannelFault::Tls {
                what: "private key",
                source,
            })?;
        Self::over(key, chain)
    }

    /// Over a certificate and key made by this crate.
    ///
    /// # Errors
    /// As [`TlsIdentity::local`].
    pub fn of_server(made: &ServerCertificate) -> Result<Arc<Self>, ChannelFault> {
        Self::local(made.key_der(), made.chain.clone())
    }

    fn over(key: Arc<dyn SigningKey>, chain: Vec<CertificateDer<'static>>) -> Result<Arc<Self>, ChannelFault> {
        let current = RwLock::new(certified(&key, chain)?);
        Ok(Arc::new(Self { key, current }))
    }

    /// Puts a renewed chain in place, for the handshakes to come.
    ///
    /// # Errors
    /// When its first certificate is for another key; the old chain stays then.
    pub fn replace(&self, chain: Vec<CertificateDer<'static>>) -> Result<(), ChannelFault> {
        let next = certified(&self.key, chain)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// The chain shown at present, leaf first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.now().cert.clone()
    }

    fn now(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(
    key: &Arc<dyn SigningKey>,
    chain: Vec<CertificateDer<'static>>,
) -> Result<Arc<CertifiedKey>, ChannelFault> {
    let made = CertifiedKey::new(chain, key.clone());
    made.keys_match().map_err(|source| ChannelFault::Tls {
        what: "certificate and key",
        source,
    })?;
    Ok(Arc::new(made))
}

impl ResolvesClientCert for TlsIdentity {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}
