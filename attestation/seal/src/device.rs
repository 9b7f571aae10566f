//! One TPM command after the other: sessions, encryption, response codes.
//!
//! Refuses answers that do not have the form of their command. Invariant: at most one session authorises a command, and it
//! is the one that encrypts.

use std::fs::File;
use std::io::Read;

use freehold_verify::tpm::TpmParseError;
use freehold_verify::tpm::reader::Reader;

use crate::fault::{Reason, TpmFault};
use crate::link::Link;
use crate::session::{CONTINUE, DECRYPT, ENCRYPT, Kind, Salt, Session};
use crate::wire::{RH_NULL, RS_PW, ST_NO_SESSIONS, ST_SESSIONS, Wire, cc};

/// Longest sized field that is read: a TPM's buffer.
const MAX_FIELD: usize = 4096;
/// How often a command that the TPM puts off is sent again.
const RETRIES: usize = 20;
/// TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING.
const LATER: [u32; 3] = [0x922, 0x908, 0x90a];

/// A handle and its Name: of a permanent handle, a PCR or a session, the handle itself; of everything else what the TPM
/// computed over its public area.
#[derive(Clone)]
pub(crate) struct Named {
    pub(crate) handle: u32,
    pub(crate) name: Vec<u8>,
}

impl Named {
    pub(crate) fn plain(handle: u32) -> Self {
        Self {
            handle,
            name: handle.to_be_bytes().to_vec(),
        }
    }
}

/// How a command is authorised.
pub(crate) enum Auth<'a> {
    /// Not at all.
    None,
    /// By an empty authorisation value.
    Empty,
    /// By a session and the authorisation value of the command's first handle.
    Session {
        session: &'a mut Session,
        value: &'a [u8],
        /// Parameters that are encrypted: [`DECRYPT`], [`ENCRYPT`].
        encrypted: u8,
        /// The value that proves the answer when the command itself changes it.
        after: Option<&'a [u8]>,
    },
}

/// An answer: the handle when the command returns one, and its parameters.
pub(crate) struct Answer {
    pub(crate) handle: u32,
    pub(crate) parameters: Vec<u8>,
}

/// An open TPM.
pub(crate) struct Device {
    link: Link,
}

/// Random bytes of the kernel; waits until it has some.
pub(crate) fn kernel_random() -> Result<[u8; 32], TpmFault> {
    let mut bytes = [0; 32];
    File::open("/dev/random")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| TpmFault::Unavailable {
            address: "/dev/random".to_owned(),
            detail: error.to_string(),
        })?;
    Ok(bytes)
}

/// Says which command's answer could not be read.
pub(crate) fn unread(command: &'static str) -> impl Fn(TpmParseError) -> TpmFault {
    move |error| TpmFault::Garbage {
        command,
        detail: error.to_string(),
    }
}

const fn returns_handle(code: u32) -> bool {
    matches!(
        code,
        cc::CREATE_PRIMARY | cc::LOAD | cc::LOAD_EXTERNAL | cc::START_AUTH_SESSION
    )
}

impl Device {
    pub(crate) fn open(address: &str) -> Result<Self, TpmFault> {
        Ok(Self {
            link: Link::open(address)?,
        })
    }

    /// Sends one command; `name` is for messages.
    pub(crate) fn command(
        &mut self,
        name: &'static str,
        code: u32,
        handles: &[Named],
        auth: Auth<'_>,
        parameters: Wire,
    ) -> Result<Answer, TpmFault> {
        let mut parameters = parameters.0;
        let mut auth = auth;
        let area = match &mut auth {
            Auth::None => None,
            Auth::Empty => Some(Wire::default().u32(RS_PW).sized(&[]).u8(CONTINUE).sized(&[]).0),
            Auth::Session {
                session,
                value,
                encrypted,
                ..
            } => {
                session.roll(kernel_random()?);
                if *encrypted & DECRYPT != 0
                    && let Some((size, rest)) = parameters.split_first_chunk_mut::<2>()
                    && let Some(contents) = rest.get_mut(..usize::from(u16::from_be_bytes(*size)))
                {
                    session.encrypt(value, contents);
                }
                let names: Vec<&[u8]> = handles.iter().map(|handle| handle.name.as_slice()).collect();
                Some(session.authorise(value, code, &names, &parameters, CONTINUE | *encrypted))
            }
        };
        let mut body = Wire::default();
        for handle in handles {
            body = body.u32(handle.handle);
        }
        if let Some(area) = &area {
            body = body.u32(u32::try_from(area.len()).unwrap_or(u32::MAX)).raw(area);
        }
        let body = body.raw(&parameters).0;
        let tag = if area.is_some() { ST_SESSIONS } else { ST_NO_SESSIONS };
        let size = u32::try_from(body.len()).unwrap_or(u32::MAX).saturating_add(10);
        let bytes = Wire::default().u16(tag).u32(size).u32(code).raw(&body).0;
        let answer = self.transmit(name, &bytes)?;
        read_answer(name, code, &answer, auth)
    }

