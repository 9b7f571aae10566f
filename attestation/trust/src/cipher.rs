//! What MakeCredential needs beside the derivations: AES-CFB128, RSA-OAEP, and ECDH with the caller's ephemeral key.
//!
//! Refuses keys of other sizes than named. Invariant: nothing here keeps a secret after it returns, and no error says
//! more than that the operation failed.

use aws_lc_rs::agreement;
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa;

use crate::digest::HashAlgorithm;
use crate::key::KeyKind;

/// The operation failed: a key of the wrong size, a point off the curve, or too long a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cipher operation failed: `{0}`")]
pub struct CipherFailed(&'static str);

fn aes(key: &[u8]) -> Result<UnboundCipherKey, CipherFailed> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(CipherFailed("aes key length")),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| CipherFailed("aes key"))
}

/// AES-CFB128 with a zero IV, as TPM 2.0 uses it for protected structures, in place. The key is 16 or 32 bytes.
///
/// # Errors
/// [`CipherFailed`] for another key length.
pub fn aes_cfb128_encrypt(key: &[u8], in_out: &mut [u8]) -> Result<(), CipherFailed> {
    aes_cfb128_encrypt_from(key, [0; 16], in_out)
}

/// AES-CFB128 with the IV given, as TPM 2.0 sessions encrypt parameters, in place. The key is 16 or 32 bytes.
///
/// # Errors
/// [`CipherFailed`] for another key length.
pub fn aes_cfb128_encrypt_from(key: &[u8], iv: [u8; 16], in_out: &mut [u8]) -> Result<(), CipherFailed> {
    let key = EncryptingKey::cfb128(aes(key)?).map_err(|_| CipherFailed("aes mode"))?;
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(in_out, context)
        .map(|_| ())
        .map_err(|_| CipherFailed("aes"))
}

/// The inverse of [`aes_cfb128_encrypt`], in place.
///
/// # Errors
/// [`CipherFailed`] for another key length.
pub fn aes_cfb128_decrypt(key: &[u8], in_out: &mut [u8]) -> Result<(), CipherFailed> {
    aes_cfb128_decrypt_from(key, [0; 16], in_out)
}

/// The inverse of [`aes_cfb128_encrypt_from`], in place.
///
/// # Errors
/// [`CipherFailed`] for another key length.
pub fn aes_cfb128_decrypt_from(key: &[u8], iv: [u8; 16], in_out: &mut [u8]) -> Result<(), CipherFailed> {
    let key = DecryptingKey::cfb128(aes(key)?).map_err(|_| CipherFailed("aes mode"))?;
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    key.decrypt(in_out, context)
        .map(|_| ())
        .map_err(|_| CipherFailed("aes"))
}

/// RSA-OAEP encryption of `message` to the RSA key in `spki_der`; hash and MGF1 hash are the same. `label` is taken as it
/// is: a TPM label includes its terminating zero. The padding's seed comes from the library's generator.
///
/// # Errors
/// [`CipherFailed`] when the key is not RSA of at least 2048 bits, the hash is SHA-1, or the message is too long.
pub fn rsa_oaep_encrypt(
    spki_der: &[u8],
    hash: HashAlgorithm,
    label: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, CipherFailed> {
    let algorithm = match hash {
        HashAlgorithm::Sha256 => &rsa::OAEP_SHA256_MGF1SHA256,
        HashAlgorithm::Sha384 => &rsa::OAEP_SHA384_MGF1SHA384,
        HashAlgorithm::Sha512 => &rsa::OAEP_SHA512_MGF1SHA512,
        HashAlgorithm::Sha1 => return Err(CipherFailed("oaep hash")),
    };
    let key = rsa::PublicEncryptingKey::from_der(spki_der).map_err(|_| CipherFailed("rsa key"))?;
    let key = rsa::OaepPublicEncryptingKey::new(key).map_err(|_| CipherFailed("rsa key"))?;
    let mut out = vec![0; key.ciphertext_size()];
    let written = key
        .encrypt(algorithm, message, &mut out, Some(label))
        .map_err(|_| CipherFailed("rsa oaep"))?
        .len();
    out.truncate(written);
    Ok(out)
}

/// The outcome of [`ecdh`]: the shared x coordinate and the caller's public point, all padded to the curve's size.
pub struct Agreement {
    /// x coordinate of the shared point.
    pub z: Vec<u8>,
    /// x coordinate of the ephemeral public key.
    pub ephemeral_x: Vec<u8>,
    /// y coordinate of the ephemeral public key.
    pub ephemeral_y: Vec<u8>,
}

/// ECDH between the caller's ephemeral scalar (32 or 48 random bytes, below the group order and not zero) and the peer's
/// point `peer_x`, `peer_y` (padded to the curve's size).
///
/// # Errors
/// [`CipherFailed`] for another curve, a scalar out of range, or a point that is not on the curve.
pub fn ecdh(curve: KeyKind, scalar: &[u8], peer_x: &[u8], peer_y: &[u8]) -> Result<Agreement, CipherFailed> {
    let (algorithm, size) = match curve {
        KeyKind::P256 => (&agreement::ECDH_P256, 32),
        KeyKind::P384 => (&agreement::ECDH_P384, 48),
        _ => return Err(CipherFailed("curve")),
    };
    if peer_x.len() != size || peer_y.len() != size {
        return Err(CipherFailed("point length"));
    }
    let private = agreement::PrivateKey::from_private_key(algorithm, scalar).map_err(|_| CipherFailed("scalar"))?;
    let public = private.compute_public_key().map_err(|_| CipherFailed("scalar"))?;
    let (Some(ephemeral_x), Some(ephemeral_y)) = (
        public.as_ref().get(1..1 + size),
        public.as_ref().get(1 + size..1 + 2 * size),
    ) else {
        return Err(CipherFailed("point encoding"));
    };
    let mut peer = Vec::with_capacity(1 + 2 * size);
    peer.push(4);
    peer.extend_from_slice(peer_x);
    peer.extend_from_slice(peer_y);
    let peer = agreement::UnparsedPublicKey::new(algorithm, peer);
    let z = agreement::agree(&private, peer, CipherFailed("point"), |z| Ok(z.to_vec()))?;
    Ok(Agreement {
        z,
        ephemeral_x: ephemeral_x.to_vec(),
        ephemeral_y: ephemeral_y.to_vec(),
    })
}
