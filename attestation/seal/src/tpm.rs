//! What a box asks its TPM for its data volume: a storage key, a floor, a seal, and the way back.
//!
//! Refuses to hold keys or sessions between calls. Invariant: the storage key and the floor's index exist before anything is
//! sealed, and neither is ever made anew while the TPM has an owner that we cannot speak for.

mod provision;
mod sealed;

use std::collections::BTreeMap;

use freehold_trust::{Sha256Digest, Sha256Hasher, sha256};
use freehold_verify::sealing::floor::FLOOR_ATTRIBUTES;
use freehold_verify::sealing::policy::pcr_selection;
use freehold_verify::sealing::{FLOOR_INDEX, Floor};
use freehold_verify::tpm::Public;
use freehold_verify::tpm::algorithm;
use freehold_verify::tpm::reader::Reader;
use zeroize::Zeroizing;

use crate::device::{Auth, Device, Named, kernel_random, unread};
use crate::fault::{Reason, TpmFault};
use crate::session::{Kind, Session};
use crate::wire::{Wire, cc};

pub use sealed::Opening;

/// Where the storage key is kept, so that it can be used without the owner's authorisation. In the range of the owner's
/// persistent objects, outside those that the TCG's registry gives to others.
const STORAGE_HANDLE: u32 = 0x8102_0001;
/// TPMA_OBJECT of the storage key: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt.
/// The same template as the one that wraps the attestation and TLS keys, so it is the same key.
const STORAGE_ATTRIBUTES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 17;

/// TPM_CAP_TPM_PROPERTIES, and the properties that are read.
const TPM_PROPERTIES: u32 = 6;
const PT_PERMANENT: u32 = 0x200;
const PT_LOCKOUT_COUNTER: u32 = 0x20e;
const PT_MAX_AUTH_FAIL: u32 = 0x20f;
const PT_LOCKOUT_INTERVAL: u32 = 0x210;

/// An authorisation value of at most 32 bytes. A TPM drops trailing zeros, and so does this.
#[derive(Clone, Default)]
pub struct AuthValue(Zeroizing<Vec<u8>>);

impl AuthValue {
    /// A value from a digest.
    #[must_use]
    pub fn from_digest(digest: &Sha256Digest) -> Self {
        let bytes = digest.as_bytes();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self(Zeroizing::new(bytes.iter().take(end).copied().collect()))
    }

    /// The value of a PIN: a digest of it, domain separated.
    #[must_use]
    pub fn of_pin(pin: &str) -> Self {
        let text = Zeroizing::new(format!("freehold boot pin v1\0{pin}"));
        Self::from_digest(&sha256(text.as_bytes()))
    }

    /// The empty value: a TPM that nobody owns.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for AuthValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthValue(not shown)")
    }
}

/// How the TPM stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TpmState {
    /// Somebody set the owner's authorisation.
    pub owned: bool,
    /// Somebody set the lockout authorisation.
    pub lockout_owned: bool,
    /// It takes no authorisation that counts.
    pub locked: bool,
    /// Wrong authorisations until it locks.
    pub tries_left: u32,
    /// Seconds until one is given back.
    pub recovery_s: u32,
}

/// A connection to the TPM for one program run.
pub struct SealingTpm {
    device: Device,
}

impl SealingTpm {
    /// Opens `device:/dev/tpmrm0`, or `swtpm:host=IP,port=N`.
    ///
    /// # Errors
    /// [`TpmFault::Unavailable`].
    pub fn open(address: &str) -> Result<Self, TpmFault> {
        Ok(Self {
            device: Device::open(address)?,
        })
    }

