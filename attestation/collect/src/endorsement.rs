//! The endorsement key and its certificate.
//!
//! Refuses to guess: a certificate is what the TPM's NV holds at the index of the key's template, nothing else. Invariant:
//! the key is made from the TCG template (EK Credential Profile 2.5, Annex B), so it is the key that the vendor certified.

use tss_esapi::Context;
use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ek};
use tss_esapi::handles::{KeyHandle, NvIndexTpmHandle, TpmHandle};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth};
use tss_esapi::interface_types::session_handles::AuthSession;

use crate::error::TpmError;

/// The largest EK certificate that is read, in bytes: an NV index that claims more is not one (TPM NV is a few KiB).
const MAX_CERTIFICATE: u16 = 4096;

/// How many bytes one read of NV asks for: every TPM can give that many at once.
const NV_CHUNK: u16 = 512;

/// The kinds of endorsement keys that this crate can make, in the order in which one is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EkKind {
    /// RSA 2048 (template L-1, certificate at 0x01c00002).
    Rsa2048,
    /// ECC P-256 (template L-2, certificate at 0x01c0000a).
    EccP256,
    /// ECC P-384 (template H-3, certificate at 0x01c00016).
    EccP384,
}

impl EkKind {
    /// All kinds, in the order in which a certified one is looked for.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::EccP256, Self::EccP384];

    fn selection(self) -> AsymmetricAlgorithmSelection {
        match self {
            Self::Rsa2048 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
            Self::EccP256 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
            Self::EccP384 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
        }
    }

    fn certificate_index(self) -> u32 {
        match self {
            Self::Rsa2048 => 0x01c0_0002,
            Self::EccP256 => 0x01c0_000a,
            Self::EccP384 => 0x01c0_0016,
        }
    }

    /// Whether the template asks for a policy session with the endorsement hierarchy's authorisation (low range), or
    /// takes the key's own empty authorisation (high range).
    pub(crate) fn needs_policy(self) -> bool {
        !matches!(self, Self::EccP384)
    }
}

/// The endorsement key's public side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// Which template.
    pub kind: EkKind,
    /// TPMT_PUBLIC.
    pub public: Vec<u8>,
    /// Its certificate as it lies in NV, when there is one.
    pub certificate: Option<Vec<u8>>,
}

/// Makes the endorsement key of `kind`; the caller flushes it.
pub(crate) fn create(context: &mut Context, kind: EkKind) -> tss_esapi::Result<KeyHandle> {
    let template = ek::create_ek_public_from_default_template_2(kind.selection(), None)?;
    let made = context.execute_with_session(Some(AuthSession::Password), |context| {
        context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
    })?;
    Ok(made.key_handle)
}

/// Reads the certificate of `kind` from NV; `None` when that index does not exist.
pub(crate) fn certificate(
    context: &mut Context,
    kind: EkKind,
    indices: &[u32],
    fault: impl Fn(tss_esapi::Error) -> TpmError,
) -> Result<Option<Vec<u8>>, TpmError> {
    let number = kind.certificate_index();
    if !indices.contains(&number) {
        return Ok(None);
    }
    let read = |context: &mut Context| -> tss_esapi::Result<Vec<u8>> {
        let handle = TpmHandle::NvIndex(NvIndexTpmHandle::new(number)?);
        let mut object = context.tr_from_tpm_public(handle)?;
        let result = (|| {
            let (public, _) = context.nv_read_public(object.into())?;
            let size = u16::try_from(public.data_size())
                .unwrap_or(u16::MAX)
                .min(MAX_CERTIFICATE);
            let mut bytes = Vec::with_capacity(size.into());
            let mut at = 0;
            while at < size {
                let chunk = NV_CHUNK.min(size - at);
                let part = context.execute_with_session(Some(AuthSession::Password), |context| {
                    context.nv_read(NvAuth::NvIndex(object.into()), object.into(), chunk, at)
                })?;
                bytes.extend_from_slice(part.value());
                at += chunk;
            }
            Ok(bytes)
        })();
        context.tr_close(&mut object)?;
        result
    };
    read(context).map(Some).map_err(fault)
}
