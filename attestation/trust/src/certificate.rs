//! X.509 certificates: what one says, and whether it chains to a root that the caller trusts, at a time that it names.
//!
//! Refuses to have an opinion about time or roots: both are arguments. Signatures, validity, basic constraints, path length
//! and name constraints are judged by rustls-webpki; purposes, key usage, the root's own validity and revoked serials here.
//! Invariant: a [`Chain`] is returned only for a leaf that is no CA and whose every issuer may sign certificates.

use std::collections::BTreeSet;
use std::fmt;

use der::{Decode, Encode};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use x509_cert::Certificate as X509;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::spki::ObjectIdentifier;

use crate::digest::{Sha256Digest, sha256};
use crate::key::{KeyRejected, PublicKey};

/// Longest certificate that is read: real ones take 1 to 3 KiB; bounds parsing of hostile blobs.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
/// Most intermediates that are looked at: bounds path building over hostile sets.
pub const MAX_INTERMEDIATES: usize = 8;

/// What the leaf must be meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A TPM's endorsement key: `tcg-kp-EKCertificate`, 2.23.133.8.1.
    TpmEk,
    /// Signing of code and models.
    CodeSigning,
    /// A TLS client.
    ClientAuth,
    /// A TLS server.
    ServerAuth,
}

impl Purpose {
    /// The extended key usage that the leaf must carry.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::TpmEk => ObjectIdentifier::new_unwrap("2.23.133.8.1"),
            Self::CodeSigning => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3"),
            Self::ClientAuth => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2"),
            Self::ServerAuth => ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1"),
        }
    }
}

/// Why a certificate is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRejection {
    /// Not a certificate in DER or PEM, or with bytes left over.
    #[error("not a certificate: `{0}`")]
    Malformed(&'static str),
    /// The key in it is not accepted.
    #[error("the certificate's key is not accepted")]
    Key(#[source] KeyRejected),
    /// Nobody among the roots has issued it (this includes a leaf that only signed itself).
    #[error("`{subject}` was not issued by a known root")]
    UnknownIssuer {
        /// The leaf's subject.
        subject: String,
    },
    /// Outside its validity.
    #[error("`{subject}` is valid from {not_before} to {not_after} (unix seconds), now is {now}")]
    Expired {
        /// The certificate's subject: the leaf, an intermediate or the root.
        subject: String,
        /// Start of validity, unix seconds.
        not_before: i64,
        /// End of validity, unix seconds.
        not_after: i64,
        /// The time that was asked about.
        now: i64,
    },
    /// A leaf that calls itself a certificate authority.
    #[error("`{subject}` is a certificate authority, not a leaf")]
    LeafIsCa {
        /// The leaf's subject.
        subject: String,
    },
    /// An issuer that may not issue.
    #[error("`{subject}` may not issue certificates")]
    IssuerIsNoCa {
        /// The issuer's subject.
        subject: String,
    },
    /// The extended key usage is missing or another one.
    #[error("the certificate is not for {expected:?} ({oid})", oid = expected.oid())]
    Purpose {
        /// What was asked for.
        expected: Purpose,
        /// The usages in the certificate, dotted.
        found: Vec<String>,
    },
    /// The key usage does not fit the purpose.
    #[error("the certificate's key usage does not allow {0:?}")]
    KeyUsage(Purpose),
    /// Its serial number is among the revoked ones.
    #[error("certificate serial `{serial}` was revoked")]
    Revoked {
        /// The serial number, hexadecimal.
        serial: String,
    },
    /// Another fault of the path: signature, path length, name constraints, an unknown critical extension.
    #[error("the certificate path is not valid: `{0}`")]
    Path(String),
}

/// A certificate that parses; nothing is said about who issued it.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    x509: X509,
    key: PublicKey,
}

