//! UEFI structures inside events: variables, signature lists, partition tables, loaded images.
//!
//! Refuses sizes that do not fit into each other (go-attestation f877374, becfd07, b6e905e). Invariant: parsers return
//! slices of their input and never allocate by a number that they read.

use super::kind::EventKind;
use super::rejection::LogRejection;

/// Longest description: a page shows it on one line; bounds what a hostile event can print.
const MAX_DESCRIPTION: usize = 200;

/// `EFI_GLOBAL_VARIABLE`: SecureBoot, PK, KEK.
pub const GLOBAL_VARIABLE: [u8; 16] = guid(
    0x8be4_df61,
    0x93ca,
    0x11d2,
    [0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c],
);
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`: db, dbx.
pub const SECURITY_DATABASE: [u8; 16] = guid(
    0xd719_b2cb,
    0x3d3a,
    0x4596,
    [0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f],
);
/// `EFI_CERT_X509_GUID`.
pub const CERT_X509: [u8; 16] = guid(
    0xa5c0_59a1,
    0x94e4,
    0x4aa7,
    [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72],
);
/// `EFI_CERT_SHA256_GUID`.
pub const CERT_SHA256: [u8; 16] = guid(
    0xc1c4_1626,
    0x504c,
    0x4092,
    [0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28],
);

/// A GUID in its mixed-endian memory form.
#[must_use]
pub const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7],
    ]
}

/// A GUID as text.
#[must_use]
pub fn guid_text(guid: &[u8; 16]) -> String {
    let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, e @ ..] = *guid;
    format!(
        "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{}",
        u32::from_le_bytes([a0, a1, a2, a3]),
        u16::from_le_bytes([b0, b1]),
        u16::from_le_bytes([c0, c1]),
        d0,
        d1,
        hex::encode(e)
    )
}

fn u64_at(bytes: &[u8], at: usize, what: &'static str) -> Result<usize, LogRejection> {
    let field = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<8>())
        .ok_or(LogRejection::Data { what })?;
    usize::try_from(u64::from_le_bytes(*field)).map_err(|_| LogRejection::Data { what })
}

fn u32_at(bytes: &[u8], at: usize, what: &'static str) -> Result<usize, LogRejection> {
    let field = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .ok_or(LogRejection::Data { what })?;
    usize::try_from(u32::from_le_bytes(*field)).map_err(|_| LogRejection::Data { what })
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .map(|pair| pair.try_into().map(u16::from_le_bytes).unwrap_or(0));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// UEFI_VARIABLE_DATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable<'a> {
    /// The vendor's GUID.
    pub vendor: &'a [u8; 16],
    name: &'a [u8],
    /// The value.
    pub data: &'a [u8],
}

impl<'a> Variable<'a> {
    /// Reads a variable that fills `bytes`.
    ///
    /// # Errors
    /// [`LogRejection::Data`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogRejection> {
        const WHAT: &str = "UEFI_VARIABLE_DATA";
        let refused = LogRejection::Data { what: WHAT };
        let vendor = bytes.first_chunk::<16>().ok_or(refused.clone())?;
        let name = u64_at(bytes, 16, WHAT)?.checked_mul(2).ok_or(refused.clone())?;
        let data = u64_at(bytes, 24, WHAT)?;
        let rest = bytes.get(32..).ok_or(refused.clone())?;
        let (name, rest) = rest.split_at_checked(name).ok_or(refused.clone())?;
        if rest.len() != data {
            return Err(refused);
        }
        Ok(Self {
            vendor,
            name,
            data: rest,
        })
    }

    /// Whether its name is `name` (ASCII).
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name.len() == name.len() * 2 && self.name.iter().copied().eq(name.bytes().flat_map(|b| [b, 0]))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        utf16(self.name)
    }
}

/// One signature of an EFI_SIGNATURE_LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature<'a> {
    /// What it is: [`CERT_X509`], [`CERT_SHA256`], …
    pub kind: &'a [u8; 16],
    /// Who put it there.
    pub owner: &'a [u8; 16],
    /// The certificate or hash.
    pub data: &'a [u8],
}

/// Reads consecutive EFI_SIGNATURE_LISTs that fill `bytes`.
///
/// # Errors
/// [`LogRejection::Data`] for sizes that are zero, below 16, beyond the list, or do not add up.
pub fn parse_signature_lists(bytes: &[u8]) -> Result<Vec<Signature<'_>>, LogRejection> {
    const WHAT: &str = "EFI_SIGNATURE_LIST";
    let refused = || LogRejection::Data { what: WHAT };
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let kind = rest.first_chunk::<16>().ok_or_else(refused)?;
        let list = u32_at(rest, 16, WHAT)?;
        let header = u32_at(rest, 20, WHAT)?;
        let each = u32_at(rest, 24, WHAT)?;
        let (this, next) = rest.split_at_checked(list).filter(|_| list >= 28).ok_or_else(refused)?;
        let body = this.get(28..).and_then(|body| body.get(header..)).ok_or_else(refused)?;
        if each < 16 || body.len() % each != 0 {
            return Err(refused());
        }
        for signature in body.chunks_exact(each) {
            let (owner, data) = signature.split_first_chunk::<16>().ok_or_else(refused)?;
            out.push(Signature { kind, owner, data });
        }
        rest = next;
    }
    Ok(out)
}

/// UEFI_IMAGE_LOAD_EVENT, as far as it is shown: the file path of its device path.
///
/// # Errors
/// [`LogRejection::Data`].
pub fn image_path(bytes: &[u8]) -> Result<Option<String>, LogRejection> {
    const WHAT: &str = "UEFI_IMAGE_LOAD_EVENT";
    let length = u64_at(bytes, 24, WHAT)?;
    let mut path = bytes
        .get(32..)
        .and_then(|rest| rest.get(..length))
        .ok_or(LogRejection::Data { what: WHAT })?;
    while let [kind, sub, low, high, ..] = *path {
        let size = usize::from(u16::from_le_bytes([low, high]));
        let (node, next) = path
            .split_at_checked(size)
            .filter(|_| size >= 4)
            .ok_or(LogRejection::Data { what: WHAT })?;
        if (kind, sub) == (4, 4) {
            return Ok(node.get(4..).map(|text| utf16(text).trim_end_matches('\0').to_owned()));
        }
        path = next;
    }
    Ok(None)
}

/// UEFI_GPT_DATA: disk GUID and number of partitions.
///
/// # Errors
/// [`LogRejection::Data`] when the entries do not fill the rest.
pub fn parse_gpt(bytes: &[u8]) -> Result<([u8; 16], usize), LogRejection> {
    const WHAT: &str = "UEFI_GPT_DATA";
    let refused = || LogRejection::Data { what: WHAT };
    if !bytes.starts_with(b"EFI PART") {
        return Err(refused());
    }
    let disk = *bytes
        .get(56..)
        .and_then(|rest| rest.first_chunk::<16>())
        .ok_or_else(refused)?;
    let each = u32_at(bytes, 84, WHAT)?;
    let count = u64_at(bytes, 92, WHAT)?;
    let entries = bytes.len().checked_sub(100).ok_or_else(refused)?;
    if count.checked_mul(each) == Some(entries) {
        Ok((disk, count))
    } else {
        Err(refused())
    }
}

/// Printable, on one line, bounded.
pub(super) fn printable(text: &str) -> String {
    text.trim_end_matches('\0')
        .chars()
        .map(|c| {
            if c.is_control() || ('\u{200b}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) {
                '·'
            } else {
                c
            }
        })
        .take(MAX_DESCRIPTION)
        .collect()
}

/// What an event says it is.
pub(super) fn describe(kind: EventKind, data: &[u8]) -> String {
    let text = match kind {
        EventKind::EFI_VARIABLE_DRIVER_CONFIG
        | EventKind::EFI_VARIABLE_BOOT
        | EventKind::EFI_VARIABLE_AUTHORITY
        | EventKind(0x8000_000c) => describe_variable(kind, data),
        EventKind::EFI_BOOT_SERVICES_APPLICATION | EventKind(0x8000_0004 | 0x8000_0005) => match image_path(data) {
            Ok(Some(path)) => format!("image {path}"),
            Ok(None) => "image without a file path".to_owned(),
            Err(_) => "image, malformed".to_owned(),
        },
        EventKind::EFI_GPT_EVENT => match parse_gpt(data) {
            Ok((disk, count)) => format!("partition table of disk {}, {count} partitions", guid_text(&disk)),
            Err(_) => "partition table, malformed".to_owned(),
        },
        EventKind::SEPARATOR => match data {
            [0, 0, 0, 0] => "separator".to_owned(),
            other => format!("separator {}", hex::encode(other.get(..8).unwrap_or(other))),
        },
        EventKind::S_CRTM_VERSION => format!("firmware version {}", text_of(data)),
        EventKind::EFI_PLATFORM_FIRMWARE_BLOB => "firmware volume".to_owned(),
        EventKind::EFI_PLATFORM_FIRMWARE_BLOB2 => {
            let name = data
                .split_first()
                .and_then(|(length, rest)| rest.get(..usize::from(*length)));
            format!("firmware volume {}", name.map(text_of).unwrap_or_default())
        }
        EventKind::NO_ACTION => {
            let end = data.iter().position(|b| *b == 0).unwrap_or(data.len()).min(16);
            format!("note {}", text_of(data.get(..end).unwrap_or_default()))
        }
        _ => text_of(data),
    };
    printable(&text)
}

fn describe_variable(kind: EventKind, data: &[u8]) -> String {
    let Ok(variable) = Variable::parse(data) else {
        return "variable, malformed".to_owned();
    };
    let name = variable.name();
    let value = match (kind, variable.data) {
        (EventKind::EFI_VARIABLE_AUTHORITY, value) => format!("authority, {} bytes", value.len()),
        (_, []) => "empty".to_owned(),
        (_, [one]) => one.to_string(),
        (_, value) if matches!(name.as_str(), "PK" | "KEK" | "db" | "dbx" | "dbt" | "dbr") => {
            parse_signature_lists(value)
                .map_or_else(|_| "malformed".to_owned(), |list| format!("{} signatures", list.len()))
        }
        (_, value) => format!("{} bytes", value.len()),
    };
    format!("variable {name}: {value}")
}

/// Text if it looks like text (ASCII, UTF-8 or UTF-16), else the first bytes in hexadecimal.
fn text_of(data: &[u8]) -> String {
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n'));
    let trimmed = data
        .iter()
        .rposition(|b| *b != 0)
        .and_then(|last| data.get(..=last))
        .unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(trimmed)
        && plain(text)
    {
        return text.to_owned();
    }
    let wide = utf16(data.get(..data.len().min(2 * MAX_DESCRIPTION)).unwrap_or_default());
    let wide = wide.trim_end_matches('\0');
    if data.len().is_multiple_of(2) && plain(wide) && wide.is_ascii() {
        return wide.to_owned();
    }
    format!(
        "{} bytes {}",
        data.len(),
        hex::encode(data.get(..data.len().min(16)).unwrap_or_default())
    )
}
