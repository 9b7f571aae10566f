//! A publisher's folder and what a box sees of its export.

use std::path::{Path, PathBuf};

use freehold_model_files::{Watch, check_folder, hash_folder};
use freehold_sign::bom::make_bom;
use freehold_sign::files::{read_bounded, read_signing_key};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_sign::repository::{
    Expiry, InitOptions, ModelPublication, PublishedRelease, Publisher, RevocationChange, export, init, publish_model,
    revoke,
};
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::Verified;
use freehold_verify::bom::verify_bom;
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};
use freehold_verify::release::{
    REVOCATIONS_NAME, ReleaseRejection, RepositoryState, Revocations, Targets, TrustedRepository, sign_timestamp,
    verify_revocations,
};

use crate::bom::description;
use crate::world::{NOW, write_files};

pub const DAY: i64 = 86_400;

/// A publisher, its console's timestamp key, and the latest export.
pub struct World {
    pub home: tempfile::TempDir,
    pub publisher: Publisher,
    pub timestamp: SigningKey,
    pub version: u64,
}

impl World {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let timestamp = SigningKey::generate(KeyKind::P256).unwrap();
        let options = InitOptions::new(timestamp.public().clone());
        let publisher = init(&home.path().join("publisher"), &options, NOW).unwrap();
        let mut world = Self {
            home,
            publisher,
            timestamp,
            version: 0,
        };
        world.export(NOW);
        world
    }

    pub fn exported(&self) -> PathBuf {
        self.home.path().join("export")
    }

    /// Publishes the small model under a version, with the given counter.
    pub fn publish(&mut self, version: &str, counter: Option<u64>) -> PublishedRelease {
        let folder = self.home.path().join("model");
        write_files(&folder);
        std::fs::write(folder.join("config.json"), format!("{{\"version\":\"{version}\"}}")).unwrap();
        let key = read_signing_key(&self.publisher.folder().join("keys/model-1.pem")).unwrap();
        let hashed = hash_folder(&folder, &[], Watch::nobody()).unwrap();
        let files: Vec<ModelFile> = hashed
            .into_iter()
            .map(|file| ModelFile {
                path: file.path,
                sha256: file.sha256,
            })
            .collect();
        let bundle = sign_model("guide", &files, &[], ModelSigner::Key(&key)).unwrap();
        let trust = SignerTrust {
            keys: vec![key.public().clone()],
            ..SignerTrust::default()
        };
        let manifest = verify_bundle(&bundle, &trust, NOW).unwrap();
        let checked = check_folder(&folder, &manifest, Watch::nobody()).unwrap();
        let bytes = make_bom(&description(), &files, &[], NOW).unwrap();
        let bom = verify_bom(Some(&bytes), &manifest).unwrap();
        let publication = ModelPublication {
            name: "guide",
            version,
            counter,
            folder: &folder,
            manifest: &manifest,
            files: &checked,
            bundle: &bundle,
            bom: (&bom, &bytes),
            embeddings: false,
            hardware: vec![],
        };
        let published = publish_model(&self.publisher, &publication, &Expiry::default(), NOW).unwrap();
        self.export(NOW);
        published
    }

    pub fn revoke(&mut self, change: RevocationChange) {
        revoke(&self.publisher, change, &Expiry::default(), NOW).unwrap();
        self.export(NOW);
    }

    /// Exports, and signs the timestamp as the console would.
    pub fn export(&mut self, now: i64) {
        let snapshot = export(&self.publisher, &self.exported()).unwrap();
        self.version += 1;
        let bytes = self.metadata(&format!("{snapshot}.snapshot.json"));
        let timestamp = sign_timestamp(&bytes, self.version, now + 7 * DAY, &self.timestamp).unwrap();
        std::fs::write(self.exported().join("metadata/timestamp.json"), timestamp).unwrap();
    }

    pub fn metadata(&self, file: &str) -> Vec<u8> {
        read(&self.exported().join("metadata").join(file))
    }

    /// Metadata that an export no longer has.
    pub fn earlier(&self, file: &str) -> Vec<u8> {
        read(&self.publisher.folder().join("metadata").join(file))
    }

    pub fn root(&self) -> Vec<u8> {
        self.metadata("1.root.json")
    }

    /// A box that starts anew with what it had kept.
    pub fn box_with(&self, state: Option<RepositoryState>) -> TrustedRepository {
        TrustedRepository::new(&self.root(), state).unwrap()
    }

    /// The whole update from the export.
    pub fn update(&self, repository: &mut TrustedRepository, now: i64) -> Result<Verified<Targets>, ReleaseRejection> {
        let snapshot = repository.update_timestamp(&self.metadata("timestamp.json"), now)?;
        let targets = repository.update_snapshot(&self.metadata(&snapshot.file), now)?;
        repository.update_targets(&self.metadata(&targets.file), now)
    }

    pub fn target(&self, targets: &Verified<Targets>, name: &str) -> Vec<u8> {
        read(&self.exported().join("targets").join(targets.file_name(name).unwrap()))
    }

    pub fn revocations(&self, targets: &Verified<Targets>) -> Verified<Revocations> {
        verify_revocations(targets, &self.target(targets, REVOCATIONS_NAME), None).unwrap()
    }
}

pub fn read(path: &Path) -> Vec<u8> {
    read_bounded(path, 64 << 20).unwrap()
}

#[test]
fn keys_are_private_and_never_exported() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new();
    world.publish("1.0.0", None);
    let keys = world.publisher.folder().join("keys");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&keys).unwrap() {
        let entry = entry.unwrap();
        let private = !entry.file_name().to_string_lossy().ends_with(".pub.pem");
        if private {
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{entry:?}"
            );
        }
    }
    let mut folders = vec![world.exported()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert!(
                    !read(&path).windows(11).any(|window| window == b"PRIVATE KEY"),
                    "{path:?}"
                );
            }
        }
    }
}

#[test]
fn a_publisher_refuses_what_is_already_there() {
    let mut world = World::new();
    world.publish("1.0.0", None);
    let options = InitOptions::new(world.timestamp.public().clone());
    assert!(init(world.publisher.folder(), &options, NOW).is_err());
    assert!(Publisher::open(world.publisher.folder()).is_err(), "it is in use");
    assert!(export(&world.publisher, world.publisher.folder().join("keys").as_path()).is_err());
    assert!(
        revoke(
            &world.publisher,
            RevocationChange {
                floors: vec![("models/guide".to_owned(), 5)],
                ..RevocationChange::default()
            },
            &Expiry::default(),
            NOW
        )
        .is_ok()
    );
    let lower = RevocationChange {
        floors: vec![("models/guide".to_owned(), 4)],
        ..RevocationChange::default()
    };
    assert!(revoke(&world.publisher, lower, &Expiry::default(), NOW).is_err());
}
