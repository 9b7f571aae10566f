//! Deviations that real EK certificates have, each tolerated only when the policy names it.
//!
//! Refuses to guess: without a quirk, a certificate is one DER structure and nothing else. Invariant: whatever was
//! tolerated is reported. Cases: certificates padded with 0xFF or zeros (NV index larger than its content), wrapped in an
//! OCTET STRING (some firmware), and non-minimal DER lengths (Nuvoton).

use freehold_trust::certificate::{Certificate, MAX_CERTIFICATE};
use serde::{Deserialize, Serialize};

use super::rejection::IdentityRejection;

/// One tolerated deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// 0xFF or zero bytes after the certificate.
    Padding,
    /// The certificate is inside an OCTET STRING.
    OctetString,
    /// A length is written with more bytes than needed.
    LongLength,
}

/// Which deviations are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quirks {
    /// See [`Quirk::Padding`].
    pub padding: bool,
    /// See [`Quirk::OctetString`].
    pub octet_string: bool,
    /// See [`Quirk::LongLength`].
    pub long_length: bool,
}

impl Quirks {
    /// Every deviation that is known.
    pub const ALL: Self = Self {
        padding: true,
        octet_string: true,
        long_length: true,
    };
}

/// Reads a certificate, undoing tolerated deviations only.
pub(super) fn read_certificate(bytes: &[u8], quirks: Quirks) -> Result<(Certificate, Vec<Quirk>), IdentityRejection> {
    let form = |text: &str| IdentityRejection::EkCertificateForm(text.to_owned());
    if bytes.len() > MAX_CERTIFICATE {
        return Err(form("too long"));
    }
    let mut tolerated = Vec::new();
    let mut bytes = bytes.to_vec();
    let (header, body, extra) = outer(&bytes).ok_or_else(|| form("not der"))?;
    if extra > 0 {
        let tail = bytes.get(bytes.len() - extra..).unwrap_or_default();
        let padding = tail.iter().all(|b| *b == 0xff) || tail.iter().all(|b| *b == 0);
        if !quirks.padding || !padding {
            return Err(form("bytes after the certificate"));
        }
        bytes.truncate(header + body);
        tolerated.push(Quirk::Padding);
    }
    if bytes.first() == Some(&0x04) {
        if !quirks.octet_string {
            return Err(form("wrapped in an OCTET STRING"));
        }
        bytes.drain(..header);
        tolerated.push(Quirk::OctetString);
    }
    if let Ok(certificate) = Certificate::from_der(&bytes) {
        return Ok((certificate, tolerated));
    }
    // A signature covers the bytes as issued, so a re-encoded certificate verifies only where the issuer signed minimal
    // DER and a transport spoiled the outermost lengths; inner lengths are left alone.
    if quirks.long_length
        && let Some(shorter) = minimal_outer_length(&bytes)
        && let Ok(certificate) = Certificate::from_der(&shorter)
    {
        tolerated.push(Quirk::LongLength);
        return Ok((certificate, tolerated));
    }
    Certificate::from_der(&bytes)
        .map(|certificate| (certificate, tolerated))
        .map_err(|e| match e {
            freehold_trust::certificate::CertificateRejection::Malformed(what) => form(what),
            other => IdentityRejection::EkCertificate(other),
        })
}

/// Header length, body length and number of bytes after the outermost DER element.
fn outer(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let first = usize::from(*bytes.get(1)?);
    let (header, body) = if first < 0x80 {
        (2, first)
    } else {
        let count = first & 0x7f;
        if count == 0 || count > 4 {
            return None;
        }
        let body = bytes
            .get(2..2 + count)?
            .iter()
            .fold(0_usize, |n, b| (n << 8) | usize::from(*b));
        (2 + count, body)
    };
    Some((header, body, bytes.len().checked_sub(header.checked_add(body)?)?))
}

/// The same element with its outermost length in the fewest bytes; `None` when it already is.
fn minimal_outer_length(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, body, extra) = outer(bytes)?;
    let contents = bytes.get(header..header + body)?;
    let mut out = vec![*bytes.first()?];
    let length = body.to_be_bytes();
    let length: Vec<u8> = length.iter().copied().skip_while(|b| *b == 0).collect();
    if body < 0x80 {
        out.push(u8::try_from(body).ok()?);
    } else {
        out.push(0x80 | u8::try_from(length.len()).ok()?);
        out.extend_from_slice(&length);
    }
    if extra > 0 || out.len() == header {
        return None;
    }
    out.extend_from_slice(contents);
    Some(out)
}
