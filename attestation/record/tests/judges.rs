//! The vectors of transparency-dev/merkle, thousands of checks of other people's making. Case I01. They are not in this
//! repository: the test reads `../shared/vectors/merkle` (or the folder in MERKLE_VECTORS) where that is there.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_record::{verify_consistency, verify_inclusion};
use freehold_trust::Sha256Digest;
use serde_json::Value;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for name in std::fs::read_dir(folder).unwrap() {
        let path = name.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

/// A digest, or none when the vector gives something that is no digest: that cannot even be asked here.
fn digest(value: &Value) -> Option<Sha256Digest> {
    Sha256Digest::from_slice(&STANDARD.decode(value.as_str().unwrap_or_default()).ok()?)
}

fn proof(value: &Value) -> Option<Vec<Sha256Digest>> {
    value
        .as_array()
        .map_or(Some(Vec::new()), |list| list.iter().map(digest).collect())
}

fn inclusion(vector: &Value) -> Option<()> {
    let (index, size) = (vector["leafIdx"].as_u64()?, vector["treeSize"].as_u64()?);
    let path = proof(&vector["proof"])?;
    verify_inclusion(
        &digest(&vector["leafHash"])?,
        index,
        size,
        &path,
        &digest(&vector["root"])?,
    )
    .ok()
}

fn consistency(vector: &Value) -> Option<()> {
    let (old, new) = (vector["size1"].as_u64()?, vector["size2"].as_u64()?);
    let path = proof(&vector["proof"])?;
    verify_consistency(old, &digest(&vector["root1"])?, new, &digest(&vector["root2"])?, &path).ok()
}

#[test]
fn i01_vectors_of_another_project() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/merkle");
    let folder = std::env::var("MERKLE_VECTORS").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: ../shared/vectors/merkle is not here");
        return;
    }
    let mut count = 0;
    for (kind, check) in [
        ("inclusion", inclusion as fn(&Value) -> Option<()>),
        ("consistency", consistency),
    ] {
        let mut found = Vec::new();
        files(&folder.join(kind), &mut found);
        for path in found {
            let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let wanted = !vector["wantErr"].as_bool().unwrap();
            let asked = ["root", "root1", "root2", "leafHash"]
                .iter()
                .all(|name| vector[name].is_null() || digest(&vector[name]).is_some());
            if wanted && !asked {
                continue; // a text in place of a root, which this implementation cannot be given
            }
            assert_eq!(check(&vector).is_some(), wanted, "{}", path.display());
            count += 1;
        }
    }
    println!("{count} vectors agree");
    assert!(count > 100, "only {count} vectors were found");
}
