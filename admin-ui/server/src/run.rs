//! Running: open everything, open both doors, keep the timestamp fresh, stop cleanly.
//!
//! Refuses to start on a state that does not verify. Invariant: `addresses.json` is written when both doors are open, and not
//! before.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use freehold_channel::{
    ClientCertificates, Clock, FleetRoot, Protocols, ServerCertificate, TlsIdentity, boxes_server_config,
    people_server_config,
};
use freehold_fleet::Fleet;
use freehold_store::Store;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::console::{Addresses, Console, Parts};
use crate::init::open_book;
use crate::listen::{Door, Limits, raise_file_limit, serve};
use crate::people::outside::Outside;
use crate::people::throttle::{self, Throttle};
use crate::plan::Plans;
use crate::repository::{Shelf, Stamp, timestamp};
use crate::rollouts::{self, Rollouts};
use crate::state::StateDir;
use crate::{boxes, people};

/// How long the console's own certificate lasts; it is made anew with each start that finds less than half of it left, over
/// the same key where that is there.
const SERVER_LIFETIME: Duration = Duration::from_secs(398 * 86_400);
/// How often reports are written.
const REPORTS: Duration = Duration::from_secs(2);
/// How often the timestamp is looked at.
const TIMESTAMP: Duration = Duration::from_secs(600);

/// Where to listen, and how the outside says it.
#[derive(Debug, Clone)]
pub struct Doors {
    /// People and programs.
    pub people: SocketAddr,
    /// Boxes.
    pub boxes: SocketAddr,
    /// `https://…` by which people reach it, when that differs.
    pub people_url: Option<String>,
    /// `https://…` by which boxes reach it, when that differs.
    pub boxes_url: Option<String>,
}

/// A console whose doors are open.
#[derive(Debug)]
pub struct Running {
    /// The console.
    pub console: Console,
    /// Where people reach it.
    pub people: SocketAddr,
    /// Where boxes reach it.
    pub boxes: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Reads a state folder and puts a console together.
///
/// # Errors
/// When something of it cannot be used.
pub async fn open(dir: StateDir) -> anyhow::Result<Console> {
    let file = dir.console()?;
    let keys = dir.keys()?;
    let store = Store::open(&dir.path("console.db"), &file.site).await?;
    let book = open_book(&dir, &file.fleet)?;
    let shelf = Shelf::open(&dir).context("the repository in the state folder")?;
    let started = OffsetDateTime::now_utc().unix_timestamp();
    let mut fleet = Fleet::new(&file.fleet, &file.site, file.rules.clone(), started);
    store.load(&mut fleet).await?;
    let plans = Plans::of(store.plans().await?);
    let rollouts = Rollouts::of(
        store.rollouts().await?,
        store.rollout_changes().await?,
        store.rollout_approvals().await?,
    )?;
    let alarms = store.alarms().await?;
    let codes = dir.codes_key()?;
    let outside = Outside::open(&dir)?;
    let throttle = Throttle::of(store.failures(started.saturating_sub(throttle::LONGEST)).await?);
    let accepted = crate::supply::acceptances(store.acceptances().await?);
    let console = Console::new(Parts {
        dir,
        file,
        keys,
        store,
        book,
        shelf,
        fleet,
        plans,
        rollouts,
        throttle,
        accepted,
        alarms,
        codes,
        outside,
    });
    console
        .record(
            console
                .entry("console.started", "console")
                .fact("version", env!("CARGO_PKG_VERSION")),
        )
        .await
        .map_err(|refused| anyhow::anyhow!("{}: {}", refused.report.code, refused.report.message))?;
    Ok(console)
}

fn server_certificate(dir: &StateDir, console: &Console, names: &[String]) -> anyhow::Result<ServerCertificate> {
    let made = console
        .0
        .keys
        .fleet_ca
        .issue_server(names, OffsetDateTime::now_utc(), SERVER_LIFETIME)?;
    dir.replace("server.pem", made.chain_pem().as_bytes())?;
    dir.replace("keys/server.pem", made.key_pem().as_bytes())?;
    Ok(made)
}

/// The host of an address for a URL.
fn url_of(address: SocketAddr) -> String {
    let ip = match address.ip() {
        // Listening everywhere has no name of its own.
        ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    let rest = rest.split('/').next()?;
    if let Some(bracketed) = rest.strip_prefix('[') {
        return bracketed.split(']').next().map(str::to_owned);
    }
    rest.split(':')
        .next()
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
}

/// Opens both doors.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn start(console: Console, doors: &Doors) -> anyhow::Result<Running> {
    let files = raise_file_limit();
    let people = TcpListener::bind(doors.people)
        .await
        .with_context(|| format!("cannot listen on `{}`", doors.people))?;
    let at_boxes = TcpListener::bind(doors.boxes)
        .await
        .with_context(|| format!("cannot listen on `{}`", doors.boxes))?;
    let (people_at, boxes_at) = (people.local_addr()?, at_boxes.local_addr()?);
    let addresses = Addresses {
        people_url: doors.people_url.clone().unwrap_or_else(|| url_of(people_at)),
        boxes_url: doors.boxes_url.clone().unwrap_or_else(|| url_of(boxes_at)),
    };
    let mut names: Vec<String> = [&addresses.people_url, &addresses.boxes_url]
        .into_iter()
        .filter_map(|url| host_of(url))
        .collect();
    names.extend(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()]);
    names.sort();
    names.dedup();
    let dir = console.0.dir.clone();
    let certificate = server_certificate(&dir, &console, &names)?;
    let identity = TlsIdentity::of_server(&certificate)?;
    let clock = Clock::new(|| OffsetDateTime::now_utc().unix_timestamp());
    let _ = console.0.addresses.set(addresses);

