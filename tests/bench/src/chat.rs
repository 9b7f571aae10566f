//! Chat through the gateway beside the same llama-server asked directly over its socket.
//!
//! Both are asked over kept-alive connections, in turns within one run, with the same questions; the gateway's supervisor is
//! played here over the real local protocol, and acknowledges each record at once.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use freehold_channel::{Clock, Dates, Protocols, ServerPin, client_config, server_name};
use freehold_engine::{EngineProcess, LaunchSpec, ModelFile, Purpose};
use freehold_harness::Program;
use freehold_protocol::local::{
    ApiToken, Config, EngineDoor, HEADER_BYTES, Quota, Scope, ServedModel, Serving, ToGateway, ToSupervisor, VERSION,
    decode, encode, frame_length,
};
use freehold_trust::digest::sha256;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsConnector;

use crate::row::Row;

const TOKEN: &str = "bench-token";
const MODEL: &str = "random-119m";
/// Tokens of each answer.
const ANSWER: u32 = 64;
/// Requests of each stream in each turn.
const REQUESTS: usize = 4;
/// Turns: direct, gateway, direct, …
const TURNS: usize = 5;

struct Sample {
    first: Duration,
    tokens: u32,
    total: Duration,
}

type Sender = SendRequest<Full<Bytes>>;

/// Measures at 1 and at 8 streams.
pub fn measure(scratch: &Path, programs: &Path, engine_root: &Path, model: &Path) -> anyhow::Result<Vec<Row>> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(measure_both(scratch, programs, engine_root, model))
}

async fn measure_both(scratch: &Path, programs: &Path, engine_root: &Path, model: &Path) -> anyhow::Result<Vec<Row>> {
    let spec = LaunchSpec {
        name: "bench".into(),
        root: engine_root.canonicalize()?,
        files: vec![ModelFile {
            source: model.canonicalize()?,
            name: "model.gguf".into(),
        }],
        open: "model.gguf".into(),
        purpose: Purpose::Chat,
        socket_folder: scratch.join("engine"),
        context: 512,
        slots: 8,
        threads: 1,
        memory_bytes: 4 << 30,
        devices: Vec::new(),
        log: scratch.join("engine.log"),
    };
    let mut engine = EngineProcess::start(&spec)?;
    let _server = engine.ready(Duration::from_secs(120)).await?;
    let socket = engine.socket().to_owned();

    let supervisor = scratch.join("supervisor.sock");
    let listener = UnixListener::bind(&supervisor)?;
    tokio::spawn(play_supervisor(listener, config(&socket)));
    let state = scratch.join("gateway");
    std::fs::create_dir_all(&state)?;
    let mut command = std::process::Command::new(programs.join("freehold-gateway"));
    command
        .arg("run")
        .arg("--state")
        .arg(&state)
        .arg("--supervisor")
        .arg(&supervisor)
        .args(["--listen", "127.0.0.1:0"]);
    let gateway = Program::start("freehold-gateway", command, &scratch.join("gateway.log"))?;
    let address_file = state.join("address.json");
    let door: serde_json::Value = freehold_harness::wait_for("the gateway to listen", Duration::from_secs(20), || {
        Ok(std::fs::read(&address_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    })?;

    let mut rows = Vec::new();
    for streams in [1_usize, 8] {
        let mut direct = Vec::new();
        let mut through = Vec::new();
        for _ in 0..TURNS {
            let mut senders = Vec::new();
            for _ in 0..streams {
                senders.push(connect(UnixStream::connect(&socket).await?).await?);
            }
            direct.push(turn(senders, Peer::Engine(socket.clone())).await?);
            let mut senders = Vec::new();
            for _ in 0..streams {
                senders.push(connect(dial(&door).await?).await?);
            }
            through.push(turn(senders, Peer::Gateway).await?);
        }
        let (direct_rate, direct_first) = sum_up(&direct);
        let (our_rate, our_first) = sum_up(&through);
        rows.push(Row::at_least(
            &format!("chat through the gateway, {streams} stream(s), tokens/s"),
            format!("{our_rate:.1}"),
            format!("llama-server directly: {direct_rate:.1}"),
            our_rate / direct_rate,
            0.97,
        ));
        let later = our_first - direct_first;
        rows.push(Row {
            what: format!("first token through the gateway, {streams} stream(s), median"),
            ours: format!("{our_first:.2} ms"),
            peer: format!("llama-server directly: {direct_first:.2} ms"),
            ratio: None,
            wanted: format!("at most 2 ms later (here {later:+.2} ms)"),
            holds: Some(later <= 2.0),
        });
    }
    drop(gateway);
    engine.stop().await;
    Ok(rows)
}

fn config(socket: &Path) -> Config {
    let door = || EngineDoor::Ready {
        socket: socket.display().to_string(),
    };
    Config {
        v: VERSION,
        generation: 1,
        box_id: "bench".into(),
        serving: Serving::Open,
        models: vec![ServedModel {
            name: MODEL.into(),
            digest: sha256(b"bench"),
            bytes: 1,
            context: 512,
            admitted: 0,
            engine: door(),
            embeddings: None,
        }],
        tokens: vec![ApiToken {
            id: "bench".into(),
            name: "bench".into(),
            sha256: sha256(TOKEN.as_bytes()),
            scopes: vec![Scope::Models, Scope::Chat],
            models: Vec::new(),
            quota: Quota {
                concurrent: 64,
                per_minute: 1_000_000,
            },
            not_after: None,
        }],
    }
}

async fn play_supervisor(listener: UnixListener, config: Config) -> anyhow::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let config = config.clone();
        tokio::spawn(async move {
            let mut index = 0;
            loop {
                let mut header = [0; HEADER_BYTES];
                stream.read_exact(&mut header).await?;
                let mut frame = vec![0; frame_length(header)?];
                stream.read_exact(&mut frame).await?;
                let answer = match decode::<ToSupervisor>(&frame)? {
                    ToSupervisor::Hello { .. } => ToGateway::Config(config.clone()),
                    ToSupervisor::Record { id, .. } => {
                        index += 1;
                        ToGateway::Recorded { id, index }
                    }
                };
                stream.write_all(&encode(&answer)?).await?;
            }
            #[allow(unreachable_code)] // names the error type of the block
            Ok::<(), anyhow::Error>(())
        });
    }
}

