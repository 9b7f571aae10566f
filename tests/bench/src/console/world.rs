//! The console as a program with a state folder of its own, its publisher, and what all simulated boxes share.
//!
//! Invariant: everything lies in the scratch folder, listens on loopback, and ends with this value.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use freehold_channel::{Clock, Dates, Protocols, ServerPin, TlsIdentity, client_config};
use freehold_dial::Dialer;
use freehold_harness::{Program, wait_for};
use freehold_protocol::enrol::Pairing;
use freehold_sign::repository::{Expiry, InitOptions, OtherPublication, export, publish_other};
use freehold_trust::{PublicKey, Sha256Digest, sha256};
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::quote::PcrValues;
use freehold_verify::release::ReleaseKind;
use http::Method;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::now;

/// Bounds an answer: the list of all boxes as JSON.
const ANSWER: usize = 64 << 20;
/// tcg-kp-EKCertificate.
const EK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 1];

/// The maker of the simulated boxes' endorsement keys.
pub struct Maker {
    params: CertificateParams,
    key: KeyPair,
}

impl Maker {
    fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Load generator's software EK root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2049, 1, 1);
        Ok(Self {
            params,
            key: KeyPair::generate()?,
        })
    }

    /// An EK certificate over this public key.
    pub fn certify(&self, spki: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2049, 1, 1);
        let public = rcgen::SubjectPublicKeyInfo::from_der(spki)?;
        let issued = params.signed_by(&public, &Issuer::from_params(&self.params, &self.key))?;
        Ok(issued.der().to_vec())
    }
}

/// What every simulated box knows.
pub struct Places {
    /// The fleet.
    pub fleet: String,
    /// The site.
    pub site: String,
    /// The boot log.
    pub log: Vec<u8>,
    /// The model that every box serves.
    pub model: Sha256Digest,
    /// The inventory of this machine, which stands for each box's.
    pub inventory: Value,
    console: String,
    fleet_ca: Sha256Digest,
    pcrs: Mutex<Option<(Vec<u8>, PcrValues)>>,
}

impl Places {
    /// A dialler of the boxes' door.
    pub fn dialer(&self, identity: Arc<TlsIdentity>) -> anyhow::Result<Dialer> {
        let config = client_config(
            ServerPin::FleetAuthority(self.fleet_ca),
            Dates::Enforced,
            Some(identity),
            Protocols::Http1,
            &Clock::new(now),
        )?;
        Ok(Dialer::new(&self.console, config)?)
    }

    /// The values of the PCRs that a challenge wants; all boxes have booted the same.
    pub fn pcrs(&self, wanted: &[u8]) -> anyhow::Result<PcrValues> {
        let mut kept = self.pcrs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, values)) = kept.as_ref().filter(|(known, _)| known == wanted) {
            return Ok(values.clone());
        }
        let values = super::simulated::values(&self.log, wanted)?;
        *kept = Some((wanted.to_vec(), values.clone()));
        Ok(values)
    }
}

/// The world of one measurement.
pub struct World {
    console: Program,
    folder: PathBuf,
    people: String,
    /// Shared by all boxes.
    pub places: Arc<Places>,
    /// Certifies their endorsement keys.
    pub maker: Arc<Maker>,
    password: String,
}

