//! TPMT_PUBLIC: RSA and elliptic-curve keys with their attributes, and the Name that a TPM knows them by.
//!
//! Refuses other object types and bytes left over. Invariant: what parses encodes back to the same bytes, so that the Name
//! computed here is the one the TPM computes.

use freehold_trust::key::KeyRejected;
use freehold_trust::{KeyKind, PublicKey};

use super::algorithm;
use super::reader::{Reader, TpmParseError, put_sized, sized_contents};

/// Longest policy digest: SHA-512; bounds hostile lengths.
const MAX_DIGEST: usize = 64;
/// Longest modulus: RSA-8192; bounds hostile lengths.
const MAX_MODULUS: usize = 1024;
/// Longest coordinate: P-521, or BN-638 with room.
const MAX_COORDINATE: usize = 128;

/// TPMA_OBJECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes(pub u32);

impl Attributes {
    /// The key never leaves this TPM.
    pub const FIXED_TPM: u32 = 1 << 1;
    /// The key never gets another parent.
    pub const FIXED_PARENT: u32 = 1 << 4;
    /// The TPM itself made the key.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    /// Its authValue opens it.
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    /// A duplicate travels encrypted; clear for a key that never travels.
    pub const ENCRYPTED_DUPLICATION: u32 = 1 << 11;
    /// It only signs or decrypts what the TPM made.
    pub const RESTRICTED: u32 = 1 << 16;
    /// It decrypts.
    pub const DECRYPT: u32 = 1 << 17;
    /// It signs.
    pub const SIGN: u32 = 1 << 18;
    /// It signs X.509 certificates made inside the TPM.
    pub const X509_SIGN: u32 = 1 << 19;

    const NAMES: [(u32, &'static str); 9] = [
        (Self::FIXED_TPM, "fixedTPM"),
        (Self::FIXED_PARENT, "fixedParent"),
        (Self::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (Self::USER_WITH_AUTH, "userWithAuth"),
        (Self::ENCRYPTED_DUPLICATION, "encryptedDuplication"),
        (Self::RESTRICTED, "restricted"),
        (Self::DECRYPT, "decrypt"),
        (Self::SIGN, "sign"),
        (Self::X509_SIGN, "x509sign"),
    ];

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    /// Whether none of `bits` is set.
    #[must_use]
    pub const fn lacks(self, bits: u32) -> bool {
        self.0 & bits == 0
    }
}

impl std::fmt::Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = Self::NAMES
            .iter()
            .filter(|(bit, _)| self.has(*bit))
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&names.join("|"))
    }
}

/// A symmetric algorithm of a storage key: identifier, key bits, mode; `None` for TPM_ALG_NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Symmetric {
    /// TPM_ALG_ID.
    pub algorithm: u16,
    /// Key size in bits.
    pub bits: u16,
    /// TPM_ALG_ID of the mode.
    pub mode: u16,
}

/// A scheme: identifier and hash; the counter is there for ECDAA only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyScheme {
    /// TPM_ALG_ID of the scheme.
    pub algorithm: u16,
    /// TPM_ALG_ID of its hash; `None` for schemes without one (RSAES).
    pub hash: Option<u16>,
    /// ECDAA's counter.
    pub count: Option<u16>,
}

/// What depends on the type of key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublicParameters {
    /// An RSA key.
    Rsa {
        /// Size of the modulus in bits.
        bits: u16,
        /// Public exponent; 0 stands for 65537.
        exponent: u32,
        /// The modulus.
        modulus: Vec<u8>,
    },
    /// An elliptic-curve key.
    Ecc {
        /// TPM_ECC_CURVE.
        curve: u16,
        /// Key derivation scheme, as identifier and hash.
        kdf: Option<KeyScheme>,
        /// x coordinate as the TPM wrote it.
        x: Vec<u8>,
        /// y coordinate as the TPM wrote it.
        y: Vec<u8>,
    },
}

/// A parsed TPMT_PUBLIC.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Public {
    /// TPM_ALG_ID of the Name's hash.
    pub name_hash: u16,
    /// Attributes.
    pub attributes: Attributes,
    /// Policy digest, empty for none.
    pub auth_policy: Vec<u8>,
    /// Symmetric algorithm of a storage key.
    pub symmetric: Option<Symmetric>,
    /// Signing or encryption scheme.
    pub scheme: Option<KeyScheme>,
    /// Key type, sizes and numbers.
    pub parameters: PublicParameters,
}

