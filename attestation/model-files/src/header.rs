//! The format gate on real files: reads as much of the beginning as the header needs.
//!
//! Refuses to read more than [`MAX_HEADER`] bytes. Invariant: every file of a model passes the gate before an engine sees
//! one of them.

use std::io::Read;
use std::path::Path;

use freehold_verify::Verified;
use freehold_verify::format::{Gate, MAX_HEADER, ModelHeader, gate};
use freehold_verify::model::CheckedFiles;

use crate::fault::FilesError;
use crate::hash::open_beneath;
use crate::walk::open_folder;

/// First prefix that is read; most headers fit.
const FIRST: u64 = 1024 * 1024;

/// Judges one file below `folder`.
///
/// # Errors
/// [`FilesError::Format`] is the verdict, the rest means "could not tell".
pub fn gate_file(folder: &Path, path: &str) -> Result<Option<ModelHeader>, FilesError> {
    let root = open_folder(folder)?;
    let mut file = open_beneath(&root, folder, path)?;
    let length = file.metadata().map_err(FilesError::read(folder.join(path)))?.len();
    let mut prefix = Vec::new();
    let mut want = FIRST;
    loop {
        let have = u64::try_from(prefix.len()).unwrap_or(u64::MAX);
        let missing = want.saturating_sub(have);
        (&mut file)
            .take(missing)
            .read_to_end(&mut prefix)
            .map_err(FilesError::read(folder.join(path)))?;
        match gate(path, &prefix, length).map_err(FilesError::Format)? {
            Gate::Passed(header) => return Ok(header),
            Gate::NeedMore => {
                let limit = u64::try_from(MAX_HEADER).unwrap_or(u64::MAX);
                want = want.saturating_mul(4).min(limit);
            }
        }
    }
}

/// Judges every file of a checked folder and answers the headers of the weights, by path.
///
/// # Errors
/// As [`gate_file`], for the first file that does not pass.
pub fn gate_files(folder: &Path, files: &Verified<CheckedFiles>) -> Result<Vec<(String, ModelHeader)>, FilesError> {
    let mut headers = Vec::new();
    for file in &files.files {
        if let Some(header) = gate_file(folder, &file.path)? {
            headers.push((file.path.clone(), header));
        }
    }
    Ok(headers)
}
