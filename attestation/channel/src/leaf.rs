//! What we read from an end-entity certificate: key, dates, issuer and subject as bytes.
//!
//! Refuses to judge; it only reads. Invariant: total over any bytes.

use freehold_trust::digest::{Sha256Digest, sha256};
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// More than any certificate of a box or console needs; bounds parsing of a certificate stuffed with extensions.
pub(crate) const CERTIFICATE_LIMIT: usize = 16 * 1024;

/// The fields of a certificate that this crate uses.
pub(crate) struct Leaf {
    pub(crate) spki_der: Vec<u8>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) self_issued: bool,
}

impl Leaf {
    /// Reads `der`; `None` when it is no certificate or larger than [`CERTIFICATE_LIMIT`].
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        if der.len() > CERTIFICATE_LIMIT {
            return None;
        }
        let parsed = Certificate::from_der(der).ok()?;
        let body = parsed.tbs_certificate;
        let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
        Some(Self {
            spki_der: body.subject_public_key_info.to_der().ok()?,
            not_before: seconds(body.validity.not_before)?,
            not_after: seconds(body.validity.not_after)?,
            self_issued: body.issuer.to_der().ok()? == body.subject.to_der().ok()?,
        })
    }

    pub(crate) fn spki(&self) -> Sha256Digest {
        sha256(&self.spki_der)
    }
}
