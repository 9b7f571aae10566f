//! Publishes a release: copies its files into `targets/` by digest, writes the descriptor, signs targets and snapshot.
//!
//! Refuses a model whose files were not checked against its signature, and any file that is no longer what was checked.
//! Invariant: nothing is listed before all of it is there.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use freehold_trust::digest::{Sha256Digest, Sha256Hasher, sha256};
use freehold_verify::Verified;
use freehold_verify::bom::ModelBom;
use freehold_verify::fs_verity::FsVerity;
use freehold_verify::model::{CheckedFiles, ModelManifest};
use freehold_verify::release::{CHUNK_SIZE, ReleaseDescriptor, ReleaseFile, ReleaseKind, TargetInfo};

use super::{Expiry, Publisher, RepositoryError};
use crate::files::FileError;

/// A model to publish.
pub struct ModelPublication<'a> {
    /// Release name: lower case, digits, `._-`.
    pub name: &'a str,
    /// Version, for people.
    pub version: &'a str,
    /// Counter; one more than the last one when absent.
    pub counter: Option<u64>,
    /// The model's folder.
    pub folder: &'a Path,
    /// Its verified signature.
    pub manifest: &'a Verified<ModelManifest>,
    /// Its files, checked against that signature.
    pub files: &'a Verified<CheckedFiles>,
    /// The signature's bytes.
    pub bundle: &'a [u8],
    /// The bill of materials, verified against that signature, and its bytes.
    pub bom: (&'a Verified<ModelBom>, &'a [u8]),
    /// Whether the model may be asked for embeddings.
    pub embeddings: bool,
    /// Hardware classes; empty means any.
    pub hardware: Vec<String>,
}

/// An engine, a policy or a system image to publish.
pub struct OtherPublication<'a> {
    /// What it is; a model is published with [`publish_model`].
    pub kind: ReleaseKind,
    /// Release name.
    pub name: &'a str,
    /// Version, for people.
    pub version: &'a str,
    /// Counter; one more than the last one when absent.
    pub counter: Option<u64>,
    /// The files: path within the release, and where it is.
    pub files: Vec<(String, std::path::PathBuf)>,
    /// Licence, if one is to be named.
    pub licence: Option<String>,
    /// Hardware classes; empty means any.
    pub hardware: Vec<String>,
}

/// What was published.
#[derive(Debug)]
pub struct PublishedRelease {
    /// Target name of the descriptor.
    pub target: String,
    /// Length and digest of the descriptor: what an assignment pins.
    pub info: TargetInfo,
    /// The descriptor.
    pub descriptor: ReleaseDescriptor,
    /// Version of the new snapshot.
    pub snapshot: u64,
}

/// File names of signature and bill within a release.
const BUNDLE: &str = "model.sigstore.json";
const BOM: &str = "model.cdx.json";

/// Publishes a model.
///
/// # Errors
/// [`RepositoryError`].
pub fn publish_model(
    publisher: &Publisher,
    publication: &ModelPublication<'_>,
    expiry: &Expiry,
    now: i64,
) -> Result<PublishedRelease, RepositoryError> {
    let mut descriptor = ReleaseDescriptor {
        v: 1,
        kind: ReleaseKind::Model,
        name: publication.name.to_owned(),
        version: publication.version.to_owned(),
        counter: 0,
        files: Vec::new(),
        bundle: Some(described(BUNDLE, publication.bundle)),
        bom: Some(described(BOM, publication.bom.1)),
        root: Some(publication.manifest.root),
        embeddings: publication.embeddings,
        licence: publication.bom.0.licences.first().cloned(),
        hardware: publication.hardware.clone(),
    };
    let counter = next_counter(publisher, &mut descriptor, publication.counter)?;
    descriptor.counter = counter;
    for file in &publication.files.files {
        let copied = copy(publisher, &descriptor, &file.path, &publication.folder.join(&file.path))?;
        if copied.sha256 != file.sha256 {
            return Err(RepositoryError::Changed {
                path: publication.folder.join(&file.path),
            });
        }
        descriptor.files.push(copied);
    }
    publisher.put(&descriptor.target_of(BUNDLE), publication.bundle)?;
    publisher.put(&descriptor.target_of(BOM), publication.bom.1)?;
    list(publisher, descriptor, expiry, now)
}

/// Publishes something other than a model.
///
/// # Errors
/// [`RepositoryError`].
pub fn publish_other(
    publisher: &Publisher,
    publication: &OtherPublication<'_>,
    expiry: &Expiry,
    now: i64,
) -> Result<PublishedRelease, RepositoryError> {
    let mut descriptor = ReleaseDescriptor {
        v: 1,
        kind: publication.kind,
        name: publication.name.to_owned(),
        version: publication.version.to_owned(),
        counter: 0,
        files: Vec::new(),
        bundle: None,
        bom: None,
        root: None,
        embeddings: false,
        licence: publication.licence.clone(),
        hardware: publication.hardware.clone(),
    };
    let counter = next_counter(publisher, &mut descriptor, publication.counter)?;
    descriptor.counter = counter;
    for (path, source) in &publication.files {
        descriptor.files.push(copy(publisher, &descriptor, path, source)?);
    }
    list(publisher, descriptor, expiry, now)
}

