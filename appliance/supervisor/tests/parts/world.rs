//! A fleet of one: a real publisher's folder, a real console in this process, a real TPM, the supervisor as it ships.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use freehold_console::console::Console;
use freehold_console::init::{Wish, init};
use freehold_console::run::{Doors, Running, open, start};
use freehold_console::state::StateDir;
use freehold_decide::{Bundle, BundleData};
use freehold_fleet::{Event, TpmKind};
use freehold_harness::{Program, Swtpm, TpmAuthority, wait_for};
use freehold_model_files::{Watch, check_folder, gate_files, hash_folder};
use freehold_sign::bom::{BomDescription, make_bom};
use freehold_sign::files::{read_public_key, read_signing_key};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_sign::repository::{
    Expiry, InitOptions, ModelPublication, OtherPublication, Publisher, RevocationChange, export, publish_model,
    publish_other, revoke,
};
use freehold_verify::bom::verify_bom;
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};
use freehold_verify::release::ReleaseKind;
use serde_json::Value;
use time::OffsetDateTime;

/// Generous: two cores are shared with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct World {
    pub folder: tempfile::TempDir,
    pub runtime: tokio::runtime::Runtime,
    pub console: Option<Running>,
    pub publisher: Publisher,
    pub tpm: Swtpm,
    pub supervisor: Option<Program>,
    boxes: std::net::SocketAddr,
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn repository_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

impl World {
    /// Everything but the supervisor: the console runs, a policy and a boot manifest are published.
    pub fn new() -> Self {
        freehold_channel::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let authority = TpmAuthority::new(&at("tpm-authority")).unwrap();
        fs::create_dir(at("box")).unwrap();
        let tpm = Swtpm::start_with(&at("box"), &authority).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let wish = Wish {
            state: at("console"),
            name: "ward".to_owned(),
            site: "here".to_owned(),
            accept_simulated: true,
            ek_roots: vec![(authority.root_path(), TpmKind::Software)],
            tuf_root: None,
            administrator: "admin".to_owned(),
            password_file: Some(at("password")),
        };
        runtime.block_on(init(&wish)).unwrap();
        let timestamp = read_public_key(&at("console/public/timestamp.pem")).unwrap();
        let publisher = freehold_sign::repository::init(&at("publisher"), &InitOptions::new(timestamp), now()).unwrap();

        let (log, manifest) = generate(&BootDescription::demonstration("demo", "1.0.0"));
        fs::write(at("box/boot.log"), log).unwrap();
        fs::write(at("box/boot.manifest.json"), manifest.to_json()).unwrap();
        fs::write(at("manifest.json"), manifest.to_json()).unwrap();
        let other = |kind, name: &str, files: Vec<(String, PathBuf)>| {
            let publication = OtherPublication {
                kind,
                name,
                version: "1.0.0",
                counter: None,
                files,
                licence: Some("Apache-2.0".to_owned()),
                hardware: Vec::new(),
            };
            publish_other(&publisher, &publication, &Expiry::default(), now()).unwrap();
        };
        other(
            ReleaseKind::Os,
            "demo",
            vec![("manifest.json".to_owned(), at("manifest.json"))],
        );
        let signer = at("publisher/keys/model-1.pub.pem");
        let mut data = BundleData::default();
        data.model_signers
            .insert(read_public_key(&signer).unwrap().fingerprint().to_hex());
        data.licences.insert("Apache-2.0".to_owned());
        fs::write(at("policy.json"), Bundle::shipped("ward", "1.0.0", data).to_bytes()).unwrap();
        other(
            ReleaseKind::Policy,
            "ward",
            vec![
                ("policy.json".to_owned(), at("policy.json")),
                ("model-1.pub.pem".to_owned(), signer),
            ],
        );
        let mut world = Self {
            runtime,
            console: None,
            publisher,
            tpm,
            supervisor: None,
            boxes: "127.0.0.1:0".parse().unwrap(),
            folder,
        };
        world.start_console();
        world.import();
        world
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the console; on the same address again after a stop.
    pub fn start_console(&mut self) {
        let doors = Doors {
            people: "127.0.0.1:0".parse().unwrap(),
            boxes: self.boxes,
            people_url: None,
            boxes_url: None,
        };
        let dir = StateDir::new(&self.at("console"));
        let running = self
            .runtime
            .block_on(async { start(open(dir).await.unwrap(), &doors).await.unwrap() });
        self.boxes = running.boxes;
        self.console = Some(running);
    }

    pub fn stop_console(&mut self) {
        if let Some(running) = self.console.take() {
            self.runtime.block_on(running.stop());
        }
    }

    pub fn console(&self) -> Console {
        self.console.as_ref().unwrap().console.clone()
    }

    /// Gives the publisher's repository to the console.
    pub fn import(&self) {
        let to = self.at("export");
        export(&self.publisher, &to).unwrap();
        let root = freehold_trust::sha256(&fs::read(to.join("metadata/1.root.json")).unwrap()).to_hex();
        self.runtime
            .block_on(self.console().import(&to, Some(root), "test"))
            .unwrap();
        let pairing = self.console().pairing().unwrap();
        fs::write(self.at("pairing.json"), serde_json::to_vec(&pairing).unwrap()).unwrap();
    }

    /// Signs and publishes the demonstration's weights as `name`/`version`; answers the target and the root digest.
    pub fn publish(&self, name: &str, version: &str) -> (String, freehold_trust::Sha256Digest) {
        let folder = self.at(&format!("models/{name}-{version}"));
        fs::create_dir_all(&folder).unwrap();
        let weights = repository_root().join("tests/demonstration-model/weights/freehold-guide.gguf");
        fs::copy(weights, folder.join("model.gguf")).unwrap();
        // Versions differ by a file beside the weights.
        fs::write(folder.join("README.md"), format!("{name} {version}\n")).unwrap();
        let hashed = hash_folder(&folder, &[], Watch::nobody()).unwrap();
        let files: Vec<ModelFile> = hashed
            .iter()
            .map(|file| ModelFile {
                path: file.path.clone(),
                sha256: file.sha256,
            })
            .collect();
        let key = read_signing_key(&self.at("publisher/keys/model-1.pem")).unwrap();
        let bundle = sign_model(name, &files, &[], ModelSigner::Key(&key)).unwrap();
        let trust = SignerTrust {
            keys: vec![key.public().clone()],
            ..SignerTrust::default()
        };
        let manifest = verify_bundle(&bundle, &trust, now()).unwrap();
        let checked = check_folder(&folder, &manifest, Watch::nobody()).unwrap();
        let headers = gate_files(&folder, &checked).unwrap();
        let description = BomDescription {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            licence: Some("Apache-2.0".to_owned()),
            ..BomDescription::default()
        };
        let bytes = make_bom(&description, &files, &headers, now()).unwrap();
        let bom = verify_bom(Some(&bytes), &manifest).unwrap();
        let publication = ModelPublication {
            name,
            version,
            counter: None,
            folder: &folder,
            manifest: &manifest,
            files: &checked,
            bundle: &bundle,
            bom: (&bom, &bytes),
            embeddings: false,
            hardware: Vec::new(),
        };
        let published = publish_model(&self.publisher, &publication, &Expiry::default(), now()).unwrap();
        self.import();
        (published.target, manifest.root)
    }

    pub fn revoke(&self, root: freehold_trust::Sha256Digest) {
        let change = RevocationChange {
            models: vec![root],
            ..RevocationChange::default()
        };
        revoke(&self.publisher, change, &Expiry::default(), now()).unwrap();
        self.import();
    }

    pub fn assign(&self, targets: &[&str]) {
        let names: Vec<String> = targets.iter().map(|name| (*name).to_owned()).collect();
        let box_id = self.box_id();
        self.runtime
            .block_on(self.console().assign(&box_id, &names, None, "test"))
            .map_err(|refused| refused.report)
            .unwrap();
    }

    /// The engine that `make engine` unpacks, when it is there.
    pub fn engine() -> Option<PathBuf> {
        let root = repository_root().join("target/engine/llama-cpu");
        root.join("usr/bin/llama-server").exists().then_some(root)
    }

    pub fn start_supervisor(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freehold-supervisor"));
        command
            .arg("run")
            .arg("--state")
            .arg(self.at("box/state"))
            .arg("--runtime")
            .arg(self.at("box/run"));
        command
            .arg("--tcti")
            .arg(self.tpm.tcti())
            .arg("--pairing")
            .arg(self.at("pairing.json"));
        command.arg("--ek-chain").arg(self.tpm.authority().intermediate_path());
        command
            .arg("--boot-log")
            .arg(self.at("box/boot.log"))
            .args(["--label", "box1", "--interval", "0.1"]);
        command.args(["--threads", "1", "--memory", "512", "--context", "256", "--slots", "1"]);
        if let Some(engine) = Self::engine() {
            command.arg("--engine-root").arg(engine);
        }
        let program = Program::start("freehold-supervisor", command, &self.at("supervisor.log")).unwrap();
        self.supervisor = Some(program);
    }

    pub fn kill_supervisor(&mut self) {
        self.supervisor = None;
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.at("supervisor.log")).unwrap_or_default()
    }

