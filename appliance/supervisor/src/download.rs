//! Downloads: the bytes of a release, fetched and then examined beside the rounds, so that a long one holds up neither reports nor
//! leases.
//!
//! Refuses to let two tasks write one release, and to do more than steps of a plan say. Invariant: ended anywhere, a download
//! is taken up again from what is on the disk; what an earlier run left there is hashed before it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use freehold_execute::{ChunkJudge, Progress, StepFailed, Store, fetch};
use freehold_plan::{Step, WantedFile};
use freehold_trust::Sha256Digest;
use freehold_verify::release::{ChunkCheck, Release};
use freehold_verify::{Refusal as _, RefusalReport, Verified};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::judge::{Examination, Examinations};
use crate::source::FromConsole;

/// Chunks that are there and verified, by path.
type Chunks = BTreeMap<String, BTreeSet<u32>>;

/// What is known of one release's unfinished download, shared with the task that works on it.
#[derive(Debug)]
pub(crate) struct Known {
    files: Mutex<Chunks>,
    at: Mutex<String>,
    done: AtomicU64,
    total: u64,
}

impl Known {
    fn new(total: u64) -> Arc<Self> {
        Arc::new(Self {
            files: Mutex::default(),
            at: Mutex::default(),
            done: AtomicU64::new(0),
            total,
        })
    }

