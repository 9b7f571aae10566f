//! Using keys that want an authorisation value, and making them.
//!
//! Refuses to send the value: its holder proves it by HMAC, and when a key is made it travels encrypted to the storage key.
//! Invariant: every session that is opened here is flushed before the call returns.

use std::fs::File;
use std::io::Read as _;

use freehold_trust::Sha256Hasher;
use tss_esapi::Context;
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::{CapabilityType, SessionType};
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, SessionHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData, SymmetricDefinition};

use crate::keys::{KeyAuth, storage_template};

/// Where a box with a sealed volume keeps its storage key, because its TPM has an owner by then. The same template as here,
/// so it is the same key (`attestation/seal`).
const STORAGE_HANDLE: u32 = 0x8102_0001;

/// How a key is used: with its value, or with none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The key has no authorisation value.
    Open,
    /// The context knows the key's value and proves it.
    Proven,
}

fn wrong() -> tss_esapi::Error {
    tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm)
}

/// Runs `f` with a session that authorises one key.
pub(crate) fn with_key<T>(
    context: &mut Context,
    guard: Guard,
    f: impl FnOnce(&mut Context, AuthSession) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    match guard {
        Guard::Open => f(context, AuthSession::Password),
        Guard::Proven => with_session(context, None, f),
    }
}

/// Runs `f` with an HMAC session, salted to `salted` and encrypting what goes to the TPM when it is given.
fn with_session<T>(
    context: &mut Context,
    salted: Option<KeyHandle>,
    f: impl FnOnce(&mut Context, AuthSession) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let session = context
        .start_auth_session(
            salted,
            None,
            None,
            SessionType::Hmac,
            SymmetricDefinition::AES_128_CFB,
            HashingAlgorithm::Sha256,
        )?
        .ok_or_else(wrong)?;
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_continue_session(true)
        .with_decrypt(salted.is_some())
        .build();
    let result = context
        .tr_sess_set_attributes(session, attributes, mask)
        .and_then(|()| f(context, session));
    let flushed = context.flush_context(SessionHandle::from(session).into());
    let value = result?;
    flushed?;
    Ok(value)
}

/// Runs `f` with a session in which the first parameter travels encrypted to the storage key.
pub(crate) fn encrypted<T>(
    context: &mut Context,
    storage: KeyHandle,
    f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    with_session(context, Some(storage), |context, session| {
        context.execute_with_session(Some(session), f)
    })
}

/// A new value: the TPM's randomness and the kernel's, hashed together.
pub(crate) fn new_auth(context: &mut Context) -> tss_esapi::Result<KeyAuth> {
    let mut kernel = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut kernel))
        .map_err(|_| wrong())?;
    let mut hasher = Sha256Hasher::new();
    hasher.update(context.get_random(32)?.value());
    hasher.update(&kernel);
    Ok(KeyAuth::from_random(*hasher.finish().as_bytes()))
}

/// The value as the library wants it.
pub(crate) fn auth_of(auth: &KeyAuth) -> tss_esapi::Result<Auth> {
    Auth::try_from(auth.bytes())
}

/// The storage key while a connection is being set up.
pub(crate) struct Storage {
    pub(crate) handle: KeyHandle,
    kept: bool,
}

impl Storage {
    /// The key that is kept in the TPM, or one made anew from the owner's seed (on a TPM that nobody owns).
    pub(crate) fn open(context: &mut Context) -> tss_esapi::Result<Self> {
        let (data, _) = context.get_capability(CapabilityType::Handles, STORAGE_HANDLE, 1)?;
        let kept = match data {
            CapabilityData::Handles(handles) => handles
                .into_inner()
                .into_iter()
                .map(u32::from)
                .any(|n| n == STORAGE_HANDLE),
            _ => false,
        };
        if kept {
            let object =
                context.tr_from_tpm_public(TpmHandle::Persistent(PersistentTpmHandle::new(STORAGE_HANDLE)?))?;
            let handle = KeyHandle::from(object);
            let (public, _, _) = context.read_public(handle)?;
            if public.object_attributes() == storage_template()?.object_attributes() {
                return Ok(Self { handle, kept });
            }
        }
        let made = context.execute_with_session(Some(AuthSession::Password), |context| {
            context.create_primary(Hierarchy::Owner, storage_template()?, None, None, None, None)
        })?;
        Ok(Self {
            handle: made.key_handle,
            kept: false,
        })
    }

    /// Forgets it, where it is not kept.
    pub(crate) fn close(self, context: &mut Context) -> tss_esapi::Result<()> {
        if self.kept {
            let mut object = self.handle.into();
            context.tr_close(&mut object)
        } else {
            context.flush_context(self.handle.into())
        }
    }
}
