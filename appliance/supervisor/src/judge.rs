//! The judge of downloads: signature, files, format headers, bill of materials; then the policy.
//!
//! Refuses a model whose signature is about another one than its release says, and a release whose own signature or bill of
//! materials fails although another one with the same content is in the store. Invariant: what is admitted was verified by
//! this very value, file by file, for this very release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use freehold_execute::{Admitted, AdmittedFile, Judge, StepFailed, Store};
use freehold_model_files::{FilesError, Watch, check_download, gate_files};
use freehold_trust::Sha256Digest;
use freehold_verify::bom::{MAX_BOM, ModelBom, verify_bom};
use freehold_verify::model::{CheckedFiles, MAX_BUNDLE, ModelManifest, ModelRejection, SignerTrust, verify_bundle};
use freehold_verify::release::{Release, ReleaseRejection, Revocations};
use freehold_verify::{Refusal, Verified};

use crate::policy::{Policy, facts};

/// Judges with the releases, revocations and policy of one plan.
pub(crate) struct Court<'a> {
    /// What was examined beside the rounds.
    pub(crate) examined: &'a Examinations,
    pub(crate) releases: &'a BTreeMap<Sha256Digest, Verified<Release>>,
    pub(crate) revocations: Option<&'a Verified<Revocations>>,
    pub(crate) policy: Option<&'a Policy>,
    pub(crate) hardware: &'a [String],
    pub(crate) engine: &'a str,
    pub(crate) now: i64,
    pub(crate) seen: BTreeMap<Sha256Digest, Seen>,
}

/// The rules under which a download was examined: the policy's release and the revocations' counter.
pub(crate) type Under = (Option<Sha256Digest>, u64);

/// Downloads that were examined, each under the rules of then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Examinations(Arc<Mutex<Examined>>);

type Examined = BTreeMap<Sha256Digest, (Under, Result<Seen, StepFailed>)>;

impl Examinations {
    fn with<T>(&self, look: impl FnOnce(&mut Examined) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a download was examined under these rules.
    pub(crate) fn has(&self, release: &Sha256Digest, under: Under) -> bool {
        self.with(|all| all.get(release).is_some_and(|(then, _)| *then == under))
    }

    /// Forgets a download.
    pub(crate) fn forget(&self, release: &Sha256Digest) {
        self.with(|all| all.remove(release));
    }
}

/// Everything that examining a download needs: it outlives the round that began it.
pub(crate) struct Examination {
    release: Sha256Digest,
    root: Sha256Digest,
    store: Store,
    bundle: Option<PathBuf>,
    bom: Option<PathBuf>,
    trust: SignerTrust,
    held: Vec<AdmittedFile>,
    under: Under,
    now: i64,
}

impl Examination {
    /// About a download of a signed release.
    pub(crate) fn new(
        signed: &Verified<Release>,
        root: Sha256Digest,
        store: &Store,
        policy: Option<&Policy>,
        revocations: &Verified<Revocations>,
        now: i64,
    ) -> Self {
        let about = store.staged(&signed.digest).join("about");
        let descriptor = &signed.descriptor;
        Self {
            release: signed.digest,
            root,
            store: store.clone(),
            bundle: descriptor.bundle.as_ref().map(|file| about.join(&file.path)),
            bom: descriptor.bom.as_ref().map(|file| about.join(&file.path)),
            trust: policy.map_or_else(SignerTrust::default, |policy| policy.signers(revocations)),
            held: signed_files(signed),
            under: under(policy, revocations),
            now,
        }
    }

    /// Examines, and leaves what was found. Long: every byte is read, twice where the kernel is to hold the files.
    pub(crate) fn run(self, into: &Examinations, cancelled: &AtomicBool) {
        let folder = self.store.staged(&self.release).join("files");
        let watch = Watch {
            cancelled,
            ..Watch::nobody()
        };
        let seen = examine(
            &folder,
            self.bundle.as_deref(),
            self.bom.as_deref(),
            &self.trust,
            self.root,
            self.now,
            watch,
        );
        // What was verified is held from here on: until it is stored nobody can change it any more.
        let seen = seen.and_then(|seen| Ok(self.store.hold(&self.release, &self.held).map(|()| seen)?));
        if !cancelled.load(Ordering::Relaxed) {
            into.with(|all| all.insert(self.release, (self.under, seen)));
        }
    }
}

/// The rules of now.
pub(crate) fn under(policy: Option<&Policy>, revocations: &Verified<Revocations>) -> Under {
    (policy.map(Policy::release), revocations.list.counter)
}

/// A model's files as its signed release names them.
pub(crate) fn signed_files(release: &Verified<Release>) -> Vec<AdmittedFile> {
    let files = release.descriptor.files.iter().map(|file| AdmittedFile {
        path: file.path.clone(),
        length: file.length,
        sha256: file.sha256,
        fs_verity: file.fs_verity,
    });
    files.collect()
}

/// What was verified about one download.
#[derive(Debug)]
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
    async fn verify(&mut self, release: &Sha256Digest, _root: &Sha256Digest, _staged: &Path) -> Result<(), StepFailed> {
        let revocations = self
            .revocations
            .ok_or_else(|| StepFailed::away("console.away", "no revocation list yet"))?;
        let now = under(self.policy, revocations);
        let examined = self.examined.with(|all| all.remove(release));
        let seen = match examined {
            Some((then, seen)) if then == now => seen?,
            // Under other rules, or never: the next plan begins an examination.
            _ => return Err(StepFailed::away("store.order", "it has to be examined first")),
        };
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
                    fs_verity: signed
                        .descriptor
                        .files
                        .iter()
                        .find(|signed| signed.path == file.path)
                        .and_then(|signed| signed.fs_verity),
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
    watch: Watch<'_>,
) -> Result<Seen, StepFailed> {
    let bundle = bundle.ok_or_else(|| StepFailed::away("store.io", "the release has no signature"))?;
    let bytes = read(bundle, MAX_BUNDLE)?;
    let manifest = verify_bundle(&bytes, trust, now).map_err(|rejection| refused(&rejection))?;
    if manifest.root != root {
        let (expected, found) = (root, manifest.root.to_hex());
        return Err(refused(&ModelRejection::RootDigest { expected, found }));
    }
    let files = check_download(folder, &manifest, watch).map_err(files_fault)?;
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
