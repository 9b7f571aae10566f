//! What was typed, and what it resolves to: `init`, `run`, `pairing`, `import`.
//!
//! Refuses options that contradict each other. Invariant: the exit code is 0 for done, 1 for refused, 2 for could not.

mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use freehold_fleet::TpmKind;
use freehold_protocol::V1;
use freehold_protocol::enrol::Pairing;
use freehold_trust::digest::sha256;

use crate::init::{Wish, init};
use crate::repository::{Shelf, ShelfFault, Stamp, import};
use crate::run::{Doors, open, start};
use crate::state::StateDir;

/// The console of a Freehold fleet.
#[derive(Debug, Parser)]
#[command(name = "freehold-console", version, about)]
struct Typed {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a fleet: keys, database, record, first administrator.
    Init(Init),
    /// Run the console.
    Run(Run),
    /// Print the pairing document that boxes need.
    Pairing(PairingArgs),
    /// Write what a new box needs into a folder, for example a stick's: the pairing document and signed settings.
    Settings(settings::SettingsArgs),
    /// Take in the repository that the publisher exported (the console must not be running; else use the API).
    Import(Import),
    /// The sites that this console serves; add one (the console must not be running).
    Site(SiteArgs),
}

#[derive(Debug, Args)]
struct SiteArgs {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// The name of a further site.
    #[arg(long, value_name = "NAME")]
    add: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RootKind {
    /// A maker of TPM chips.
    Hardware,
    /// A software TPM's certificate authority: boxes under it are simulated.
    Software,
}

#[derive(Debug, Args)]
struct Init {
    /// The state folder to make.
    #[arg(long)]
    state: PathBuf,
    /// The fleet's name, for people.
    #[arg(long)]
    fleet: String,
    /// The site.
    #[arg(long)]
    site: String,
    /// Accept boxes with software TPMs. Fixed for the life of the fleet.
    #[arg(long)]
    allow_simulated: bool,
    /// Root certificates of endorsement keys (PEM); give as often as needed, each with its --ek-root-kind.
    #[arg(long)]
    ek_root: Vec<PathBuf>,
    /// What the --ek-root at the same place stands for.
    #[arg(long, value_enum)]
    ek_root_kind: Vec<RootKind>,
    /// The publisher's first root metadata (1.root.json), when it is at hand.
    #[arg(long)]
    tuf_root: Option<PathBuf>,
    /// Name of the first administrator.
    #[arg(long, default_value = "admin")]
    admin: String,
    /// Write the one-time password to this file (mode 0600) instead of printing it.
    #[arg(long)]
    admin_password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Run {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// Where people and programs connect.
    #[arg(long, default_value = "127.0.0.1:8443")]
    people: SocketAddr,
    /// Where boxes connect.
    #[arg(long, default_value = "127.0.0.1:9443")]
    boxes: SocketAddr,
    /// How people reach it, when that is not the address above (`https://NAME:PORT`).
    #[arg(long)]
    people_url: Option<String>,
    /// How boxes reach it, when that is not the address above (`https://NAME:PORT`).
    #[arg(long)]
    boxes_url: Option<String>,
}

#[derive(Debug, Args)]
struct PairingArgs {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// The site that the box stands at.
    #[arg(long)]
    site: Option<String>,
    /// How boxes reach the console (`https://NAME:PORT`); taken from addresses.json when it runs.
    #[arg(long)]
    boxes_url: Option<String>,
}

#[derive(Debug, Args)]
struct Import {
    /// The state folder.
    #[arg(long)]
    state: PathBuf,
    /// The exported repository.
    #[arg(long)]
    repository: PathBuf,
    /// SHA-256 of the publisher's first root metadata, as the publisher reads it to you; needed the first time.
    #[arg(long)]
    root_sha256: Option<String>,
}

/// Parses, runs, answers the exit code.
#[must_use]
pub fn main() -> ExitCode {
    freehold_channel::install_provider();
    // Whatever is written belongs to this user alone; what is public says so when it is written.
    let _ = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let typed = Typed::parse();
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("FREEHOLD_LOG").unwrap_or_else(|_| "info,sqlx=warn".into());
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("freehold-console: no runtime: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(act(typed.verb)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("freehold-console: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn act(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Init(typed) => make(typed).await,
        Verb::Run(typed) => run(typed).await,
        Verb::Pairing(typed) => {
            println!("{}", serde_json::to_string_pretty(&pairing_of(&typed)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Settings(typed) => settings::write(&typed),
        Verb::Import(typed) => take_in(&typed).await,
        Verb::Site(typed) => sites(&typed).await,
    }
}

async fn make(typed: Init) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        typed.ek_root.len() == typed.ek_root_kind.len(),
        "each --ek-root needs its --ek-root-kind (software or hardware)"
    );
    let kinds = typed.ek_root_kind.into_iter().map(|kind| match kind {
        RootKind::Hardware => TpmKind::Hardware,
        RootKind::Software => TpmKind::Software,
    });
    let wish = Wish {
        state: typed.state,
        name: typed.fleet,
        site: typed.site,
        accept_simulated: typed.allow_simulated,
        ek_roots: typed.ek_root.into_iter().zip(kinds).collect(),
        tuf_root: typed.tuf_root,
        administrator: typed.admin,
        password_file: typed.admin_password_file,
    };
    let made = init(&wish).await?;
    println!("fleet      {}", made.fleet);
    println!("fleet CA   {}", made.fleet_ca);
    println!("director   {}", made.director);
    println!("sign in    {}", wish.administrator);
    match made.password {
        Some(password) => println!("password   {password}   (shown once, to be changed at the first sign-in)"),
        None => println!("password   in {}", wish.password_file.unwrap_or_default().display()),
    }
    Ok(ExitCode::SUCCESS)
}

async fn run(typed: Run) -> anyhow::Result<ExitCode> {
    use tokio::signal::unix::{SignalKind, signal};
    let console = open(StateDir::new(&typed.state)).await?;
    let doors = Doors {
        people: typed.people,
        boxes: typed.boxes,
        people_url: typed.people_url,
        boxes_url: typed.boxes_url,
    };
    let running = start(console, &doors).await?;
    tracing::info!(people = %running.people, boxes = %running.boxes, "open");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn pairing_of(typed: &PairingArgs) -> anyhow::Result<Pairing> {
    let dir = StateDir::new(&typed.state);
    let (file, keys) = (dir.console()?, dir.keys()?);
    let root = std::fs::read(dir.path(crate::repository::PINNED_ROOT))
        .context("no publisher is pinned yet; hint: freehold-console import --root-sha256 …")?;
    let console = match &typed.boxes_url {
        Some(url) => url.clone(),
        None => {
            let text = std::fs::read(dir.path("addresses.json"))
                .context("the console is not running; hint: --boxes-url https://NAME:PORT")?;
            let addresses: serde_json::Value = serde_json::from_slice(&text)?;
            let boxes = addresses
                .get("boxes")
                .and_then(serde_json::Value::as_str)
                .context("`addresses.json` has no `boxes`")?;
            format!("https://{boxes}")
        }
    };
    Ok(Pairing {
        v: V1,
        fleet: file.fleet,
        site: typed.site.clone().unwrap_or(file.site),
        console,
        fleet_ca: keys.fleet_ca.fingerprint().to_hex(),
        tuf_root: sha256(&root).to_hex(),
        director: keys.director.public().fingerprint().to_hex(),
    })
}

async fn sites(typed: &SiteArgs) -> anyhow::Result<ExitCode> {
    let dir = StateDir::new(&typed.state);
    let mut file = dir.console()?;
    if let Some(name) = &typed.add {
        crate::init::check_name("site", name)?;
        if *name != file.site && !file.rules.sites.contains(name) {
            let book =
                crate::init::open_book(&dir, &file.fleet).context("is the console running? hint: stop it first")?;
            let now = time::OffsetDateTime::now_utc().unix_timestamp();
            let entry = freehold_fleet::Entry::new("fleet.site", now, &file.site, "console").about(name);
            book.append(vec![entry]).await?;
            file.rules.sites.push(name.clone());
            dir.replace("console.json", &serde_json::to_vec_pretty(&file)?)?;
        }
    }
    println!("{}", file.site);
    for site in &file.rules.sites {
        println!("{site}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn take_in(typed: &Import) -> anyhow::Result<ExitCode> {
    let dir = StateDir::new(&typed.state);
    let (file, keys) = (dir.console()?, dir.keys()?);
    let book = crate::init::open_book(&dir, &file.fleet).context("is the console running? hint: use the API then")?;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let stamp = Stamp {
        key: &keys.timestamp,
        now,
    };
    let entry = freehold_fleet::Entry::new("release.imported", now, &file.site, "console");
    match import::import(&dir, &typed.repository, typed.root_sha256.as_deref(), &stamp) {
        Ok(shelf) => {
            let names: Vec<String> = shelf.descriptors.keys().take(64).cloned().collect();
            book.append(vec![entry.fact("releases", names)]).await?;
            print(&shelf);
            Ok(ExitCode::SUCCESS)
        }
        Err(fault @ (ShelfFault::State(_) | ShelfFault::Timestamp(_))) => Err(fault.into()),
        Err(fault) => {
            book.append(vec![entry.refused(fault.code())]).await?;
            eprintln!(
                "freehold-console: refused, {}: {:#}",
                fault.code(),
                anyhow::Error::from(fault)
            );
            Ok(ExitCode::from(1))
        }
    }
}

fn print(shelf: &Shelf) {
    let version = shelf.targets.as_ref().map_or(0, |targets| targets.version);
    println!(
        "root       {}",
        shelf.pinned.map(|digest| digest.to_hex()).unwrap_or_default()
    );
    println!("targets    version {version}");
    for name in shelf.descriptors.keys() {
        println!("release    {name}");
    }
    for boot in &shelf.boots {
        println!("boot       {}", boot.target);
    }
}
