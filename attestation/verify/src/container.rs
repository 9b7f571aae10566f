//! `.fhz`, the container that travels where no network goes: a bundle to boxes, a return to the console, a report to an auditor.
//!
//! Refuses every file that is not exactly what its index says: a name that climbs or stands twice, a length that lies, a byte
//! that was changed, bytes behind the end. There is no compression, so no small file becomes a large one. Invariant: one
//! content has one container, byte for byte, and every byte of it is covered by a digest that is checked before use.
//!
//! The layout, whole numbers big endian (docs/container.md):
//!
//! ```text
//! 0   8   89 46 48 5a 0d 0a 1a 0a      the mark; a transfer that changes line ends breaks it
//! 8   4   length of the index
//! 12  32  SHA-256 of the index
//! 44  …   the index, deterministic CBOR: version, kind, set, part, parts, entries
//! …   …   the contents of the entries, in the index's order, without gaps, to the end of the file
//! ```

mod check;
mod entry;
mod head;
mod index;
mod rejection;
mod set;
mod whole;
mod write;

pub use check::ContainerCheck;
pub use entry::{CHUNK, ContentHasher, Digests, Entry, MAX_CHUNKS};
pub use head::{HEAD, Head, MAGIC, MAX_INDEX};
pub use index::{Index, Kind, MAX_ENTRIES, MAX_PARTS, VERSION};
pub use rejection::ContainerRejection;
pub use set::PartSet;
pub use whole::Container;
pub use write::{Draft, write};
