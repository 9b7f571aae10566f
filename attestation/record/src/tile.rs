//! Tiles and entry bundles after C2SP tlog-tiles: where they are and what is in them.
//!
//! Refuses widths above 256 and bundles whose entries do not end where the bundle ends. Invariant: encoding what was decoded
//! gives the same bytes.

use freehold_trust::Sha256Digest;

use crate::rejection::RecordRejected;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;

/// Tree levels per tile level.
pub const HEIGHT: u8 = 8;

/// The longest entry that fits into a bundle (its length is a 16-bit number).
pub const ENTRY_LIMIT: usize = u16::MAX as usize;

/// The largest bundle: 256 entries of the longest kind. Bounds reading of a folder that somebody else wrote.
pub const BUNDLE_LIMIT: usize = 256 * (ENTRY_LIMIT + 2);

/// The place of a tile of hashes: `tile/<level>/<index>` or, when not full, `tile/<level>/<index>.p/<width>`.
#[must_use]
pub fn tile_path(level: u8, index: u64, width: u64) -> String {
    format!("tile/{level}/{}", indexed(index, width))
}

/// The place of an entry bundle: `tile/entries/<index>` or `tile/entries/<index>.p/<width>`.
#[must_use]
pub fn bundle_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", indexed(index, width))
}

fn indexed(index: u64, width: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH {
        format!("{text}.p/{width}")
    } else {
        text
    }
}

/// The width of tile `index` of `level` in a tree of `size` leaves: 0 when it does not exist, 256 when it is full.
#[must_use]
pub fn width_at(level: u8, index: u64, size: u64) -> u64 {
    let shift = u32::from(level).saturating_mul(u32::from(HEIGHT));
    let nodes = size.checked_shr(shift).unwrap_or(0);
    nodes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// The hashes of a tile one after the other.
#[must_use]
pub fn encode_tile(hashes: &[Sha256Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile of at least `width` hashes; `what` names it in the refusal.
///
/// # Errors
/// When the length is not a multiple of 32, above 256 hashes, or below `width` hashes.
pub fn decode_tile(bytes: &[u8], width: u64, what: &str) -> Result<Vec<Sha256Digest>, RecordRejected> {
    let refused = |fault| RecordRejected::TileMalformed {
        what: what.to_owned(),
        fault,
    };
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(refused("its length is not a multiple of 32"));
    }
    let found = u64::try_from(hashes.len()).unwrap_or(u64::MAX);
    if found > WIDTH {
        return Err(refused("more than 256 hashes"));
    }
    if found < width {
        return Err(refused("fewer hashes than its tree has"));
    }
    Ok(hashes.iter().map(|hash| Sha256Digest::from_bytes(*hash)).collect())
}

/// Appends an entry to a bundle: two bytes of length, big-endian, and the entry.
///
/// # Errors
/// `record.entry_too_large` above [`ENTRY_LIMIT`].
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), RecordRejected> {
    let too_large = || RecordRejected::EntryTooLarge {
        found: entry.len(),
        limit: ENTRY_LIMIT,
    };
    let length = u16::try_from(entry.len()).map_err(|_| too_large())?;
    bundle.extend(length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle of at least `width` entries; `what` names it in the refusal.
///
/// # Errors
/// When an entry does not end inside the bundle, or there are fewer than `width` or more than 256.
pub fn decode_bundle<'a>(bytes: &'a [u8], width: u64, what: &str) -> Result<Vec<&'a [u8]>, RecordRejected> {
    let refused = |fault| RecordRejected::TileMalformed {
        what: what.to_owned(),
        fault,
    };
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after
            .split_at_checked(length)
            .ok_or_else(|| refused("an entry ends outside of it"))?;
        entries.push(entry);
        rest = after;
        if entries.len() > 256 {
            return Err(refused("more than 256 entries"));
        }
    }
    if !rest.is_empty() {
        return Err(refused("an entry ends outside of it"));
    }
    if u64::try_from(entries.len()).unwrap_or(u64::MAX) < width {
        return Err(refused("fewer entries than its tree has"));
    }
    Ok(entries)
}
