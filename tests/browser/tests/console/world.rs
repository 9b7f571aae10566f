//! A small fleet for the browser: a publisher's folder, the console and one box as the programs that ship, a software TPM.
//!
//! Invariant: everything lies in one temporary folder, listens on loopback only, and ends with this value.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use freehold_decide::{Bundle, BundleData};
use freehold_harness::{Program, Swtpm, TpmAuthority, wait_for};
use freehold_model_files::{Watch, check_folder, gate_files, hash_folder};
use freehold_sign::bom::{BomDescription, make_bom};
use freehold_sign::files::{read_public_key, read_signing_key};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_sign::repository::{
    Expiry, InitOptions, ModelPublication, OtherPublication, Publisher, export, publish_model, publish_other,
};
use freehold_verify::bom::verify_bom;
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};
use freehold_verify::release::ReleaseKind;
use serde_json::Value;
use time::OffsetDateTime;

/// Generous: two cores may be shared with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Everything that runs.
pub struct World {
    folder: tempfile::TempDir,
    tpm: Swtpm,
    supervisor: Option<Program>,
    _console: Program,
    people: String,
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// A program of ours, built beside this test (`cargo build --workspace --bins`).
fn program(name: &str) -> Result<PathBuf> {
    let deps = std::env::current_exe()?;
    let path = deps
        .parent()
        .and_then(Path::parent)
        .context("a test lies in target/PROFILE/deps")?
        .join(name);
    ensure!(
        path.exists(),
        "`{}` is not there\nhint: cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}

fn once(name: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program(name)?).args(arguments).output()?;
    ensure!(
        output.status.success(),
        "`{name} {}`: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl World {
    /// A console that runs, with a signed repository; the box is not started yet.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("freehold-world-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let text = |name: &str| at(name).display().to_string();
        let authority = TpmAuthority::new(&at("tpm-authority"))?;
        fs::create_dir(at("box"))?;
        let tpm = Swtpm::start_with(&at("box"), &authority)?;
        let root = authority.root_path().display().to_string();
        once(
            "freehold-console",
            &[
                "init",
                "--state",
                &text("console"),
                "--fleet",
                "Riverside Hospitals",
                "--site",
                "Radiology B",
                "--allow-simulated",
                "--ek-root",
                &root,
                "--ek-root-kind",
                "software",
                "--admin-password-file",
                &text("password"),
            ],
        )?;
        publish(folder.path())?;
        let first_root = fs::read(at("export/metadata/1.root.json"))?;
        let fingerprint = freehold_trust::sha256(&first_root).to_hex();
        once(
            "freehold-console",
            &[
                "import",
                "--state",
                &text("console"),
                "--repository",
                &text("export"),
                "--root-sha256",
                &fingerprint,
            ],
        )?;
        let mut command = Command::new(program("freehold-console")?);
        command.args([
            "run",
            "--state",
            &text("console"),
            "--people",
            "127.0.0.1:0",
            "--boxes",
            "127.0.0.1:0",
        ]);
        let mut console = Program::start("freehold-console", command, &at("console.log"))?;
        let addresses = wait_for("the console to listen", PATIENCE, || {
            ensure!(console.ended()?.is_none(), "the console ended:\n{}", console.tail(15));
            Ok(fs::read(at("console/addresses.json"))
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()))
        })?;
        let people = format!(
            "https://{}",
            addresses["people"].as_str().context("no address for people")?
        );
        Ok(Self {
            folder,
            tpm,
            supervisor: None,
            _console: console,
            people,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An address of the console.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.people)
    }

    /// The administrator's one-time password.
    pub fn password(&self) -> Result<String> {
        Ok(fs::read_to_string(self.at("password"))?.trim().to_owned())
    }

    /// The engine that `make engine` unpacks, when it is there.
    pub fn engine() -> Option<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/engine/llama-cpu")
            .canonicalize()
            .ok()?;
        root.join("usr/bin/llama-server").exists().then_some(root)
    }

    /// Starts the box.
    pub fn start_box(&mut self) -> Result<()> {
        let mut command = Command::new(program("freehold-supervisor")?);
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
            .arg(self.at("console/pairing.json"));
        command.arg("--ek-chain").arg(self.tpm.authority().intermediate_path());
        command
            .arg("--boot-log")
            .arg(self.at("box/boot.log"))
            .arg("--boot-manifest")
            .arg(self.at("box/boot.manifest.json"));
        command.args([
            "--label",
            "rack 3",
            "--interval",
            "0.2",
            "--threads",
            "1",
            "--memory",
            "512",
        ]);
        if let Some(engine) = Self::engine() {
            command.arg("--engine-root").arg(engine);
        }
        self.supervisor = Some(Program::start(
            "freehold-supervisor",
            command,
            &self.at("supervisor.log"),
        )?);
        Ok(())
    }

    /// Waits until the box's own status satisfies `look`: what its screen would show.
    pub fn wait_box(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = wait_for(what, PATIENCE, || {
            let status: Option<Value> = fs::read(self.at("box/state/status.json"))
                .ok()
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            Ok(status.filter(|status| look(status)))
        });
        found.with_context(|| {
            self.supervisor
                .as_ref()
                .map(|program| program.tail(10))
                .unwrap_or_default()
        })
    }

    /// Changes one byte of the boot loader, as malware in it would be measured, and cuts the box's power.
    pub fn tamper(&mut self) -> Result<()> {
        self.supervisor = None;
        self.tpm.kill();
        let mut boot = BootDescription::demonstration("demo", "1.0.0");
        *boot.loader.first_mut().context("the boot loader is empty")? ^= 1;
        fs::write(self.at("box/boot.log"), generate(&boot).0)?;
        self.tpm.power_on()?;
        self.start_box()
    }
}

/// The publisher's work, in its own folder: an operating system's manifest, a policy, the demonstration's model.
fn publish(folder: &Path) -> Result<()> {
    let at = |name: &str| folder.join(name);
    let timestamp = read_public_key(&at("console/public/timestamp.pem"))?;
    let publisher = freehold_sign::repository::init(&at("publisher"), &InitOptions::new(timestamp), now())?;
    let (log, manifest) = generate(&BootDescription::demonstration("demo", "1.0.0"));
    fs::write(at("box/boot.log"), log)?;
    fs::write(at("box/boot.manifest.json"), manifest.to_json())?;
    other(
        &publisher,
        ReleaseKind::Os,
        "demo",
        vec![("manifest.json".to_owned(), at("box/boot.manifest.json"))],
    )?;
    let signer = at("publisher/keys/model-1.pub.pem");
    let mut data = BundleData::default();
    data.model_signers
        .insert(read_public_key(&signer)?.fingerprint().to_hex());
    data.licences.insert("Apache-2.0".to_owned());
    fs::write(at("policy.json"), Bundle::shipped("ward", "1.0.0", data).to_bytes())?;
    let files = vec![
        ("policy.json".to_owned(), at("policy.json")),
        ("model-1.pub.pem".to_owned(), signer),
    ];
    other(&publisher, ReleaseKind::Policy, "ward", files)?;
    publish_weights(&publisher, folder)?;
    export(&publisher, &at("export"))?;
    Ok(())
}

fn other(publisher: &Publisher, kind: ReleaseKind, name: &str, files: Vec<(String, PathBuf)>) -> Result<()> {
    let licence = Some("Apache-2.0".to_owned());
    let publication = OtherPublication {
        kind,
        name,
        version: "1.0.0",
        counter: None,
        files,
        licence,
        hardware: Vec::new(),
    };
    publish_other(publisher, &publication, &Expiry::default(), now())?;
    Ok(())
}

fn publish_weights(publisher: &Publisher, world: &Path) -> Result<()> {
    let folder = world.join("model");
    fs::create_dir_all(&folder)?;
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demonstration-model/weights/freehold-guide.gguf");
    fs::copy(weights, folder.join("model.gguf"))?;
    let hashed = hash_folder(&folder, &[], Watch::nobody())?;
    let files: Vec<ModelFile> = hashed
        .iter()
        .map(|file| ModelFile {
            path: file.path.clone(),
            sha256: file.sha256,
        })
        .collect();
    let key = read_signing_key(&world.join("publisher/keys/model-1.pem"))?;
    let bundle = sign_model("freehold-guide", &files, &[], ModelSigner::Key(&key))?;
    let trust = SignerTrust {
        keys: vec![key.public().clone()],
        ..SignerTrust::default()
    };
    let manifest = verify_bundle(&bundle, &trust, now())?;
    let checked = check_folder(&folder, &manifest, Watch::nobody())?;
    let headers = gate_files(&folder, &checked)?;
    let description = BomDescription {
        name: "freehold-guide".to_owned(),
        version: Some("1.0.0".to_owned()),
        licence: Some("Apache-2.0".to_owned()),
        ..BomDescription::default()
    };
    let bytes = make_bom(&description, &files, &headers, now())?;
    let bom = verify_bom(Some(&bytes), &manifest)?;
    let publication = ModelPublication {
        name: "freehold-guide",
        version: "1.0.0",
        counter: None,
        folder: &folder,
        manifest: &manifest,
        files: &checked,
        bundle: &bundle,
        bom: (&bom, &bytes),
        embeddings: false,
        hardware: Vec::new(),
    };
    publish_model(publisher, &publication, &Expiry::default(), now())?;
    Ok(())
}