    /// Owner, lock and tries.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn state(&mut self) -> Result<TpmState, TpmFault> {
        let parameters = Wire::default().u32(TPM_PROPERTIES).u32(PT_PERMANENT).u32(32);
        let answer = self
            .device
            .command("get capability", cc::GET_CAPABILITY, &[], Auth::None, parameters)?;
        let unread = unread("get capability");
        let mut reader = Reader::new(&answer.parameters);
        reader.u8("moreData").map_err(&unread)?;
        reader.u32("capability").map_err(&unread)?;
        let count = reader.u32("count").map_err(&unread)?.min(256);
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let property = reader.u32("property").map_err(&unread)?;
            values.insert(property, reader.u32("value").map_err(&unread)?);
        }
        let value = |property| {
            values.get(&property).copied().ok_or(TpmFault::Garbage {
                command: "get capability",
                detail: format!("property {property:#x} is missing"),
            })
        };
        let permanent = value(PT_PERMANENT)?;
        Ok(TpmState {
            owned: permanent & 1 != 0,
            lockout_owned: permanent & 1 << 2 != 0,
            locked: permanent & 1 << 9 != 0,
            tries_left: value(PT_MAX_AUTH_FAIL)?.saturating_sub(value(PT_LOCKOUT_COUNTER)?),
            recovery_s: value(PT_LOCKOUT_INTERVAL)?,
        })
    }

    /// Values of the SHA-256 bank, at most eight at once.
    ///
    /// # Errors
    /// [`TpmFault`]; [`TpmFault::Garbage`] when the bank is switched off.
    pub fn pcrs(&mut self, pcrs: &[u8]) -> Result<BTreeMap<u8, Sha256Digest>, TpmFault> {
        let parameters = Wire::default().raw(&pcr_selection(pcrs));
        let answer = self
            .device
            .command("pcr read", cc::PCR_READ, &[], Auth::None, parameters)?;
        let unread = unread("pcr read");
        let mut reader = Reader::new(&answer.parameters);
        reader.u32("updateCounter").map_err(&unread)?;
        freehold_verify::tpm::selection::parse_selections(&mut reader).map_err(&unread)?;
        let count = reader.u32("count").map_err(&unread)?;
        let mut sorted = pcrs.to_vec();
        sorted.sort_unstable();
        if usize::try_from(count) != Ok(sorted.len()) {
            return Err(TpmFault::Garbage {
                command: "pcr read",
                detail: format!("{count} values for {} PCRs; is the SHA-256 bank on?", sorted.len()),
            });
        }
        let mut values = BTreeMap::new();
        for pcr in sorted {
            let digest = reader.sized(64, "digest").map_err(&unread)?;
            let digest = Sha256Digest::from_slice(digest).ok_or(TpmFault::Garbage {
                command: "pcr read",
                detail: format!("PCR {pcr} has {} bytes", digest.len()),
            })?;
            values.insert(pcr, digest);
        }
        Ok(values)
    }

    /// Extends one PCR of the SHA-256 bank.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn extend(&mut self, pcr: u8, digest: Sha256Digest) -> Result<(), TpmFault> {
        let parameters = Wire::default().u32(1).u16(algorithm::SHA256).raw(digest.as_bytes());
        let handle = [Named::plain(u32::from(pcr))];
        self.device
            .command("pcr extend", cc::PCR_EXTEND, &handle, Auth::Empty, parameters)?;
        Ok(())
    }

    /// 32 random bytes: the TPM's and the kernel's, hashed together, so that one bad source does no harm.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn random(&mut self) -> Result<Zeroizing<[u8; 32]>, TpmFault> {
        let parameters = Wire::default().u16(32);
        let answer = self
            .device
            .command("get random", cc::GET_RANDOM, &[], Auth::None, parameters)?;
        let mut hasher = Sha256Hasher::new();
        hasher.update(&answer.parameters);
        hasher.update(&kernel_random()?);
        Ok(Zeroizing::new(*hasher.finish().as_bytes()))
    }

    /// The floor.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn floor(&mut self) -> Result<Floor, TpmFault> {
        match self.index()? {
            None => Ok(Floor::Missing),
            Some(index) if index.public == Floor::public(FLOOR_ATTRIBUTES) => Ok(Floor::Missing),
            Some(index) if index.public == Floor::written() => {
                let named = index.named();
                let parameters = Wire::default().u16(8).u16(0);
                let handles = [named.clone(), named];
                let answer = self
                    .device
                    .command("nv read", cc::NV_READ, &handles, Auth::Empty, parameters)?;
                let unread = unread("nv read");
                let mut reader = Reader::new(&answer.parameters);
                let mut bits = Reader::new(reader.sized(8, "data").map_err(&unread)?);
                Ok(Floor::from_bits(bits.u64("bits").map_err(&unread)?))
            }
            Some(_) => Ok(Floor::Foreign),
        }
    }

    // The storage key and the index as they are.

    fn storage(&mut self) -> Result<Option<Storage>, TpmFault> {
        let Some(public) = self.read_public(STORAGE_HANDLE)? else {
            return Ok(None);
        };
        let parsed = Public::parse(&public).map_err(unread("read public"))?;
        Ok((parsed.attributes.0 == STORAGE_ATTRIBUTES).then_some(Storage { public }))
    }

    fn need_storage(&mut self) -> Result<Storage, TpmFault> {
        self.storage()?.ok_or(TpmFault::Refused {
            command: "load",
            code: 0,
            reason: Reason::Missing,
        })
    }

    fn read_public(&mut self, handle: u32) -> Result<Option<Vec<u8>>, TpmFault> {
        let named = [Named::plain(handle)];
        let read = self
            .device
            .command("read public", cc::READ_PUBLIC, &named, Auth::None, Wire::default());
        match read {
            Ok(answer) => {
                let mut reader = Reader::new(&answer.parameters);
                let public = reader.sized(1024, "outPublic").map_err(unread("read public"))?;
                Ok(Some(public.to_vec()))
            }
            Err(fault) if fault.reason() == Some(Reason::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn index(&mut self) -> Result<Option<Index>, TpmFault> {
        let named = [Named::plain(FLOOR_INDEX)];
        let read = self.device.command(
            "nv read public",
            cc::NV_READ_PUBLIC,
            &named,
            Auth::None,
            Wire::default(),
        );
        match read {
            Ok(answer) => {
                let mut reader = Reader::new(&answer.parameters);
                let public = reader.sized(1024, "nvPublic").map_err(unread("nv read public"))?;
                Ok(Some(Index {
                    public: public.to_vec(),
                }))
            }
            Err(fault) if fault.reason() == Some(Reason::Missing) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Runs `command` in an HMAC session salted to the storage key, and forgets the session.
    fn with_session<T>(
        &mut self,
        command: impl FnOnce(&mut Device, &mut Session) -> Result<T, TpmFault>,
    ) -> Result<T, TpmFault> {
        let storage = self.need_storage()?;
        let mut session = self.device.session(Kind::Hmac, &storage.named()?, &storage.public)?;
        let result = command(&mut self.device, &mut session);
        self.device.flush(session.handle);
        result
    }

    fn with_owner<T>(
        &mut self,
        owner: &AuthValue,
        command: impl FnOnce(&mut Device, Auth<'_>) -> Result<T, TpmFault>,
    ) -> Result<T, TpmFault> {
        self.with_session(|device, session| {
            command(
                device,
                Auth::Session {
                    session,
                    value: &owner.0,
                    encrypted: 0,
                    after: None,
                },
            )
        })
    }
}

struct Storage {
    public: Vec<u8>,
}

impl Storage {
    fn named(&self) -> Result<Named, TpmFault> {
        Ok(Named {
            handle: STORAGE_HANDLE,
            name: name_of(&self.public)?,
        })
    }
}

struct Index {
    public: Vec<u8>,
}

impl Index {
    fn named(&self) -> Named {
        let mut name = algorithm::SHA256.to_be_bytes().to_vec();
        name.extend_from_slice(sha256(&self.public).as_bytes());
        Named {
            handle: FLOOR_INDEX,
            name,
        }
    }
}

fn name_of(public: &[u8]) -> Result<Vec<u8>, TpmFault> {
    let parsed = Public::parse(public).map_err(unread("read public"))?;
    parsed.name().ok_or(TpmFault::Garbage {
        command: "read public",
        detail: "an unknown name algorithm".to_owned(),
    })
}
