//! The one cryptographic provider: aws-lc-rs, TLS 1.3 suites only.
//!
//! Refuses to pick a provider by feature flags. Invariant: every configuration of this crate uses this value.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The provider used by every configuration of this crate: aws-lc-rs with its TLS 1.3 suites alone.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| {
            let mut provider = aws_lc_rs::default_provider();
            provider.cipher_suites.retain(|suite| suite.tls13().is_some());
            Arc::new(provider)
        })
        .clone()
}

/// Makes aws-lc-rs the process default; first thing in `main` of every program that speaks TLS through another library.
/// A second call changes nothing.
pub fn install_provider() {
    // An error means that a default is there already, which is what was wanted.
    let _ = aws_lc_rs::default_provider().install_default();
}
