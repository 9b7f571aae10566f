//! Releases and models over the API, and taking in what the publisher exported.
//!
//! Refuses to list what was not verified. Invariant: an upload is put aside, verified whole, and then taken in or thrown away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::Json;
use axum::extract::{Extension, Multipart, State};
use axum::http::StatusCode;
use freehold_protocol::status::ModelPhase;
use freehold_verify::release::{ReleaseKind, check_target_name};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::console::Console;
use crate::director;
use crate::people::session::Visitor;
use crate::random;
use crate::refused::Refused;
use crate::repository::{Stamp, import};

/// Most files in one upload: bounds the folder that a request can make.
const MAX_FILES: usize = 100_000;
/// Largest upload: eight models of 1 TB and some; a full disk stops earlier, with an error and nothing taken in.
pub const MAX_UPLOAD: u64 = 8 << 40;

/// `GET /api/v1/releases`.
pub async fn releases(State(console): State<Console>) -> Json<Value> {
    Json(listing(&console))
}

fn listing(console: &Console) -> Value {
    let shelf = console.shelf();
    let targets: Vec<Value> = shelf
        .targets
        .iter()
        .flat_map(|targets| targets.targets.iter())
        .map(|(name, info)| json!({ "name": name, "length": info.length, "sha256": info.sha256.to_hex() }))
        .collect();
    json!({
        "first_root": shelf.pinned.map(|digest| digest.to_hex()),
        "root_version": shelf.root_version,
        "targets_version": shelf.targets.as_ref().map(|targets| targets.version),
        "timestamp_version": shelf.timestamp_version,
        "valid_until": shelf.valid_until,
        "releases": shelf.descriptors.iter().map(|(target, descriptor)| json!({
            "target": target, "kind": descriptor.kind, "name": descriptor.name, "version": descriptor.version,
            "counter": descriptor.counter, "barred": shelf.barred(descriptor),
        })).collect::<Vec<_>>(),
        "boots": shelf.boots.iter().map(|boot| json!({ "target": boot.target, "sha256": boot.sha256.to_hex() })).collect::<Vec<_>>(),
        "targets": targets,
        "revoked": shelf.revoked(),
    })
}

/// `GET /api/v1/models`.
pub async fn models(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let shelf = console.shelf();
    let fleet = console.fleet_of(&visitor);
    let mut runs_on: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut signers: BTreeMap<String, String> = BTreeMap::new();
    for member in fleet.boxes().values() {
        for model in member.report.iter().flat_map(|report| &report.models) {
            signers
                .entry(model.digest.clone())
                .or_insert_with(|| model.signer.clone());
            if model.phase == ModelPhase::Serving {
                runs_on
                    .entry((model.name.clone(), model.version.clone()))
                    .or_default()
                    .push(member.box_id.clone());
            }
        }
    }
    let shown: Vec<Value> = shelf
        .descriptors
        .iter()
        .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Model)
        .map(|(target, descriptor)| {
            let digest = descriptor.root.map(|root| root.to_hex()).unwrap_or_default();
            let key = (descriptor.name.clone(), descriptor.version.clone());
            json!({
                "target": target, "name": descriptor.name, "version": descriptor.version, "digest": digest,
                "signer": signers.get(&digest), "licence": descriptor.licence, "embeddings": descriptor.embeddings,
                "bytes": descriptor.files.iter().map(|file| file.length).sum::<u64>(),
                "revoked": shelf.barred(descriptor) == Some("release.revoked"), "barred": shelf.barred(descriptor),
                "runs_on": runs_on.get(&key).cloned().unwrap_or_default(),
            })
        })
        .collect();
    Json(json!({ "models": shown }))
}

