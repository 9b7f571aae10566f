//! How files are spread over the parts of a bundle.
//!
//! Refuses parts that are too small to hold the list and a chunk. Invariant: pieces of one file follow each other part by part,
//! each but the last a whole number of chunks, and no part is larger than was asked for.

use freehold_verify::container::{CHUNK, HEAD, MAX_PARTS};
use serde::{Deserialize, Serialize};

/// A file that goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name in the container.
    pub(crate) name: String,
    /// Its length.
    pub(crate) length: u64,
    /// Where it lies, below the state folder.
    pub(crate) file: String,
}

/// A piece of a file in a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Name in the container.
    pub(crate) name: String,
    /// Where the file lies, below the state folder.
    pub(crate) file: String,
    /// Length of the whole file.
    pub(crate) whole: u64,
    /// Where in the file the piece begins.
    pub(crate) start: u64,
    /// Its length.
    pub(crate) length: u64,
}

/// The parts do not work out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LayoutFault {
    /// Too small.
    #[error("a part of {size} bytes does not hold the list and a chunk; {least} would")]
    TooSmall {
        /// What was asked for.
        size: u64,
        /// What would do.
        least: u64,
    },
    /// Too many.
    #[error("it would take more than {MAX_PARTS} parts")]
    TooMany,
}

/// What an entry costs beside its bytes: name, three numbers, digests, and the heads of all of them.
fn overhead(name: &str, length: u64) -> u64 {
    (name.len() as u64)
        .saturating_add(96)
        .saturating_add(length.div_ceil(CHUNK).saturating_mul(34))
}

/// Spreads `sources` over parts of at most `size` bytes; `everywhere` stand whole in each.
pub(crate) fn spread(everywhere: &[Source], sources: &[Source], size: u64) -> Result<Vec<Vec<Piece>>, LayoutFault> {
    let cost = |source: &Source| source.length.saturating_add(overhead(&source.name, source.length));
    let base = everywhere
        .iter()
        .fold(HEAD as u64 + 128, |sum, source| sum.saturating_add(cost(source)));
    let least = base.saturating_add(CHUNK).saturating_add(2048);
    if size < least {
        return Err(LayoutFault::TooSmall { size, least });
    }
    let whole = |source: &Source| Piece {
        name: source.name.clone(),
        file: source.file.clone(),
        whole: source.length,
        start: 0,
        length: source.length,
    };
    let fresh = || everywhere.iter().map(whole).collect::<Vec<Piece>>();
    // The smallest come first: letters, metadata and descriptors, so that the first part alone says what there is.
    let mut ordered: Vec<&Source> = sources.iter().collect();
    ordered.sort_by_key(|source| (source.length.min(CHUNK), source.name.clone()));
    let (mut parts, mut now, mut used) = (Vec::new(), fresh(), base);
    for source in ordered {
        let mut start = 0_u64;
        loop {
            let left = source.length.saturating_sub(start);
            let room = size.saturating_sub(used);
            let all = left.saturating_add(overhead(&source.name, left));
            let take = if all <= room {
                left
            } else {
                let spare = room.saturating_sub(overhead(&source.name, 0));
                // Each chunk brings 34 bytes of index with it.
                (spare / (CHUNK + 34)).saturating_mul(CHUNK).min(left)
            };
            if take > 0 || left == 0 {
                used = used.saturating_add(take).saturating_add(overhead(&source.name, take));
                now.push(Piece {
                    start,
                    length: take,
                    ..whole(source)
                });
                start = start.saturating_add(take);
            }
            if start >= source.length {
                break;
            }
            parts.push(std::mem::replace(&mut now, fresh()));
            used = base;
            if parts.len() >= MAX_PARTS as usize {
                return Err(LayoutFault::TooMany);
            }
        }
    }
    parts.push(now);
    for part in &mut parts {
        part.sort_by(|left, right| left.name.cmp(&right.name));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, length: u64) -> Source {
        Source {
            name: name.to_owned(),
            length,
            file: name.to_owned(),
        }
    }

    fn size(part: &[Piece]) -> u64 {
        part.iter()
            .map(|piece| piece.length + overhead(&piece.name, piece.length))
            .sum::<u64>()
            + HEAD as u64
            + 128
    }

    #[test]
    fn every_byte_is_in_one_part_and_no_part_is_too_large() {
        let everywhere = [source("list", 3000)];
        let sources = [
            source("big", 7 * CHUNK + 5),
            source("empty", 0),
            source("small", 10),
            source("two", 2 * CHUNK),
        ];
        for limit in [CHUNK + 8192, 2 * CHUNK + 9000, 3 * CHUNK, 100 * CHUNK] {
            let parts = spread(&everywhere, &sources, limit).unwrap();
            assert!(parts.iter().all(|part| size(part) <= limit), "{limit}");
            assert!(parts.iter().all(|part| part.iter().any(|piece| piece.name == "list")));
            for source in &sources {
                let mut end = 0;
                for piece in parts.iter().flatten().filter(|piece| piece.name == source.name) {
                    assert_eq!((piece.start, piece.start % CHUNK), (end, 0));
                    end += piece.length;
                }
                assert_eq!(end, source.length, "{}", source.name);
            }
        }
        assert_eq!(spread(&everywhere, &sources, 100 * CHUNK).unwrap().len(), 1);
        assert!(matches!(
            spread(&everywhere, &sources, CHUNK),
            Err(LayoutFault::TooSmall { .. })
        ));
        let endless = [source("big", 2000 * CHUNK)];
        assert_eq!(spread(&everywhere, &endless, CHUNK + 8192), Err(LayoutFault::TooMany));
    }
}
