//! The partition's own bytes: its beginning and end, and the mark of a volume in the making.
//!
//! Refuses to write anything but that mark. Invariant: the mark is on the disk before the first byte of a volume is, and is
//! wiped only after a header says the same.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use freehold_verify::sealing::volume::{HEAD, MAKING, TAIL};
use freehold_verify::sealing::{Contents, contents};

use crate::stop::Stop;

/// Looks at the partition.
pub fn look(device: &Path) -> Result<Contents, Stop> {
    let read = || -> io::Result<Contents> {
        let mut file = File::open(device)?;
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(HEAD as u64).read_to_end(&mut head)?;
        let mut tail = vec![0; TAIL];
        file.seek(SeekFrom::End(-(TAIL as i64)))?;
        file.read_exact(&mut tail)?;
        Ok(contents(&head, &tail))
    };
    read().map_err(Stop::file(device))
}

/// Sets or wipes the mark at the end, durably.
pub fn mark(device: &Path, making: bool) -> Result<(), Stop> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(device)?;
        file.seek(SeekFrom::End(-(TAIL as i64)))?;
        let mut tail = vec![0; TAIL];
        if making && let Some(start) = tail.get_mut(..MAKING.len()) {
            start.copy_from_slice(MAKING);
        }
        file.write_all(&tail)?;
        file.sync_all()
    };
    write().map_err(Stop::file(device))
}
