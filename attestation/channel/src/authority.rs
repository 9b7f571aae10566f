//! The fleet CA: certificates for the console's own ports and, for a day, for boxes.
//!
//! Refuses to be an identity: its certificates carry a key that was proven elsewhere. Refuses to read a clock. Invariant: a
//! box's certificate is made over its public key alone; the private half never leaves the box.

use std::fmt;
use std::time::Duration;

use freehold_trust::digest::{Sha256Digest, sha256};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::fault::ChannelFault;
use crate::provider::provider;
use crate::remote_key::RemoteKey;

/// How long a box's certificate lasts: short, because attestation renews it and nothing revokes it.
pub const BOX_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The CA outlives the hardware that it speaks for.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Certificates start a little in the past, for clocks that are a little behind.
const BACKDATING: Duration = Duration::from_secs(10 * 60);

/// The fleet's certificate authority, an ECDSA P-256 key.
pub struct FleetAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A server's chain (leaf first, CA last) and its private key.
pub struct ServerCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl fmt::Debug for FleetAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FleetAuthority({})", self.fingerprint())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerCertificate({})", self.spki())
    }
}

impl FleetAuthority {
    /// A new CA for the fleet called `fleet`.
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn generate(fleet: &str, now: OffsetDateTime) -> Result<Self, ChannelFault> {
        let key = new_key("fleet ca")?;
        let mut params = params(&format!("{fleet} fleet CA"), &[], now, AUTHORITY_LIFETIME)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(fault("fleet ca"))?;
        Ok(Self {
            certificate: certificate.into(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The CA from its two PEM texts.
    ///
    /// # Errors
    /// When either cannot be read, or the key is not the certificate's.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, ChannelFault> {
        let key = KeyPair::from_pem(key_pem).map_err(fault("fleet ca"))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| ChannelFault::Unreadable { what: "fleet ca" })?;
        let leaf = crate::leaf::Leaf::read(&certificate).ok_or(ChannelFault::Unreadable { what: "fleet ca" })?;
        if leaf.spki_der != key.subject_public_key_info() {
            return Err(ChannelFault::Unreadable {
                what: "fleet ca: key of another certificate",
            });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(fault("fleet ca"))?;
        Ok(Self { issuer, certificate })
    }

    /// The CA's certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The CA's private key as PKCS#8 PEM: for a file of mode 0600 and nothing else.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The CA's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the certificate (DER): what boxes pin.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        sha256(&self.certificate)
    }

    /// A new key and certificate for one of the console's ports; `names` are DNS names or IP addresses.
    ///
    /// # Errors
    /// When a name is neither, or the certificate cannot be made.
    pub fn issue_server(
        &self,
        names: &[String],
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<ServerCertificate, ChannelFault> {
        let key = new_key("server")?;
        let mut params = params(names.first().map_or("console", String::as_str), names, now, lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).map_err(fault("server"))?;
        Ok(ServerCertificate {
            chain: vec![leaf.into(), self.certificate.clone()],
            key,
        })
    }

    /// A certificate for the box with this public key (SPKI DER, proven by credential activation before), for
    /// [`BOX_CERTIFICATE_LIFETIME`].
    ///
    /// # Errors
    /// When the key is of a kind that has no certificates here, or the certificate cannot be made.
    pub fn issue_box(
        &self,
        spki_der: &[u8],
        box_id: &str,
        now: OffsetDateTime,
    ) -> Result<CertificateDer<'static>, ChannelFault> {
        let public = rcgen::SubjectPublicKeyInfo::from_der(spki_der).map_err(fault("box"))?;
        let mut params = params(box_id, &[], now, BOX_CERTIFICATE_LIFETIME)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&public, &self.issuer).map_err(fault("box"))?.into())
    }
}

impl ServerCertificate {
    /// From a chain in PEM (leaf first) and a PKCS#8 PEM key.
    ///
    /// # Errors
    /// When either cannot be read.
    pub fn from_pem(chain_pem: &str, key_pem: &str) -> Result<Self, ChannelFault> {
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ChannelFault::Unreadable { what: "server" })?;
        Ok(Self {
            chain,
            key: KeyPair::from_pem(key_pem).map_err(fault("server"))?,
        })
    }

    /// SHA-256 of the key's SPKI (DER): what clients of a gateway pin.
    #[must_use]
    pub fn spki(&self) -> Sha256Digest {
        sha256(&self.key.subject_public_key_info())
    }

    /// The chain as PEM, leaf first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }

    /// The private key as PKCS#8 PEM: for a file of mode 0600 and nothing else.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key, PKCS#8 DER.
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

/// A new key with a certificate that it signed itself: for a gateway, whose clients pin the key.
///
/// # Errors
/// When a name is neither DNS name nor address, or the certificate cannot be made.
pub fn self_signed_server(
    names: &[String],
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<ServerCertificate, ChannelFault> {
    let key = new_key("server")?;
    let mut params = params(names.first().map_or("gateway", String::as_str), names, now, lifetime)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = params.self_signed(&key).map_err(fault("server"))?;
    Ok(ServerCertificate {
        chain: vec![leaf.into()],
        key,
    })
}

/// A box's first certificate, signed by its own (TPM) key; its dates mean nothing to the console.
///
/// # Errors
/// When the remote key does not sign.
pub fn self_signed_box(
    key: &RemoteKey,
    box_id: &str,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<CertificateDer<'static>, ChannelFault> {
    let mut params = params(box_id, &[], now, lifetime)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.self_signed(key).map_err(fault("box"))?.into())
}

fn fault(what: &'static str) -> impl FnOnce(rcgen::Error) -> ChannelFault {
    move |source| ChannelFault::Certificate { what, source }
}

fn new_key(what: &'static str) -> Result<KeyPair, ChannelFault> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(fault(what))
}

fn params(
    common_name: &str,
    names: &[String],
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<CertificateParams, ChannelFault> {
    let mut params = CertificateParams::new(names).map_err(fault("server"))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = now
        .checked_sub(BACKDATING.try_into().unwrap_or_default())
        .unwrap_or(now);
    params.not_after = now.checked_add(lifetime.try_into().unwrap_or_default()).unwrap_or(now);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    // 127 random bits: unique without a counter, positive and at most 20 octets (RFC 5280, 4.1.2.2).
    let mut serial = [0u8; 16];
    provider()
        .secure_random
        .fill(&mut serial)
        .map_err(|_| ChannelFault::Randomness)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = base64(der);
    for line in encoded.as_bytes().chunks(64) {
        let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
