//! Downloads that break off anywhere, disks that hold torn writes, stores that were cut off: everything converges.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use freehold_execute::{
    Admitted, AdmittedFile, ChunkJudge, ChunkSource, Hands, Host, Judge, Progress, SoFar, StepFailed, Store, carry_out,
    fetch,
};
use freehold_plan::{
    Desired, Observed, Place, Purpose, RunPermission, Step, StoredFile, StoredModel, WantedFile, WantedModel, plan,
};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::RefusalReport;

const CHUNK: u64 = 1000;

struct Silent;

impl Progress for Silent {
    fn begun(&mut self, _: &str) {}
    fn chunk(&mut self, _: &str, _: u32, _: u64) {}
    fn reused(&mut self, _: &str, _: u64) {}
}

/// Serves two files and breaks off after so many chunks.
struct Breaking {
    content: BTreeMap<String, Vec<u8>>,
    left: AtomicUsize,
    served: AtomicUsize,
}

impl ChunkSource for Breaking {
    async fn read(&self, _: &str, path: &str, start: u64, end: u64) -> Result<Bytes, StepFailed> {
        if self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err()
        {
            return Err(StepFailed::away("console.away", "the connection broke"));
        }
        self.served.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::copy_from_slice(
            &self.content[path][start as usize..end as usize],
        ))
    }
}

struct Checks {
    digests: BTreeMap<String, Vec<Sha256Digest>>,
    admitted: Admitted,
}

impl ChunkJudge for Checks {
    fn chunk(&self, _: &Sha256Digest, path: &str, index: u32, bytes: &[u8]) -> Result<(), RefusalReport> {
        let fits = self.digests[path][index as usize] == sha256(bytes);
        fits.then_some(()).ok_or_else(|| RefusalReport {
            code: "release.hash".to_owned(),
            message: path.to_owned(),
            expected: None,
            found: None,
        })
    }
}

impl Judge for Checks {
    async fn verify(&mut self, _: &Sha256Digest, _: &Sha256Digest, staged: &Path) -> Result<(), StepFailed> {
        for file in &self.admitted.files {
            assert_eq!(
                sha256(&fs::read(staged.join("files").join(&file.path)).unwrap()),
                file.sha256
            );
        }
        Ok(())
    }
    async fn admit(&mut self, _: &Sha256Digest, _: &Sha256Digest) -> Result<Admitted, StepFailed> {
        Ok(self.admitted.clone())
    }
}

#[derive(Default)]
struct Engines(Vec<(Sha256Digest, Purpose)>, Vec<Sha256Digest>);

