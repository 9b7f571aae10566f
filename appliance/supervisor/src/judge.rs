//! The judge of downloads: signature, files, format headers, bill of materials; then the policy.
//!
//! Refuses a model whose signature is about another one than its release says, and a release whose own signature or bill of
//! materials fails although another one with the same content is in the store. Invariant: what is admitted was verified by
//! this very value, file by file, for this very release.

use std::collections::BTreeMap;
use std::path::Path;

use freehold_execute::{Admitted, AdmittedFile, Judge, StepFailed};
use freehold_model_files::{FilesError, Watch, check_download, gate_files};
use freehold_trust::Sha256Digest;
use freehold_verify::bom::{MAX_BOM, ModelBom, verify_bom};
use freehold_verify::model::{CheckedFiles, MAX_BUNDLE, ModelManifest, ModelRejection, SignerTrust, verify_bundle};
use freehold_verify::release::{Release, ReleaseRejection, Revocations};
use freehold_verify::{Refusal, Verified};

use crate::policy::{Policy, facts};

/// Judges with the releases, revocations and policy of one plan.
pub(crate) struct Court<'a> {
    pub(crate) releases: &'a BTreeMap<Sha256Digest, Verified<Release>>,
    pub(crate) revocations: Option<&'a Verified<Revocations>>,
    pub(crate) policy: Option<&'a Policy>,
    pub(crate) hardware: &'a [String],
    pub(crate) engine: &'a str,
    pub(crate) now: i64,
    pub(crate) seen: BTreeMap<Sha256Digest, Seen>,
}

/// What was verified about one download.
pub(crate) struct Seen {
    manifest: Verified<ModelManifest>,
    files: Verified<CheckedFiles>,
    bom: Verified<ModelBom>,
}

fn refused(refusal: &dyn Refusal) -> StepFailed {
    StepFailed::Refused(refusal.report())
}

impl Court<'_> {
    fn release(&self, release: &Sha256Digest) -> Result<&Verified<Release>, StepFailed> {
        self.releases
            .get(release)
            .ok_or_else(|| StepFailed::away("store.order", "the release is not at hand"))
    }
}

impl Judge for Court<'_> {
    async fn verify(&mut self, release: &Sha256Digest, root: &Sha256Digest, staged: &Path) -> Result<(), StepFailed> {
        let signed = self.release(release)?;
        let revocations = self
            .revocations
            .ok_or_else(|| StepFailed::away("console.away", "no revocation list yet"))?;
        let trust = self
            .policy
            .map_or_else(SignerTrust::default, |policy| policy.signers(revocations));
        let about = staged.join("about");
        let bundle = signed.descriptor.bundle.as_ref().map(|file| about.join(&file.path));
        let bom = signed.descriptor.bom.as_ref().map(|file| about.join(&file.path));
        let (folder, root, now) = (staged.join("files"), *root, self.now);
        let work = move || examine(&folder, bundle.as_deref(), bom.as_deref(), &trust, root, now);
        let seen = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StepFailed::away("store.io", error.to_string()))??;
        revocations
            .check_model(&seen.manifest)
            .map_err(|rejection| refused(&rejection))?;
        self.seen.insert(*release, seen);
        Ok(())
    }

    async fn admit(&mut self, release: &Sha256Digest, root: &Sha256Digest) -> Result<Admitted, StepFailed> {
        let signed = self.release(release)?;
        let seen = self
            .seen
            .get(release)
            .ok_or_else(|| StepFailed::away("store.order", "`verify` has to come first"))?;
        let signer = seen.manifest.signer.id();
        let policy = self
            .policy
            .ok_or_else(|| StepFailed::away("policy.unusable", "the box has no policy yet, so it admits no model"))?;
        let facts = facts(signed, signer.clone(), &seen.bom, self.hardware, self.engine);
        let because = policy.admit(&facts).map_err(StepFailed::Refused)?;
        Ok(Admitted {
            v: 1,
            release: *release,
            target: signed.target.clone(),
            name: signed.descriptor.name.clone(),
            version: signed.descriptor.version.clone(),
            counter: signed.descriptor.counter,
            root: *root,
            signer,
            embeddings: signed.descriptor.embeddings,
            files: seen
                .files
                .files
                .iter()
                .map(|file| AdmittedFile {
                    path: file.path.clone(),
                    length: file.length,
                    sha256: file.sha256,
                })
                .collect(),
            at: self.now,
            because,
        })
    }
}

/// Everything about a download that needs its bytes.
fn examine(
    folder: &Path,
    bundle: Option<&Path>,
    bom: Option<&Path>,
    trust: &SignerTrust,
    root: Sha256Digest,
    now: i64,
) -> Result<Seen, StepFailed> {
    let bundle = bundle.ok_or_else(|| StepFailed::away("store.io", "the release has no signature"))?;
    let bytes = read(bundle, MAX_BUNDLE)?;
    let manifest = verify_bundle(&bytes, trust, now).map_err(|rejection| refused(&rejection))?;
    if manifest.root != root {
        let (expected, found) = (root, manifest.root.to_hex());
        return Err(refused(&ModelRejection::RootDigest { expected, found }));
    }
    let files = check_download(folder, &manifest, Watch::nobody()).map_err(files_fault)?;
    gate_files(folder, &files).map_err(files_fault)?;
    let bom = bom.map(|path| read(path, MAX_BOM)).transpose()?;
    let bom = verify_bom(bom.as_deref(), &manifest).map_err(|rejection| refused(&rejection))?;
    Ok(Seen { manifest, files, bom })
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, StepFailed> {
    let away = |detail: String| StepFailed::away("store.io", format!("`{}`: {detail}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| away(error.to_string()))?.len();
    if length > u64::try_from(limit).unwrap_or(u64::MAX) {
        let what = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(refused(&ReleaseRejection::TooLarge { what, limit }));
    }
    std::fs::read(path).map_err(|error| away(error.to_string()))
}

fn files_fault(error: FilesError) -> StepFailed {
    match error {
        FilesError::Refused(rejection) => refused(&rejection),
        FilesError::Format(rejection) => refused(&rejection),
        other => StepFailed::away("store.io", other.to_string()),
    }
}
