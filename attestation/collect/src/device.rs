//! One connection to a TPM with the box's keys loaded, and the commands over it.
//!
//! Refuses to keep anything else loaded: a bare TPM has three slots for objects, two of them are the keys'. Invariant:
//! whatever a command makes is flushed before it returns, on every path.

use std::collections::BTreeMap;
use std::str::FromStr;

use freehold_trust::{Sha256Digest, sha256};
use tss_esapi::Context;
use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::CapabilityType;
use tss_esapi::constants::SessionType;
use tss_esapi::constants::tss::{
    TPM2_LOADED_SESSION_FIRST, TPM2_NV_INDEX_FIRST, TPM2_RH_NULL, TPM2_ST_HASHCHECK, TPM2_TRANSIENT_FIRST,
};
use tss_esapi::handles::{AuthHandle, KeyHandle, PcrHandle, SessionHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    CapabilityData, Data, Digest, DigestValues, EncryptedSecret, HashcheckTicket, IdObject, PcrSelectionList,
    PcrSelectionListBuilder, PcrSlot, Private, Public, Signature, SignatureScheme, SymmetricDefinition,
};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use crate::attest::{Attested, EcdsaNumbers};
use crate::authorise::{Guard, Storage, auth_of, encrypted, new_auth, with_key};
use crate::encode::tpm2b_content;
use crate::endorsement::{self, EkKind, Endorsement};
use crate::error::TpmError;
use crate::keys::{KeyAuth, KeyBlob, Keys, attestation_template, tls_template};
use crate::replay::{BootEvent, Replayed, missing};

/// How many handles one capability query asks for.
const HANDLES: u32 = 64;

/// How many PCR values a TPM returns at once (TPML_DIGEST holds eight).
const PCRS_AT_ONCE: usize = 8;

/// An open TPM.
pub(crate) struct Device {
    context: Context,
    address: String,
    ak: KeyHandle,
    tls: KeyHandle,
    guard: Guard,
}

impl Device {
    /// Connects, flushes what an earlier run left, and loads `keys`, making them when there are none yet.
    pub(crate) fn open(address: &str, keys: Option<Keys>) -> Result<(Self, Keys), TpmError> {
        let fault = |error| TpmError::from_library("open", address, error);
        let wrong = |_| TpmError::Argument {
            name: "tcti",
            detail: format!("`{address}`"),
        };
        let mut context = Context::new(TctiNameConf::from_str(address).map_err(wrong)?).map_err(|error| {
            // Whatever the loader says here, there is no TPM to talk to.
            match fault(error) {
                TpmError::Garbage { detail, .. } | TpmError::Command { detail, .. } => TpmError::Unavailable {
                    address: address.to_owned(),
                    detail,
                },
                other => other,
            }
        })?;
        flush_left_overs(&mut context).map_err(fault)?;
        let storage = Storage::open(&mut context).map_err(fault)?;
        let loaded = load_keys(&mut context, address, storage.handle, keys);
        let closed = storage.close(&mut context).map_err(fault);
        let (ak, tls, keys) = loaded?;
        closed?;
        let guard = if keys.auth.is_some() {
            Guard::Proven
        } else {
            Guard::Open
        };
        Ok((
            Self {
                context,
                address: address.to_owned(),
                ak,
                tls,
                guard,
            },
            keys,
        ))
    }

