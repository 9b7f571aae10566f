//! `freehold-gateway`: parse, run, exit code.
//!
//! Refuses to start without its own key and a port; starts without a supervisor and then refuses every request. Invariant:
//! exit code 0 means that it was told to end.

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use freehold_gateway::{Gateway, identity::Identity, link::Link, listen, quota::Quotas, router};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long running answers may still take when the gateway is told to end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The gateway of a Freehold box: OpenAI's and Ollama's protocols over TLS.
#[derive(Debug, Parser)]
#[command(name = "freehold-gateway", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen and serve until told to end.
    Run {
        /// The folder of its key, certificate and `address.json`.
        #[arg(long)]
        state: PathBuf,
        /// The supervisor's socket.
        #[arg(long)]
        supervisor: PathBuf,
        /// Where to listen; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Names and addresses in the certificate, besides `localhost` and the address it listens on.
        #[arg(long = "name")]
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Command::Run {
        state,
        supervisor,
        listen,
        names,
    } = Arguments::parse().command;
    let filter = EnvFilter::try_from_env("FREEHOLD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    freehold_channel::install_provider();
    match run(&state, supervisor, listen, names) {
        Ok(reason) => {
            tracing::info!(reason, "gateway ends");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("freehold-gateway: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(
    state: &std::path::Path,
    supervisor: PathBuf,
    listen: SocketAddr,
    mut names: Vec<String>,
) -> anyhow::Result<String> {
    names.extend(["localhost".to_owned(), listen.ip().to_string()]);
    let identity = Identity::load_or_make(state, &names).context("no identity")?;
    listen::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let reason = runtime.block_on(async {
        let listener = listen::bind(listen).with_context(|| format!("cannot listen on `{listen}`"))?;
        let address = listener.local_addr().context("no address")?;
        let quotas = Quotas::default();
        let link = Link::start(supervisor, quotas.clone());
        let router = router(Gateway::new(link.clone(), quotas));
        identity.publish(address).context("cannot say where it listens")?;
        tracing::info!(%address, spki = %identity.fingerprint(), "gateway listens");
        let mut terminated = signal(SignalKind::terminate()).context("no signals")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("no signals")?;
        tokio::select! {
            () = listen::serve(listener, identity.tls()?, router) => Ok("the port was closed".to_owned()),
            reason = link.stopped() => Ok(reason),
            _ = terminated.recv() => Ok("told to end by a signal".to_owned()),
            _ = interrupted.recv() => Ok("interrupted".to_owned()),
        }
    });
    runtime.shutdown_timeout(LAST_WORDS);
    reason
}
