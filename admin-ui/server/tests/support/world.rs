//! A console of its own per test: real TLS on loopback, real files, boxes whose TPM is on paper.
#![allow(dead_code)] // each test file uses its own part

#[path = "../../../../attestation/verify/tests/support/paper_tpm.rs"]
pub mod paper_tpm;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use freehold_channel::{
    Clock, Dates, FleetAuthority, Protocols, RemoteKey, RemoteSignFailed, ServerPin, TlsIdentity, client_config,
    self_signed_box,
};
use freehold_console::console::Console;
use freehold_console::init::{Wish, init};
use freehold_console::people::session::Visitor;
use freehold_console::refused::Refused;
use freehold_console::run::{Doors, Running, open, start};
use freehold_console::state::StateDir;
use freehold_dial::{Answer, Dialer};
use freehold_fleet::{EkTrust, Event, Keys, Session, TpmKind};
use freehold_protocol::routes;
use freehold_sign::repository::{Expiry, InitOptions, OtherPublication, Publisher, export, publish_other};
use freehold_store::{AccountChange, AccountRow, SessionRow};
use freehold_trust::{PublicKey, SigningKey, sha256};
use freehold_verify::evidence::{Evidence, qualifying_data};
use freehold_verify::quote::PcrValues;
use freehold_verify::release::ReleaseKind;
use http::{Method, StatusCode};
use paper_tpm::{PaperBox, Statement, ec_public, sign};
use serde_json::Value;
use time::OffsetDateTime;

pub const ANSWER: usize = 4 << 20;

pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A console and its publisher, in a folder that goes away.
pub struct World {
    pub folder: tempfile::TempDir,
    pub running: Running,
    pub password: String,
    pub publisher: Publisher,
}

impl World {
    /// A console with a publisher's repository that holds one boot manifest.
    pub async fn new() -> Self {
        Self::trusting(Vec::new()).await
    }

    /// The same, trusting these roots of endorsement keys.
    pub async fn trusting(ek_roots: Vec<(std::path::PathBuf, TpmKind)>) -> Self {
        Self::prepared(ek_roots, None, |_| {}).await
    }

    /// The same, reached by a name, after `prepare` had its hands on the state folder.
    pub async fn prepared(
        ek_roots: Vec<(std::path::PathBuf, TpmKind)>,
        people_url: Option<String>,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        freehold_channel::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let wish = Wish {
            state: state.clone(),
            name: "Demonstration".to_owned(),
            site: "ward-7".to_owned(),
            accept_simulated: true,
            ek_roots,
            tuf_root: None,
            administrator: "admin".to_owned(),
            password_file: None,
        };
        let made = init(&wish).await.unwrap();
        prepare(&state);
        let timestamp = std::fs::read_to_string(state.join("public/timestamp.pem")).unwrap();
        let publisher = make_publisher(folder.path(), &timestamp);
        let out = folder.path().join("export");
        export(&publisher, &out).unwrap();
        let console = open(StateDir::new(&state)).await.unwrap();
        let root = sha256(&std::fs::read(out.join("metadata/1.root.json")).unwrap()).to_hex();
        console.import(&out, Some(root), "test").await.unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let doors = Doors {
            people: any,
            boxes: any,
            people_url,
            boxes_url: None,
        };
        let running = start(console, &doors).await.unwrap();
        Self {
            folder,
            running,
            password: made.password.unwrap(),
            publisher,
        }
    }

    pub fn console(&self) -> &Console {
        &self.running.console
    }

    fn pin(&self) -> ServerPin {
        ServerPin::FleetAuthority(self.authority().fingerprint())
    }

    /// The fleet's CA, read from the state folder as a thief would.
    pub fn authority(&self) -> FleetAuthority {
        let state = self.folder.path().join("state");
        let read = |name: &str| std::fs::read_to_string(state.join(name)).unwrap();
        FleetAuthority::from_pem(&read("public/fleet-ca.pem"), &read("keys/fleet-ca.pem")).unwrap()
    }

    pub fn tls(&self, identity: Option<Arc<TlsIdentity>>) -> Arc<rustls::ClientConfig> {
        let clock = Clock::new(|| now().unix_timestamp());
        client_config(self.pin(), Dates::Enforced, identity, Protocols::Http1, &clock).unwrap()
    }

    /// A client of the people's door.
    pub fn person(&self) -> Dialer {
        Dialer::new(&format!("https://{}", self.running.people), self.tls(None)).unwrap()
    }

    /// A client of the boxes' door.
    pub fn at_boxes(&self, identity: Option<Arc<TlsIdentity>>) -> Dialer {
        Dialer::new(&format!("https://{}", self.running.boxes), self.tls(identity)).unwrap()
    }

    /// A session made without typing a password: Argon2 is slow by intent.
    pub async fn session(&self, role: &str, door: &str) -> (String, SessionRow) {
        self.session_at(role, door, "*").await
    }