    fn files<T>(&self, look: impl FnOnce(&mut Chunks) -> T) -> T {
        look(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The task's end of [`Known`].
struct Telling {
    known: Arc<Known>,
    counts: BTreeMap<String, u32>,
}

impl Progress for Telling {
    fn begun(&mut self, path: &str) {
        path.clone_into(&mut self.known.at.lock().unwrap_or_else(PoisonError::into_inner));
        self.known.files(|files| {
            files.entry(path.to_owned()).or_default();
        });
    }

    fn chunk(&mut self, path: &str, index: u32, bytes: u64) {
        let new = self
            .known
            .files(|files| files.entry(path.to_owned()).or_default().insert(index));
        if new {
            self.known.done.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn reused(&mut self, path: &str, length: u64) {
        let count = self.counts.get(path).copied().unwrap_or_default();
        self.known
            .files(|files| files.insert(path.to_owned(), (0..count).collect()));
        self.known.done.fetch_add(length, Ordering::Relaxed);
    }
}

/// The signed chunks of one release.
struct ChunksOf {
    release: Sha256Digest,
    checks: BTreeMap<String, ChunkCheck>,
}

impl ChunksOf {
    fn new(release: &Verified<Release>) -> Self {
        let checks = release.descriptor.all_files().filter_map(|file| {
            let check = ChunkCheck::new(release, &file.path).ok()?;
            Some((file.path.clone(), check))
        });
        Self {
            release: release.digest,
            checks: checks.collect(),
        }
    }
}

impl ChunkJudge for ChunksOf {
    fn chunk(&self, release: &Sha256Digest, path: &str, index: u32, bytes: &[u8]) -> Result<(), RefusalReport> {
        let check = self.checks.get(path).filter(|_| *release == self.release);
        let check = check.ok_or_else(|| StepFailed::away("store.order", "another release").report().clone())?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        check.check(index, bytes).map_err(|rejection| rejection.report())
    }
}

/// A step of a download that did not work.
pub(crate) type Broken = (Box<Step>, StepFailed);

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HowFar {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

/// All downloads of this box, and the examinations of what they brought.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    /// What was found out about whole downloads.
    pub(crate) examined: Examinations,
    /// Those of `under_way` that are being examined, each with what ends it.
    examining: BTreeMap<Sha256Digest, Arc<AtomicBool>>,
    under_way: BTreeMap<Sha256Digest, JoinHandle<Result<(), Broken>>>,
    known: BTreeMap<Sha256Digest, Arc<Known>>,
    ended: Arc<Notify>,
    wake: Arc<Notify>,
    broke: Arc<AtomicBool>,
}

impl Downloads {
    fn run(&mut self, release: Sha256Digest, work: impl Future<Output = Result<(), Broken>> + Send + 'static) {
        let (ended, wake, broke) = (self.ended.clone(), self.wake.clone(), self.broke.clone());
        let task = tokio::spawn(async move {
            let outcome = work.await;
            match &outcome {
                // What broke off is tried again at the next look, not at once.
                Err(_) => broke.store(true, Ordering::Relaxed),
                Ok(()) => wake.notify_one(),
            }
            ended.notify_one();
            outcome
        });
        self.under_way.insert(release, task);
    }

    /// Begins to find out what an earlier run has left of a release.
    pub(crate) fn look(&mut self, store: &Store, files: &[WantedFile], release: &Verified<Release>) {
        let known = Known::new(total(release));
        self.known.insert(release.digest, known.clone());
        let (store, files, release) = (store.clone(), files.to_vec(), release.clone());
        self.run(release.digest, async move {
            let survey = tokio::task::spawn_blocking(move || {
                for (file, signed) in files.iter().zip(release.descriptor.all_files()) {
                    let there =
                        store.chunks(&release.digest, file.place, &file.path, file.chunk_size, &signed.chunks)?;
                    let Some(there) = there else { continue };
                    let bytes = there.iter().fold(0_u64, |sum, index| {
                        let start = u64::from(*index).saturating_mul(file.chunk_size);
                        sum.saturating_add(file.chunk_size.min(file.length.saturating_sub(start)))
                    });
                    known.files(|files| files.insert(file.path.clone(), there));
                    known.done.fetch_add(bytes, Ordering::Relaxed);
                }
                Ok::<_, freehold_execute::StoreError>(())
            });
            // What cannot be read is not known, and so fetched again; a folder that cannot be written shows itself then.
            if let Ok(Err(error)) = survey.await {
                tracing::warn!(%error, "an unfinished download cannot be read");
            }
            Ok(())
        });
    }

    /// Begins a download: `steps` are those of one release, recorded already.
    pub(crate) fn begin(&mut self, steps: Vec<Step>, store: &Store, release: &Verified<Release>, from: FromConsole) {
        let digest = release.digest;
        let known = self
            .known
            .entry(digest)
            .or_insert_with(|| Known::new(total(release)))
            .clone();
        let counts = release
            .descriptor
            .all_files()
            .map(|file| (file.path.clone(), u32::try_from(file.chunks.len()).unwrap_or(u32::MAX)));
        let mut telling = Telling {
            known,
            counts: counts.collect(),
        };
        let (store, judge) = (store.clone(), ChunksOf::new(release));
        self.broke.store(false, Ordering::Relaxed);
        self.run(digest, async move {
            for step in steps {
                if let Err(failed) = fetch(&step, &store, &from, &judge, &mut telling).await {
                    return Err((Box::new(step), failed));
                }
            }
            Ok(())
        });
    }

    /// Begins to examine a whole download: signature, every file, format headers, bill of materials.
    pub(crate) fn examine(&mut self, release: Sha256Digest, examination: Examination) {
        let cancelled = Arc::new(AtomicBool::new(false));
        self.examining.insert(release, cancelled.clone());
        let into = self.examined.clone();
        self.run(release, async move {
            let work = tokio::task::spawn_blocking(move || examination.run(&into, &cancelled));
            if let Err(error) = work.await {
                tracing::error!(%error, "an examination was lost");
            }
            Ok(())
        });
    }

    /// What has ended since the last look, with what broke.
    pub(crate) async fn ended(&mut self) -> Vec<Broken> {
        let over: Vec<Sha256Digest> = self
            .under_way
            .iter()
            .filter(|(_, task)| task.is_finished())
            .map(|(release, _)| *release)
            .collect();
        let mut broken = Vec::new();
        for release in over {
            let Some(task) = self.under_way.remove(&release) else {
                continue;
            };
            self.examining.remove(&release);
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(one)) => broken.push(one),
                // A task that was lost leaves nothing that can be relied upon.
                Err(error) => {
                    tracing::error!(%error, "a download was lost");
                    self.known.remove(&release);
                }
            }
        }
        broken
    }

    /// Ends a download; nothing writes to the release when this returns.
    pub(crate) async fn cancel(&mut self, release: &Sha256Digest) {
        if let Some(cancelled) = self.examining.remove(release) {
            cancelled.store(true, Ordering::Relaxed);
        }
        if let Some(task) = self.under_way.remove(release) {
            task.abort();
            let _ = task.await;
        }
    }

    /// Ends all of them.
    pub(crate) async fn stop_all(&mut self) {
        let all: Vec<Sha256Digest> = self.under_way.keys().copied().collect();
        for release in all {
            self.cancel(&release).await;
        }
    }

    /// Waits until something ended well: time for another look.
    pub(crate) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Waits until all have ended. Answers whether there is a reason to look again: something ended, and nothing broke.
    pub(crate) async fn settle(&self) -> bool {
        let any = !self.under_way.is_empty();
        while self.under_way.values().any(|task| !task.is_finished()) {
            let again = std::time::Duration::from_millis(100);
            let _ = tokio::time::timeout(again, self.ended.notified()).await;
        }
        any && !self.broke.load(Ordering::Relaxed)
    }

    /// Whether anything is under way.
    pub(crate) fn any(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The releases that are being fetched, with the bytes that they still need.
    pub(crate) fn under_way(&self) -> BTreeMap<Sha256Digest, u64> {
        let left = |release: &Sha256Digest| {
            self.how_far(release)
                .map_or(0, |far| far.total.saturating_sub(far.done))
        };
        self.under_way.keys().map(|release| (*release, left(release))).collect()
    }

    /// How far a download under way is.
    pub(crate) fn how_far(&self, release: &Sha256Digest) -> Option<HowFar> {
        if self.examining.contains_key(release) {
            return None;
        }
        self.under_way.get(release)?;
        let known = self.known.get(release)?;
        Some(HowFar {
            done: known.done.load(Ordering::Relaxed).min(known.total),
            total: known.total,
        })
    }

    /// Which file a download is at.
    pub(crate) fn at(&self, release: &Sha256Digest) -> String {
        let known = self.known.get(release);
        known.map_or_else(String::new, |known| {
            known.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Which chunks of a release are there; `None` when that has to be found out.
    pub(crate) fn there(&self, store: &Store, release: &Sha256Digest, wanted: &[WantedFile]) -> Option<Chunks> {
        let known = self.known.get(release)?;
        let mut files = known.files(|files| files.clone());
        // A file that somebody took away is not there, whatever was known of it.
        for file in wanted {
            if files.contains_key(&file.path) && !store.staged_file(release, file.place, &file.path).exists() {
                files.remove(&file.path);
            }
        }
        Some(files)
    }

    /// Forgets what was known of a release: it is stored, thrown away, or not what it seemed.
    pub(crate) fn forget(&mut self, release: &Sha256Digest) {
        self.known.remove(release);
        self.examined.forget(release);
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        for cancelled in self.examining.values() {
            cancelled.store(true, Ordering::Relaxed);
        }
        for task in self.under_way.values() {
            task.abort();
        }
    }
}

fn total(release: &Verified<Release>) -> u64 {
    let files = release.descriptor.all_files();
    files.fold(0, |sum, file| sum.saturating_add(file.length))
}
