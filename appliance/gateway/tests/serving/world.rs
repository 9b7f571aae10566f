//! A world for one test: a real engine in its sandbox, the real gateway program, and a supervisor played over the real
//! protocol.
//!
//! Refuses to share anything between tests. Invariant: when it is dropped, its processes are gone.

use freehold_channel::{Clock, Dates, Protocols, ServerPin, client_config, server_name};
use freehold_engine::{EngineProcess, LaunchSpec, ModelFile, Purpose};
use freehold_protocol::local::{
    ApiToken, Config, EngineDoor, HEADER_BYTES, Quota, RequestEntry, Scope, ServedModel, Serving, ToGateway,
    ToSupervisor, VERSION, decode, encode, frame_length,
};
use freehold_trust::sha256;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

pub const LIMIT: Duration = Duration::from_secs(30);
pub const TOKEN: &str = "the-token-of-ward-three";
pub const LISTER: &str = "a-token-that-may-only-list";
pub const EXPIRED: &str = "a-token-of-last-year";
pub const NARROW: &str = "a-token-with-one-place";
pub const MODEL: &str = "guide";

pub type Body = BoxBody<Bytes, std::io::Error>;

/// How the played supervisor answers entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    Fine,
    Full,
}

/// The played supervisor.
pub struct Supervisor {
    pub config: watch::Sender<Config>,
    pub disk: watch::Sender<Disk>,
    pub entries: Arc<Mutex<Vec<RequestEntry>>>,
    changed: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervisor {
    pub fn start(socket: &Path, config: Config) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let (config, configs) = watch::channel(config);
        let (disk, disks) = watch::channel(Disk::Fine);
        let entries = Arc::new(Mutex::new(Vec::new()));
        let (changed_in, changed) = watch::channel(0);
        let kept = Arc::clone(&entries);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                converse(stream, configs.clone(), disks.clone(), &kept, &changed_in).await;
            }
        });
        Self {
            config,
            disk,
            entries,
            changed,
            task,
        }
    }

    /// Waits until so many entries have come.
    pub async fn entries(&self, wanted: usize) -> Vec<RequestEntry> {
        let mut changed = self.changed.clone();
        let waited = tokio::time::timeout(LIMIT, changed.wait_for(|count| *count >= wanted)).await;
        assert!(
            waited.is_ok(),
            "{wanted} entries wanted, there are {:?}",
            self.entries.lock().unwrap()
        );
        self.entries.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: UnixStream,
    mut configs: watch::Receiver<Config>,
    disks: watch::Receiver<Disk>,
    kept: &Mutex<Vec<RequestEntry>>,
    changed: &watch::Sender<usize>,
) {
    let Some(ToSupervisor::Hello { v: VERSION, .. }) = read(&mut stream).await else {
        panic!("no hello")
    };
    let first = configs.borrow_and_update().clone();
    write(&mut stream, &ToGateway::Config(first)).await;
    let (mut reader, mut writer) = stream.into_split();
    let (messages_in, mut messages) = tokio::sync::mpsc::channel(64);
    let reading = tokio::spawn(async move {
        while let Some(message) = read::<ToSupervisor>(&mut reader).await {
            if messages_in.send(message).await.is_err() {
                return;
            }
        }
    });
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(ToSupervisor::Record { id, entry }) = message else { break };
                let answer = if *disks.borrow() == Disk::Full {
                    ToGateway::NotRecorded { id, code: "record.not_durable".to_owned() }
                } else {
                    let mut kept = kept.lock().unwrap();
                    kept.push(entry);
                    changed.send_replace(kept.len());
                    ToGateway::Recorded { id, index: kept.len() as u64 }
                };
                write(&mut writer, &answer).await;
            }
            _ = configs.changed() => {
                let next = configs.borrow_and_update().clone();
                write(&mut writer, &ToGateway::Config(next)).await;
            }
        }
    }
    reading.abort();
}

async fn read<M: serde::de::DeserializeOwned>(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<M> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await.ok()?;
    let mut frame = vec![0; frame_length(header).unwrap()];
    stream.read_exact(&mut frame).await.ok()?;
    Some(decode(&frame).unwrap())
}

