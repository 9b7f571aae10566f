//! Looking at the containers of a folder, on any machine, without a network.
//!
//! Refuses links and whatever is no plain file. Invariant: what is only shown says that it was not verified.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use freehold_protocol::stick::MAX_RETURN;
use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::container::{HEAD, Head, Index, Kind, MAX_INDEX, PartSet};
use freehold_verify::stick::{Bundle, BundleExpectation, DIRECTOR, MANIFEST, verify_bundle};
use serde_json::{Value, json};

use super::{fetch, refused};
use crate::answer::Fault;
use crate::arguments::Setting;
use crate::console::{list, show, text};

/// Most containers in a folder that are looked at.
const MAX_FILES: usize = 4096;

/// The `.fhz` files of a folder, or the one file.
pub fn containers(path: &Path) -> Result<Vec<PathBuf>, Fault> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error: std::io::Error| {
        Fault::could_not_tell(
            format!("`{}`: {error}", path.display()),
            "name a folder with `.fhz` files",
        )
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)?.take(MAX_FILES) {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.path().extension().is_some_and(|end| end == "fhz") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A file that may be a return, whole; nothing when it is larger than any.
pub fn small(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let length = fs::symlink_metadata(path)?.len();
    if length > MAX_RETURN as u64 {
        return Ok(None);
    }
    Ok(Some(fs::read(path)?))
}

fn index(path: &Path) -> Result<Index, Fault> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    (&mut file).take(HEAD as u64).read_to_end(&mut head)?;
    let head = Head::parse(&head).map_err(|fault| refused(&fault))?;
    let mut bytes = Vec::new();
    let wanted = head.index_length().min(MAX_INDEX);
    file.take(wanted as u64).read_to_end(&mut bytes)?;
    let index = Index::parse(&head, &bytes).map_err(|fault| refused(&fault))?;
    index.check_length(length).map_err(|fault| refused(&fault))?;
    Ok(index)
}

fn shown(path: &Path, index: &Index) -> Value {
    let entries = index.entries().iter().map(|entry| {
        json!({ "name": entry.name(), "length": entry.length(), "whole": entry.whole(), "start": entry.start() })
    });
    json!({
        "file": path, "kind": index.kind().word(), "set": index.set().to_hex(), "part": index.part(),
        "parts": index.parts(), "length": index.length(), "entries": entries.collect::<Vec<_>>(),
    })
}

/// Prints what the containers of a folder say that they hold.
pub fn show_folder(folder: &Path, setting: &Setting) -> Result<(), Fault> {
    let mut all = Vec::new();
    for path in containers(folder)? {
        all.push(shown(&path, &index(&path)?));
    }
    if all.is_empty() {
        return Err(Fault::could_not_tell(
            format!("`{}` holds no `.fhz` file", folder.display()),
            "name the folder that `freehold bundle make` wrote to",
        ));
    }
    show(setting, &json!({ "verified": false, "containers": all }), |said| {
        for one in list(said, "containers") {
            let (kind, part, parts) = (text(one, "kind"), &one["part"], &one["parts"]);
            println!(
                "{}  {kind}, part {part} of {parts}, {} bytes",
                text(one, "file"),
                one["length"]
            );
            for entry in list(one, "entries") {
                println!("  {:>14}  {}", entry["length"].to_string(), text(entry, "name"));
            }
        }
        println!("shown as written; `freehold bundle verify` compares every byte");
    });
    Ok(())
}

