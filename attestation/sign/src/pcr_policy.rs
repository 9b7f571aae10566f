//! Signing the PCR policy of an image: which kernel image may open the sealed volume of a box, and down to which floor.
//!
//! Refuses keys other than ECDSA P-256 and files that would replace others. Invariant: what is written is read back and
//! verified before it is called written.
//!
//! How to use it, for whoever builds an image:
//!
//! 1. Predict PCR 11 over the sections of the kernel image at the phase `enter-initrd`
//!    (`freehold_verify::boot::uki::predict(&sections, &[SEALING_PHASE])`). Sections `.pcrpkey` (the public half of the
//!    PCR-policy key, PEM) included; `.pcrsig` is not measured.
//! 2. [`sign`] with the PCR-policy key and the image's [`Level`] (or [`sign_with`] for a token), and put
//!    [`PcrPolicies::to_json`] into the section `.pcrsig` before the kernel image itself is signed for Secure Boot.
//! 3. systemd-stub lays both into the initrd: `/.extra/tpm2-pcr-signature.json` and `/.extra/tpm2-pcr-public-key.pem`.
//!    `freehold-unseal` reads them there.
//!
//! The file is JSON: `{"v":1,"policies":[{"key","phase","level","pcr11","policy","signature"}]}`. `key` is the SHA-256 of the
//! key's SubjectPublicKeyInfo, `pcr11` and `policy` are digests, `signature` is r and s (32 bytes each); all in lower-case
//! hexadecimal. What is signed is `policy` followed by the words `freehold.pcr-policy.v1`, with ECDSA P-256 and SHA-256.
//! Several keys may sign for one image: append their policies, and boxes sealed to either of them open.

use freehold_trust::{PublicKey, Sha256Digest, SigningKey};
use freehold_verify::sealing::policy::to_be_signed;
pub use freehold_verify::sealing::{Level, PcrPolicies, PcrPolicy, SEALING_PHASE};
use freehold_verify::sealing::{SealRejection, image_policy};

/// A policy could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum PcrPolicyError {
    /// The key is not ECDSA P-256.
    #[error("pcr policies are signed by p-256 keys, this is a {0} key")]
    Kind(freehold_trust::KeyKind),
    /// The token did not sign.
    #[error("the key did not sign: {0}")]
    Key(String),
    /// What came out does not verify.
    #[error("the signature that was made does not verify")]
    Verify(#[source] SealRejection),
}

/// Signs one policy for each value of PCR 11 (several when the same image measures differently, for example by profile), all
/// at [`SEALING_PHASE`].
///
/// # Errors
/// [`PcrPolicyError`].
pub fn sign(key: &SigningKey, level: Level, pcr11: &[Sha256Digest]) -> Result<PcrPolicies, PcrPolicyError> {
    sign_with(key.public(), level, pcr11, |message| {
        key.sign_p256_fixed(message).ok_or_else(|| "not a p-256 key".to_owned())
    })
}

/// The same by a key that lies elsewhere: `signer` gives r and s over a message (ECDSA P-256 with SHA-256).
///
/// # Errors
/// [`PcrPolicyError`].
pub fn sign_with(
    public: &PublicKey,
    level: Level,
    pcr11: &[Sha256Digest],
    mut signer: impl FnMut(&[u8]) -> Result<[u8; 64], String>,
) -> Result<PcrPolicies, PcrPolicyError> {
    if public.kind() != freehold_trust::KeyKind::P256 {
        return Err(PcrPolicyError::Kind(public.kind()));
    }
    let mut policies = Vec::new();
    for value in pcr11 {
        let policy = image_policy(level, *value);
        policies.push(PcrPolicy {
            key: public.fingerprint(),
            phase: SEALING_PHASE.to_owned(),
            level,
            pcr11: *value,
            policy,
            signature: signer(&to_be_signed(&policy)).map_err(PcrPolicyError::Key)?.to_vec(),
        });
    }
    let file = PcrPolicies { v: 1, policies };
    let read = PcrPolicies::parse(&file.to_json()).map_err(PcrPolicyError::Verify)?;
    for value in pcr11 {
        read.select(public, *value).map_err(PcrPolicyError::Verify)?;
    }
    Ok(file)
}
