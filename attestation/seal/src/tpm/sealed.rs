//! Sealing a secret to a policy, and opening it again.
//!
//! Refuses to send or take a secret in clear. Invariant: whatever happens on the way, the loaded object and the session are
//! flushed before a call returns.

use freehold_trust::{PublicKey, Sha256Digest, sha256};
use freehold_verify::sealing::policy::{
    EO_BITCLEAR, LITERAL_PCRS, POLICY_REF, SIGNED_PCR, pcr_selection, policy_key_public, to_be_signed,
};
use freehold_verify::sealing::volume::SealParts;
use freehold_verify::sealing::{FLOOR_INDEX, Floor, PcrPolicy, Pin, SealRejection, SealedKey, image_policy};
use freehold_verify::tpm::algorithm;
use freehold_verify::tpm::reader::Reader;
use zeroize::Zeroizing;

use super::{AuthValue, SealingTpm, TpmState};
use crate::device::{Auth, Named, unread};
use crate::fault::{Reason, TpmFault};
use crate::session::{DECRYPT, ENCRYPT, Kind, Session};
use crate::wire::{RH_OWNER, Wire, cc};

/// TPMA_OBJECT of the sealed key: fixedTPM, fixedParent, adminWithPolicy; only its policy opens it.
const SEALED_ATTRIBUTES: u32 = 1 << 1 | 1 << 4 | 1 << 7;
/// Wrong PINs do not count towards a lock; set when there is no PIN.
const NO_DA: u32 = 1 << 10;
/// TPM_ALG_KEYEDHASH.
const KEYEDHASH: u16 = 0x0008;

/// What opens a seal.
pub struct Opening<'a> {
    /// The volume's note.
    pub sealed: &'a SealedKey,
    /// The image's signed policy.
    pub policy: &'a PcrPolicy,
    /// The PIN's value, when one is asked for.
    pub pin: Option<&'a AuthValue>,
}

impl SealingTpm {
    /// Seals `secret` (at most 128 bytes) to `policy`, and to a PIN when one is given.
    ///
    /// # Errors
    /// [`TpmFault`].
    pub fn seal(
        &mut self,
        secret: &[u8],
        policy: &Sha256Digest,
        pin: Option<&AuthValue>,
    ) -> Result<SealParts, TpmFault> {
        let storage = self.need_storage()?;
        let auth = pin.map_or(&[][..], |pin| &pin.0);
        let sensitive = Zeroizing::new(Wire::default().sized(auth).sized(secret).0);
        let attributes = SEALED_ATTRIBUTES | if pin.is_some() { 0 } else { NO_DA };
        let template = Wire::default()
            .u16(KEYEDHASH)
            .u16(algorithm::SHA256)
            .u32(attributes)
            .sized(policy.as_bytes())
            .u16(algorithm::NULL)
            .sized(&[])
            .0;
        let handles = [storage.named()?];
        let answer = self.with_session(|device, session| {
            let parameters = Wire::default().sized(&sensitive).sized(&template).sized(&[]).u32(0);
            device.command(
                "create",
                cc::CREATE,
                &handles,
                Auth::Session {
                    session,
                    value: &[],
                    encrypted: DECRYPT,
                    after: None,
                },
                parameters,
            )
        })?;
        let unread = unread("create");
        let mut reader = Reader::new(&answer.parameters);
        let private = reader.sized(1024, "outPrivate").map_err(&unread)?.to_vec();
        let public = reader.sized(1024, "outPublic").map_err(&unread)?.to_vec();
        Ok(SealParts {
            public,
            private,
            storage: storage.public,
        })
    }

    /// Opens a seal. The TPM checks floor, PCRs, signature and PIN; what it gives travels encrypted.
    ///
    /// # Errors
    /// [`TpmFault`]; [`refusal`](Self::refusal) says what it means.
    pub fn unseal(&mut self, opening: &Opening<'_>) -> Result<Zeroizing<Vec<u8>>, TpmFault> {
        let storage = self.need_storage()?;
        if storage.public != opening.sealed.storage {
            return Err(TpmFault::Refused {
                command: "load",
                code: 0,
                reason: Reason::Integrity,
            });
        }
        let named = storage.named()?;
        let parameters = Wire::default()
            .sized(&opening.sealed.private)
            .sized(&opening.sealed.public);
        let loaded = self
            .device
            .command("load", cc::LOAD, std::slice::from_ref(&named), Auth::Empty, parameters)?;
        let object = loaded.handle;
        let unread = unread("load");
        let secret = (|| {
            let name = Reader::new(&loaded.parameters)
                .sized(64, "name")
                .map_err(&unread)?
                .to_vec();
            let mut session = self.device.session(Kind::Policy, &named, &storage.public)?;
            let secret = self.satisfy(&mut session, opening).and_then(|()| {
                let item = [Named { handle: object, name }];
                self.device.command(
                    "unseal",
                    cc::UNSEAL,
                    &item,
                    Auth::Session {
                        session: &mut session,
                        value: opening.pin.map_or(&[][..], |pin| &pin.0),
                        encrypted: ENCRYPT,
                        after: None,
                    },
                    Wire::default(),
                )
            });
            self.device.flush(session.handle);
            secret
        })();
        self.device.flush(object);
        let answer = Zeroizing::new(secret?.parameters);
        let secret = Reader::new(&answer).sized(256, "outData").map_err(&unread)?;
        Ok(Zeroizing::new(secret.to_vec()))
    }

