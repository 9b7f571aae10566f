//! From bytes to events: one pass, bounded, borrowed.
//!
//! Refuses PCRs from 24 upwards, digest lists that are not the announced ones, lengths beyond the end, and garbage after the
//! last event; zeros or 0xFF after it are padding. Invariant: every byte is in an event or is padding.

use super::event::{Digests, Event};
use super::kind::EventKind;
use super::rejection::LogRejection;
use crate::tpm::algorithm;
use crate::tpm::selection::PCRS;

/// Longest log: real ones have 15 to 70 KiB, padded ones 256 KiB; bounds time and memory.
pub const MAX_LOG: usize = 4 * 1024 * 1024;
/// Most banks: TPMs have up to five; bounds the table of a hostile Spec ID event.
const MAX_BANKS: u32 = 8;
/// Longest digest of a bank that is not known by name.
const MAX_DIGEST: u16 = 64;
/// Fewest bytes of one event; with it the table of events is bounded by the input.
const MIN_EVENT: usize = 32;

const SPEC_ID_03: &[u8] = b"Spec ID Event03\0";
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";

/// A bank that the log announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bank {
    /// TPM_ALG_ID.
    pub id: u16,
    /// Length of its digests in bytes.
    pub length: u16,
}

/// A parsed log. Nothing in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLog<'a> {
    banks: Vec<Bank>,
    events: Vec<Event<'a>>,
    locality: Option<u8>,
}

/// A cursor that knows where it is.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], LogRejection> {
        let taken = self
            .rest()
            .get(..count)
            .ok_or(LogRejection::Truncated { field, at: self.at })?;
        self.at = self.at.saturating_add(count);
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self, field: &'static str) -> Result<&'a [u8; N], LogRejection> {
        let chunk = self
            .rest()
            .first_chunk::<N>()
            .ok_or(LogRejection::Truncated { field, at: self.at })?;
        self.at = self.at.saturating_add(N);
        Ok(chunk)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, LogRejection> {
        Ok(u16::from_le_bytes(*self.chunk(field)?))
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, LogRejection> {
        Ok(u32::from_le_bytes(*self.chunk(field)?))
    }

    fn sized(&mut self, field: &'static str) -> Result<&'a [u8], LogRejection> {
        let at = self.at;
        let length = self.u32(field)?;
        let length = usize::try_from(length).map_err(|_| LogRejection::Truncated { field, at })?;
        self.take(length, field)
    }
}

impl<'a> EventLog<'a> {
    /// Reads a log: crypto-agile when it starts with a Spec ID event, else the SHA-1 form of old.
    ///
    /// # Errors
    /// [`LogRejection`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogRejection> {
        if bytes.len() > MAX_LOG {
            return Err(LogRejection::TooLarge {
                limit: MAX_LOG,
                found: bytes.len(),
            });
        }
        let mut cursor = Cursor { bytes, at: 0 };
        let first = old_event(&mut cursor, 0)?;
        let agile = first.kind == EventKind::NO_ACTION && first.data.starts_with(SPEC_ID_03);
        let banks = if agile {
            parse_spec_id(first.data)?
        } else {
            vec![Bank {
                id: algorithm::SHA1,
                length: 20,
            }]
        };
        let mut log = Self {
            banks,
            events: Vec::with_capacity(bytes.len().min(64 * 1024) / 128),
            locality: None,
        };
        let mut touched_zero = false;
        let mut event = first;
        loop {
            if event.pcr == 0 && event.extends() {
                touched_zero = true;
            } else if event.data.starts_with(STARTUP_LOCALITY)
                && event.pcr == 0
                && !touched_zero
                && log.locality.is_none()
            {
                log.locality = event.data.get(STARTUP_LOCALITY.len()).copied();
            }
            log.events.push(event);
            if is_padding(cursor.rest()) {
                return Ok(log);
            }
            let index = log.events.len();
            event = if agile {
                agile_event(&mut cursor, index, &log.banks)?
            } else {
                old_event(&mut cursor, index)?
            };
        }
    }

    /// The announced banks.
    #[must_use]
    pub fn banks(&self) -> &[Bank] {
        &self.banks
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// The locality that the log says the TPM was started from: the first value of PCR 0 depends on it.
    #[must_use]
    pub fn startup_locality(&self) -> Option<u8> {
        self.locality
    }
}

/// Nothing, or only zeros, or only 0xFF: what is left of a buffer of fixed size.
fn is_padding(rest: &[u8]) -> bool {
    match rest.first() {
        None => true,
        Some(first @ (0 | 0xff)) => {
            // A type-0 event for PCR 0 starts with zeros too: the whole rest must be padding.
            rest.iter().all(|b| b == first)
        }
        Some(_) => false,
    }
}

fn pcr_of(index: usize, found: u32) -> Result<u8, LogRejection> {
    u8::try_from(found)
        .ok()
        .filter(|pcr| *pcr < PCRS)
        .ok_or(LogRejection::PcrIndex { event: index, found })
}

fn old_event<'a>(cursor: &mut Cursor<'a>, index: usize) -> Result<Event<'a>, LogRejection> {
    if cursor.rest().len() < MIN_EVENT {
        return Err(LogRejection::Truncated {
            field: "event",
            at: cursor.at,
        });
    }
    let pcr = cursor.u32("pcrIndex")?;
    let kind = EventKind(cursor.u32("eventType")?);
    let digest = cursor.take(20, "digest")?;
    let data = cursor.sized("event")?;
    Ok(Event {
        index,
        pcr: pcr_of(index, pcr)?,
        kind,
        data,
        digests: Digests::Sha1(digest),
    })
}