async fn write(stream: &mut (impl tokio::io::AsyncWrite + Unpin), message: &ToGateway) {
    // A gateway that went away is not this side's fault.
    let _ = stream.write_all(&encode(message).unwrap()).await;
}

/// A whole world.
pub struct World {
    pub folder: tempfile::TempDir,
    pub supervisor: Supervisor,
    pub engine: EngineProcess,
    /// Lives as long as the world does.
    _embedder: Option<EngineProcess>,
    pub gateway: Gateway,
}

/// The real program.
pub struct Gateway {
    pub child: Child,
    pub address: SocketAddr,
    tls: TlsConnector,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// An engine's specification; `None` after saying what is missing.
pub fn spec(world: &Path, purpose: Purpose) -> Option<LaunchSpec> {
    let root = repository().join("target/engine/llama-cpu");
    let model = repository().join("tests/demonstration-model/weights/freehold-guide.gguf");
    for path in [&root.join("usr/bin/llama-server"), &model] {
        if !path.exists() {
            println!("skipped: {} is not here", path.display());
            return None;
        }
    }
    let name = if purpose == Purpose::Chat { "chat" } else { "embeddings" };
    Some(LaunchSpec {
        name: name.to_owned(),
        root,
        files: vec![ModelFile {
            source: model,
            name: "model.gguf".to_owned(),
        }],
        open: "model.gguf".to_owned(),
        purpose,
        socket_folder: world.join(name),
        context: 512,
        slots: 2,
        threads: 1,
        memory_bytes: 1 << 30,
        devices: vec![],
        log: world.join(format!("{name}.log")),
    })
}

pub fn token(id: &str, secret: &str, scopes: &[Scope]) -> ApiToken {
    ApiToken {
        id: id.to_owned(),
        name: id.to_owned(),
        sha256: sha256(secret.as_bytes()),
        scopes: scopes.to_vec(),
        models: vec![],
        quota: Quota {
            concurrent: 64,
            per_minute: 100_000,
        },
        not_after: None,
    }
}

/// A configuration with the model at `socket` and all tokens of these tests.
pub fn config(socket: &Path, embeddings: Option<&Path>) -> Config {
    let door = |socket: &Path| EngineDoor::Ready {
        socket: socket.display().to_string(),
    };
    let all = [Scope::Models, Scope::Chat, Scope::Embeddings];
    let mut expired = token("expired", EXPIRED, &all);
    expired.not_after = Some(1);
    let mut narrow = token("narrow", NARROW, &all);
    narrow.quota = Quota {
        concurrent: 1,
        per_minute: 100_000,
    };
    Config {
        v: VERSION,
        generation: 1,
        box_id: "box1".to_owned(),
        serving: Serving::Open,
        models: vec![ServedModel {
            name: MODEL.to_owned(),
            digest: sha256(b"the model"),
            bytes: 7,
            context: 512,
            admitted: 1_700_000_000,
            engine: door(socket),
            embeddings: embeddings.map(door),
        }],
        tokens: vec![
            token("ward", TOKEN, &all),
            token("lister", LISTER, &[Scope::Models]),
            expired,
            narrow,
        ],
    }
}

impl World {
    /// Everything running; `None` after saying why not.
    pub async fn start(with_embeddings: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = EngineProcess::start(&spec(folder.path(), Purpose::Chat)?).unwrap();
        engine.ready(LIMIT).await.unwrap();
        let mut embedder = None;
        if with_embeddings {
            let mut process = EngineProcess::start(&spec(folder.path(), Purpose::Embeddings)?).unwrap();
            process.ready(LIMIT).await.unwrap();
            embedder = Some(process);
        }
        let config = config(engine.socket(), embedder.as_ref().map(EngineProcess::socket));
        let supervisor = Supervisor::start(&folder.path().join("supervisor.sock"), config);
        let gateway = Gateway::start(folder.path()).await;
        Some(Self {
            folder,
            supervisor,
            engine,
            _embedder: embedder,
            gateway,
        })
    }

