//! The partition table (UEFI 2.10, section 5.3): read from the image, made anew for the disk.
//!
//! Refuses a table whose checksums are wrong, whose entries are not 128 bytes, or whose partitions overlap or leave the
//! disk. Invariant: [`Table::for_disk`] gives head and tail that belong to each other and to a disk of exactly that size.

use std::fmt;

/// Bytes of a sector; the image is made for 512, which every disk speaks (4Kn disks do not boot it, and are refused by size
/// of nothing: their firmware does not see the table).
pub const SECTOR: u64 = 512;
/// Entries of a table.
const ENTRIES: usize = 128;
/// Bytes of an entry.
const ENTRY: usize = 128;
/// Sectors of the entries.
const ENTRY_SECTORS: u64 = (ENTRIES * ENTRY) as u64 / SECTOR;
/// Bytes at the beginning of a disk that hold everything without which it does not boot: the table, and by the alignment of
/// partitions nothing else.
pub const HEAD: u64 = 1 << 20;
/// Bytes at the end of a disk that hold the second table.
pub const TAIL: u64 = (ENTRY_SECTORS + 1) * SECTOR;

/// A type of partition, as its 16 bytes stand on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeId(pub [u8; 16]);

/// Types that an installation copies (UEFI; Discoverable Partitions Specification). Everything else, the data partition
/// above all, is made on the disk's own first boot.
pub const SYSTEM_TYPES: [(TypeId, &str); 4] = [
    (
        TypeId::new(
            0xc12a_7328,
            0xf81f,
            0x11d2,
            [0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b],
        ),
        "boot",
    ),
    (
        TypeId::new(
            0x4f68_bce3,
            0xe8cd,
            0x4db1,
            [0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09],
        ),
        "root",
    ),
    (
        TypeId::new(
            0x2c73_57ed,
            0xebd2,
            0x46d9,
            [0xae, 0xc1, 0x23, 0xd4, 0x37, 0xec, 0x2b, 0xf5],
        ),
        "root verity",
    ),
    (
        TypeId::new(
            0x4109_2b05,
            0x9fc8,
            0x4523,
            [0x99, 0x4f, 0x2d, 0xef, 0x04, 0x08, 0xb1, 0x76],
        ),
        "root verity signature",
    ),
];

impl TypeId {
    /// From the parts of its text; the first three stand little endian.
    #[must_use]
    pub const fn new(a: u32, b: u16, c: u16, rest: [u8; 8]) -> Self {
        let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
        let [d, e, f, g, h, i, j, k] = rest;
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d, e, f, g, h, i, j, k])
    }

    /// What it is for, when the installer copies it.
    #[must_use]
    pub fn purpose(self) -> Option<&'static str> {
        SYSTEM_TYPES
            .iter()
            .find(|(known, _)| *known == self)
            .map(|(_, name)| *name)
    }
}

/// Why a table is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadTable {
    /// No table.
    Missing,
    /// A checksum is wrong.
    Checksum,
    /// Of a form that we do not write.
    Form,
    /// Partitions overlap, or lie outside.
    Overlap,
}

impl fmt::Display for BadTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it has no partition table",
            Self::Checksum => "its partition table has a wrong checksum",
            Self::Form => "its partition table is not of the form that our images have",
            Self::Overlap => "its partitions overlap, or lie outside of it",
        })
    }
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its type.
    pub kind: TypeId,
    /// Its name.
    pub name: String,
    /// First byte.
    pub first: u64,
    /// Bytes.
    pub length: u64,
    entry: [u8; ENTRY],
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    disk: [u8; 16],
    /// Partitions by place.
    pub partitions: Vec<Partition>,
}

/// CRC-32 as UEFI uses it (IEEE 802.3, reflected).
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    take(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    take(bytes, at).map(u64::from_le_bytes)
}