impl Certificate {
    /// Reads one DER certificate, without anything after it.
    ///
    /// # Errors
    /// [`CertificateRejection::Malformed`] and [`CertificateRejection::Key`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateRejection> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateRejection::Malformed("too long"));
        }
        let x509 = X509::from_der(der).map_err(|_| CertificateRejection::Malformed("der"))?;
        let spki = x509.tbs_certificate.subject_public_key_info.to_der();
        let spki = spki.map_err(|_| CertificateRejection::Malformed("public key"))?;
        let key = PublicKey::from_spki_der(&spki).map_err(CertificateRejection::Key)?;
        Ok(Self {
            der: der.to_vec(),
            x509,
            key,
        })
    }

    /// Reads one PEM block `CERTIFICATE`.
    ///
    /// # Errors
    /// As [`Certificate::from_der`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateRejection> {
        match Self::all_from_pem(pem)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(CertificateRejection::Malformed("not exactly one pem block")),
        }
    }

    /// Reads all PEM blocks `CERTIFICATE` of a text, at most [`MAX_INTERMEDIATES`] × 8.
    ///
    /// # Errors
    /// As [`Certificate::from_der`]; a text without a block gives an empty list.
    pub fn all_from_pem(pem: &str) -> Result<Vec<Self>, CertificateRejection> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let mut out = Vec::new();
        let mut rest = pem;
        while let Some((_, after)) = rest.split_once(BEGIN) {
            if out.len() >= MAX_INTERMEDIATES * 8 {
                return Err(CertificateRejection::Malformed("too many pem blocks"));
            }
            let (body, next) = after
                .split_once(END)
                .ok_or(CertificateRejection::Malformed("pem end"))?;
            let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text)
                .map_err(|_| CertificateRejection::Malformed("pem base64"))?;
            out.push(Self::from_der(&der)?);
            rest = next;
        }
        Ok(out)
    }

    /// The DER bytes as they were given.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certified key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of the DER certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        sha256(&self.der)
    }

    /// The serial number, big-endian as encoded.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.x509.tbs_certificate.serial_number.as_bytes()
    }

    /// The subject as text (RFC 4514).
    #[must_use]
    pub fn subject(&self) -> String {
        self.x509.tbs_certificate.subject.to_string()
    }

    /// The issuer as text (RFC 4514).
    #[must_use]
    pub fn issuer(&self) -> String {
        self.x509.tbs_certificate.issuer.to_string()
    }

    /// Start and end of validity, unix seconds, both inclusive.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        let validity = &self.x509.tbs_certificate.validity;
        let seconds = |t: x509_cert::time::Time| i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// Whether basic constraints say that it is a certificate authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        matches!(
            self.x509.tbs_certificate.get::<BasicConstraints>(),
            Ok(Some((_, BasicConstraints { ca: true, .. })))
        )
    }

    /// The extended key usages, dotted; `None` when the extension is absent or does not parse.
    #[must_use]
    pub fn extended_key_usages(&self) -> Option<Vec<String>> {
        let (_, usages) = self.x509.tbs_certificate.get::<ExtendedKeyUsage>().ok()??;
        Some(usages.0.iter().map(ToString::to_string).collect())
    }

    fn key_usage(&self) -> Result<Option<KeyUsage>, CertificateRejection> {
        match self.x509.tbs_certificate.get::<KeyUsage>() {
            Ok(found) => Ok(found.map(|(_, usage)| usage)),
            Err(_) => Err(CertificateRejection::Malformed("key usage")),
        }
    }

    fn check_time(&self, now: i64) -> Result<(), CertificateRejection> {
        let (not_before, not_after) = self.validity();
        if now < not_before || now > not_after {
            return Err(CertificateRejection::Expired {
                subject: self.subject(),
                not_before,
                not_after,
                now,
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate(`{}` by `{}`, {:?})",
            self.subject(),
            self.issuer(),
            self.key
        )
    }
}

/// A leaf that chains to one of the roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// SHA-256 of the root certificate that the path ended at.
    pub root: Sha256Digest,
    /// That root's subject.
    pub root_subject: String,
    /// SHA-256 of leaf and intermediates, leaf first.
    pub path: Vec<Sha256Digest>,
}