/// Checks name and counter before anything is copied.
fn next_counter(
    publisher: &Publisher,
    descriptor: &mut ReleaseDescriptor,
    asked: Option<u64>,
) -> Result<u64, RepositoryError> {
    let published = publisher.published()?;
    if published.releases.contains_key(&descriptor.target_name()) {
        return Err(RepositoryError::Published {
            target: descriptor.target_name(),
        });
    }
    let same = published
        .releases
        .values()
        .filter(|one| one.kind == descriptor.kind && one.name == descriptor.name);
    let line = format!("{}/{}", descriptor.kind.folder(), descriptor.name);
    let floor = published.revocations.floors.get(&line).copied().unwrap_or(0);
    let last = same
        .map(|one| one.counter)
        .max()
        .unwrap_or(0)
        .max(floor.saturating_sub(1));
    match asked {
        Some(found) if found <= last => Err(RepositoryError::Counter { line, last, found }),
        Some(found) => Ok(found),
        None => Ok(last.saturating_add(1)),
    }
}

fn described(path: &str, bytes: &[u8]) -> ReleaseFile {
    let size = usize::try_from(CHUNK_SIZE).unwrap_or(usize::MAX);
    ReleaseFile {
        path: path.to_owned(),
        length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        sha256: sha256(bytes),
        chunk_size: CHUNK_SIZE,
        chunks: bytes.chunks(size).map(sha256).collect(),
        fs_verity: None,
    }
}

/// Copies one file into `targets/` chunk by chunk, hashing each chunk and the whole, the latter also as fs-verity does.
fn copy(
    publisher: &Publisher,
    descriptor: &ReleaseDescriptor,
    path: &str,
    source: &Path,
) -> Result<ReleaseFile, RepositoryError> {
    let incoming = publisher.folder().join("targets/.incoming");
    let mut from = File::open(source).map_err(FileError::read(source))?;
    let mut to = File::create(&incoming).map_err(FileError::write(&incoming))?;
    let mut whole = Sha256Hasher::new();
    let mut held = FsVerity::new();
    let mut chunks: Vec<Sha256Digest> = Vec::new();
    let mut length = 0_u64;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let count = (&mut from)
            .take(CHUNK_SIZE)
            .read_to_end(&mut chunk)
            .map_err(FileError::read(source))?;
        if count == 0 {
            break;
        }
        chunks.push(sha256(&chunk));
        whole.update(&chunk);
        held.update(&chunk);
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        to.write_all(&chunk).map_err(FileError::write(&incoming))?;
    }
    to.sync_all().map_err(FileError::write(&incoming))?;
    let file = ReleaseFile {
        path: path.to_owned(),
        length,
        sha256: whole.finish(),
        chunk_size: CHUNK_SIZE,
        chunks,
        fs_verity: Some(held.finish()),
    };
    let info = TargetInfo {
        length: file.length,
        sha256: file.sha256,
    };
    let name = descriptor.target_of(path);
    freehold_verify::release::check_target_name(&name).map_err(RepositoryError::Refused)?;
    let destination = publisher.target_path(&name, &info);
    if let Some(parent) = destination.parent() {
        fs::create_dir_all(parent).map_err(FileError::write(parent))?;
    }
    fs::rename(&incoming, &destination).map_err(FileError::write(&destination))?;
    Ok(file)
}

fn list(
    publisher: &Publisher,
    mut descriptor: ReleaseDescriptor,
    expiry: &Expiry,
    now: i64,
) -> Result<PublishedRelease, RepositoryError> {
    descriptor.files.sort_by(|left, right| left.path.cmp(&right.path));
    descriptor.check().map_err(RepositoryError::Refused)?;
    let target = descriptor.target_name();
    let bytes = serde_json::to_vec(&descriptor).map_err(RepositoryError::Json)?;
    let info = publisher.put(&target, &bytes)?;
    let mut targets = publisher.published()?.targets;
    for file in descriptor.all_files() {
        let info = TargetInfo {
            length: file.length,
            sha256: file.sha256,
        };
        targets.insert(descriptor.target_of(&file.path), info);
    }
    targets.insert(target.clone(), info);
    let snapshot = publisher.commit(&targets, expiry, now)?;
    Ok(PublishedRelease {
        target,
        info,
        descriptor,
        snapshot,
    })
}