impl Table {
    /// Reads the first table out of the first [`HEAD`] bytes of a medium of `size` bytes.
    ///
    /// # Errors
    /// [`BadTable`].
    pub fn read(head: &[u8], size: u64) -> Result<Self, BadTable> {
        let header = head.get(512..1024).ok_or(BadTable::Missing)?;
        if !header.starts_with(b"EFI PART") {
            return Err(BadTable::Missing);
        }
        let form = BadTable::Form;
        if u32_at(header, 8) != Some(0x0001_0000) || u32_at(header, 12) != Some(92) || u64_at(header, 24) != Some(1) {
            return Err(form);
        }
        let mut zeroed = header.get(..92).ok_or(form)?.to_vec();
        zeroed.get_mut(16..20).ok_or(form)?.fill(0);
        if u32_at(header, 16) != Some(crc32(&zeroed)) {
            return Err(BadTable::Checksum);
        }
        let sizes = (u32_at(header, 80), u32_at(header, 84), u64_at(header, 72));
        if sizes != (Some(128), Some(128), Some(2)) {
            return Err(form);
        }
        let entries = head.get(1024..1024 + ENTRIES * ENTRY).ok_or(form)?;
        if u32_at(header, 88) != Some(crc32(entries)) {
            return Err(BadTable::Checksum);
        }
        let mut partitions = Vec::new();
        for entry in entries.chunks_exact(ENTRY) {
            let kind = TypeId(take(entry, 0).ok_or(form)?);
            if kind.0 == [0; 16] {
                continue;
            }
            let (first, last) = (u64_at(entry, 32).ok_or(form)?, u64_at(entry, 40).ok_or(form)?);
            let sectors = last
                .checked_sub(first)
                .and_then(|span| span.checked_add(1))
                .ok_or(BadTable::Overlap)?;
            let units: Vec<u16> = (entry.get(56..128).ok_or(form)?.chunks_exact(2))
                .filter_map(|pair| take(pair, 0).map(u16::from_le_bytes))
                .take_while(|unit| *unit != 0)
                .collect();
            partitions.push(Partition {
                kind,
                name: String::from_utf16_lossy(&units)
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect(),
                first: first.checked_mul(SECTOR).ok_or(BadTable::Overlap)?,
                length: sectors.checked_mul(SECTOR).ok_or(BadTable::Overlap)?,
                entry: take(entry, 0).ok_or(form)?,
            });
        }
        partitions.sort_by_key(|partition| partition.first);
        let mut end = HEAD;
        for partition in &partitions {
            if partition.first < end {
                return Err(BadTable::Overlap);
            }
            end = partition.first.checked_add(partition.length).ok_or(BadTable::Overlap)?;
        }
        if end > size {
            return Err(BadTable::Overlap);
        }
        Ok(Self {
            disk: take(header, 56).ok_or(form)?,
            partitions,
        })
    }

    /// Only the partitions that an installation copies.
    #[must_use]
    pub fn system(&self) -> Self {
        let mut system = self.clone();
        system.partitions.retain(|partition| partition.kind.purpose().is_some());
        system
    }

    /// The byte behind the last partition.
    #[must_use]
    pub fn end(&self) -> u64 {
        (self.partitions.last()).map_or(HEAD, |last| last.first.saturating_add(last.length))
    }

    /// The bytes that a disk needs for it.
    #[must_use]
    pub fn needs(&self) -> u64 {
        self.end().saturating_add(TAIL)
    }

    /// Head ([`HEAD`] bytes) and tail ([`TAIL`] bytes) for a disk of `size` bytes; `None` when it is too small.
    #[must_use]
    pub fn for_disk(&self, size: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        let sectors = size / SECTOR;
        if sectors.checked_mul(SECTOR)? < self.needs() {
            return None;
        }
        let last = sectors.checked_sub(1)?;
        let mut entries = Vec::with_capacity(ENTRIES * ENTRY);
        for partition in &self.partitions {
            entries.extend_from_slice(&partition.entry);
        }
        entries.resize(ENTRIES * ENTRY, 0);
        let sum = crc32(&entries);
        let header = |own: u64, other: u64, entries_at: u64| {
            let mut header = Vec::with_capacity(512);
            header.extend_from_slice(b"EFI PART");
            header.extend_from_slice(&0x0001_0000_u32.to_le_bytes());
            header.extend_from_slice(&92_u32.to_le_bytes());
            header.extend_from_slice(&[0; 8]);
            for number in [own, other, 2 + ENTRY_SECTORS, last.saturating_sub(ENTRY_SECTORS + 1)] {
                header.extend_from_slice(&number.to_le_bytes());
            }
            header.extend_from_slice(&self.disk);
            header.extend_from_slice(&entries_at.to_le_bytes());
            for number in [128, 128, sum] {
                header.extend_from_slice(&u32::to_le_bytes(number));
            }
            let own_sum = crc32(&header).to_le_bytes();
            header.splice(16..20, own_sum);
            header.resize(512, 0);
            header
        };
        let mut head = protective(last);
        head.extend(header(1, last, 2));
        head.extend_from_slice(&entries);
        head.resize(usize::try_from(HEAD).ok()?, 0);
        let mut tail = entries;
        tail.extend(header(last, 1, last.checked_sub(ENTRY_SECTORS)?));
        Some((head, tail))
    }
}

/// The protective master boot record (UEFI 2.10, table 5.4): one partition over the whole disk.
fn protective(last: u64) -> Vec<u8> {
    let mut sector = vec![0; 446];
    sector.extend_from_slice(&[0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
    sector.extend_from_slice(&1_u32.to_le_bytes());
    sector.extend_from_slice(&u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    sector.resize(510, 0);
    sector.extend_from_slice(&[0x55, 0xaa]);
    sector
}

/// Whether a medium has a table in its tail: what a firmware falls back to.
#[must_use]
pub fn tail_is_a_table(tail: &[u8]) -> bool {
    let at = tail.len().saturating_sub(512);
    tail.get(at..).is_some_and(|header| header.starts_with(b"EFI PART"))
}