    fn run<T>(
        &mut self,
        command: &'static str,
        f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, TpmError> {
        f(&mut self.context).map_err(|error| TpmError::from_library(command, &self.address, error))
    }

    /// The endorsement key: of `kind`, or the first kind that has a certificate, or RSA 2048 without one.
    pub(crate) fn endorsement(&mut self, kind: Option<EkKind>) -> Result<Endorsement, TpmError> {
        let indices = self.run("get capability", |context| {
            let (data, _) = context.get_capability(CapabilityType::Handles, TPM2_NV_INDEX_FIRST, HANDLES)?;
            Ok(handles(data).into_iter().map(u32::from).collect::<Vec<_>>())
        })?;
        let mut chosen = None;
        for candidate in kind.map_or(EkKind::ALL.to_vec(), |kind| vec![kind]) {
            let address = self.address.clone();
            let fault = |error| TpmError::from_library("nv read", &address, error);
            if let Some(bytes) = endorsement::certificate(&mut self.context, candidate, &indices, fault)? {
                chosen = Some((candidate, bytes));
                break;
            }
        }
        let (kind, certificate) = match chosen {
            Some((kind, bytes)) => (kind, Some(bytes)),
            None => (kind.unwrap_or(EkKind::Rsa2048), None),
        };
        let public = self.run("create primary", |context| {
            let handle = endorsement::create(context, kind)?;
            let public = context.read_public(handle).and_then(|(public, _, _)| public.marshall());
            context.flush_context(handle.into())?;
            public
        })?;
        Ok(Endorsement {
            kind,
            public,
            certificate,
        })
    }

    /// TPM2_ActivateCredential with the AK under the endorsement key.
    pub(crate) fn activate(&mut self, kind: EkKind, credential: &[u8], secret: &[u8]) -> Result<Vec<u8>, TpmError> {
        let argument = |name: &'static str| {
            move |error: tss_esapi::Error| TpmError::Argument {
                name,
                detail: error.to_string(),
            }
        };
        let credential =
            IdObject::try_from(tpm2b_content("credential", credential)?).map_err(argument("credential"))?;
        let secret = EncryptedSecret::try_from(tpm2b_content("secret", secret)?).map_err(argument("secret"))?;
        let (ak, guard) = (self.ak, self.guard);
        self.run("activate credential", |context| {
            let ek = endorsement::create(context, kind)?;
            let activated = with_endorsement_session(context, kind, |context, session| {
                with_key(context, guard, |context, own| {
                    context.execute_with_sessions((Some(own), Some(session), None), |context| {
                        context.activate_credential(ak, ek, credential, secret)
                    })
                })
            });
            context.flush_context(ek.into())?;
            activated.map(|digest| digest.value().to_vec())
        })
    }

    /// TPM2_Certify over the TLS key by the AK.
    pub(crate) fn certify_tls(&mut self, qualifying: &[u8; 32]) -> Result<Attested, TpmError> {
        let (ak, tls, guard) = (self.ak, self.tls, self.guard);
        self.run("certify", |context| {
            let data = Data::try_from(qualifying.to_vec())?;
            let (attest, signature) = with_key(context, guard, |context, first| {
                with_key(context, guard, |context, second| {
                    context.execute_with_sessions((Some(first), Some(second), None), |context| {
                        context.certify(tls.into(), ak, data, SignatureScheme::Null)
                    })
                })
            })?;
            Attested::new(&attest, &signature)
        })
    }

    /// TPM2_Quote over the SHA-256 bank by the AK.
    pub(crate) fn quote(&mut self, pcrs: &[u8], qualifying: &[u8; 32]) -> Result<Attested, TpmError> {
        let selection = selection(pcrs)?;
        let (ak, guard) = (self.ak, self.guard);
        self.run("quote", |context| {
            let data = Data::try_from(qualifying.to_vec())?;
            let (attest, signature) = with_key(context, guard, |context, session| {
                context.execute_with_session(Some(session), |context| {
                    context.quote(ak, data, SignatureScheme::Null, selection)
                })
            })?;
            Attested::new(&attest, &signature)
        })
    }

    /// Values of the SHA-256 bank.
    pub(crate) fn read_pcrs(&mut self, pcrs: &[u8]) -> Result<BTreeMap<u8, Sha256Digest>, TpmError> {
        let mut values = BTreeMap::new();
        for part in pcrs.chunks(PCRS_AT_ONCE) {
            let selection = selection(part)?;
            let digests = self.run("pcr read", |context| {
                context
                    .execute_without_session(|context| context.pcr_read(selection))
                    .map(|(_, _, digests)| digests)
            })?;
            let mut sorted = part.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            let garbage = || TpmError::Garbage {
                command: "pcr read",
                detail: "another number of values".to_owned(),
            };
            if digests.value().len() != sorted.len() {
                return Err(garbage());
            }
            for (pcr, digest) in sorted.into_iter().zip(digests.value()) {
                values.insert(pcr, Sha256Digest::from_slice(digest.value()).ok_or_else(garbage)?);
            }
        }
        Ok(values)
    }

