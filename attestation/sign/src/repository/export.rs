//! The repository without keys, for the console or a stick: `metadata/` and `targets/`, in one step.
//!
//! Refuses to touch a folder that is not an earlier export. Invariant: who opens the destination sees the old repository or
//! the new one; nothing private is ever in it.

use std::fs;
use std::path::{Path, PathBuf};

use freehold_verify::release::consistent_name;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Publisher, RepositoryError};
use crate::files::FileError;

/// Copies what is published to `destination`. Files that an earlier export already has are linked, not copied again.
/// Answers the version of the snapshot.
///
/// # Errors
/// [`RepositoryError`].
pub fn export(publisher: &Publisher, destination: &Path) -> Result<u64, RepositoryError> {
    let published = publisher.published()?;
    if destination.exists() && !destination.join("metadata/1.root.json").is_file() {
        let empty = fs::read_dir(destination)
            .map_err(FileError::read(destination))?
            .next()
            .is_none();
        if !empty {
            let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it holds something else");
            return Err(FileError::Write {
                path: destination.to_owned(),
                source,
            }
            .into());
        }
    }
    let fresh = beside(destination);
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(FileError::write(&fresh))?;
    }
    let metadata = fresh.join("metadata");
    fs::create_dir_all(&metadata).map_err(FileError::write(&metadata))?;
    let (roots, _) = publisher.root()?;
    let mut names: Vec<String> = (1..=roots).map(|version| format!("{version}.root.json")).collect();
    names.push(format!("{}.targets.json", published.version));
    names.push(format!("{}.snapshot.json", published.snapshot));
    for name in names {
        copy(&publisher.metadata(&name), &metadata.join(&name))?;
    }
    for (name, info) in &published.targets {
        let file = consistent_name(name, info.sha256);
        let (old, new) = (
            destination.join("targets").join(&file),
            fresh.join("targets").join(&file),
        );
        if let Some(parent) = new.parent() {
            fs::create_dir_all(parent).map_err(FileError::write(parent))?;
        }
        // Named by digest and made by us: equal length is the same file; readers check the digest all the same.
        let have = fs::symlink_metadata(&old).is_ok_and(|status| status.is_file() && status.len() == info.length);
        if !(have && fs::hard_link(&old, &new).is_ok()) {
            copy(&publisher.target_path(name, info), &new)?;
        }
    }
    fs::File::open(&fresh)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::write(&fresh))?;
    replace(&fresh, destination)?;
    Ok(published.snapshot)
}

fn beside(destination: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".partial-");
    name.push(destination.file_name().unwrap_or_default());
    destination.with_file_name(name)
}

fn copy(from: &Path, to: &Path) -> Result<(), RepositoryError> {
    fs::copy(from, to).map_err(FileError::write(to))?;
    fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(FileError::write(to))?;
    Ok(())
}

fn replace(fresh: &Path, destination: &Path) -> Result<(), RepositoryError> {
    if !destination.exists() {
        fs::rename(fresh, destination).map_err(FileError::write(destination))?;
        return Ok(());
    }
    renameat_with(CWD, fresh, CWD, destination, RenameFlags::EXCHANGE).map_err(|errno| FileError::Write {
        path: destination.to_owned(),
        source: errno.into(),
    })?;
    // What was there before is now beside it.
    fs::remove_dir_all(fresh).map_err(FileError::write(fresh))?;
    Ok(())
}