    /// The same for an account of these sites, one a line.
    pub async fn session_at(&self, role: &str, door: &str, sites: &str) -> (String, SessionRow) {
        let name = format!("{role}-{}", freehold_console::random::hex::<4>().unwrap());
        let (token, visitor) = self.session_with(&name, role, door, sites).await;
        (token, visitor.session)
    }

    /// The same of an account with this name, for all sites.
    pub async fn session_of(&self, name: &str, role: &str, door: &str) -> (String, Visitor) {
        self.session_with(name, role, door, "*").await
    }

    async fn session_with(&self, name: &str, role: &str, door: &str, sites: &str) -> (String, Visitor) {
        let at = now().unix_timestamp();
        let account = AccountRow {
            site: "ward-7".to_owned(),
            name: name.to_owned(),
            role: role.to_owned(),
            password: "$argon2id$none".to_owned(),
            must_change: false,
            made_at: at,
            changed_at: at,
            sites: sites.to_owned(),
            kind: "person".to_owned(),
            ..AccountRow::default()
        };
        let token = freehold_console::random::hex::<32>().unwrap();
        let session = SessionRow {
            token: sha256(token.as_bytes()).to_hex(),
            id: freehold_console::random::hex::<6>().unwrap(),
            account: name.to_owned(),
            door: door.to_owned(),
            csrf: "c".repeat(64),
            made_at: at,
            expires: at + 3600,
            address: "127.0.0.1".to_owned(),
            factor: "password".to_owned(),
        };
        let visitor = Visitor {
            account: account.clone(),
            session: session.clone(),
            scope: None,
        };
        let changes = vec![AccountChange::Made(account), AccountChange::SignedIn(session)];
        let entry = self.console().entry("account.made", "test").fact("role", role);
        self.console().people_change(changes, entry).await.unwrap();
        (token, visitor)
    }

    /// Makes an approved member out of a box on paper.
    pub async fn member(&self, paper: &PaperBox) {
        self.enrol(paper, &sha256(paper.id.as_bytes()).to_hex()).await.unwrap();
        self.approve(paper).await;
    }

    /// The same for a box of the version before, which says no key of its record.
    pub async fn member_of_before(&self, paper: &PaperBox) {
        let ek = sha256(paper.id.as_bytes()).to_hex();
        self.enrol_with(paper, &ek, Vec::new()).await.unwrap();
        self.approve(paper).await;
    }

    pub async fn approve(&self, paper: &PaperBox) {
        let fingerprint = paper.tls.public().fingerprint().to_hex();
        let approval = Event::Approved {
            box_id: paper.id.clone(),
            fingerprint,
            ek: None,
            by: "test".to_owned(),
        };
        self.console().happen(approval).await.unwrap();
    }

    /// Enrols a box on paper under this EK; a person has not looked yet.
    pub async fn enrol(&self, paper: &PaperBox, ek: &str) -> Result<(), Refused> {
        let key = record_key(&paper.id).public().spki_der().to_vec();
        self.enrol_with(paper, ek, key).await
    }

    /// The same, with this key of its record.
    pub async fn enrol_with(&self, paper: &PaperBox, ek: &str, record_spki_der: Vec<u8>) -> Result<(), Refused> {
        self.enrol_at(paper, ek, record_spki_der, "ward-7").await
    }

    /// The same at another site.
    pub async fn enrol_at(
        &self,
        paper: &PaperBox,
        ek: &str,
        record_spki_der: Vec<u8>,
        site: &str,
    ) -> Result<(), Refused> {
        let tls = ec_public(&paper.tls, paper_tpm::TLS).to_bytes();
        let fingerprint = paper.tls.public().fingerprint().to_hex();
        let session = Session {
            session: format!("s-{fingerprint}"),
            fleet: self.console().file().fleet.clone(),
            site: site.to_owned(),
            box_id: paper.id.clone(),
            label: "on paper".to_owned(),
            ek: ek.to_owned(),
            ek_public: paper.id.as_bytes().to_vec(),
            ek_trust: EkTrust::Chain {
                root: "paper".to_owned(),
                kind: TpmKind::Software,
            },
            keys: Keys {
                record_spki_der,
                ak_public: ec_public(&paper.key, paper_tpm::AK).to_bytes(),
                tls_public: tls,
                tls_spki: fingerprint.clone(),
                tls_spki_der: paper.tls.public().spki_der().to_vec(),
                fingerprint: fingerprint.clone(),
            },
            opened: now().unix_timestamp(),
            by_stick: false,
        };
        let name = session.session.clone();
        self.console().happen(Event::EnrolBegun(Box::new(session))).await?;
        self.console()
            .happen(Event::ProofChecked {
                session: name,
                tls_spki: fingerprint,
                fault: None,
            })
            .await?;
        Ok(())
    }
}

