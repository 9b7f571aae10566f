//! Writing so that a power cut leaves the old or the new, never a part.
//!
//! Refuses to answer before the disk has. Invariant: after `Ok` the content is there under its name, whatever happens next.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::fault::StoreError;

/// Writes `bytes` to `path` with `mode`: a temporary file beside it, synced, renamed, the folder synced.
///
/// # Errors
/// [`StoreError`]; the old content is still there then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let mut name = std::ffi::OsString::from(".new-");
    name.push(path.file_name().unwrap_or_default());
    let beside = path.with_file_name(name);
    let _ = fs::remove_file(&beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&beside);
        return Err(StoreError::io("write", path)(error));
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a rename in `folder` durable.
///
/// # Errors
/// [`StoreError`].
pub fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(StoreError::io("sync", folder))
}
