//! The canonical event log (TCG CEL 1.0) of user space: TLV, or JSON text sequences as systemd-pcrextend writes them.
//!
//! Refuses records out of order, PCRs from 24 upwards, digests of a wrong length and bytes beyond the limit. Invariant:
//! contents are for people; only digests are replayed.

use freehold_trust::{HashAlgorithm, Sha256Digest};
use serde::Deserialize;

use super::efi::printable;
use super::rejection::LogRejection;
use crate::boot::manifest::extend;
use crate::quote::PcrValues;
use crate::tpm::algorithm;
use crate::tpm::selection::PCRS;

/// Longest canonical log: a box writes some hundred records between boots; bounds memory.
pub const MAX_CANONICAL: usize = 1024 * 1024;
/// Longest value of one TLV field.
const MAX_VALUE: usize = 64 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalRecord {
    /// Its number.
    pub number: u64,
    /// The PCR.
    pub pcr: u8,
    /// Digests by bank.
    pub digests: Vec<(HashAlgorithm, Vec<u8>)>,
    /// Content type by name.
    pub kind: String,
    /// Printable content.
    pub description: String,
}

impl CanonicalRecord {
    /// Its digest in the SHA-256 bank.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256Digest> {
        let (_, digest) = self.digests.iter().find(|(hash, _)| *hash == HashAlgorithm::Sha256)?;
        Sha256Digest::from_slice(digest)
    }

    fn extend(&self, pcrs: &mut [Sha256Digest; 24]) {
        let digest = self.digests.iter().find(|(hash, _)| *hash == HashAlgorithm::Sha256);
        if let (Some(value), Some((_, digest))) = (pcrs.get_mut(usize::from(self.pcr)), digest) {
            *value = extend(value, digest);
        }
    }
}

/// A canonical log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanonicalLog {
    /// The records, in order.
    pub records: Vec<CanonicalRecord>,
}

#[derive(Deserialize)]
struct JsonRecord {
    #[serde(default)]
    recnum: Option<u64>,
    pcr: u32,
    digests: Vec<JsonDigest>,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    content: serde_json::Value,
}

#[derive(Deserialize)]
struct JsonDigest {
    #[serde(rename = "hashAlg")]
    hash: String,
    digest: String,
}

impl CanonicalLog {
    /// Reads a log: JSON when it starts with RS (0x1E) or `{`, else TLV.
    ///
    /// # Errors
    /// [`LogRejection`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogRejection> {
        if bytes.len() > MAX_CANONICAL {
            return Err(LogRejection::TooLarge {
                limit: MAX_CANONICAL,
                found: bytes.len(),
            });
        }
        match bytes.first() {
            None => Ok(Self::default()),
            Some(0x1e | b'{') => parse_json(bytes),
            Some(_) => parse_tlv(bytes),
        }
    }

    /// Extends the SHA-256 values `pcrs` by every record that has such a digest.
    pub fn replay_sha256(&self, pcrs: &mut [Sha256Digest; 24]) {
        for record in &self.records {
            record.extend(pcrs);
        }
    }

    /// How many records a quote covers when the PCRs stood at `from` before the first: the longest beginning of the log that
    /// leads to every quoted value. `None`: no beginning does.
    ///
    /// The quote is taken first and the log read afterwards, so that records may have been added in between.
    #[must_use]
    pub fn covered(&self, from: &[Sha256Digest; 24], quoted: &PcrValues) -> Option<usize> {
        let mut pcrs = *from;
        let agrees = |pcrs: &[Sha256Digest; 24]| {
            quoted
                .iter()
                .all(|(pcr, value)| pcrs.get(usize::from(pcr)) == Some(&value))
        };
        let mut covered = agrees(&pcrs).then_some(0);
        for (before, record) in self.records.iter().enumerate() {
            record.extend(&mut pcrs);
            if agrees(&pcrs) {
                covered = Some(before.saturating_add(1));
            }
        }
        covered
    }

    /// `pcrs` after the records that the quote covers; after all of them when no beginning leads to the quote, so that the PCR that
    /// differs can be named.
    #[must_use]
    pub fn replay_covered(&self, mut pcrs: [Sha256Digest; 24], quoted: &PcrValues) -> [Sha256Digest; 24] {
        let covered = self.covered(&pcrs, quoted).unwrap_or(self.records.len());
        for record in self.records.iter().take(covered) {
            record.extend(&mut pcrs);
        }
        pcrs
    }

    /// What stands in the log and is not covered by the quote: records after the covered beginning, and those of PCRs that were not
    /// quoted. One line each.
    #[must_use]
    pub fn not_covered(&self, from: &[Sha256Digest; 24], quoted: &PcrValues) -> Vec<String> {
        let covered = self.covered(from, quoted).unwrap_or(0);
        let records = self.records.iter().enumerate();
        records
            .filter(|(place, record)| *place >= covered || quoted.get(record.pcr).is_none())
            .map(|(_, record)| format!("PCR {}: {} {}", record.pcr, record.kind, record.description))
            .collect()
    }
}