fn agile_event<'a>(cursor: &mut Cursor<'a>, index: usize, banks: &[Bank]) -> Result<Event<'a>, LogRejection> {
    if cursor.rest().len() < MIN_EVENT {
        return Err(LogRejection::Truncated {
            field: "event",
            at: cursor.at,
        });
    }
    let pcr = cursor.u32("pcrIndex")?;
    let kind = EventKind(cursor.u32("eventType")?);
    let pcr = pcr_of(index, pcr)?;
    let count = cursor.u32("digests.count")?;
    if usize::try_from(count) != Ok(banks.len()) {
        return Err(LogRejection::Algorithms { event: index });
    }
    let from = cursor.at;
    let mut seen = 0_u32;
    let mut sha256 = None;
    for _ in banks {
        let id = cursor.u16("digest.algorithm")?;
        let place = banks.iter().position(|bank| bank.id == id);
        let (Some(place), Some(bank)) = (place, place.and_then(|place| banks.get(place))) else {
            return Err(LogRejection::Algorithms { event: index });
        };
        if seen & (1 << place) != 0 {
            return Err(LogRejection::Algorithms { event: index });
        }
        seen |= 1 << place;
        if id == algorithm::SHA256 {
            sha256 = Some(cursor.chunk::<32>("digest")?);
        } else {
            cursor.take(usize::from(bank.length), "digest")?;
        }
    }
    let all = cursor.bytes.get(from..cursor.at).unwrap_or_default();
    let data = cursor.sized("event")?;
    Ok(Event {
        index,
        pcr,
        kind,
        data,
        digests: Digests::Agile { all, sha256 },
    })
}

/// TCG_EfiSpecIDEvent: platform class, version, errata, size of UINTN, algorithms, vendor information.
fn parse_spec_id(data: &[u8]) -> Result<Vec<Bank>, LogRejection> {
    let mut cursor = Cursor { bytes: data, at: 0 };
    cursor.take(SPEC_ID_03.len() + 4 + 4, "specId.header")?;
    let count = cursor.u32("specId.numberOfAlgorithms")?;
    if count == 0 || count > MAX_BANKS {
        return Err(LogRejection::Field {
            field: "specId.numberOfAlgorithms",
            at: cursor.at,
            found: count.into(),
        });
    }
    let mut banks: Vec<Bank> = Vec::new();
    for _ in 0..count {
        let id = cursor.u16("specId.algorithm")?;
        let length = cursor.u16("specId.digestSize")?;
        let known = algorithm::digest_len(id).is_none_or(|known| known == usize::from(length));
        let fresh = banks.iter().all(|bank| bank.id != id);
        if !known || !fresh || length == 0 || length > MAX_DIGEST {
            return Err(LogRejection::Field {
                field: "specId.digestSize",
                at: cursor.at,
                found: length.into(),
            });
        }
        banks.push(Bank { id, length });
    }
    let [vendor] = *cursor.chunk::<1>("specId.vendorInfoSize")?;
    cursor.take(vendor.into(), "specId.vendorInfo")?;
    Ok(banks)
}
