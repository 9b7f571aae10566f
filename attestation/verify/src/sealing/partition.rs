//! The partitions of a disk, read from its GUID partition table.
//!
//! Refuses tables whose checksums do not hold or whose sizes are absurd. Invariant: no bytes make it panic or read more
//! than they hold. Source: UEFI Specification 2.10, section 5.3.

use std::fmt;

/// Type of the data partition of a box: `7ee401d0-da7a-4b0e-9c1d-5ea1ed0d15c5`.
pub const DATA_PARTITION_TYPE: Guid = Guid([
    0xd0, 0x01, 0xe4, 0x7e, 0x7a, 0xda, 0x0e, 0x4b, 0x9c, 0x1d, 0x5e, 0xa1, 0xed, 0x0d, 0x15, 0xc5,
]);
/// Name of the data partition.
pub const DATA_PARTITION_NAME: &str = "freehold-data";

/// How much of a disk's beginning holds the table, for sectors of 512 or 4,096 bytes.
pub const TABLE: usize = 6 * 4096;

/// Most entries: 128 is what every tool writes; bounds the list.
const MAX_ENTRIES: usize = 128;

/// A GUID as it lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, j, k, l, m, n, o, p, q] = self.0;
        write!(
            f,
            "{d:02x}{c:02x}{b:02x}{a:02x}-{g:02x}{e:02x}-{i:02x}{h:02x}-{j:02x}{k:02x}-{l:02x}{m:02x}{n:02x}{o:02x}{p:02x}{q:02x}"
        )
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its type.
    pub kind: Guid,
    /// Its own identifier.
    pub id: Guid,
    /// Its name.
    pub name: String,
}

impl Partition {
    /// Whether it is the data partition of a box, by type and name.
    #[must_use]
    pub fn is_data(&self) -> bool {
        self.kind == DATA_PARTITION_TYPE && self.name == DATA_PARTITION_NAME
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|chunk| u32::from_le_bytes(*chunk))
}

fn guid_at(bytes: &[u8], at: usize) -> Option<Guid> {
    bytes.get(at..)?.first_chunk::<16>().map(|chunk| Guid(*chunk))
}

/// CRC-32 as GPT uses it (polynomial 0xEDB88320, reflected). It finds accidents; it protects nothing.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

/// Reads the table from the first [`TABLE`] bytes of a disk; `None` when there is no valid one.
#[must_use]
pub fn parse_gpt(bytes: &[u8]) -> Option<Vec<Partition>> {
    [512, 4096].into_iter().find_map(|sector| parse_with(bytes, sector))
}

fn parse_with(bytes: &[u8], sector: usize) -> Option<Vec<Partition>> {
    let header = bytes.get(sector..)?;
    if !header.starts_with(b"EFI PART") {
        return None;
    }
    let size = usize::try_from(u32_at(header, 12)?)
        .ok()
        .filter(|size| (92..=512).contains(size))?;
    let (before, after) = (header.get(..16)?, header.get(20..size)?);
    if crc32(&[before, &[0; 4], after]) != u32_at(header, 16)? {
        return None;
    }
    let first = header
        .get(72..)?
        .first_chunk::<8>()
        .map(|chunk| u64::from_le_bytes(*chunk))?;
    let count = usize::try_from(u32_at(header, 80)?)
        .ok()
        .filter(|count| *count <= MAX_ENTRIES)?;
    let length = usize::try_from(u32_at(header, 84)?)
        .ok()
        .filter(|length| (128..=512).contains(length))?;
    let start = usize::try_from(first).ok()?.checked_mul(sector)?;
    let table = bytes.get(start..)?.get(..count.checked_mul(length)?)?;
    if crc32(&[table]) != u32_at(header, 88)? {
        return None;
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(table.chunks(length)) {
        let kind = guid_at(entry, 0)?;
        if kind == Guid([0; 16]) {
            continue;
        }
        let units: Vec<u16> = entry
            .get(56..128)?
            .chunks(2)
            .filter_map(|pair| pair.first_chunk::<2>().map(|pair| u16::from_le_bytes(*pair)))
            .take_while(|unit| *unit != 0)
            .collect();
        partitions.push(Partition {
            number,
            kind,
            id: guid_at(entry, 16)?,
            name: String::from_utf16_lossy(&units),
        });
    }
    Some(partitions)
}
