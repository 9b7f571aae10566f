//! Making what sealing needs: the storage key, the floor's index, and an owner.
//!
//! Refuses to make a storage key on a TPM that somebody owns. Invariant: every step can be cut off and done again, and bits
//! of the floor are only ever set.

use freehold_verify::sealing::floor::FLOOR_ATTRIBUTES;
use freehold_verify::sealing::{Floor, Level};
use freehold_verify::tpm::algorithm;
use freehold_verify::tpm::reader::Reader;

use super::{AuthValue, STORAGE_ATTRIBUTES, STORAGE_HANDLE, SealingTpm, name_of};
use crate::device::{Auth, Named, unread};
use crate::fault::{Reason, TpmFault};
use crate::session::DECRYPT;
use crate::wire::{RH_LOCKOUT, RH_OWNER, Wire, cc};

/// Wrong PINs before the TPM locks itself.
const MAX_TRIES: u32 = 10;
/// Seconds after which one try is given back: ten minutes make 144 guesses a day.
const RECOVERY: u32 = 600;
/// Seconds after which the lockout authorisation may be tried again: a day.
const LOCKOUT_RECOVERY: u32 = 86_400;

impl SealingTpm {
    /// Makes what sealing needs and is not there yet: the storage key and the floor's index, which is then at least
    /// `floor`. `owner` is the owner's authorisation; empty on a TPM that nobody owns.
    ///
    /// # Errors
    /// [`TpmFault`]; a wrong `owner` is refused by the TPM only where something has to be made.
    pub fn prepare(&mut self, owner: &AuthValue, floor: Level) -> Result<(), TpmFault> {
        if self.storage()?.is_none() {
            self.make_storage(owner)?;
        }
        let Some(index) = self.index()? else {
            self.with_owner(owner, |device, auth| {
                let parameters = Wire::default().sized(&[]).sized(&Floor::public(FLOOR_ATTRIBUTES));
                device.command(
                    "nv define",
                    cc::NV_DEFINE_SPACE,
                    &[Named::plain(RH_OWNER)],
                    auth,
                    parameters,
                )
            })?;
            return self.set_bits(owner, floor);
        };
        let unwritten = index.public == Floor::public(FLOOR_ATTRIBUTES);
        match self.floor()? {
            Floor::At(now) if now >= floor => Ok(()),
            Floor::Missing if !unwritten => Ok(()),
            _ => self.set_bits(owner, floor),
        }
    }

    /// Raises the floor. Lowering it is not possible, and raising it to where it is does nothing.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn raise_floor(&mut self, owner: &AuthValue, to: Level) -> Result<Floor, TpmFault> {
        if let Floor::At(now) = self.floor()?
            && now < to
        {
            self.set_bits(owner, to)?;
        }
        self.floor()
    }

    fn set_bits(&mut self, owner: &AuthValue, level: Level) -> Result<(), TpmFault> {
        let index = self.index()?.ok_or(TpmFault::Refused {
            command: "nv set bits",
            code: 0,
            reason: Reason::Missing,
        })?;
        let handles = [Named::plain(RH_OWNER), index.named()];
        self.with_owner(owner, |device, auth| {
            let parameters = Wire::default().u64(level.bits());
            device.command("nv set bits", cc::NV_SET_BITS, &handles, auth, parameters)
        })?;
        Ok(())
    }

    /// Sets the owner and lockout authorisations where nobody has, and how many wrong PINs there may be.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn own(&mut self, owner: &AuthValue, lockout: &AuthValue) -> Result<(), TpmFault> {
        let state = self.state()?;
        if !state.lockout_owned {
            let parameters = Wire::default().u32(MAX_TRIES).u32(RECOVERY).u32(LOCKOUT_RECOVERY);
            let handle = [Named::plain(RH_LOCKOUT)];
            self.device.command(
                "dictionary attack parameters",
                cc::DICTIONARY_ATTACK_PARAMETERS,
                &handle,
                Auth::Empty,
                parameters,
            )?;
            self.change_auth(RH_LOCKOUT, lockout)?;
        }
        if !state.owned {
            self.change_auth(RH_OWNER, owner)?;
        }
        Ok(())
    }

    fn change_auth(&mut self, hierarchy: u32, new: &AuthValue) -> Result<(), TpmFault> {
        let handle = [Named::plain(hierarchy)];
        self.with_session(|device, session| {
            device.command(
                "hierarchy change auth",
                cc::HIERARCHY_CHANGE_AUTH,
                &handle,
                Auth::Session {
                    session,
                    value: &[],
                    encrypted: DECRYPT,
                    after: Some(&new.0),
                },
                Wire::default().sized(&new.0),
            )
        })?;
        Ok(())
    }

    fn make_storage(&mut self, owner: &AuthValue) -> Result<(), TpmFault> {
        // Only on a TPM that nobody owns: a session needs the very key that is missing.
        if !owner.0.is_empty() {
            return Err(TpmFault::Refused {
                command: "create primary",
                code: 0,
                reason: Reason::Auth,
            });
        }
        let template = Wire::default()
            .u16(algorithm::ECC)
            .u16(algorithm::SHA256)
            .u32(STORAGE_ATTRIBUTES)
            .sized(&[])
            .u16(algorithm::AES)
            .u16(128)
            .u16(algorithm::CFB)
            .u16(algorithm::NULL)
            .u16(algorithm::NIST_P256)
            .u16(algorithm::NULL)
            .sized(&[])
            .sized(&[])
            .0;
        let sensitive = Wire::default().sized(&[]).sized(&[]).0;
        let owner = Named::plain(RH_OWNER);
        if self.read_public(STORAGE_HANDLE)?.is_some() {
            // Something else lies there: nobody owns this TPM, so it may go.
            let handles = [owner.clone(), self.persistent(STORAGE_HANDLE)?];
            let parameters = Wire::default().u32(STORAGE_HANDLE);
            self.device
                .command("evict control", cc::EVICT_CONTROL, &handles, Auth::Empty, parameters)?;
        }
        let parameters = Wire::default().sized(&sensitive).sized(&template).sized(&[]).u32(0);
        let made = self.device.command(
            "create primary",
            cc::CREATE_PRIMARY,
            std::slice::from_ref(&owner),
            Auth::Empty,
            parameters,
        )?;
        let kept = Reader::new(&made.parameters)
            .sized(1024, "outPublic")
            .map_err(unread("create primary"))
            .and_then(name_of)
            .and_then(|name| {
                let handles = [
                    owner,
                    Named {
                        handle: made.handle,
                        name,
                    },
                ];
                let parameters = Wire::default().u32(STORAGE_HANDLE);
                self.device
                    .command("evict control", cc::EVICT_CONTROL, &handles, Auth::Empty, parameters)
            });
        self.device.flush(made.handle);
        kept.map(|_| ())
    }

    fn persistent(&mut self, handle: u32) -> Result<Named, TpmFault> {
        let public = self.read_public(handle)?.unwrap_or_default();
        Ok(Named {
            handle,
            name: name_of(&public)?,
        })
    }
}