    /// The policy commands, in the order in which [`image_policy`] and `volume_policy` count them.
    fn satisfy(&mut self, session: &mut Session, opening: &Opening<'_>) -> Result<(), TpmFault> {
        let policy = opening.policy;
        let handle = Named::plain(session.handle);
        let index = Named {
            handle: FLOOR_INDEX,
            name: Floor::name(),
        };
        let parameters = Wire::default()
            .sized(&policy.level.forbidden().to_be_bytes())
            .u16(0)
            .u16(EO_BITCLEAR);
        let handles = [index.clone(), index, handle.clone()];
        self.device
            .command("policy nv", cc::POLICY_NV, &handles, Auth::Empty, parameters)?;
        let session_only = [handle];
        let pcrs = |list: &[u8]| Wire::default().sized(&[]).raw(&pcr_selection(list));
        self.device.command(
            "policy pcr",
            cc::POLICY_PCR,
            &session_only,
            Auth::None,
            pcrs(&[SIGNED_PCR]),
        )?;
        let (name, ticket) = self.ticket(opening)?;
        let approved = image_policy(policy.level, policy.pcr11);
        let parameters = Wire::default()
            .sized(approved.as_bytes())
            .sized(POLICY_REF)
            .sized(&name)
            .raw(&ticket);
        self.device.command(
            "policy authorize",
            cc::POLICY_AUTHORIZE,
            &session_only,
            Auth::None,
            parameters,
        )?;
        self.device.command(
            "policy pcr",
            cc::POLICY_PCR,
            &session_only,
            Auth::None,
            pcrs(&LITERAL_PCRS),
        )?;
        if opening.sealed.pin() == Pin::Asked {
            self.device.command(
                "policy auth value",
                cc::POLICY_AUTH_VALUE,
                &session_only,
                Auth::None,
                Wire::default(),
            )?;
            session.with_auth = true;
        }
        Ok(())
    }

    /// The TPM's own check of the policy's signature: the key's name and the ticket.
    fn ticket(&mut self, opening: &Opening<'_>) -> Result<(Vec<u8>, Vec<u8>), TpmFault> {
        let garbage = |detail: &str| TpmFault::Garbage {
            command: "verify signature",
            detail: detail.to_owned(),
        };
        let key = PublicKey::from_spki_der(&opening.sealed.key).map_err(|error| garbage(&error.to_string()))?;
        let public = policy_key_public(&key).ok_or_else(|| garbage("the policy key is no p-256 key"))?;
        let name = public.name().ok_or_else(|| garbage("no name"))?;
        let (r, s) = opening.policy.numbers().ok_or_else(|| garbage("no signature"))?;
        let digest = sha256(&to_be_signed(&image_policy(opening.policy.level, opening.policy.pcr11)));
        let parameters = Wire::default().sized(&[]).sized(&public.to_bytes()).u32(RH_OWNER);
        let loaded = self
            .device
            .command("load external", cc::LOAD_EXTERNAL, &[], Auth::None, parameters)?;
        let signature = Wire::default()
            .sized(digest.as_bytes())
            .u16(algorithm::ECDSA)
            .u16(algorithm::SHA256)
            .sized(r)
            .sized(s);
        let handle = [Named {
            handle: loaded.handle,
            name: name.clone(),
        }];
        let answer = self
            .device
            .command("verify signature", cc::VERIFY_SIGNATURE, &handle, Auth::None, signature);
        self.device.flush(loaded.handle);
        Ok((name, answer?.parameters))
    }

    /// What a fault of [`unseal`](Self::unseal) means for a person; `None` when the TPM could not be asked.
    #[must_use]
    pub fn refusal(fault: &TpmFault, state: &TpmState) -> Option<SealRejection> {
        let TpmFault::Refused { command, reason, .. } = fault else {
            return None;
        };
        Some(match (reason, *command) {
            (Reason::AuthCounted | Reason::Auth, "unseal") => SealRejection::PinWrong {
                tries_left: state.tries_left,
            },
            (Reason::Lockout, _) => SealRejection::Lockout {
                recovery_s: state.recovery_s,
            },
            (Reason::Integrity | Reason::Missing, _) | (_, "load") => SealRejection::OtherTpm,
            _ => SealRejection::Refused(fault.to_string()),
        })
    }
}