fn pcr_of(number: usize, found: u32) -> Result<u8, LogRejection> {
    u8::try_from(found)
        .ok()
        .filter(|pcr| *pcr < PCRS)
        .ok_or(LogRejection::PcrIndex { event: number, found })
}

fn parse_json(bytes: &[u8]) -> Result<CanonicalLog, LogRejection> {
    let mut log = CanonicalLog::default();
    let mut at = 0_usize;
    for line in bytes.split(|b| matches!(b, 0x1e | b'\n')) {
        let start = at;
        at = at.saturating_add(line.len()).saturating_add(1);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let record: JsonRecord = serde_json::from_slice(line).map_err(|_| LogRejection::Truncated {
            field: "json record",
            at: start,
        })?;
        let number = log.records.len();
        let mut digests = Vec::new();
        for digest in record.digests {
            let hash = match digest.hash.as_str() {
                "sha1" => HashAlgorithm::Sha1,
                "sha256" => HashAlgorithm::Sha256,
                "sha384" => HashAlgorithm::Sha384,
                "sha512" => HashAlgorithm::Sha512,
                _ => return Err(LogRejection::Algorithms { event: number }),
            };
            let bytes = hex::decode(&digest.digest).map_err(|_| LogRejection::Algorithms { event: number })?;
            push_digest(&mut digests, hash, bytes, number)?;
        }
        let text = record
            .content
            .get("string")
            .and_then(|s| s.as_str())
            .map_or_else(|| record.content.to_string(), str::to_owned);
        let kind = record
            .content
            .get("eventType")
            .and_then(|s| s.as_str())
            .unwrap_or(&record.content_type);
        log.records.push(CanonicalRecord {
            number: record.recnum.unwrap_or(number as u64),
            pcr: pcr_of(number, record.pcr)?,
            digests,
            kind: printable(kind),
            description: printable(&text),
        });
    }
    Ok(log)
}

fn push_digest(
    digests: &mut Vec<(HashAlgorithm, Vec<u8>)>,
    hash: HashAlgorithm,
    bytes: Vec<u8>,
    event: usize,
) -> Result<(), LogRejection> {
    if bytes.len() != hash.digest_len() || digests.iter().any(|(other, _)| *other == hash) {
        return Err(LogRejection::Algorithms { event });
    }
    digests.push((hash, bytes));
    Ok(())
}

/// Type, length and value of the next field, and where it starts.
fn field<'a>(bytes: &'a [u8], at: &mut usize) -> Result<(u8, &'a [u8]), LogRejection> {
    let start = *at;
    let cut = || LogRejection::Truncated {
        field: "tlv",
        at: start,
    };
    let (kind, rest) = bytes.get(start..).and_then(<[u8]>::split_first).ok_or_else(cut)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_be_bytes(*length))
        .ok()
        .filter(|l| *l <= MAX_VALUE)
        .ok_or_else(cut)?;
    let value = rest.get(..length).ok_or_else(cut)?;
    *at = start.saturating_add(5).saturating_add(length);
    Ok((*kind, value))
}

fn parse_tlv(bytes: &[u8]) -> Result<CanonicalLog, LogRejection> {
    const RECNUM: u8 = 0;
    const PCR: u8 = 1;
    const DIGESTS: u8 = 3;
    let mut log = CanonicalLog::default();
    let mut at = 0;
    let wrong = |field, at: usize, found: u8| LogRejection::Field {
        field,
        at,
        found: found.into(),
    };
    while at < bytes.len() {
        let number = log.records.len();
        let (kind, value) = field(bytes, &mut at)?;
        if kind != RECNUM || value.len() > 8 {
            return Err(wrong("recnum", at, kind));
        }
        let recnum = value.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
        let (kind, value) = field(bytes, &mut at)?;
        if kind != PCR || value.len() > 4 {
            return Err(wrong("pcr", at, kind));
        }
        let pcr = pcr_of(number, value.iter().fold(0_u32, |n, b| (n << 8) | u32::from(*b)))?;
        let (kind, list) = field(bytes, &mut at)?;
        if kind != DIGESTS {
            return Err(wrong("digests", at, kind));
        }
        let mut digests = Vec::new();
        let mut inside = 0;
        while inside < list.len() {
            let (id, value) = field(list, &mut inside)?;
            let hash = algorithm::hash(id.into()).ok_or(LogRejection::Algorithms { event: number })?;
            push_digest(&mut digests, hash, value.to_vec(), number)?;
        }
        let (content, value) = field(bytes, &mut at)?;
        let text = std::str::from_utf8(value).map_or_else(|_| format!("{} bytes", value.len()), str::to_owned);
        log.records.push(CanonicalRecord {
            number: recnum,
            pcr,
            digests,
            kind: format!("content {content}"),
            description: printable(&text),
        });
    }
    Ok(log)
}