/// Builds and checks a path from `leaf` over `intermediates` to one of `roots`, valid at `now` (unix seconds) for `purpose`;
/// no certificate of the path may have a serial number in `revoked` (as encoded; for the same issuer set: the caller passes
/// the serials that concern these roots).
///
/// # Errors
/// [`CertificateRejection`] by kind of fault.
pub fn verify_chain(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    purpose: Purpose,
    now: i64,
    revoked: &BTreeSet<Vec<u8>>,
) -> Result<Chain, CertificateRejection> {
    if leaf.is_ca() {
        return Err(CertificateRejection::LeafIsCa {
            subject: leaf.subject(),
        });
    }
    leaf.check_time(now)?;
    check_purpose(leaf, purpose)?;
    let unknown = || CertificateRejection::UnknownIssuer {
        subject: leaf.subject(),
    };
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(CertificateRejection::Path("too many intermediates".to_owned()));
    }
    let root_ders: Vec<CertificateDer<'_>> = roots.iter().map(|c| CertificateDer::from(c.der.as_slice())).collect();
    let mut anchors: Vec<TrustAnchor<'_>> = Vec::with_capacity(roots.len());
    for der in &root_ders {
        anchors.push(webpki::anchor_from_trusted_cert(der).map_err(|e| CertificateRejection::Path(e.to_string()))?);
    }
    let between: Vec<CertificateDer<'_>> = intermediates
        .iter()
        .map(|c| CertificateDer::from(c.der.as_slice()))
        .collect();
    let leaf_der = CertificateDer::from(leaf.der.as_slice());
    let end = webpki::EndEntityCert::try_from(&leaf_der).map_err(|e| CertificateRejection::Path(e.to_string()))?;
    let seconds = u64::try_from(now).map_err(|_| CertificateRejection::Path("time before 1970".to_owned()))?;
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let path = end
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            time,
            AnyUsage,
            None,
            None,
        )
        .map_err(|error| match error {
            webpki::Error::UnknownIssuer => unknown(),
            webpki::Error::EndEntityUsedAsCa => CertificateRejection::IssuerIsNoCa { subject: leaf.issuer() },
            other => {
                between_expired(intermediates, now).unwrap_or_else(|| CertificateRejection::Path(other.to_string()))
            }
        })?;
    let anchor = path.anchor();
    let root = anchors
        .iter()
        .position(|a| a.subject == anchor.subject && a.subject_public_key_info == anchor.subject_public_key_info);
    let root = root.and_then(|at| roots.get(at)).ok_or_else(unknown)?;
    let mut issuers: Vec<&Certificate> = Vec::new();
    for used in path.intermediate_certificates() {
        let found = intermediates.iter().find(|c| c.der == used.der().as_ref());
        issuers.push(found.ok_or_else(unknown)?);
    }
    let mut fingerprints = vec![leaf.fingerprint()];
    fingerprints.extend(issuers.iter().map(|c| c.fingerprint()));
    for issuer in issuers.iter().copied().chain([root]) {
        issuer.check_time(now)?;
        let may_sign = issuer
            .key_usage()?
            .is_none_or(|usage| usage.0.contains(KeyUsages::KeyCertSign));
        if !issuer.is_ca() || !may_sign {
            return Err(CertificateRejection::IssuerIsNoCa {
                subject: issuer.subject(),
            });
        }
    }
    for certificate in issuers.iter().copied().chain([leaf, root]) {
        if revoked.contains(certificate.serial()) {
            return Err(CertificateRejection::Revoked {
                serial: hex::encode(certificate.serial()),
            });
        }
    }
    Ok(Chain {
        root: root.fingerprint(),
        root_subject: root.subject(),
        path: fingerprints,
    })
}

fn between_expired(intermediates: &[Certificate], now: i64) -> Option<CertificateRejection> {
    intermediates.iter().find_map(|c| c.check_time(now).err())
}

fn check_purpose(leaf: &Certificate, purpose: Purpose) -> Result<(), CertificateRejection> {
    let found = leaf.extended_key_usages().unwrap_or_default();
    let oid = purpose.oid().to_string();
    if !found.contains(&oid) {
        return Err(CertificateRejection::Purpose {
            expected: purpose,
            found,
        });
    }
    let usage = leaf.key_usage()?;
    let allowed = match (purpose, usage) {
        // TCG EK Credential Profile 2.5, 3.2.12: keyEncipherment for RSA, keyAgreement for ECC.
        (Purpose::TpmEk, Some(usage)) => {
            usage.0.contains(KeyUsages::KeyEncipherment) || usage.0.contains(KeyUsages::KeyAgreement)
        }
        (Purpose::CodeSigning, None) => false,
        (_, Some(usage)) => usage.0.contains(KeyUsages::DigitalSignature),
        (_, None) => true,
    };
    if allowed {
        Ok(())
    } else {
        Err(CertificateRejection::KeyUsage(purpose))
    }
}

/// Purposes are judged here, on the leaf; webpki would demand them of intermediates too, which TPM vendors do not set.
struct AnyUsage;

impl webpki::ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, iter: webpki::KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        for usage in iter {
            usage?;
        }
        Ok(())
    }
}
