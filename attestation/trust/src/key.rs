//! Public keys, known by the SHA-256 of their SubjectPublicKeyInfo, and what a signature by them must look like.
//!
//! Refuses RSA below 2048 or above 8192 bits, RSA exponents below 65537, curves other than P-256, P-384 and P-521,
//! compressed points, and SHA-1 anywhere. Invariant: a [`PublicKey`] has been parsed by the library and re-encodes to the
//! same DER, so that one key has one fingerprint.

use std::fmt;

use aws_lc_rs::signature::{self as lc, ParsedPublicKey, VerificationAlgorithm};
use der::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x509_cert::spki::{ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::digest::{HashAlgorithm, Sha256Digest, sha256};

/// Longest SubjectPublicKeyInfo that is read: an RSA-8192 key takes 1,062 bytes; bounds parsing of hostile blobs.
const MAX_SPKI: usize = 2048;
/// Smallest RSA public exponent taken: F4; small exponents make forgeries against lax padding checks cheap.
const MIN_RSA_EXPONENT: u64 = 65_537;

const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const OID_P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const OID_P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const OID_P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const OID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// RSA with a modulus of that many bits.
    Rsa {
        /// Length of the modulus in bits.
        bits: u32,
    },
    /// Ed25519.
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

impl KeyKind {
    /// Size of one coordinate of an elliptic-curve key in bytes; `None` for other keys.
    #[must_use]
    pub const fn coordinate_len(self) -> Option<usize> {
        match self {
            Self::P256 => Some(32),
            Self::P384 => Some(48),
            Self::P521 => Some(66),
            Self::Rsa { .. } | Self::Ed25519 => None,
        }
    }

    /// The scheme that is used where nothing else is said: ECDSA with the curve's natural hash, RSASSA-PSS with SHA-256,
    /// Ed25519.
    #[must_use]
    pub const fn default_scheme(self) -> Scheme {
        match self {
            Self::P256 => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Self::P384 => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Self::P521 => Scheme::Ecdsa(HashAlgorithm::Sha512),
            Self::Rsa { .. } => Scheme::RsaPss(HashAlgorithm::Sha256),
            Self::Ed25519 => Scheme::Ed25519,
        }
    }
}

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA, signature as a DER sequence of r and s.
    Ecdsa(HashAlgorithm),
    /// RSASSA-PKCS1-v1_5.
    RsaSsa(HashAlgorithm),
    /// RSASSA-PSS, salt as long as the hash.
    RsaPss(HashAlgorithm),
    /// Ed25519.
    Ed25519,
}

/// The signature does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRejected {
    /// The scheme is not one that this key can have been used with, or it uses SHA-1.
    #[error("`{scheme:?}` is not accepted for a {kind} key")]
    Scheme {
        /// The scheme that was claimed.
        scheme: Scheme,
        /// The key at hand.
        kind: KeyKind,
    },
    /// The bytes are not a signature of the message by this key.
    #[error("the signature does not match")]
    Mismatch,
}

/// The bytes are not a public key that is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRejected {
    /// Not a SubjectPublicKeyInfo in DER or PEM, or not in its one canonical form.
    #[error("not a public key: `{0}`")]
    Malformed(&'static str),
    /// An algorithm or curve outside the accepted set.
    #[error("public keys of `{0}` are not accepted")]
    Algorithm(String),
    /// An RSA key that is too short or too long.
    #[error("an rsa key of {bits} bits is not accepted (2048 to 8192 are)")]
    RsaBits {
        /// Length of the modulus.
        bits: u32,
    },
    /// An RSA exponent that is too small, too large or even.
    #[error("an rsa exponent of {0} is not accepted (65537 or more, odd)")]
    RsaExponent(u64),
}

