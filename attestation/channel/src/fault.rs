//! What can go wrong: faults of our own making, and refusals of a server with a stable code.
//!
//! Refuses to put key material into a message. Invariant: one variant, one code.

use freehold_trust::digest::Sha256Digest;

/// Why a server was refused. Travels through rustls inside [`rustls::Error`]; [`pin_rejected_in`] gets it out again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinRejected {
    /// No certificate of the chain is the pinned fleet CA.
    #[error("the server's chain does not contain the pinned fleet CA `{expected}`")]
    OtherAuthority {
        /// SHA-256 of the pinned CA certificate.
        expected: Sha256Digest,
        /// SHA-256 of the last certificate that the server sent.
        found: Option<Sha256Digest>,
    },
    /// The server's key is not the pinned one.
    #[error("the server's key is `{found}`, pinned is `{expected}`")]
    OtherKey {
        /// SHA-256 of the pinned SPKI.
        expected: Sha256Digest,
        /// SHA-256 of the SPKI that the server showed.
        found: Sha256Digest,
    },
    /// The certificate does not carry the name or address that was dialled.
    #[error("the server's certificate is not for `{dialled}`")]
    Name {
        /// The name or address that was dialled.
        dialled: String,
    },
    /// The certificate is not valid at the given time.
    #[error("the server's certificate is valid from {not_before} to {not_after} (unix), the time here is {now}")]
    Dates {
        /// Start, unix seconds.
        not_before: i64,
        /// End, unix seconds.
        not_after: i64,
        /// The caller's time, unix seconds.
        now: i64,
    },
    /// The chain does not verify up to the pinned CA.
    #[error("the server's chain does not lead to the pinned fleet CA: {reason}")]
    Chain {
        /// What the path builder said.
        reason: String,
    },
    /// The certificate could not be read.
    #[error("the server's certificate could not be read")]
    Unreadable,
}

/// Every code of [`PinRejected`] and of [`crate::Standing`].
pub const CODES: &[&str] = &[
    "channel.other_authority",
    "channel.other_key",
    "channel.other_name",
    "channel.server_dates",
    "channel.server_chain",
    "channel.server_unreadable",
    "channel.certificate_expired",
    "channel.certificate_not_yet_valid",
    "channel.certificate_not_issued",
];

impl PinRejected {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherAuthority { .. } => "channel.other_authority",
            Self::OtherKey { .. } => "channel.other_key",
            Self::Name { .. } => "channel.other_name",
            Self::Dates { .. } => "channel.server_dates",
            Self::Chain { .. } => "channel.server_chain",
            Self::Unreadable => "channel.server_unreadable",
        }
    }

    pub(crate) fn into_tls(self) -> rustls::Error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(
            std::sync::Arc::new(self),
        )))
    }
}

/// The refusal inside an error of a connection attempt (an `io::Error` of tokio-rustls or a [`rustls::Error`]), wherever in
/// the chain of sources it is.
#[must_use]
pub fn pin_rejected_in<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a PinRejected> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(rejected) = error.downcast_ref::<PinRejected>() {
            return Some(rejected);
        }
        if let Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(inner)))) =
            error.downcast_ref::<rustls::Error>()
        {
            return inner.downcast_ref::<PinRejected>();
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            // `io::Error::source` skips the error that it wraps.
            current = io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
            continue;
        }
        current = error.source();
    }
    None
}

/// A fault while making keys, certificates or configurations.
#[derive(Debug, thiserror::Error)]
pub enum ChannelFault {
    /// A certificate or key could not be made or read.
    #[error("certificate or key of `{what}` cannot be used")]
    Certificate {
        /// Which one.
        what: &'static str,
        /// What the certificate library said.
        #[source]
        source: rcgen::Error,
    },
    /// A certificate that we were given could not be parsed.
    #[error("certificate of `{what}` cannot be read")]
    Unreadable {
        /// Which one.
        what: &'static str,
    },
    /// The TLS library refused a configuration, a key, or a name.
    #[error("tls configuration for `{what}` cannot be made")]
    Tls {
        /// Which one.
        what: &'static str,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// The text is neither a DNS name nor an IP address.
    #[error("`{name}` is neither a name nor an address")]
    Name {
        /// What was given, shortened and escaped.
        name: String,
    },
    /// The system's source of randomness failed.
    #[error("no randomness from the system")]
    Randomness,
}
