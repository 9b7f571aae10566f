//! HMAC and policy sessions, salted to the storage key: who speaks is proven, and the first parameter is encrypted.
//!
//! Refuses answers whose HMAC does not hold. Invariant: an authorisation value is an input of an HMAC, never a byte on the
//! bus. Source: TCG TPM 2.0 Library, Part 1, sections 19.4 to 19.6 and 21.

use freehold_trust::HashAlgorithm;
use freehold_trust::cipher::{aes_cfb128_decrypt_from, aes_cfb128_encrypt_from, ecdh};
use freehold_trust::digest::{ct_eq, hmac};
use freehold_trust::kdf::{kdfa, kdfe};
use freehold_trust::{KeyKind, sha256};
use freehold_verify::tpm::{Public, PublicParameters};
use zeroize::Zeroizing;

use crate::fault::TpmFault;
use crate::wire::Wire;

/// The session goes on after the command.
pub(crate) const CONTINUE: u8 = 0x01;
/// The first parameter of the command is encrypted.
pub(crate) const DECRYPT: u8 = 0x20;
/// The first parameter of the answer is encrypted.
pub(crate) const ENCRYPT: u8 = 0x40;

/// AES-128.
const KEY_BYTES: usize = 16;
const HASH: HashAlgorithm = HashAlgorithm::Sha256;

/// What a session is for (TPM_SE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Hmac,
    Policy,
}

/// An open session.
pub(crate) struct Session {
    pub(crate) handle: u32,
    key: Zeroizing<Vec<u8>>,
    nonce_caller: [u8; 32],
    nonce_tpm: Vec<u8>,
    /// Whether the authorisation value of the object is part of the HMAC: always, but for policies without a PIN.
    pub(crate) with_auth: bool,
}

/// The salt of a session to come: what goes to the TPM, and what stays here.
pub(crate) struct Salt {
    /// TPM2B_ENCRYPTED_SECRET's content: the ephemeral point.
    pub(crate) sealed: Vec<u8>,
    secret: Zeroizing<Vec<u8>>,
}

impl Salt {
    /// A salt to the storage key in `storage` (TPMT_PUBLIC, ECC P-256) from 32 random bytes.
    pub(crate) fn to(storage: &[u8], random: &[u8; 32]) -> Result<Self, TpmFault> {
        let wrong = |detail: String| TpmFault::Garbage {
            command: "start session",
            detail,
        };
        let public = Public::parse(storage).map_err(|error| wrong(error.to_string()))?;
        let PublicParameters::Ecc { x, y, .. } = &public.parameters else {
            return Err(wrong("the storage key is no elliptic-curve key".to_owned()));
        };
        let (x, y) = (padded(x), padded(y));
        let agreed = ecdh(KeyKind::P256, random, &x, &y).map_err(|error| wrong(error.to_string()))?;
        let z = Zeroizing::new(agreed.z);
        let secret = Zeroizing::new(kdfe(HASH, &z, "SECRET", &agreed.ephemeral_x, &x, 256));
        Ok(Self {
            sealed: Wire::default().sized(&agreed.ephemeral_x).sized(&agreed.ephemeral_y).0,
            secret,
        })
    }
}

fn padded(number: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 32_usize.saturating_sub(number.len())];
    out.extend_from_slice(number);
    out
}

impl Session {
    /// The session that the TPM opened with these nonces.
    pub(crate) fn new(kind: Kind, handle: u32, salt: &Salt, nonce_caller: [u8; 32], nonce_tpm: Vec<u8>) -> Self {
        let key = Zeroizing::new(kdfa(HASH, &salt.secret, "ATH", &nonce_tpm, &nonce_caller, 256));
        Self {
            handle,
            key,
            nonce_caller,
            nonce_tpm,
            with_auth: kind == Kind::Hmac,
        }
    }

    /// A fresh nonce for the next command.
    pub(crate) fn roll(&mut self, nonce: [u8; 32]) {
        self.nonce_caller = nonce;
    }

    fn cipher(&self, auth: &[u8], newer: &[u8], older: &[u8]) -> (Zeroizing<Vec<u8>>, [u8; 16]) {
        let key = Zeroizing::new([self.key.as_slice(), auth].concat());
        let both = kdfa(HASH, &key, "CFB", newer, older, 256);
        let (key, iv) = both.split_at(KEY_BYTES);
        let mut start = [0; 16];
        start.copy_from_slice(iv);
        (Zeroizing::new(key.to_vec()), start)
    }

    /// Encrypts the contents of the command's first parameter, in place.
    pub(crate) fn encrypt(&self, auth: &[u8], contents: &mut [u8]) {
        let (key, iv) = self.cipher(auth, &self.nonce_caller, &self.nonce_tpm);
        // Sixteen bytes of key: it cannot fail.
        let _ = aes_cfb128_encrypt_from(&key, iv, contents);
    }

    /// Decrypts the contents of the answer's first parameter, in place; after [`Self::check`].
    pub(crate) fn decrypt(&self, auth: &[u8], contents: &mut [u8]) {
        let (key, iv) = self.cipher(auth, &self.nonce_tpm, &self.nonce_caller);
        let _ = aes_cfb128_decrypt_from(&key, iv, contents);
    }

    fn hmac(&self, auth: &[u8], hash: &[u8], newer: &[u8], older: &[u8], attributes: u8) -> Vec<u8> {
        let auth = if self.with_auth { auth } else { &[] };
        let key = Zeroizing::new([self.key.as_slice(), auth].concat());
        hmac(HASH, &key, &[hash, newer, older, &[attributes]])
    }

    /// The authorisation of a command: TPMS_AUTH_COMMAND.
    pub(crate) fn authorise(
        &self,
        auth: &[u8],
        code: u32,
        names: &[&[u8]],
        parameters: &[u8],
        attributes: u8,
    ) -> Vec<u8> {
        let mut hashed = code.to_be_bytes().to_vec();
        for name in names {
            hashed.extend_from_slice(name);
        }
        hashed.extend_from_slice(parameters);
        let hash = sha256(&hashed);
        let proof = self.hmac(auth, hash.as_bytes(), &self.nonce_caller, &self.nonce_tpm, attributes);
        Wire::default()
            .u32(self.handle)
            .sized(&self.nonce_caller)
            .u8(attributes)
            .sized(&proof)
            .0
    }

    /// Takes the TPM's nonce and checks its proof of the answer's parameters.
    pub(crate) fn check(
        &mut self,
        auth: &[u8],
        code: u32,
        parameters: &[u8],
        nonce: &[u8],
        attributes: u8,
        proof: &[u8],
    ) -> bool {
        self.nonce_tpm = nonce.to_vec();
        let mut hashed = 0_u32.to_be_bytes().to_vec();
        hashed.extend_from_slice(&code.to_be_bytes());
        hashed.extend_from_slice(parameters);
        let hash = sha256(&hashed);
        let expected = self.hmac(auth, hash.as_bytes(), &self.nonce_tpm, &self.nonce_caller, attributes);
        ct_eq(&expected, proof)
    }
}