/// A folder for one upload, gone when dropped.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `POST /api/v1/repository`.
///
/// # Errors
/// 422 with the verifier's code; nothing has changed then.
pub async fn upload(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    mut parts: Multipart,
) -> Result<Json<Value>, Refused> {
    let name = random::hex::<8>().map_err(|error| Refused::inside(&error))?;
    let aside = Aside(console.0.dir.path("incoming").join(name));
    for part in ["metadata", "targets"] {
        tokio::fs::create_dir_all(aside.0.join(part))
            .await
            .map_err(|error| Refused::inside(&error))?;
    }
    let mut files = 0usize;
    let mut bytes = 0u64;
    let mut root = None;
    while let Some(mut field) = parts
        .next_field()
        .await
        .map_err(|error| Refused::unreadable(error.to_string()))?
    {
        if field.name() == Some("root_sha256") {
            root = Some(
                field
                    .text()
                    .await
                    .map_err(|error| Refused::unreadable(error.to_string()))?,
            );
            continue;
        }
        files = files.saturating_add(1);
        let path = field
            .file_name()
            .map(str::to_owned)
            .ok_or_else(|| Refused::unreadable("a part without file name"))?;
        if files > MAX_FILES || !is_export_path(&path) {
            return Err(Refused::unreadable("a part is not a file of an export"));
        }
        let to = aside.0.join(&path);
        if let Some(parent) = to.parent() {
            tokio::fs::create_dir_all(parent)
                .await
                .map_err(|error| Refused::inside(&error))?;
        }
        let mut file = tokio::fs::File::create_new(&to)
            .await
            .map_err(|error| Refused::inside(&error))?;
        while let Some(chunk) = field
            .chunk()
            .await
            .map_err(|error| Refused::unreadable(error.to_string()))?
        {
            bytes = bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if bytes > MAX_UPLOAD {
                return Err(Refused::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "console.too_large",
                    "the upload is too large",
                ));
            }
            file.write_all(&chunk).await.map_err(|error| Refused::inside(&error))?;
        }
        file.flush().await.map_err(|error| Refused::inside(&error))?;
    }
    console.import(&aside.0, root, &visitor.account.name).await?;
    Ok(Json(listing(&console)))
}

/// `metadata/FILE` or `targets/…`, by the rules of target names.
fn is_export_path(path: &str) -> bool {
    let known = path.strip_prefix("metadata/").is_some_and(|name| !name.contains('/')) || path.starts_with("targets/");
    known && check_target_name(path).is_ok()
}

impl Console {
    /// Verifies an export and takes it in.
    ///
    /// # Errors
    /// The verifier's refusal.
    pub async fn import(&self, from: &Path, root: Option<String>, by: &str) -> Result<(), Refused> {
        let console = self.clone();
        let from = from.to_owned();
        let done = tokio::task::spawn_blocking(move || {
            let stamp = Stamp {
                key: &console.0.keys.timestamp,
                now: console.now(),
            };
            import::import(&console.0.dir, &from, root.as_deref(), &stamp)
        })
        .await
        .map_err(|error| Refused::inside(&error))?;
        match done {
            Ok(shelf) => {
                let entry = self
                    .entry("release.imported", by)
                    .fact(
                        "targets_version",
                        shelf.targets.as_ref().map_or(0, |targets| targets.version),
                    )
                    .fact("root_version", shelf.root_version)
                    .fact(
                        "releases",
                        shelf.descriptors.keys().take(64).cloned().collect::<Vec<_>>(),
                    );
                self.record(entry).await?;
                self.put_shelf(shelf);
                self.write_pairing();
                Ok(())
            }
            Err(fault) => {
                self.record(self.entry("release.imported", by).refused(fault.code()))
                    .await?;
                Err(director::refused(&fault))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_export_path;

    #[test]
    fn only_paths_of_an_export() {
        assert!(is_export_path("metadata/1.root.json"));
        assert!(is_export_path("targets/models/guide/1.0.0/abc.release.json"));
        for bad in [
            "metadata/../x",
            "../x",
            "/etc/passwd",
            "targets/../../x",
            "metadata/a/b",
            "keys/director.pem",
            "targets",
        ] {
            assert!(!is_export_path(bad), "{bad}");
        }
    }
}