impl Public {
    /// Reads a TPMT_PUBLIC that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmParseError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmParseError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16("type")?;
        let name_hash = reader.u16("nameAlg")?;
        let attributes = Attributes(reader.u32("objectAttributes")?);
        let auth_policy = reader.sized(MAX_DIGEST, "authPolicy")?.to_vec();
        let symmetric = match reader.u16("symmetric")? {
            algorithm::NULL => None,
            algorithm => Some(Symmetric {
                algorithm,
                bits: reader.u16("symmetric.keyBits")?,
                mode: reader.u16("symmetric.mode")?,
            }),
        };
        let (scheme, parameters) = match kind {
            algorithm::RSA => {
                let scheme = parse_scheme(&mut reader)?;
                let bits = reader.u16("keyBits")?;
                let exponent = reader.u32("exponent")?;
                let modulus = reader.sized(MAX_MODULUS, "unique.rsa")?.to_vec();
                (
                    scheme,
                    PublicParameters::Rsa {
                        bits,
                        exponent,
                        modulus,
                    },
                )
            }
            algorithm::ECC => {
                let scheme = parse_scheme(&mut reader)?;
                let curve = reader.u16("curveID")?;
                let kdf = parse_scheme(&mut reader)?;
                let x = reader.sized(MAX_COORDINATE, "unique.x")?.to_vec();
                let y = reader.sized(MAX_COORDINATE, "unique.y")?.to_vec();
                (scheme, PublicParameters::Ecc { curve, kdf, x, y })
            }
            other => {
                return Err(TpmParseError::Unknown {
                    what: "type",
                    found: other.into(),
                });
            }
        };
        reader.end("TPMT_PUBLIC")?;
        Ok(Self {
            name_hash,
            attributes,
            auth_policy,
            symmetric,
            scheme,
            parameters,
        })
    }

    /// Reads a TPM2B_PUBLIC that fills `bytes`.
    ///
    /// # Errors
    /// [`TpmParseError`].
    pub fn parse_sized(bytes: &[u8]) -> Result<Self, TpmParseError> {
        Self::parse(sized_contents(bytes)?)
    }

    /// The TPMT_PUBLIC bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(320);
        let kind = match self.parameters {
            PublicParameters::Rsa { .. } => algorithm::RSA,
            PublicParameters::Ecc { .. } => algorithm::ECC,
        };
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&self.name_hash.to_be_bytes());
        out.extend_from_slice(&self.attributes.0.to_be_bytes());
        put_sized(&mut out, &self.auth_policy);
        match self.symmetric {
            None => out.extend_from_slice(&algorithm::NULL.to_be_bytes()),
            Some(symmetric) => {
                for number in [symmetric.algorithm, symmetric.bits, symmetric.mode] {
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
        }
        put_scheme(&mut out, self.scheme);
        match &self.parameters {
            PublicParameters::Rsa {
                bits,
                exponent,
                modulus,
            } => {
                out.extend_from_slice(&bits.to_be_bytes());
                out.extend_from_slice(&exponent.to_be_bytes());
                put_sized(&mut out, modulus);
            }
            PublicParameters::Ecc { curve, kdf, x, y } => {
                out.extend_from_slice(&curve.to_be_bytes());
                put_scheme(&mut out, *kdf);
                put_sized(&mut out, x);
                put_sized(&mut out, y);
            }
        }
        out
    }

    /// The Name: the hash's identifier, then the hash of the TPMT_PUBLIC. `None` when the hash is not known.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        let hash = algorithm::hash(self.name_hash)?;
        let mut name = self.name_hash.to_be_bytes().to_vec();
        name.extend_from_slice(&hash.hash(&self.to_bytes()));
        Some(name)
    }

    /// The key itself.
    ///
    /// # Errors
    /// [`KeyRejected`]: short RSA, small exponent, a curve that is not accepted, a point off its curve.
    pub fn public_key(&self) -> Result<PublicKey, KeyRejected> {
        match &self.parameters {
            PublicParameters::Rsa { exponent, modulus, .. } => {
                PublicKey::from_rsa(modulus, if *exponent == 0 { 65_537 } else { *exponent })
            }
            PublicParameters::Ecc { curve, x, y, .. } => {
                let kind = algorithm::curve(*curve)
                    .ok_or_else(|| KeyRejected::Algorithm(format!("TPM curve {curve:#06x}")))?;
                PublicKey::from_ec_point(kind, x, y)
            }
        }
    }

    /// The curve of an accepted elliptic-curve key.
    #[must_use]
    pub fn curve(&self) -> Option<KeyKind> {
        match self.parameters {
            PublicParameters::Ecc { curve, .. } => algorithm::curve(curve),
            PublicParameters::Rsa { .. } => None,
        }
    }
}

fn parse_scheme(reader: &mut Reader<'_>) -> Result<Option<KeyScheme>, TpmParseError> {
    let algorithm = reader.u16("scheme")?;
    let hash = match algorithm {
        algorithm::NULL => return Ok(None),
        algorithm::RSAES => None,
        _ => Some(reader.u16("scheme.hash")?),
    };
    let count = if algorithm == algorithm::ECDAA {
        Some(reader.u16("scheme.count")?)
    } else {
        None
    };
    Ok(Some(KeyScheme { algorithm, hash, count }))
}

fn put_scheme(out: &mut Vec<u8>, scheme: Option<KeyScheme>) {
    let Some(scheme) = scheme else {
        out.extend_from_slice(&algorithm::NULL.to_be_bytes());
        return;
    };
    out.extend_from_slice(&scheme.algorithm.to_be_bytes());
    for number in [scheme.hash, scheme.count].into_iter().flatten() {
        out.extend_from_slice(&number.to_be_bytes());
    }
}