fn make_publisher(folder: &Path, timestamp: &str) -> Publisher {
    let at = now().unix_timestamp();
    let key = PublicKey::from_spki_pem(timestamp).unwrap();
    let publisher = freehold_sign::repository::init(&folder.join("publisher"), &InitOptions::new(key), at).unwrap();
    let paper = PaperBox::new("any");
    let file = folder.join("manifest.json");
    std::fs::write(&file, paper.manifests[0].to_json()).unwrap();
    let os = OtherPublication {
        kind: ReleaseKind::Os,
        name: "freehold",
        version: "1.0.0",
        counter: None,
        files: vec![("manifest.json".to_owned(), file)],
        licence: None,
        hardware: Vec::new(),
    };
    publish_other(&publisher, &os, &Expiry::default(), at).unwrap();
    publisher
}

/// A key on paper as a TLS identity, with a certificate that it signed itself.
pub fn self_signed(key: &SigningKey, lifetime: Duration) -> Arc<TlsIdentity> {
    let remote = remote(key);
    let certificate = self_signed_box(&remote, "box", now(), lifetime).unwrap();
    TlsIdentity::remote(&remote, vec![certificate]).unwrap()
}

/// The same with a certificate of the fleet, issued at `at`.
pub fn issued(world: &World, key: &SigningKey, box_id: &str, at: OffsetDateTime) -> Arc<TlsIdentity> {
    let certificate = world
        .authority()
        .issue_box(key.public().spki_der(), box_id, at)
        .unwrap();
    TlsIdentity::remote(&remote(key), vec![certificate]).unwrap()
}

/// The key of a paper box's record: the same for the same name, so that a test can sign with it.
pub fn record_key(box_id: &str) -> SigningKey {
    static KEYS: std::sync::Mutex<Vec<(String, String)>> = std::sync::Mutex::new(Vec::new());
    let mut keys = KEYS.lock().unwrap();
    if let Some((_, pem)) = keys.iter().find(|(name, _)| name == box_id) {
        return SigningKey::from_pkcs8_pem(pem).unwrap();
    }
    let key = SigningKey::generate(freehold_trust::KeyKind::Ed25519).unwrap();
    keys.push((box_id.to_owned(), key.to_pkcs8_pem().unwrap().to_string()));
    key
}

fn remote(key: &SigningKey) -> RemoteKey {
    let pem = key.to_pkcs8_pem().unwrap();
    let own = SigningKey::from_pkcs8_pem(&pem).unwrap();
    let sign = move |message: &[u8]| -> Result<Vec<u8>, RemoteSignFailed> { Ok(own.sign(message)) };
    RemoteKey::new(key.public().spki_der(), sign).unwrap()
}

pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The code of a refusal, or the status of anything else.
pub fn code(answer: &Answer) -> String {
    match json(answer).get("code").and_then(Value::as_str) {
        Some(code) if !answer.status.is_success() => code.to_owned(),
        _ => answer.status.as_u16().to_string(),
    }
}

pub async fn ask(
    dialer: &Dialer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    dialer.ask(method, path, headers, body.into(), ANSWER).await.unwrap()
}

/// Calls the API with a bearer token.
pub async fn call(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let bearer = format!("Bearer {token}");
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    ask(&world.person(), method, path, &[("authorization", &bearer)], body).await
}

/// A challenge for a box.
pub async fn challenge(dialer: &Dialer) -> [u8; 32] {
    let answer = ask(dialer, Method::POST, routes::CHALLENGE, &[], r#"{"v":1}"#).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let message: freehold_protocol::report::Challenge = serde_json::from_slice(&answer.body).unwrap();
    message.nonce.0.try_into().unwrap()
}

/// Evidence of a box on paper for this nonce, over what the console wants quoted.
pub fn evidence(paper: &PaperBox, nonce: [u8; 32]) -> Evidence {
    evidence_measuring(paper, nonce, b"")
}

/// The same of a box whose user space measured that.
pub fn evidence_measuring(paper: &PaperBox, nonce: [u8; 32], runtime: &[u8]) -> Evidence {
    let mut replay = freehold_verify::event_log::EventLog::parse(&paper.log)
        .unwrap()
        .replay_sha256();
    freehold_verify::event_log::canonical::CanonicalLog::parse(runtime)
        .unwrap()
        .replay_sha256(&mut replay);
    let values = freehold_console::appraise::QUOTED_PCRS
        .iter()
        .map(|pcr| (*pcr, replay[usize::from(*pcr)]))
        .collect();
    let pcrs = PcrValues::of(values).unwrap();
    let mut bound = paper.bound();
    bound.nonce = nonce;
    bound.models = Vec::new();
    let statement = Statement::over(&pcrs, qualifying_data(&bound).as_bytes());
    let attest = statement.bytes();
    let signature = sign(&paper.key, &attest);
    Evidence {
        bound,
        attest,
        signature,
        pcrs,
        boot_log: paper.log.clone(),
        runtime_log: runtime.to_vec(),
    }
}

pub async fn show(dialer: &Dialer, evidence: &Evidence) -> Answer {
    ask(dialer, Method::POST, routes::EVIDENCE, &[], evidence.encode()).await
}

/// Copies a folder that is in use: what lies on the disk now is what a killed process leaves there.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
            continue;
        }
        match std::fs::copy(entry.path(), to) {
            // A new file that took the old one's name meanwhile: a process killed a moment before would have left the old one.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
}
