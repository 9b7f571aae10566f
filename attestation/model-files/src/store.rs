//! Copies a file into a store while hashing it: what is stored is what was hashed, whatever happens to the source.
//!
//! Refuses a source that turns out longer, shorter or other than signed. Invariant: under the final name there is either
//! nothing or the whole signed file, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use freehold_trust::digest::Sha256Hasher;
use freehold_verify::model::{CheckedFile, ModelRejection};

use crate::fault::FilesError;
use crate::hash::BUFFER;
use crate::watch::Watch;

/// Copies `source` to `destination` (whose folder exists), which must come out as `expected`: temporary file beside it,
/// hashed on the way, made durable, then renamed. A leftover of an earlier attempt is overwritten; an existing destination
/// is replaced by equal bytes, so that a repeated import converges.
///
/// # Errors
/// [`FilesError::Refused`] with [`ModelRejection::FileDigest`] or [`ModelRejection::FileChanged`]; nothing is left then.
pub fn store_file(
    source: &mut dyn Read,
    destination: &Path,
    expected: &CheckedFile,
    watch: Watch<'_>,
) -> Result<(), FilesError> {
    let partial = partial_name(destination);
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(FilesError::write(&partial)(error)),
        _ => {}
    }
    let stored = copy(source, &partial, expected, watch)
        .and_then(|()| fs::rename(&partial, destination).map_err(FilesError::write(destination)))
        .and_then(|()| sync_folder(destination));
    if stored.is_err() {
        // The error at hand says more than a failed clean-up; a leftover is overwritten next time.
        let _ = fs::remove_file(&partial);
    }
    stored
}

fn partial_name(destination: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".partial-");
    name.push(destination.file_name().unwrap_or_default());
    destination.with_file_name(name)
}

fn copy(source: &mut dyn Read, partial: &Path, expected: &CheckedFile, watch: Watch<'_>) -> Result<(), FilesError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(partial)
        .map_err(FilesError::write(partial))?;
    let changed = || {
        FilesError::Refused(ModelRejection::FileChanged {
            path: expected.path.clone(),
        })
    };
    let mut hasher = Sha256Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut length = 0_u64;
    loop {
        let count = source.read(&mut buffer).map_err(FilesError::read(&expected.path))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        // A source without end must not fill the disk.
        if length > expected.length {
            return Err(changed());
        }
        hasher.update(bytes);
        file.write_all(bytes).map_err(FilesError::write(partial))?;
        watch.passed(count)?;
    }
    if length != expected.length {
        return Err(changed());
    }
    let found = hasher.finish();
    if found != expected.sha256 {
        let path = expected.path.clone();
        return Err(FilesError::Refused(ModelRejection::FileDigest {
            path,
            expected: expected.sha256,
            found,
        }));
    }
    file.sync_all().map_err(FilesError::write(partial))
}

/// A rename is durable only when its folder is.
fn sync_folder(destination: &Path) -> Result<(), FilesError> {
    let folder = destination
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FilesError::write(folder))
}