/// Compares every byte, brings the parts together, and checks the list's signature when the director is known.
pub fn verify_folder(folder: &Path, director: Option<Sha256Digest>, setting: &Setting) -> Result<(), Fault> {
    let (mut set, mut files) = (None::<PartSet>, 0_usize);
    // The signed list, and the key that it names.
    let mut list: Option<(Vec<u8>, Vec<u8>)> = None;
    for path in containers(folder)? {
        let index = fetch::whole(&path)?;
        files += 1;
        if index.kind() != Kind::Bundle {
            continue;
        }
        if list.is_none() {
            list = Some((entry(&path, &index, MANIFEST)?, entry(&path, &index, DIRECTOR)?));
        }
        match &mut set {
            None => set = Some(PartSet::begin(Kind::Bundle, index).map_err(|fault| refused(&fault))?),
            Some(set) => set.add(index).map_err(|fault| refused(&fault))?,
        }
    }
    let Some((set, (envelope, key))) = set.zip(list) else {
        if files == 0 {
            return Err(Fault::could_not_tell(
                format!("`{}` holds no `.fhz` file", folder.display()),
                "name the folder that `freehold bundle make` wrote to",
            ));
        }
        show(setting, &json!({ "containers": files, "bundle": null }), |_| {
            println!("{files} containers, whole")
        });
        return Ok(());
    };
    set.complete().map_err(|fault| refused(&fault))?;
    let signed = director.map(|director| signed(&envelope, &key, director)).transpose()?;
    if let Some(bundle) = &signed {
        let digest = sha256(&envelope);
        for (_, part) in set.parts() {
            bundle.check_part(part, digest).map_err(|fault| refused(&fault))?;
        }
    }
    let said = json!({
        "containers": files, "parts": set.parts().count(), "set": sha256(&envelope).to_hex(), "signed": signed.is_some(),
        "number": signed.as_ref().map(|bundle| bundle.number), "boxes": signed.as_ref().map(|bundle| bundle.boxes.clone()),
    });
    show(setting, &said, |said| {
        println!("{} parts, all here, every byte as listed", said["parts"]);
        match &signed {
            Some(bundle) => println!(
                "bundle {}, signed by the director, for {} boxes",
                bundle.number,
                bundle.boxes.len()
            ),
            None => println!("who made it was not asked: give --director with the fingerprint of the pairing document"),
        }
    });
    Ok(())
}

fn signed(envelope: &[u8], key: &[u8], director: Sha256Digest) -> Result<Bundle, Fault> {
    // The fleet is the one that the list names: the director's key is what tells fleets apart.
    let fleet = freehold_trust::dsse::Envelope::parse(envelope, 32 << 20)
        .ok()
        .and_then(|envelope| serde_json::from_slice::<Value>(&envelope.payload).ok())
        .map(|list| text(&list, "fleet"))
        .unwrap_or_default();
    let expectation = BundleExpectation {
        fleet,
        director,
        last: None,
    };
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let bundle = verify_bundle(envelope, key, &expectation, now).map_err(|fault| refused(&fault))?;
    Ok(bundle.into_inner())
}

/// A small entry of a container whose every byte was just compared.
fn entry(path: &Path, index: &Index, name: &str) -> Result<Vec<u8>, Fault> {
    use std::os::unix::fs::FileExt as _;
    let missing = || refused(&freehold_verify::container::ContainerRejection::Missing { name: name.to_owned() });
    let entry = index.entry(name).filter(|entry| entry.is_whole()).ok_or_else(missing)?;
    let mut bytes = vec![0; usize::try_from(entry.length()).map_err(|_| missing())?];
    fs::File::open(path)?.read_exact_at(&mut bytes, entry.position())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_folder_is_looked_at_without_following_links() {
        let world = tempfile::tempdir().unwrap();
        let bytes = freehold_verify::container::write(
            Kind::Report,
            sha256(b"set"),
            &BTreeMap::from([("a".to_owned(), b"x".to_vec())]),
        )
        .unwrap();
        fs::write(world.path().join("one.fhz"), &bytes).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", world.path().join("two.fhz")).unwrap();
        let found = containers(world.path()).unwrap();
        assert_eq!(found, [world.path().join("one.fhz")]);
        assert_eq!(index(&found[0]).unwrap().kind(), Kind::Report);
        assert!(
            freehold_verify::container::Container::parse(&small(&found[0]).unwrap().unwrap(), Kind::Report).is_ok()
        );
    }
}
