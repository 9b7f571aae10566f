//! A folder against its signature, from the walk to the last digest.
//!
//! Refuses before it hashes when the listing alone shows a fault. Invariant: the comparison itself is
//! [`ModelCheck`]'s; this module only fetches what it asks for.

use std::path::Path;

use freehold_verify::Verified;
use freehold_verify::model::{
    CheckedFiles, DEFAULT_IGNORED, Entry, EntryKind, ModelCheck, ModelManifest, ModelRejection,
};

use crate::fault::FilesError;
use crate::hash::{HashedFile, hash_files};
use crate::walk::walk;
use crate::watch::Watch;

/// Checks that `folder` is exactly what `manifest` lists; only what the signature itself ignores may lie beside it.
///
/// # Errors
/// [`FilesError`]; [`FilesError::Refused`] is the verdict, the rest means "could not tell".
pub fn check_folder(
    folder: &Path,
    manifest: &Verified<ModelManifest>,
    watch: Watch<'_>,
) -> Result<Verified<CheckedFiles>, FilesError> {
    compare(folder, manifest, &walk(folder, &manifest.ignored)?, watch)
}

/// The same for a download of this computer's own, whose files may be links into its own store: everything in it was made
/// by us, so a second name of a file leads nowhere else. What a stranger brings goes through [`check_folder`].
///
/// # Errors
/// As [`check_folder`], but for second hard links.
pub fn check_download(
    folder: &Path,
    manifest: &Verified<ModelManifest>,
    watch: Watch<'_>,
) -> Result<Verified<CheckedFiles>, FilesError> {
    let mut entries = walk(folder, &manifest.ignored)?;
    for entry in &mut entries {
        if entry.kind == EntryKind::File {
            entry.links = 1;
        }
    }
    compare(folder, manifest, &entries, watch)
}

fn compare(
    folder: &Path,
    manifest: &Verified<ModelManifest>,
    entries: &[Entry],
    watch: Watch<'_>,
) -> Result<Verified<CheckedFiles>, FilesError> {
    let mut check = ModelCheck::new(manifest);
    let files = check.listing(entries).map_err(FilesError::Refused)?;
    let files: Vec<(String, u64)> = files.into_iter().map(|file| (file.path, file.length)).collect();
    for hashed in hash_files(folder, &files, watch)? {
        check
            .digest(&hashed.path, hashed.length, hashed.sha256)
            .map_err(FilesError::Refused)?;
    }
    check.finish().map_err(FilesError::Refused)
}

/// Hashes every file of a folder that is to be signed, in the order of their names; git's own files at the top and
/// `skipped` paths are passed over.
///
/// # Errors
/// [`FilesError::Refused`] for links, pipes, devices, second hard links, mount points and names that cannot be signed.
pub fn hash_folder(folder: &Path, skipped: &[String], watch: Watch<'_>) -> Result<Vec<HashedFile>, FilesError> {
    let mut passed: Vec<String> = DEFAULT_IGNORED.iter().map(|name| (*name).to_owned()).collect();
    passed.extend_from_slice(skipped);
    let mut files = Vec::new();
    for entry in walk(folder, &passed)? {
        freehold_verify::model::check_file_name(&entry.path).map_err(FilesError::Refused)?;
        let found = match entry.kind {
            EntryKind::File if entry.links == 1 => {
                files.push((entry.path, entry.length));
                continue;
            }
            EntryKind::File => {
                let (path, links) = (entry.path, entry.links);
                return Err(FilesError::Refused(ModelRejection::HardLink { path, links }));
            }
            EntryKind::Folder => continue,
            other => other.described(),
        };
        return Err(FilesError::Refused(ModelRejection::FileKind {
            path: entry.path,
            found,
        }));
    }
    files.sort();
    hash_files(folder, &files, watch)
}