fn once(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output()?;
    ensure!(
        output.status.success(),
        "{} {}: {}",
        program.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl World {
    /// Makes a fleet, a publisher with one operating system's release, and starts the console.
    pub fn start(scratch: &Path, programs: &Path) -> anyhow::Result<Self> {
        let folder = scratch.join("console-load");
        std::fs::create_dir_all(&folder)?;
        let text = |name: &str| folder.join(name).display().to_string();
        let program = programs.join("freehold-console");
        let maker = Maker::new()?;
        let root = maker.params.self_signed(&maker.key)?;
        std::fs::write(folder.join("ek-root.pem"), root.pem())?;
        once(
            &program,
            &[
                "init",
                "--state",
                &text("state"),
                "--fleet",
                "Load",
                "--site",
                "Main",
                "--allow-simulated",
                "--ek-root",
                &text("ek-root.pem"),
                "--ek-root-kind",
                "software",
                "--admin-password-file",
                &text("password"),
            ],
        )?;
        let log = publish(&folder)?;
        let first_root = sha256(&std::fs::read(folder.join("export/metadata/1.root.json"))?).to_hex();
        once(
            &program,
            &[
                "import",
                "--state",
                &text("state"),
                "--repository",
                &text("export"),
                "--root-sha256",
                &first_root,
            ],
        )?;
        let mut command = Command::new(&program);
        command.args([
            "run",
            "--state",
            &text("state"),
            "--people",
            "127.0.0.1:0",
            "--boxes",
            "127.0.0.1:0",
        ]);
        let mut console = Program::start("freehold-console", command, &folder.join("console.log"))?;
        let read = |name: &str| -> Option<Value> {
            serde_json::from_slice(&std::fs::read(folder.join("state").join(name)).ok()?).ok()
        };
        let addresses = wait_for("the console to listen", Duration::from_secs(60), || {
            ensure!(console.ended()?.is_none(), "the console ended:\n{}", console.tail(15));
            Ok(read("addresses.json"))
        })?;
        let pairing: Pairing = serde_json::from_value(read("pairing.json").context("pairing.json")?)?;
        let people = addresses["people"].as_str().context("no address for people")?;
        Ok(Self {
            people: format!("https://{people}"),
            password: std::fs::read_to_string(folder.join("password"))?.trim().to_owned(),
            places: Arc::new(Places {
                fleet: pairing.fleet,
                site: pairing.site,
                log,
                model: super::simulated::model(),
                inventory: serde_json::to_value(freehold_inventory::collect(Path::new("/")))?,
                console: pairing.console,
                fleet_ca: pairing.fleet_ca.parse().ok().context("the fleet CA's fingerprint")?,
                pcrs: Mutex::new(None),
            }),
            maker: Arc::new(maker),
            console,
            folder,
        })
    }

    /// The console's process.
    pub fn pid(&self) -> u32 {
        self.console.pid()
    }

    /// The console's state folder.
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// A dialler of the people's door.
    pub fn person(&self) -> anyhow::Result<Dialer> {
        let pin = ServerPin::FleetAuthority(self.places.fleet_ca);
        let config = client_config(pin, Dates::Enforced, None, Protocols::Http1, &Clock::new(now))?;
        Ok(Dialer::new(&self.people, config)?)
    }

    /// The administrator's own password, after the first sign-in.
    pub const PASSWORD: &'static str = "four plain words together";

    /// Signs the administrator in over the API, with a password of their own.
    pub async fn administrator(&self) -> anyhow::Result<Arc<Administrator>> {
        let dialer = self.person()?;
        let first = sign_in(&dialer, &self.password).await?;
        let administrator = Administrator { dialer, token: first };
        let change = json!({"old": self.password, "new": Self::PASSWORD});
        administrator
            .call(Method::POST, "/api/v1/account/password", Some(&change))
            .await?;
        Ok(Arc::new(administrator))
    }

    /// Boxes that count as trusted (simulated) now.
    pub async fn trusted(&self, administrator: &Administrator) -> anyhow::Result<usize> {
        let fleet = administrator.call(Method::GET, "/api/v1/fleet", None).await?;
        let count = fleet["counts"]["trusted_simulated"].as_u64().context("counts")?;
        Ok(usize::try_from(count)?)
    }
}

async fn sign_in(dialer: &Dialer, password: &str) -> anyhow::Result<String> {
    let body = json!({"name": "admin", "password": password}).to_string();
    let answer = dialer
        .ask(
            Method::POST,
            "/api/v1/session",
            &[("content-type", "application/json")],
            body.into(),
            ANSWER,
        )
        .await?;
    let signed = super::json("signing in", &answer)?;
    Ok(signed["token"].as_str().context("no token")?.to_owned())
}

/// The administrator at the API.
pub struct Administrator {
    dialer: Dialer,
    token: String,
}

impl Administrator {
    /// Calls the API.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.dialer.ask(method, path, &headers, body.into(), ANSWER).await?;
        super::json(path, &answer)
    }
}

/// The publisher's part: one operating system release, whose boot log comes back.
fn publish(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let timestamp = PublicKey::from_spki_pem(&std::fs::read_to_string(folder.join("state/public/timestamp.pem"))?)?;
    let publisher = freehold_sign::repository::init(&folder.join("publisher"), &InitOptions::new(timestamp), now())?;
    let (log, manifest) = generate(&BootDescription::demonstration("freehold", "1.0.0"));
    let file = folder.join("manifest.json");
    std::fs::write(&file, manifest.to_json())?;
    let release = OtherPublication {
        kind: ReleaseKind::Os,
        name: "freehold",
        version: "1.0.0",
        counter: None,
        files: vec![("manifest.json".to_owned(), file)],
        licence: None,
        hardware: Vec::new(),
    };
    publish_other(&publisher, &release, &Expiry::default(), now())?;
    export(&publisher, &folder.join("export"))?;
    Ok(log)
}