/// A public key that the library has parsed.
#[derive(Clone)]
pub struct PublicKey {
    spki: Vec<u8>,
    fingerprint: Sha256Digest,
    kind: KeyKind,
    parsed: ParsedPublicKey,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyRejected`] by kind of fault.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyRejected> {
        if der.len() > MAX_SPKI {
            return Err(KeyRejected::Malformed("too long"));
        }
        let spki =
            SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| KeyRejected::Malformed("subject public key info"))?;
        let encoded = spki.to_der().map_err(|_| KeyRejected::Malformed("encoding"))?;
        if encoded != der {
            return Err(KeyRejected::Malformed("not canonical"));
        }
        let kind = kind_of(&spki)?;
        let parsed = ParsedPublicKey::new(
            algorithm(kind, kind.default_scheme()).ok_or(KeyRejected::Malformed("scheme"))?,
            parse_input(kind, &spki, der),
        )
        .map_err(|_| KeyRejected::Malformed("the key's numbers"))?;
        Ok(Self {
            spki: encoded,
            fingerprint: sha256(der),
            kind,
            parsed,
        })
    }

    /// Reads a PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`KeyRejected`] by kind of fault.
    pub fn from_spki_pem(pem: &str) -> Result<Self, KeyRejected> {
        if pem.len() > MAX_SPKI * 2 {
            return Err(KeyRejected::Malformed("too long"));
        }
        let (label, der) = der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| KeyRejected::Malformed("pem"))?;
        if label != "PUBLIC KEY" {
            return Err(KeyRejected::Malformed("pem label"));
        }
        Self::from_spki_der(&der)
    }

    /// A P-256, P-384 or P-521 key from its coordinates; shorter ones are padded on the left.
    ///
    /// # Errors
    /// [`KeyRejected`] when the point is not on the curve, or `kind` is no curve.
    pub fn from_ec_point(kind: KeyKind, x: &[u8], y: &[u8]) -> Result<Self, KeyRejected> {
        let (size, curve) = match kind {
            KeyKind::P256 => (32, OID_P256),
            KeyKind::P384 => (48, OID_P384),
            KeyKind::P521 => (66, OID_P521),
            _ => return Err(KeyRejected::Algorithm(kind.to_string())),
        };
        let mut point = vec![4];
        for coordinate in [x, y] {
            let coordinate = left_pad(coordinate, size).ok_or(KeyRejected::Malformed("coordinate length"))?;
            point.extend_from_slice(&coordinate);
        }
        Self::from_parts(OID_EC, Some(der::Any::from(curve)), &point)
    }

    /// An Ed25519 key from its 32 bytes.
    ///
    /// # Errors
    /// [`KeyRejected`] for another length.
    pub fn from_ed25519(key: &[u8]) -> Result<Self, KeyRejected> {
        if key.len() != 32 {
            return Err(KeyRejected::Malformed("ed25519 length"));
        }
        Self::from_parts(OID_ED25519, None, key)
    }

    /// An RSA key from its modulus and exponent.
    ///
    /// # Errors
    /// [`KeyRejected`] when the size or the exponent is not accepted.
    pub fn from_rsa(modulus: &[u8], exponent: u32) -> Result<Self, KeyRejected> {
        let malformed = |_| KeyRejected::Malformed("rsa numbers");
        let exponent = exponent.to_be_bytes();
        let key = RsaPublicKey {
            modulus: der::asn1::UintRef::new(modulus).map_err(malformed)?,
            exponent: der::asn1::UintRef::new(&exponent).map_err(malformed)?,
        };
        let key = key.to_der().map_err(malformed)?;
        Self::from_parts(OID_RSA, Some(der::Any::null()), &key)
    }

    fn from_parts(oid: ObjectIdentifier, parameters: Option<der::Any>, key: &[u8]) -> Result<Self, KeyRejected> {
        let malformed = |_| KeyRejected::Malformed("encoding");
        let spki = SubjectPublicKeyInfoOwned {
            algorithm: x509_cert::spki::AlgorithmIdentifier { oid, parameters },
            subject_public_key: der::asn1::BitString::from_bytes(key).map_err(malformed)?,
        };
        Self::from_spki_der(&spki.to_der().map_err(malformed)?)
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The PEM block `PUBLIC KEY`, with LF line ends and a final line end.
    #[must_use]
    pub fn to_spki_pem(&self) -> String {
        der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, &self.spki).unwrap_or_default()
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo: what a key is known by.
    #[must_use]
    pub fn fingerprint(&self) -> Sha256Digest {
        self.fingerprint
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The x and y coordinates of an elliptic-curve key, padded to the curve's size.
    #[must_use]
    pub fn ec_point(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let size = self.kind.coordinate_len()?;
        let y_at = self.spki.len().checked_sub(size)?;
        let x_at = y_at.checked_sub(size)?;
        Some((self.spki.get(x_at..y_at)?.to_vec(), self.spki.get(y_at..)?.to_vec()))
    }

    /// Checks that `sig` is a signature of `message` by this key under `scheme`.
    ///
    /// # Errors
    /// [`SignatureRejected`]; never says which part of a signature was wrong.
    pub fn verify(&self, scheme: Scheme, message: &[u8], sig: &[u8]) -> Result<(), SignatureRejected> {
        if scheme == self.kind.default_scheme() {
            return self
                .parsed
                .verify_sig(message, sig)
                .map_err(|_| SignatureRejected::Mismatch);
        }
        let rejected = SignatureRejected::Scheme {
            scheme,
            kind: self.kind,
        };
        let algorithm = algorithm(self.kind, scheme).ok_or(rejected)?;
        lc::UnparsedPublicKey::new(algorithm, AsRef::<[u8]>::as_ref(&self.parsed))
            .verify(message, sig)
            .map_err(|_| SignatureRejected::Mismatch)
    }

    /// [`PublicKey::verify`] with the key's [`KeyKind::default_scheme`].
    ///
    /// # Errors
    /// [`SignatureRejected::Mismatch`].
    pub fn verify_default(&self, message: &[u8], sig: &[u8]) -> Result<(), SignatureRejected> {
        self.verify(self.kind.default_scheme(), message, sig)
    }

    /// Checks an ECDSA signature given as the numbers r and s, as a TPM does: big-endian, shorter ones are padded on the
    /// left, longer ones only with zeros in front. Zero and numbers from the group order upwards are refused.
    ///
    /// # Errors
    /// [`SignatureRejected`].
    pub fn verify_ecdsa_numbers(
        &self,
        hash: HashAlgorithm,
        message: &[u8],
        r: &[u8],
        s: &[u8],
    ) -> Result<(), SignatureRejected> {
        let scheme = Scheme::Ecdsa(hash);
        let size = self.kind.coordinate_len().ok_or(SignatureRejected::Scheme {
            scheme,
            kind: self.kind,
        })?;
        let (Some(r), Some(s)) = (strip(r, size), strip(s, size)) else {
            return Err(SignatureRejected::Mismatch);
        };
        self.verify(scheme, message, &ecdsa_der(r, s))
    }

    /// Checks an ECDSA P-256 signature given as 64 bytes r‖s over SHA-256.
    ///
    /// # Errors
    /// [`SignatureRejected`].
    pub fn verify_p256_fixed(&self, message: &[u8], sig: &[u8]) -> Result<(), SignatureRejected> {
        let (Some(r), Some(s), 64) = (sig.get(..32), sig.get(32..), sig.len()) else {
            return Err(SignatureRejected::Mismatch);
        };
        if self.kind != KeyKind::P256 {
            return Err(SignatureRejected::Scheme {
                scheme: Scheme::Ecdsa(HashAlgorithm::Sha256),
                kind: self.kind,
            });
        }
        self.verify_ecdsa_numbers(HashAlgorithm::Sha256, message, r, s)
    }
}

/// Pads `bytes` on the left to `size`; leading zeros beyond it are dropped; `None` when the number does not fit.
fn left_pad(bytes: &[u8], size: usize) -> Option<Vec<u8>> {
    let number = strip(bytes, size)?;
    let mut out = vec![0; size - number.len()];
    out.extend_from_slice(number);
    Some(out)
}

/// The number without leading zeros; `None` when it is longer than `size`.
fn strip(bytes: &[u8], size: usize) -> Option<&[u8]> {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    bytes.get(zeros..).filter(|number| number.len() <= size)
}

/// DER of an ECDSA signature from r and s without leading zeros.
fn ecdsa_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(r.len() + s.len() + 8);
    for number in [r, s] {
        let sign = number.first().is_none_or(|b| b & 0x80 != 0);
        body.push(2);
        body.push(u8::try_from(number.len() + usize::from(sign)).unwrap_or(0));
        if sign {
            body.push(0);
        }
        body.extend_from_slice(number);
    }
    let mut out = vec![0x30];
    if body.len() > 127 {
        out.push(0x81);
    }
    out.push(u8::try_from(body.len()).unwrap_or(0));
    out.extend_from_slice(&body);
    out
}

#[derive(der::Sequence)]
struct RsaPublicKey<'a> {
    modulus: der::asn1::UintRef<'a>,
    exponent: der::asn1::UintRef<'a>,
}

fn kind_of(spki: &SubjectPublicKeyInfoOwned) -> Result<KeyKind, KeyRejected> {
    let key = spki
        .subject_public_key
        .as_bytes()
        .ok_or(KeyRejected::Malformed("bit string"))?;
    match spki.algorithm.oid {
        OID_EC => {
            let curve = spki
                .algorithm
                .parameters
                .as_ref()
                .and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
            let kind = match curve {
                Some(OID_P256) => KeyKind::P256,
                Some(OID_P384) => KeyKind::P384,
                Some(OID_P521) => KeyKind::P521,
                Some(other) => return Err(KeyRejected::Algorithm(format!("curve {other}"))),
                None => return Err(KeyRejected::Algorithm("unnamed curve".to_owned())),
            };
            if key.first() != Some(&4) {
                return Err(KeyRejected::Malformed("only uncompressed points are read"));
            }
            Ok(kind)
        }
        OID_RSA => {
            let rsa = RsaPublicKey::from_der(key).map_err(|_| KeyRejected::Malformed("rsa numbers"))?;
            let modulus = rsa.modulus.as_bytes();
            let bytes = u32::try_from(modulus.len()).unwrap_or(u32::MAX);
            let lead = modulus.first().map_or(8, |b| b.leading_zeros());
            let bits = bytes.saturating_mul(8).saturating_sub(lead);
            if !(2048..=8192).contains(&bits) {
                return Err(KeyRejected::RsaBits { bits });
            }
            let exponent = rsa.exponent.as_bytes();
            if exponent.len() > 8 {
                return Err(KeyRejected::RsaExponent(u64::MAX));
            }
            let exponent = exponent.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
            if exponent < MIN_RSA_EXPONENT || exponent % 2 == 0 || exponent > u64::from(u32::MAX) {
                return Err(KeyRejected::RsaExponent(exponent));
            }
            Ok(KeyKind::Rsa { bits })
        }
        OID_ED25519 => Ok(KeyKind::Ed25519),
        other => Err(KeyRejected::Algorithm(other.to_string())),
    }
}

/// What the library parses: the whole SubjectPublicKeyInfo, or for Ed25519 the raw 32 bytes.
fn parse_input<'a>(kind: KeyKind, spki: &'a SubjectPublicKeyInfoOwned, der: &'a [u8]) -> &'a [u8] {
    match kind {
        KeyKind::Ed25519 => spki.subject_public_key.raw_bytes(),
        _ => der,
    }
}

fn algorithm(kind: KeyKind, scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    Some(match (kind, scheme) {
        (KeyKind::P256, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P256_SHA384_ASN1,
        (KeyKind::P256, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P256_SHA512_ASN1,
        (KeyKind::P384, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P384_SHA384_ASN1,
        (KeyKind::P384, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P384_SHA512_ASN1,
        (KeyKind::P521, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P521_SHA256_ASN1,
        (KeyKind::P521, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P521_SHA384_ASN1,
        (KeyKind::P521, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Rsa { .. }, Scheme::RsaSsa(Sha256)) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, Scheme::RsaSsa(Sha384)) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, Scheme::RsaSsa(Sha512)) => &lc::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha256)) => &lc::RSA_PSS_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha384)) => &lc::RSA_PSS_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha512)) => &lc::RSA_PSS_2048_8192_SHA512,
        (KeyKind::Ed25519, Scheme::Ed25519) => &lc::ED25519,
        _ => return None,
    })
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.kind, self.fingerprint)
    }
}

impl Serialize for PublicKey {
    /// As PEM text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_spki_pem())
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_spki_pem(&text).map_err(serde::de::Error::custom)
    }
}