impl Host for Engines {
    async fn start_engine(&mut self, admitted: &Admitted, model: &Path, purpose: Purpose) -> Result<(), StepFailed> {
        assert!(model.join("files").join(&admitted.files[0].path).exists());
        self.0.push((admitted.root, purpose));
        Ok(())
    }
    async fn check_health(&mut self, admitted: &Admitted, _: &Path) -> Result<(), StepFailed> {
        assert!(
            self.0.contains(&(admitted.root, Purpose::Chat)),
            "checked without an engine"
        );
        self.1.push(admitted.release);
        Ok(())
    }
    async fn stop_engine(&mut self, root: &Sha256Digest, purpose: Purpose) -> Result<(), StepFailed> {
        self.0.retain(|one| *one != (*root, purpose));
        Ok(())
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Store,
    source: Breaking,
    judge: Checks,
    host: Engines,
    desired: Desired,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let content = BTreeMap::from([
        (
            "weights.gguf".to_owned(),
            (0..5500_u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>(),
        ),
        ("parts/tokenizer.json".to_owned(), vec![7; 1000]),
        ("model.sig".to_owned(), vec![1; 10]),
    ]);
    let digests: BTreeMap<_, Vec<_>> = content
        .iter()
        .map(|(path, bytes)| (path.clone(), bytes.chunks(1000).map(sha256).collect()))
        .collect();
    let (release, root) = (sha256(b"release"), sha256(b"root"));
    let wanted = WantedModel {
        target: "models/guide/1/release.json".to_owned(),
        release,
        name: "guide".to_owned(),
        version: "1".to_owned(),
        root,
        files: content
            .iter()
            .map(|(path, bytes)| WantedFile {
                place: if path == "model.sig" {
                    Place::About
                } else {
                    Place::Files
                },
                path: path.clone(),
                length: bytes.len() as u64,
                chunk_size: CHUNK,
                chunks: digests[path].len() as u32,
            })
            .collect(),
        embeddings: false,
        hardware: vec![],
    };
    let files = content
        .iter()
        .filter(|(path, _)| *path != "model.sig")
        .map(|(path, bytes)| AdmittedFile {
            path: path.clone(),
            length: bytes.len() as u64,
            sha256: sha256(bytes),
            fs_verity: None,
        })
        .collect();
    let admitted = Admitted {
        v: 1,
        release,
        target: wanted.target.clone(),
        name: "guide".to_owned(),
        version: "1".to_owned(),
        counter: 1,
        root,
        signer: "somebody".to_owned(),
        embeddings: false,
        files,
        at: 0,
        because: vec![],
    };
    World {
        store: Store::open(folder.path()).unwrap(),
        folder,
        source: Breaking {
            content,
            left: AtomicUsize::new(usize::MAX),
            served: AtomicUsize::new(0),
        },
        judge: Checks { digests, admitted },
        host: Engines::default(),
        desired: Desired {
            assignment: Some(1),
            models: BTreeMap::from([(release, wanted)]),
            ..Desired::default()
        },
    }
}

impl World {
    fn observe(&self) -> Observed {
        let mut observed = Observed::empty(u64::MAX);
        let names = self.desired.models.values().map(|wanted| wanted.name.clone());
        observed.runs = names.map(|name| (name, RunPermission::Run)).collect();
        for (release, admitted) in self.store.stored().unwrap() {
            let Admitted {
                root,
                name,
                version,
                embeddings,
                files,
                ..
            } = admitted;
            for wanted in self.desired.models.values().filter(|wanted| wanted.release != release) {
                let there = observed.at_hand.entry(wanted.release).or_default();
                for AdmittedFile { path, sha256, .. } in &files {
                    let (path, sha256) = (path.clone(), *sha256);
                    there.insert(
                        path.clone(),
                        StoredFile {
                            root,
                            release,
                            path,
                            sha256,
                        },
                    );
                }
            }
            let stored = StoredModel {
                root,
                name,
                version,
                embeddings,
                bytes: files.iter().map(|file| file.length).sum(),
            };
            observed.stored.insert(release, stored);
        }
        for model in self.desired.models.values() {
            for file in &model.files {
                let digests = &self.judge.digests[&file.path];
                if let Some(chunks) = self
                    .store
                    .chunks(&model.release, file.place, &file.path, CHUNK, digests)
                    .unwrap()
                {
                    observed
                        .staged
                        .entry(model.release)
                        .or_default()
                        .insert(file.path.clone(), chunks);
                }
            }
        }
        observed.confirmed.extend(&self.host.1);
        for (root, purpose) in &self.host.0 {
            let state = freehold_plan::EngineState::Running;
            observed.engines.push(freehold_plan::RunningEngine {
                root: *root,
                purpose: *purpose,
                state,
            });
        }
        observed
    }

    /// Plans and carries out; the error of the step that failed.
    async fn pursue(&mut self) -> Result<usize, StepFailed> {
        let plan = plan(&self.desired, &self.observe());
        let mut hands = Hands {
            store: &self.store,
            host: &mut self.host,
            judge: &mut self.judge,
            so_far: SoFar::default(),
        };
        for step in &plan.steps {
            match step {
                Step::FetchFile { .. } | Step::ReuseFile { .. } => {
                    fetch(step, &self.store, &self.source, &*hands.judge, &mut Silent).await?;
                }
                _ => carry_out(step, &mut hands).await?,
            }
        }
        Ok(plan.steps.len())
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_after_every_chunk_fetches_each_chunk_once() {
    let mut world = world();
    let mut rounds = 0;
    loop {
        world.source.left = AtomicUsize::new(1);
        rounds += 1;
        assert!(rounds < 20);
        assert!(world.store.stored().unwrap().is_empty(), "half a model in the store");
        match world.pursue().await {
            Ok(_) => break,
            Err(StepFailed::Away(report)) => assert_eq!(report.code, "console.away"),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(world.source.served.load(Ordering::SeqCst), 6 + 1 + 1);
    assert_eq!(
        world.pursue().await.unwrap(),
        0,
        "the plan of an achieved state is empty"
    );
    let stored = world.store.stored().unwrap();
    assert_eq!(stored.len(), 1);
    let file = world
        .store
        .folder(&sha256(b"root"), &sha256(b"release"))
        .join("files/weights.gguf");
    assert_eq!(fs::read(&file).unwrap(), world.source.content["weights.gguf"]);
    assert!(fs::metadata(&file).unwrap().permissions().readonly());
    assert!(
        !world
            .folder
            .path()
            .join("staging")
            .join(sha256(b"release").to_hex())
            .exists()
    );
}

#[tokio::test]
async fn a_torn_write_is_found_and_fetched_again() {
    let mut world = world();
    world.source.left = AtomicUsize::new(6);
    assert!(world.pursue().await.is_err());
    let path = world
        .store
        .staged_file(&sha256(b"release"), Place::Files, "weights.gguf");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1500] ^= 1;
    fs::write(&path, bytes).unwrap();
    world.source.left = AtomicUsize::new(usize::MAX);
    world.pursue().await.unwrap();
    assert_eq!(world.store.stored().unwrap().len(), 1);
}

#[tokio::test]
async fn a_chunk_that_is_not_the_signed_one_is_refused_and_not_written() {
    let mut world = world();
    world.source.content.get_mut("weights.gguf").unwrap()[2500] ^= 1;
    match world.pursue().await {
        Err(StepFailed::Refused(report)) => assert_eq!(report.code, "release.hash"),
        other => panic!("{other:?}"),
    }
    let path = world
        .store
        .staged_file(&sha256(b"release"), Place::Files, "weights.gguf");
    assert_eq!(fs::metadata(path).unwrap().len(), 2000);
}

#[tokio::test]
async fn steps_out_of_order_are_no_way_into_the_store() {
    let mut world = world();
    world.pursue().await.unwrap();
    let (release, root, name) = (sha256(b"release"), sha256(b"root"), "guide".to_owned());
    let mut hands = Hands {
        store: &world.store,
        host: &mut world.host,
        judge: &mut world.judge,
        so_far: SoFar::default(),
    };
    for step in [
        Step::AdmitModel {
            release,
            root,
            name: name.clone(),
        },
        Step::StoreModel { release, root, name },
    ] {
        let failed = carry_out(&step, &mut hands).await.unwrap_err();
        assert_eq!(failed.report().code, "store.order");
    }
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished_at_the_next_start() {
    let mut world = world();
    world.pursue().await.unwrap();
    let (root, release) = (sha256(b"root"), sha256(b"release"));
    let gone = world.folder.path().join("staging").join(format!("gone-{release}"));
    fs::rename(world.store.folder(&root, &release), &gone).unwrap();
    let store = Store::open(world.folder.path()).unwrap();
    assert!(!gone.exists());
    assert!(store.stored().unwrap().is_empty());
    // A model folder without its document does not count and does not stand in the way.
    fs::create_dir_all(store.folder(&root, &release).join("files")).unwrap();
    assert!(store.stored().unwrap().is_empty());
    world.host.0.clear();
    world.pursue().await.unwrap();
    assert_eq!(store.stored().unwrap().len(), 1);
}

/// Asks for another release of the same content, whose signature differs.
fn ask_for_a_sibling(world: &mut World) -> Sha256Digest {
    let release = sha256(b"sibling");
    let mut wanted = world.desired.models.values().next().unwrap().clone();
    wanted.release = release;
    world.desired.models = BTreeMap::from([(release, wanted)]);
    world.judge.admitted.release = release;
    release
}

#[tokio::test]
async fn d17_a_sibling_release_shares_the_bytes_and_not_the_admission() {
    let mut world = world();
    world.pursue().await.unwrap();
    let before = world.source.served.load(Ordering::SeqCst);
    let release = ask_for_a_sibling(&mut world);
    world.pursue().await.unwrap();
    // Its signature was fetched; its weights were not.
    assert_eq!(world.source.served.load(Ordering::SeqCst), before + 1);
    let stored = world.store.stored().unwrap();
    assert_eq!(stored.keys().collect::<Vec<_>>(), [&release]);
    let folder = world.store.folder(&sha256(b"root"), &release);
    assert_eq!(
        fs::read(folder.join("files/weights.gguf")).unwrap(),
        world.source.content["weights.gguf"]
    );
    assert_eq!(world.pursue().await.unwrap(), 0);
}

#[tokio::test]
async fn d16_bytes_that_were_changed_in_the_store_are_not_taken_over() {
    let mut world = world();
    world.pursue().await.unwrap();
    let file = world
        .store
        .folder(&sha256(b"root"), &sha256(b"release"))
        .join("files/weights.gguf");
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] ^= 1;
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&file, bytes).unwrap();
    let release = ask_for_a_sibling(&mut world);
    let failed = world.pursue().await.unwrap_err();
    assert_eq!(failed.report().code, "store.changed");
    let staged = world.store.staged_file(&release, Place::Files, "weights.gguf");
    assert!(!staged.exists());
}