    /// Extends what is missing of `events`.
    pub(crate) fn replay(&mut self, events: &[BootEvent]) -> Result<Replayed, TpmError> {
        let mut pcrs: Vec<u8> = events.iter().map(|event| event.pcr).collect();
        pcrs.sort_unstable();
        pcrs.dedup();
        if let Some(pcr) = pcrs.iter().find(|pcr| **pcr > 15) {
            return Err(TpmError::Argument {
                name: "boot log",
                detail: format!("PCR {pcr} is not one of a boot"),
            });
        }
        let values = self.read_pcrs(&pcrs)?;
        let left = match missing(events, &values) {
            Ok(left) if left.is_empty() => return Ok(Replayed::Already),
            Ok(left) => left,
            Err(pcr) => return Ok(Replayed::Foreign { pcr }),
        };
        for event in &left {
            self.run("pcr extend", |context| {
                let mut digests = DigestValues::new();
                digests.set(
                    HashingAlgorithm::Sha256,
                    Digest::try_from(event.sha256.as_bytes().to_vec())?,
                );
                let handle = pcr_handle(event.pcr)?;
                context.execute_with_session(Some(AuthSession::Password), |context| {
                    context.pcr_extend(handle, digests)
                })
            })?;
        }
        Ok(Replayed::Extended(left.len()))
    }

    /// ECDSA with SHA-256 by the TLS key.
    pub(crate) fn sign_tls(&mut self, message: &[u8]) -> Result<EcdsaNumbers, TpmError> {
        let digest = sha256(message);
        let (tls, guard) = (self.tls, self.guard);
        let signature = self.run("sign", |context| {
            let ticket = HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
                tag: TPM2_ST_HASHCHECK,
                hierarchy: TPM2_RH_NULL,
                digest: Default::default(),
            })?;
            let digest = Digest::try_from(digest.as_bytes().to_vec())?;
            with_key(context, guard, |context, session| {
                context.execute_with_session(Some(session), |context| {
                    context.sign(tls, digest, SignatureScheme::Null, ticket)
                })
            })
        })?;
        match signature {
            Signature::EcDsa(signature) => Ok(EcdsaNumbers {
                r: signature.signature_r().value().to_vec(),
                s: signature.signature_s().value().to_vec(),
            }),
            _ => Err(TpmError::Garbage {
                command: "sign",
                detail: "another signature scheme".to_owned(),
            }),
        }
    }

    /// What the record's counter has counted to.
    pub(crate) fn counter(&mut self) -> Result<Option<u64>, TpmError> {
        self.run("nv read", crate::counter::read)
    }

    /// Counts once with the record's counter.
    pub(crate) fn count(&mut self, owner: &[u8]) -> Result<u64, TpmError> {
        self.run("nv increment", |context| crate::counter::count(context, owner))
    }

    /// Random bytes of the TPM, at most 32 at a time.
    pub(crate) fn random(&mut self, count: usize) -> Result<Vec<u8>, TpmError> {
        self.run("get random", |context| {
            Ok(context.get_random(count.min(32))?.value().to_vec())
        })
    }
}

fn handles(data: CapabilityData) -> Vec<TpmHandle> {
    match data {
        CapabilityData::Handles(handles) => handles.into_inner(),
        _ => Vec::new(),
    }
}

/// Objects and sessions that a killed process left in a TPM without a resource manager. It has room for three of each: a fourth
/// kill at the wrong moment would leave none.
fn flush_left_overs(context: &mut Context) -> tss_esapi::Result<()> {
    for first in [TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST] {
        let (data, _) = context.get_capability(CapabilityType::Handles, first, HANDLES)?;
        for handle in handles(data) {
            if !matches!(handle, TpmHandle::Persistent(_) | TpmHandle::NvIndex(_)) {
                let left = context.tr_from_tpm_public(handle)?;
                context.flush_context(left)?;
            }
        }
    }
    Ok(())
}

