//! A counter in the TPM that only rises: what a disk that was put back cannot put back.
//!
//! Refuses to be counted by anybody but the TPM's owner, whose value never crosses the bus. Invariant: every count that was
//! answered is in the TPM's own memory by then, and reading needs no secret.

use tss_esapi::Context;
use tss_esapi::attributes::NvIndexAttributesBuilder;
use tss_esapi::constants::{CapabilityType, NvIndexType};
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData, NvPublicBuilder};

use crate::authorise::{Guard, with_key};

/// The index: in the range that owners may define (0x0180_0000 to 0x01bf_ffff), beside the floor's 0x0182_f100.
pub const RECORD_COUNTER: u32 = 0x0182_f200;

/// Bytes of a counter (TPM 2.0 Library, Part 2, TPM_NT_COUNTER).
const SIZE: u16 = 8;

fn wrong() -> tss_esapi::Error {
    tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm)
}

/// Whether the index is there.
fn is_defined(context: &mut Context) -> tss_esapi::Result<bool> {
    let (data, _) = context.get_capability(CapabilityType::Handles, RECORD_COUNTER, 1)?;
    Ok(match data {
        CapabilityData::Handles(handles) => handles
            .into_inner()
            .into_iter()
            .map(u32::from)
            .any(|number| number == RECORD_COUNTER),
        _ => false,
    })
}

fn with_index<T>(
    context: &mut Context,
    f: impl FnOnce(&mut Context, NvIndexHandle) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    let handle = TpmHandle::NvIndex(NvIndexTpmHandle::new(RECORD_COUNTER)?);
    let mut object = context.execute_without_session(|context| context.tr_from_tpm_public(handle))?;
    let result = f(context, object.into());
    context.tr_close(&mut object)?;
    result
}

/// What it has counted to; nothing before it counted once.
pub(crate) fn read(context: &mut Context) -> tss_esapi::Result<Option<u64>> {
    if !is_defined(context)? {
        return Ok(None);
    }
    with_index(context, |context, index| {
        let (public, _) = context.execute_without_session(|context| context.nv_read_public(index))?;
        // An index of another kind under our number is nobody's counter.
        if public.attributes().index_type()? != NvIndexType::Counter {
            return Err(wrong());
        }
        if !public.attributes().written() {
            return Ok(None);
        }
        let bytes = context.execute_with_session(Some(AuthSession::Password), |context| {
            context.nv_read(NvAuth::NvIndex(index), index, SIZE, 0)
        })?;
        let bytes: [u8; 8] = bytes.value().try_into().map_err(|_| wrong())?;
        Ok(Some(u64::from_be_bytes(bytes)))
    })
}

/// Counts once and answers what it has counted to. `owner` is the owner's value, empty on a TPM that nobody owns.
pub(crate) fn count(context: &mut Context, owner: &[u8]) -> tss_esapi::Result<u64> {
    let guard = if owner.is_empty() { Guard::Open } else { Guard::Proven };
    context.tr_set_auth(ObjectHandle::Owner, Auth::try_from(owner.to_vec())?)?;
    if !is_defined(context)? {
        let attributes = NvIndexAttributesBuilder::new()
            .with_nv_index_type(NvIndexType::Counter)
            .with_owner_write(true)
            .with_owner_read(true)
            .with_auth_read(true)
            .with_no_da(true)
            .build()?;
        let public = NvPublicBuilder::new()
            .with_nv_index(NvIndexTpmHandle::new(RECORD_COUNTER)?)
            .with_index_name_algorithm(HashingAlgorithm::Sha256)
            .with_index_attributes(attributes)
            .with_data_area_size(usize::from(SIZE))
            .build()?;
        let index = with_key(context, guard, |context, session| {
            context.execute_with_session(Some(session), |context| {
                context.nv_define_space(Provision::Owner, None, public)
            })
        })?;
        let mut object = ObjectHandle::from(index);
        context.tr_close(&mut object)?;
    }
    with_index(context, |context, index| {
        with_key(context, guard, |context, session| {
            context.execute_with_session(Some(session), |context| context.nv_increment(NvAuth::Owner, index))
        })
    })?;
    read(context)?.ok_or_else(wrong)
}
