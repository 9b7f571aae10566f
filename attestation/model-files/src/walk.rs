//! Lists a folder without following anything.
//!
//! Refuses names that are not UTF-8 and folders beyond a bound. Links, pipes, devices and mount points are listed as what
//! they are and not entered. Invariant: each folder is opened beneath its parent's descriptor, never by a path again.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use freehold_verify::model::{Entry, EntryKind};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Statx, StatxAttributes, StatxFlags, openat, statx};

use crate::fault::FilesError;

/// Bounds the listing against a folder made to exhaust memory; a signature lists at most 65,536 files.
const MAX_ENTRIES: usize = 200_000;
/// Deepest folder that is entered (bounds recursion); a name has at most 1,024 bytes.
const MAX_DEPTH: usize = 64;

/// Opens a folder for walking or hashing; its own path may be a link, nothing below it.
pub(crate) fn open_folder(folder: &Path) -> Result<OwnedFd, FilesError> {
    Ok(File::options()
        .read(true)
        .open(folder)
        .and_then(|file| {
            if file.metadata()?.is_dir() {
                Ok(file)
            } else {
                Err(std::io::ErrorKind::NotADirectory.into())
            }
        })
        .map_err(FilesError::read(folder))?
        .into())
}

/// Lists everything below `folder`; what lies at or below a path in `skipped` is passed over.
///
/// # Errors
/// [`FilesError::Read`], [`FilesError::Name`] or [`FilesError::TooMany`].
pub fn walk(folder: &Path, skipped: &[String]) -> Result<Vec<Entry>, FilesError> {
    let root = open_folder(folder)?;
    let mount = mount_of(&stat(root.as_fd(), c"", folder)?);
    let mut walker = Walker {
        folder,
        skipped,
        mount,
        entries: Vec::new(),
    };
    walker.enter(&root, "", 0)?;
    Ok(walker.entries)
}

struct Walker<'a> {
    folder: &'a Path,
    skipped: &'a [String],
    mount: Mount,
    entries: Vec<Entry>,
}

/// What tells one mounted file system from another, bind mounts included.
type Mount = (u32, u32, u64);

fn mount_of(status: &Statx) -> Mount {
    (status.stx_dev_major, status.stx_dev_minor, status.stx_mnt_id)
}

fn stat(parent: BorrowedFd<'_>, name: &std::ffi::CStr, path: &Path) -> Result<Statx, FilesError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    statx(parent, name, flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID).map_err(|errno| FilesError::Read {
        path: path.to_owned(),
        source: errno.into(),
    })
}

impl Walker<'_> {
    fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }

    fn enter(&mut self, here: &OwnedFd, below: &str, depth: usize) -> Result<(), FilesError> {
        if depth > MAX_DEPTH {
            return Err(FilesError::TooMany {
                path: self.path(below),
                limit: MAX_ENTRIES,
            });
        }
        let fault = |errno: rustix::io::Errno| FilesError::Read {
            path: self.folder.join(below),
            source: errno.into(),
        };
        let listing = Dir::read_from(here).map_err(fault)?;
        for item in listing {
            let item = item.map_err(|errno| FilesError::Read {
                path: self.path(below),
                source: errno.into(),
            })?;
            let raw = item.file_name();
            if raw == c"." || raw == c".." {
                continue;
            }
            let Ok(name) = raw.to_str() else {
                return Err(FilesError::Name {
                    path: self.path(&format!("{below}/{}", raw.to_string_lossy())),
                });
            };
            let path = if below.is_empty() {
                name.to_owned()
            } else {
                format!("{below}/{name}")
            };
            if self.skipped.contains(&path) {
                continue;
            }
            if self.entries.len() >= MAX_ENTRIES {
                return Err(FilesError::TooMany {
                    path: self.folder.to_owned(),
                    limit: MAX_ENTRIES,
                });
            }
            let status = stat(here.as_fd(), raw, &self.path(&path))?;
            let kind = self.kind(&status);
            self.entries.push(Entry {
                path: path.clone(),
                kind,
                length: status.stx_size,
                links: u64::from(status.stx_nlink),
            });
            if kind == EntryKind::Folder {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let next = openat(here, raw, flags, Mode::empty());
                let next = next.map_err(|errno| FilesError::Read {
                    path: self.path(&path),
                    source: errno.into(),
                })?;
                self.enter(&next, &path, depth.saturating_add(1))?;
            }
        }
        Ok(())
    }

    fn kind(&self, status: &Statx) -> EntryKind {
        if mount_of(status) != self.mount || status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return EntryKind::MountPoint;
        }
        match FileType::from_raw_mode(u32::from(status.stx_mode)) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Folder,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Pipe,
            FileType::Socket => EntryKind::Socket,
            _ => EntryKind::Device,
        }
    }
}