    fn transmit(&mut self, name: &'static str, bytes: &[u8]) -> Result<Vec<u8>, TpmFault> {
        for _ in 0..RETRIES {
            let answer = self.link.transmit(bytes)?;
            let mut header = Reader::new(&answer);
            let unread = unread(name);
            header.u16("tag").map_err(&unread)?;
            let size = header.u32("size").map_err(&unread)?;
            let code = header.u32("code").map_err(&unread)?;
            if usize::try_from(size) != Ok(answer.len()) {
                return Err(TpmFault::Garbage {
                    command: name,
                    detail: format!("{} bytes that say they are {size}", answer.len()),
                });
            }
            if LATER.contains(&code) {
                continue;
            }
            if code != 0 {
                return Err(TpmFault::Refused {
                    command: name,
                    code,
                    reason: Reason::of(code),
                });
            }
            return Ok(answer);
        }
        Err(TpmFault::Garbage {
            command: name,
            detail: "it is put off again and again".to_owned(),
        })
    }

    /// Opens a session salted to the storage key at `storage`.
    pub(crate) fn session(&mut self, kind: Kind, storage: &Named, public: &[u8]) -> Result<Session, TpmFault> {
        let salt = Salt::to(public, &kernel_random()?)?;
        let nonce = kernel_random()?;
        let parameters = Wire::default()
            .sized(&nonce)
            .sized(&salt.sealed)
            .u8(match kind {
                Kind::Hmac => 0,
                Kind::Policy => 1,
            })
            // AES-128 in CFB mode, SHA-256.
            .u16(0x0006)
            .u16(128)
            .u16(0x0043)
            .u16(0x000b);
        let handles = [storage.clone(), Named::plain(RH_NULL)];
        let answer = self.command(
            "start session",
            cc::START_AUTH_SESSION,
            &handles,
            Auth::None,
            parameters,
        )?;
        let mut reader = Reader::new(&answer.parameters);
        let nonce_tpm = reader.sized(64, "nonceTPM").map_err(unread("start session"))?.to_vec();
        Ok(Session::new(kind, answer.handle, &salt, nonce, nonce_tpm))
    }

    /// Forgets a key or a session. A TPM that has forgotten it already is as good.
    pub(crate) fn flush(&mut self, handle: u32) {
        let parameters = Wire::default().u32(handle);
        let _ = self.command("flush", cc::FLUSH_CONTEXT, &[], Auth::None, parameters);
    }
}

fn read_answer(name: &'static str, code: u32, bytes: &[u8], auth: Auth<'_>) -> Result<Answer, TpmFault> {
    let unread = unread(name);
    let mut reader = Reader::new(bytes);
    reader.take(10, "header").map_err(&unread)?;
    let handle = if returns_handle(code) {
        reader.u32("handle").map_err(&unread)?
    } else {
        0
    };
    if matches!(auth, Auth::None) {
        return Ok(Answer {
            handle,
            parameters: reader.rest().to_vec(),
        });
    }
    let size = reader.u32("parameterSize").map_err(&unread)?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut parameters = reader.take(size, "parameters").map_err(&unread)?.to_vec();
    let nonce = reader.sized(64, "nonceTPM").map_err(&unread)?;
    let attributes = reader.u8("sessionAttributes").map_err(&unread)?;
    let proof = reader.sized(64, "hmac").map_err(&unread)?;
    reader.end("answer").map_err(&unread)?;
    if let Auth::Session {
        session,
        value,
        encrypted,
        after,
    } = auth
    {
        let proving = after.unwrap_or(value);
        if !session.check(proving, code, &parameters, nonce, attributes, proof) {
            return Err(TpmFault::Garbage {
                command: name,
                detail: "the session's proof does not hold: something on the bus changed the answer".to_owned(),
            });
        }
        if encrypted & ENCRYPT != 0
            && let Some((length, rest)) = parameters.split_first_chunk_mut::<2>()
            && let Some(contents) = rest.get_mut(..usize::from(u16::from_be_bytes(*length)).min(MAX_FIELD))
        {
            session.decrypt(value, contents);
        }
    }
    Ok(Answer { handle, parameters })
}