    pub fn status(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.at("box/state/status.json")).ok()?).ok()
    }

    pub fn box_id(&self) -> String {
        self.status().unwrap()["box"].as_str().unwrap().to_owned()
    }

    /// Waits until the status satisfies `look`.
    pub fn wait(&mut self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let path = self.at("box/state/status.json");
        let supervisor = &mut self.supervisor;
        let found = wait_for(what, PATIENCE, || {
            if let Some(status) = supervisor.as_mut().and_then(|program| program.ended().ok().flatten()) {
                anyhow::bail!("the supervisor ended with {status}");
            }
            last = fs::read(&path)
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default();
            Ok(look(&last).then(|| last.clone()))
        });
        match found {
            Ok(status) => status,
            Err(error) => panic!("{error}\nstatus {last:#}\nlog\n{}", self.log()),
        }
    }

    /// Starts the supervisor, approves it as a person would, and waits for the first verdict.
    pub fn join(&mut self) {
        self.start_supervisor();
        let status = self.wait("the box to ask for approval", |status| {
            status["enrolment"] == "waiting_for_approval"
        });
        let shown = status["fingerprint"]
            .as_str()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned();
        let event = Event::Approved {
            box_id: self.box_id(),
            fingerprint: shown,
            ek: None,
            by: "test".to_owned(),
        };
        let console = self.console();
        self.runtime
            .block_on(async move { console.happen(event).await.map_err(|refused| refused.report).unwrap() });
        self.wait("the first verdict", |status| status["verdict"] == "trusted_simulated");
    }
}
