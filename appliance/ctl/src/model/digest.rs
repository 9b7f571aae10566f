//! `freehold model digest`: what a folder is, before anybody signed it.

use std::path::Path;

use freehold_model_files::hash_folder;
use freehold_sign::model::root_digest;
use serde_json::json;

use super::{plain, with_progress};
use crate::answer::Fault;
use crate::arguments::Setting;

pub fn run(dir: &Path, setting: &Setting) -> Result<(), Fault> {
    let files = with_progress(dir, &[], setting, |watch| hash_folder(dir, &[], watch))?;
    let root = root_digest(&plain(&files));
    if setting.json {
        let list: Vec<_> = files
            .iter()
            .map(|file| json!({ "path": file.path, "length": file.length, "sha256": file.sha256 }))
            .collect();
        println!("{}", json!({ "root": root, "files": list }));
    } else {
        for file in &files {
            println!("{}  {}", file.sha256, crate::answer::visible(&file.path));
        }
        println!("{root}  (root digest of {} files)", files.len());
    }
    Ok(())
}