async fn dial(door: &serde_json::Value) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let url = door["url"].as_str().context("the gateway's address")?;
    let spki = door["spki"].as_str().context("the gateway's key")?.parse()?;
    let address: std::net::SocketAddr = url.trim_start_matches("https://").parse()?;
    let clock = Clock::new(|| time::OffsetDateTime::now_utc().unix_timestamp());
    let config = client_config(ServerPin::Key(spki), Dates::Enforced, None, Protocols::Http1, &clock)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TlsConnector::from(config)
        .connect(server_name(&address.ip().to_string())?, stream)
        .await?)
}

async fn connect<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> anyhow::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Who is asked.
#[derive(Clone)]
enum Peer {
    /// llama-server at its socket. It closes a connection after each streamed answer, whatever its `Keep-Alive` says, so each
    /// question finds a new one, opened before the clock starts.
    Engine(PathBuf),
    /// The gateway, over connections that stay.
    Gateway,
}

/// All streams at once, each asking its questions one after the other.
async fn turn(senders: Vec<Sender>, peer: Peer) -> anyhow::Result<(Vec<Sample>, Duration)> {
    let began = Instant::now();
    let tasks: Vec<_> = senders
        .into_iter()
        .enumerate()
        .map(|(stream, mut sender)| {
            let peer = peer.clone();
            tokio::spawn(async move {
                let mut samples = Vec::new();
                for request in 0..REQUESTS {
                    let token = match &peer {
                        Peer::Engine(socket) => {
                            sender = connect(UnixStream::connect(socket).await?).await?;
                            None
                        }
                        Peer::Gateway => Some(TOKEN),
                    };
                    samples.push(ask(&mut sender, token, stream, request).await?);
                }
                Ok::<_, anyhow::Error>(samples)
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok((all, began.elapsed()))
}

async fn ask(sender: &mut Sender, token: Option<&str>, stream: usize, request: usize) -> anyhow::Result<Sample> {
    let body = serde_json::json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": format!("w{stream} w{request} w1 w2 w3 w4 w5 w6")}],
        "stream": true,
        "temperature": 0.0,
        "max_tokens": ANSWER,
    });
    let mut builder = hyper::Request::post("/v1/chat/completions")
        .header("host", "bench")
        .header("content-type", "application/json");
    if let Some(token) = token {
        builder = builder.header("authorization", format!("Bearer {token}"));
    }
    let asked = Instant::now();
    sender.ready().await?;
    let answer = sender
        .send_request(builder.body(Full::new(Bytes::from(serde_json::to_vec(&body)?)))?)
        .await?;
    let status = answer.status();
    let mut body = answer.into_body();
    let mut first = None;
    let mut tokens = 0;
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = pending.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&event);
            let Some(data) = text.trim().strip_prefix("data: ") else {
                continue;
            };
            let Ok(value) = serde_json::from_str::<serde_json::Value>(data) else {
                continue;
            };
            if value["choices"][0]["delta"]["content"]
                .as_str()
                .is_some_and(|piece| !piece.is_empty())
            {
                first.get_or_insert_with(|| asked.elapsed());
                tokens += 1;
            }
        }
    }
    ensure!(
        status.is_success(),
        "status {status}: {}",
        String::from_utf8_lossy(&pending)
    );
    Ok(Sample {
        first: first.context("an answer without a token")?,
        tokens,
        total: asked.elapsed(),
    })
}

/// Median over the turns of tokens a second, and the median time to the first token in milliseconds.
fn sum_up(turns: &[(Vec<Sample>, Duration)]) -> (f64, f64) {
    let mut rates: Vec<f64> = turns
        .iter()
        .map(|(samples, took)| f64::from(samples.iter().map(|sample| sample.tokens).sum::<u32>()) / took.as_secs_f64())
        .collect();
    let mut firsts: Vec<f64> = turns
        .iter()
        .flat_map(|(samples, _)| samples.iter().map(|sample| sample.first.as_secs_f64() * 1000.0))
        .collect();
    debug_assert!(
        turns
            .iter()
            .flat_map(|(samples, _)| samples)
            .all(|sample| sample.total >= sample.first)
    );
    rates.sort_by(f64::total_cmp);
    firsts.sort_by(f64::total_cmp);
    (rates[rates.len() / 2], firsts[firsts.len() / 2])
}

/// Where the demonstration keeps the unpacked engine.
pub fn default_engine() -> PathBuf {
    PathBuf::from("target/engine/llama-cpu")
}