fn load_keys(
    context: &mut Context,
    address: &str,
    storage: KeyHandle,
    keys: Option<Keys>,
) -> Result<(KeyHandle, KeyHandle, Keys), TpmError> {
    let fault = |error| TpmError::from_library("create", address, error);
    let keys = match keys {
        Some(keys) => keys,
        None => {
            let auth = new_auth(context).map_err(fault)?;
            Keys {
                ak: create(context, storage, attestation_template().map_err(fault)?, &auth).map_err(fault)?,
                tls: create(context, storage, tls_template().map_err(fault)?, &auth).map_err(fault)?,
                auth: Some(auth),
            }
        }
    };
    let mut load = |blob: &KeyBlob| {
        context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.load(
                    storage,
                    Private::try_from(blob.private.clone())?,
                    Public::unmarshall(&blob.public)?,
                )
            })
            .map_err(|error| match TpmError::from_library("load", address, error) {
                // Wrapped by another storage key: another chip, or the same one cleared.
                TpmError::Command { detail, .. } => TpmError::OtherChip { detail },
                other => other,
            })
    };
    let ak = load(&keys.ak)?;
    let tls = load(&keys.tls)?;
    if let Some(auth) = &keys.auth {
        for key in [ak, tls] {
            auth_of(auth)
                .and_then(|auth| context.tr_set_auth(key.into(), auth))
                .map_err(fault)?;
        }
    }
    Ok((ak, tls, keys))
}

fn create(context: &mut Context, storage: KeyHandle, template: Public, auth: &KeyAuth) -> tss_esapi::Result<KeyBlob> {
    let auth = auth_of(auth)?;
    let made = encrypted(context, storage, |context| {
        context.create(storage, template, Some(auth), None, None, None)
    })?;
    Ok(KeyBlob {
        public: made.out_public.marshall()?,
        private: made.out_private.value().to_vec(),
    })
}

/// Runs `f` with a session that authorises the use of the endorsement key: its policy (PolicySecret over the endorsement
/// hierarchy, EK Credential Profile section 2.1.5.3) or, in the high range, the empty password.
fn with_endorsement_session<T>(
    context: &mut Context,
    kind: EkKind,
    f: impl FnOnce(&mut Context, AuthSession) -> tss_esapi::Result<T>,
) -> tss_esapi::Result<T> {
    if !kind.needs_policy() {
        return f(context, AuthSession::Password);
    }
    let hash = HashingAlgorithm::Sha256;
    let session = context
        .start_auth_session(
            None,
            None,
            None,
            SessionType::Policy,
            SymmetricDefinition::AES_128_CFB,
            hash,
        )?
        .ok_or(tss_esapi::Error::WrapperError(
            tss_esapi::WrapperErrorKind::WrongValueFromTpm,
        ))?;
    let (attributes, mask) = SessionAttributesBuilder::new()
        .with_decrypt(true)
        .with_encrypt(true)
        .build();
    let result = (|| {
        context.tr_sess_set_attributes(session, attributes, mask)?;
        let policy = PolicySession::try_from(session)?;
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context.policy_secret(
                policy,
                AuthHandle::Endorsement,
                Default::default(),
                Default::default(),
                Default::default(),
                None,
            )
        })?;
        f(context, session)
    })();
    // A session that was used up is gone already; flushing it again is an error that does not matter.
    let _ = context.flush_context(SessionHandle::from(session).into());
    result
}

fn selection(pcrs: &[u8]) -> Result<PcrSelectionList, TpmError> {
    let wrong = |detail: String| TpmError::Argument { name: "pcrs", detail };
    let slots = pcrs
        .iter()
        .map(|pcr| {
            let bit = 1_u32
                .checked_shl(u32::from(*pcr))
                .ok_or_else(|| wrong(format!("PCR {pcr}")))?;
            PcrSlot::try_from(bit).map_err(|_| wrong(format!("PCR {pcr}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    PcrSelectionListBuilder::new()
        .with_selection(HashingAlgorithm::Sha256, &slots)
        .build()
        .map_err(|error| wrong(error.to_string()))
}

fn pcr_handle(pcr: u8) -> tss_esapi::Result<PcrHandle> {
    use PcrHandle as P;
    const FIRST: [PcrHandle; 16] = [
        P::Pcr0,
        P::Pcr1,
        P::Pcr2,
        P::Pcr3,
        P::Pcr4,
        P::Pcr5,
        P::Pcr6,
        P::Pcr7,
        P::Pcr8,
        P::Pcr9,
        P::Pcr10,
        P::Pcr11,
        P::Pcr12,
        P::Pcr13,
        P::Pcr14,
        P::Pcr15,
    ];
    FIRST
        .get(usize::from(pcr))
        .copied()
        .ok_or(tss_esapi::Error::WrapperError(
            tss_esapi::WrapperErrorKind::InvalidParam,
        ))
}