    /// Changes what is served and waits until the gateway serves it.
    pub async fn change(&self, change: impl FnOnce(&mut Config)) {
        self.supervisor.config.send_modify(|config| {
            change(config);
            config.generation += 1;
        });
        let wanted: Vec<String> = self
            .supervisor
            .config
            .borrow()
            .models
            .iter()
            .map(|model| model.name.clone())
            .collect();
        let seen = async {
            loop {
                let (_, list) = self.gateway.json(Method::GET, "/v1/models", Some(TOKEN), "").await;
                let names = list["data"].as_array().map(|all| {
                    all.iter()
                        .map(|one| one["id"].as_str().unwrap_or_default().to_owned())
                        .collect()
                });
                if names == Some(wanted.clone()) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, seen).await.unwrap();
    }
}

impl Gateway {
    /// Starts the program and waits for its address.
    pub async fn start(folder: &Path) -> Self {
        let state = folder.join("gateway");
        let mut child = Command::new(env!("CARGO_BIN_EXE_freehold-gateway"))
            .args(["run", "--state"])
            .arg(&state)
            .arg("--supervisor")
            .arg(folder.join("supervisor.sock"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .env("FREEHOLD_LOG", "debug")
            .spawn()
            .unwrap();
        // The program says on its log that it listens; reading the log on keeps it from filling the pipe.
        let log = std::io::BufReader::new(child.stderr.take().unwrap());
        let copy = folder.join("gateway.log");
        let (listening_in, listening) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            use std::io::{BufRead as _, Write as _};
            let mut listening = Some(listening_in);
            let mut file = std::fs::File::create(copy).unwrap();
            for line in log.lines().map_while(Result::ok) {
                writeln!(file, "{line}").unwrap();
                if line.contains("gateway listens")
                    && let Some(listening) = listening.take()
                {
                    let _ = listening.send(());
                }
            }
        });
        tokio::time::timeout(LIMIT, listening).await.unwrap().unwrap();
        let statement: serde_json::Value =
            serde_json::from_slice(&std::fs::read(state.join("address.json")).unwrap()).unwrap();
        let address = statement["url"]
            .as_str()
            .unwrap()
            .trim_start_matches("https://")
            .parse()
            .unwrap();
        let spki = statement["spki"].as_str().unwrap().parse().unwrap();
        let clock = Clock::new(|| time::OffsetDateTime::now_utc().unix_timestamp());
        let tls = client_config(ServerPin::Key(spki), Dates::Enforced, None, Protocols::Http1, &clock).unwrap();
        Self {
            child,
            address,
            tls: TlsConnector::from(tls),
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> SendRequest<Body> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = self
            .tls
            .connect(server_name("127.0.0.1").unwrap(), stream)
            .await
            .unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        sender
    }

    /// One request on a connection of its own, its answer still to be read.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body,
        length: Option<u64>,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header("host", "box");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(body).unwrap();
        tokio::time::timeout(LIMIT, self.connect().await.send_request(request))
            .await
            .unwrap()
            .unwrap()
    }

    /// One request, its answer whole.
    pub async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> (Response<()>, String) {
        let body = Full::new(Bytes::from(body.to_owned()))
            .map_err(|never| match never {})
            .boxed();
        let (parts, body) = self.send(method, path, token, body, None).await.into_parts();
        let bytes = tokio::time::timeout(LIMIT, body.collect())
            .await
            .unwrap()
            .unwrap()
            .to_bytes();
        (
            Response::from_parts(parts, ()),
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }

    /// As [`Gateway::ask`], the answer as JSON.
    pub async fn json(&self, method: Method, path: &str, token: Option<&str>, body: &str) -> (u16, serde_json::Value) {
        let (response, text) = self.ask(method, path, token, body).await;
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}")),
        )
    }
}

/// The code of a refusal in either form.
pub fn code(json: &serde_json::Value) -> &str {
    json.pointer("/error/code")
        .or_else(|| json.pointer("/code"))
        .and_then(serde_json::Value::as_str)
        .unwrap_or("none")
}
