//! Kernel images and boot loaders as files: their sections, and the digest that firmware measures.
//!
//! Refuses a file whose headers point outside it. Invariant: no bytes make it panic. Source: Microsoft PE Format; Windows
//! Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash".

use freehold_trust::Sha256Digest;
use freehold_trust::digest::Sha256Hasher;
use thiserror::Error;

/// A file is no PE image for 64-bit machines, or damaged.
#[derive(Debug, Error)]
#[error("not a PE32+ image: {0}")]
pub struct NotPe(&'static str);

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name, without padding.
    pub name: String,
    /// Its contents as they lie in memory, without padding.
    pub contents: &'a [u8],
}

/// Offsets that both readings need.
struct Headers {
    checksum: usize,
    certificate_entry: usize,
    sections: usize,
    count: usize,
    certificates: (usize, usize),
}

fn number(bytes: &[u8], at: usize, size: usize) -> Result<usize, NotPe> {
    let end = at.checked_add(size).ok_or(NotPe("an offset is too large"))?;
    let part = bytes.get(at..end).ok_or(NotPe("a header lies outside the file"))?;
    Ok(part
        .iter()
        .rev()
        .fold(0usize, |value, byte| (value << 8) | usize::from(*byte)))
}

fn headers(bytes: &[u8]) -> Result<Headers, NotPe> {
    if bytes.get(..2) != Some(b"MZ") {
        return Err(NotPe("no MZ"));
    }
    let pe = number(bytes, 0x3c, 4)?;
    if bytes.get(pe..).and_then(|rest| rest.get(..4)) != Some(b"PE\0\0") {
        return Err(NotPe("no PE signature"));
    }
    let optional = pe.saturating_add(24);
    if number(bytes, optional, 2)? != 0x20b {
        return Err(NotPe("not PE32+"));
    }
    let certificate_entry = optional.saturating_add(144);
    Ok(Headers {
        checksum: optional.saturating_add(64),
        certificate_entry,
        sections: optional.saturating_add(number(bytes, pe.saturating_add(20), 2)?),
        count: number(bytes, pe.saturating_add(6), 2)?,
        certificates: (
            number(bytes, certificate_entry, 4)?,
            number(bytes, certificate_entry.saturating_add(4), 4)?,
        ),
    })
}

/// The sections in file order.
pub fn sections(bytes: &[u8]) -> Result<Vec<Section<'_>>, NotPe> {
    let headers = headers(bytes)?;
    let mut found = Vec::new();
    for index in 0..headers.count {
        let at = headers.sections.saturating_add(index.saturating_mul(40));
        let name = bytes
            .get(at..at.saturating_add(8))
            .ok_or(NotPe("a section header is cut off"))?;
        let name: Vec<u8> = name.iter().copied().take_while(|byte| *byte != 0).collect();
        let size = number(bytes, at.saturating_add(8), 4)?.min(number(bytes, at.saturating_add(16), 4)?);
        let start = number(bytes, at.saturating_add(20), 4)?;
        let contents = bytes
            .get(start..start.saturating_add(size))
            .ok_or(NotPe("a section lies outside the file"))?;
        found.push(Section {
            name: String::from_utf8_lossy(&name).into_owned(),
            contents,
        });
    }
    Ok(found)
}

/// The digest that firmware measures into PCR 4 and that a Secure Boot signature is over: the whole file without its
/// checksum, its certificate table, and the entry that points there.
pub fn image_digest(bytes: &[u8]) -> Result<Sha256Digest, NotPe> {
    let headers = headers(bytes)?;
    let end = match headers.certificates {
        (_, 0) => bytes.len(),
        (start, _) => start,
    };
    let mut hasher = Sha256Hasher::new();
    let mut at = 0;
    for (skip, size) in [(headers.checksum, 4), (headers.certificate_entry, 8)] {
        hasher.update(bytes.get(at..skip).ok_or(NotPe("headers overlap"))?);
        at = skip.saturating_add(size);
    }
    let rest = bytes
        .get(at..end)
        .ok_or(NotPe("the certificate table lies outside the file"))?;
    hasher.update(rest);
    // Signers pad the file to eight bytes before the table; an unsigned file is measured as if it were.
    let padding = end.next_multiple_of(8).saturating_sub(end);
    hasher.update([0u8; 8].get(..padding).unwrap_or_default());
    Ok(hasher.finish())
}