    let (stop, stopped) = watch::channel(false);
    let limits = Limits::from_files(files);
    let fleet_root = FleetRoot::new(console.0.keys.fleet_ca.certificate())?;
    let knows = console.clone();
    let people_door = Door {
        listener: people,
        tls: people_server_config(identity.clone(), Protocols::Http2And1, &clock)?,
        router: people::router(console.clone()),
        fleet: None,
        known: Arc::new(|_| false),
        limits,
    };
    let boxes_door = Door {
        listener: at_boxes,
        // Optional, so that a route can answer 401 with a code instead of a broken handshake.
        tls: boxes_server_config(identity, ClientCertificates::Optional, Protocols::Http2And1, &clock)?,
        router: boxes::router(console.clone()),
        fleet: Some(fleet_root),
        known: Arc::new(move |peer| knows.knows(peer)),
        limits,
    };
    let tasks = vec![
        tokio::spawn(serve(people_door, stopped.clone())),
        tokio::spawn(serve(boxes_door, stopped.clone())),
        tokio::spawn(write_reports(console.clone(), stopped.clone())),
        tokio::spawn(rollouts::drive(console.clone(), stopped.clone())),
        tokio::spawn(keep_timestamp(console.clone(), stopped)),
    ];
    let text = serde_json::json!({ "people": people_at.to_string(), "boxes": boxes_at.to_string() });
    console.write_pairing();
    dir.replace("addresses.json", &serde_json::to_vec_pretty(&text)?)?;
    Ok(Running {
        console,
        people: people_at,
        boxes: boxes_at,
        stop,
        tasks,
    })
}

impl Running {
    /// Closes the doors, lets running requests end, and writes what is left.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
        self.console.flush_reports().await;
        let entry = self.console.entry("console.stopped", "console");
        let _ = self.console.record(entry).await;
        let recorder = self.console.0.book.recorder().clone();
        let _ = tokio::task::spawn_blocking(move || recorder.publish()).await;
        self.console.0.store.close().await;
        let _ = std::fs::remove_file(self.console.0.dir.path("addresses.json"));
    }
}

async fn write_reports(console: Console, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(REPORTS) => console.flush_reports().await,
            _ = stopped.changed() => return,
        }
    }
}

async fn keep_timestamp(console: Console, mut stopped: watch::Receiver<bool>) {
    loop {
        console.renew_timestamp().await;
        tokio::select! {
            () = tokio::time::sleep(TIMESTAMP) => {}
            _ = stopped.changed() => return,
        }
    }
}

impl Console {
    /// Signs the timestamp anew when less than half of its time is left.
    pub(crate) async fn renew_timestamp(&self) {
        let now = self.now();
        let shelf = self.shelf();
        if shelf.targets.is_none() || shelf.timestamp_until.saturating_sub(now) > timestamp::RENEW_BEFORE {
            return;
        }
        let console = self.clone();
        let renewed = tokio::task::spawn_blocking(move || {
            let stamp = Stamp {
                key: &console.0.keys.timestamp,
                now,
            };
            timestamp::renew(&console.0.dir, &stamp)
        })
        .await;
        match renewed {
            Ok(Ok(Some(shelf))) => self.put_shelf(shelf),
            Ok(Ok(None)) => {}
            Ok(Err(fault)) => tracing::error!(code = fault.code(), error = %fault, "the timestamp was not renewed"),
            Err(error) => tracing::error!(%error, "the timestamp was not renewed"),
        }
    }
}
