//! MakeCredential in software, and the check of the answer.
//!
//! Refuses to draw randomness for what matters: the credential's secret, its seed and the ephemeral scalar come from the
//! caller. Invariant: only a TPM that holds both the EK's private half and an object of the given Name can open the result.
//! Source: TPM 2.0 Part 1, section 24 and annexes B.10 (RSA), C.6 (ECC).

use freehold_trust::digest::{ct_eq, hmac};
use freehold_trust::{HashAlgorithm, cipher, kdf};

use super::rejection::IdentityRejection;
use crate::tpm::algorithm;
use crate::tpm::public::{Public, PublicParameters};
use crate::tpm::reader::put_sized;

/// A credential on its way to the box: both parts as TPM2_ActivateCredential takes them, sizes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// TPM2B_ID_OBJECT.
    pub id_object: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Vec<u8>,
}

/// Makes a credential of `secret` (at most as long as the EK's name hash; 32 bytes here) that opens only in the TPM of `ek`
/// beside the object called `name`. `random` fills a slice with random bytes.
///
/// # Errors
/// [`IdentityRejection::EkAttributes`] when the EK is not RSA, P-256 or P-384 with AES in CFB mode.
pub fn make_credential(
    ek: &Public,
    name: &[u8],
    secret: &[u8],
    random: &mut dyn FnMut(&mut [u8]),
) -> Result<Credential, IdentityRejection> {
    let refused = |what: &str| IdentityRejection::EkAttributes { found: what.to_owned() };
    let hash = algorithm::hash(ek.name_hash)
        .filter(|h| *h != HashAlgorithm::Sha1)
        .ok_or_else(|| refused("name hash"))?;
    let aes = ek
        .symmetric
        .filter(|s| s.algorithm == algorithm::AES && s.mode == algorithm::CFB);
    let aes_bits = aes
        .map(|s| s.bits)
        .filter(|b| matches!(b, 128 | 256))
        .ok_or_else(|| refused("symmetric algorithm"))?;
    if secret.len() > hash.digest_len() {
        return Err(refused("secret too long for the name hash"));
    }
    let bits = u32::try_from(hash.digest_len() * 8).unwrap_or(256);
    let (seed, encrypted_secret) = match &ek.parameters {
        PublicParameters::Rsa { .. } => {
            let mut seed = vec![0; hash.digest_len()];
            random(&mut seed);
            let key = ek.public_key().map_err(|e| refused(&e.to_string()))?;
            let sealed = cipher::rsa_oaep_encrypt(key.spki_der(), hash, b"IDENTITY\0", &seed);
            (seed, sealed.map_err(|e| refused(&e.to_string()))?)
        }
        PublicParameters::Ecc { .. } => {
            let key = ek.public_key().map_err(|e| refused(&e.to_string()))?;
            let (x, y) = key.ec_point().ok_or_else(|| refused("curve"))?;
            let mut scalar = vec![0; x.len()];
            random(&mut scalar);
            // A scalar at or above the order, or zero, is refused by the library: clearing the top bit keeps a random one
            // below the order of both curves, and 255 (383) random bits are more than the strength needs.
            if let Some(top) = scalar.first_mut() {
                *top &= 0x7f;
            }
            let agreed = cipher::ecdh(key.kind(), &scalar, &x, &y).map_err(|e| refused(&e.to_string()))?;
            let seed = kdf::kdfe(hash, &agreed.z, "IDENTITY", &agreed.ephemeral_x, &x, bits);
            let mut point = Vec::new();
            put_sized(&mut point, &agreed.ephemeral_x);
            put_sized(&mut point, &agreed.ephemeral_y);
            (seed, point)
        }
    };
    let symmetric_key = kdf::kdfa(hash, &seed, "STORAGE", name, &[], aes_bits.into());
    let hmac_key = kdf::kdfa(hash, &seed, "INTEGRITY", &[], &[], bits);
    let mut identity = Vec::new();
    put_sized(&mut identity, secret);
    cipher::aes_cfb128_encrypt(&symmetric_key, &mut identity).map_err(|e| refused(&e.to_string()))?;
    let integrity = hmac(hash, &hmac_key, &[&identity, name]);
    let mut object = Vec::new();
    put_sized(&mut object, &integrity);
    object.extend_from_slice(&identity);
    let mut credential = Credential {
        id_object: Vec::new(),
        encrypted_secret: Vec::new(),
    };
    put_sized(&mut credential.id_object, &object);
    put_sized(&mut credential.encrypted_secret, &encrypted_secret);
    Ok(credential)
}

/// Compares the answer with the secret in constant time; the error says nothing about either (CVE-2023-38201).
///
/// # Errors
/// [`IdentityRejection::Activation`].
pub fn check_activation(secret: &[u8], answer: &[u8]) -> Result<(), IdentityRejection> {
    if !secret.is_empty() && ct_eq(secret, answer) {
        Ok(())
    } else {
        Err(IdentityRejection::Activation)
    }
}
