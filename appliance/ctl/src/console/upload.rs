//! A publisher's export as one `multipart/form-data` body (RFC 7578): one part a file, its path as the file name.
//!
//! Refuses links and anything but plain files under `metadata/` and `targets/`: an export holds nothing else.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use freehold_trust::digest::sha256;
use serde_json::Value;

use super::Console;
use crate::answer::Fault;

/// Uploads an export and returns what the console then holds.
pub async fn repository(console: &Console, export: &Path) -> Result<Value, Fault> {
    let mut files = Vec::new();
    for folder in ["metadata", "targets"] {
        collect(&export.join(folder), folder, &mut files)?;
    }
    files.sort();
    // A boundary that stands in no file: it depends on all of them.
    let mut all = Vec::new();
    for (name, path) in &files {
        all.extend_from_slice(name.as_bytes());
        all.extend_from_slice(sha256(&read(path)?).as_bytes());
    }
    let boundary = format!("freehold-{}", sha256(&all));
    let mut body = Vec::new();
    for (name, path) in &files {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&read(path)?);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    console
        .send(
            "/api/v1/repository",
            &format!("multipart/form-data; boundary={boundary}"),
            Bytes::from(body),
        )
        .await
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path)
        .map_err(|error| Fault::could_not_tell(format!("`{}`: {error}", path.display()), "is the export whole?"))
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, std::path::PathBuf)>) -> Result<(), Fault> {
    let hint = "name a folder that `freehold release export` wrote";
    let entries = fs::read_dir(folder)
        .map_err(|error| Fault::could_not_tell(format!("`{}`: {error}", folder.display()), hint))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().filter(|name| !name.contains(['"', '\r', '\n']));
        let name = name.ok_or_else(|| Fault::could_not_tell("a file name of the export cannot be sent", hint))?;
        let inner = format!("{prefix}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &inner, files)?;
        } else if kind.is_file() {
            files.push((inner, entry.path()));
        } else {
            return Err(Fault::could_not_tell(
                format!("`{}` is no plain file", entry.path().display()),
                hint,
            ));
        }
    }
    Ok(())
}
