//! The supervisor itself: what it holds, how it starts, how it ends.
//!
//! Refuses to start with a state that it cannot read. Invariant: after it was told to stop, no engine is left.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use freehold_collect::{Endorsement, Tpm};
use freehold_execute::{Store, VerityUse};
use freehold_plan::RunPermission;
use freehold_protocol::enrol::{EnrolState, Pairing};
use freehold_protocol::local::{ApiToken, Config, Serving, VERSION};
use freehold_protocol::report::GatewayDoor;
use freehold_protocol::status::VerdictWord;
use freehold_trust::Sha256Digest;
use freehold_verify::document::Assignment;
use freehold_verify::release::InstalledReleases;
use freehold_verify::{RefusalReport, Verified};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::Boot;
use crate::chronicle::Chronicle;
use crate::clock::BoxClock;
use crate::console::Console;
use crate::counting::Counting;
use crate::desired::Aim;
use crate::download::Downloads;
use crate::engines::Engines;
use crate::fault::Fault;
use crate::gateway::Door;
use crate::health::HealthBook;
use crate::identity::{self, Identity};
use crate::lease::Held;
use crate::milestones::Milestones;
use crate::network::{Network, own_addresses};
use crate::notify::Notify;
use crate::options::Settings;
use crate::pairing::{Fleet, pairing};
use crate::policy::Policy;
use crate::repository::Repository;
use crate::round::Approvals;
use crate::salts::Salts;
use crate::screen::attended;
use crate::site::Site;
use crate::state::State;
use crate::status::{Board, Status};
use crate::stick::{self, Sticks};
use crate::system::System;
use crate::witness::Witness;

/// Seconds between two looks while nothing says otherwise.
const DEFAULT_INTERVAL: f64 = 10.0;
/// The shortest time between two looks, so that a wrong number does not burn the processor.
const SHORTEST: Duration = Duration::from_millis(100);
/// How often the status says how far a download is.
const PROGRESS: Duration = Duration::from_secs(1);
/// Refusals that are kept for status and reports.
const REFUSALS: usize = 32;

/// What is pursued, as it is kept.
// A field of the version after this one is passed over: a system that was gone back from may have written it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pursuit {
    pub(crate) v: u32,
    /// Counter of the last accepted assignment; only rises.
    pub(crate) accepted: Option<u64>,
    /// Counter of the last achieved one.
    pub(crate) achieved: Option<u64>,
    /// Releases that were refused while pursuing it.
    pub(crate) failed: std::collections::BTreeMap<Sha256Digest, RefusalReport>,
    /// Targets whose refusal is in the record, with the code.
    pub(crate) told: std::collections::BTreeMap<String, String>,
}

/// Everything the supervisor holds.
pub(crate) struct Supervisor {
    pub(crate) settings: Settings,
    pub(crate) state: State,
    pub(crate) clock: BoxClock,
    pub(crate) box_id: String,
    pub(crate) pairing: Pairing,
    pub(crate) chronicle: Chronicle,
    pub(crate) tpm: Tpm,
    pub(crate) store: Store,
    pub(crate) downloads: Downloads,
    /// Contents that turned out changed on the disk: they are fetched, not taken from the store.
    pub(crate) spoilt: std::collections::BTreeSet<Sha256Digest>,
    pub(crate) engines: Engines,
    pub(crate) health: HealthBook,
    pub(crate) door: Door,
    pub(crate) board: Board,
    pub(crate) network: Network,
    pub(crate) milestones: Milestones,
    /// The policy release that was measured in this boot.
    pub(crate) policy_measured: Option<Sha256Digest>,
    pub(crate) status: Status,
    pub(crate) refusals: VecDeque<RefusalReport>,
    // What the console has confirmed since the start.
    pub(crate) identity: Option<Identity>,
    pub(crate) endorsement: Option<Endorsement>,
    pub(crate) console: Option<Console>,
    pub(crate) enrolment: EnrolState,
    pub(crate) enrol_refused: Option<(std::time::Instant, RefusalReport)>,
    pub(crate) verdict: VerdictWord,
    pub(crate) attest_due: bool,
    pub(crate) attested_at: Option<std::time::Instant>,
    pub(crate) attested_models: Vec<Sha256Digest>,
    pub(crate) boot_said: Option<String>,
    pub(crate) counting: Counting,
    pub(crate) witness: Witness,
    pub(crate) sequence: u64,
    pub(crate) inventory_told: bool,
    pub(crate) wished: Option<u32>,
    pub(crate) cosigned: u64,
    pub(crate) refused_envelope: Option<Sha256Digest>,
    // What is kept.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) repository: Option<Repository>,
    pub(crate) assignment: Option<Verified<Assignment>>,
    pub(crate) pursuit: Pursuit,
    /// What people approved of the accepted assignment.
    pub(crate) approvals: Approvals,
    pub(crate) installed: InstalledReleases,
    pub(crate) policy: Option<Policy>,
    pub(crate) lease: Held,
    pub(crate) system: System,
    /// Rounds since the start.
    pub(crate) rounds: u64,
    /// What the engine's self-test said in this boot; it runs only while an image is on trial.
    pub(crate) self_test: Option<Result<(), String>>,
    /// The code of the last lease that was refused, so that it is said once.
    pub(crate) refused_lease: Option<String>,
    /// Whether models may run, as it was last looked at.
    pub(crate) runs: BTreeMap<String, RunPermission>,
    pub(crate) tokens: Vec<ApiToken>,
    pub(crate) aim: Aim,
    pub(crate) sticks: Sticks,
}

impl Supervisor {
    async fn open(settings: Settings) -> Result<Self, Fault> {
        let state = State::open(&settings.state)?;
        let pairing = pairing(&state, settings.pairing.as_deref())?;
        let clock = BoxClock::open(&state)?;
        let box_id = identity::box_id(&state)?;
        let chronicle = Chronicle::open(&state, &box_id, &clock)?;
        let tpm = identity::tpm(&state, &settings.tcti)?;
        let store = Store::open(state.folder())?.with_verity(settings.verity());
        let holds = store.holds_files()?;
        std::fs::create_dir_all(&settings.runtime).map_err(|error| Fault::State {
            path: settings.runtime.clone(),
            detail: error.to_string(),
        })?;
        let tokens: Vec<ApiToken> = state.json("tokens.json")?.unwrap_or_default();
        let config = Config {
            v: VERSION,
            generation: 0,
            box_id: box_id.clone(),
            serving: Serving::Open,
            models: Vec::new(),
            tokens: tokens.clone(),
        };
        let socket = settings.runtime.join("supervisor.sock");
        let door = Door::open(
            &socket,
            chronicle.recorder().clone(),
            Salts::below(state.folder()),
            config,
        )?;
        let fleet = Fleet::stored(&state, &pairing)?;
        let repository = fleet
            .as_ref()
            .map(|fleet| Repository::open(&state, &fleet.root))
            .transpose()?;
        let pursuit = state.json::<Pursuit>("pursuit.json")?.unwrap_or(Pursuit {
            v: 1,
            ..Pursuit::default()
        });
        let approvals = Approvals::stored(&state, pursuit.accepted)?;
        let policy = Policy::stored(&state)?;
        let sticks = Sticks::open(&state)?;
        let health = HealthBook::stored(&state)?;
        let mut status = Status {
            v: 1,
            box_id: box_id.clone(),
            label: settings.label.clone(),
            fleet: pairing.fleet.clone(),
            store: match (holds, settings.verity()) {
                (true, _) => "held by fs-verity",
                (false, VerityUse::WherePossible) => "hashed before every start",
                (false, VerityUse::Required) => "no fs-verity: takes no model",
            }
            .to_owned(),
            ..Status::default()
        };
        chronicle
            .entry("supervisor.started")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("fleet", pairing.fleet.as_str())
            .write()
            .await?;
        let milestones = Milestones::new(settings.pcrextend.as_deref(), &settings.runtime_log);
        let downloads = Downloads::default();
        let mut engines = Engines::new(&settings, milestones.clone(), downloads.wake());
        status.host = engines.settle(&settings).await?;
        let refusals = pursuit.failed.values().cloned().collect();
        Ok(Self {
            installed: state.json("installed.json")?.unwrap_or_default(),
            cosigned: state.json("cosigned.json")?.unwrap_or(0),
            lease: Held::open(&state)?,
            system: System::open(&state, &settings)?,
            rounds: 0,
            self_test: None,
            refused_lease: None,
            runs: BTreeMap::new(),
            settings,
            state,
            clock,
            box_id,
            pairing,
            chronicle,
            tpm,
            store,
            downloads,
            spoilt: std::collections::BTreeSet::new(),
            engines,
            health,
            door,
            board: Board::default(),
            network: Network::new(None, None, milestones.clone()),
            milestones,
            policy_measured: None,
            status,
            refusals,
            identity: None,
            endorsement: None,
            console: None,
            enrolment: EnrolState::Unknown,
            enrol_refused: None,
            verdict: VerdictWord::Unknown,
            attest_due: true,
            attested_at: None,
            attested_models: Vec::new(),
            boot_said: None,
            counting: Counting::default(),
            witness: Witness::default(),
            sequence: 0,
            inventory_told: false,
            wished: None,
            refused_envelope: None,
            fleet,
            repository,
            assignment: None,
            approvals,
            pursuit,
            policy,
            tokens,
            aim: Aim::default(),
            sticks,
        })
    }

    /// How long to wait for the next look.
    fn pause(&self) -> Duration {
        let seconds = self
            .settings
            .interval
            .unwrap_or_else(|| self.wished.map_or(DEFAULT_INTERVAL, f64::from));
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(Duration::from_secs(10))
            .max(SHORTEST)
    }

    /// Keeps a refusal for status and reports; the same one stands there once, at its latest place.
    pub(crate) fn remember(&mut self, report: RefusalReport) {
        self.refusals
            .retain(|known| known.code != report.code || known.message != report.message);
        self.refusals.push_back(report);
        while self.refusals.len() > REFUSALS {
            self.refusals.pop_front();
        }
    }

    /// Where the gateway is, from the file that it writes once it listens.
    pub(crate) fn gateway(&self) -> Option<GatewayDoor> {
        let path = self
            .settings
            .gateway_address
            .clone()
            .or_else(|| Some(self.settings.state.parent()?.join("gateway/address.json")))?;
        let bytes = std::fs::read(path).ok().filter(|bytes| bytes.len() < 4096)?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        Some(GatewayDoor {
            url: reachable(&text("url")?, &own_addresses()),
            spki: text("spki")?,
        })
    }

    /// The boot as the files say it now.
    pub(crate) fn boot(&self) -> Result<Boot, Fault> {
        Boot::read(
            self.settings.boot_log.as_deref(),
            self.settings.boot_manifest.as_deref(),
        )
    }

    pub(crate) fn show(&mut self) -> Result<(), Fault> {
        self.how_far();
        self.status.refusals = self.refusals.iter().cloned().collect();
        self.status.record = self.chronicle.head().size;
        self.status.gateway = self.gateway();
        self.status.network = self.network.standing().word();
        self.board.show(&self.state, &self.status)
    }
}

/// An address that applications can be given: a gateway that listens everywhere is at the machine's own.
fn reachable(url: &str, own: &[String]) -> String {
    match (url.strip_prefix("https://0.0.0.0"), own.first()) {
        (Some(rest), Some(address)) if rest.starts_with(':') => format!("https://{address}{rest}"),
        _ => url.to_owned(),
    }
}

/// Keeps the box as its assignment says, until SIGTERM or SIGINT. Answers true.
///
/// # Errors
/// A [`Fault`] of the start, for example a state folder that cannot be read; later ones are retried, never fatal.
pub async fn run(settings: Settings) -> Result<bool, Fault> {
    let (mut term, mut int) = signals()?;
    let notify = Notify::from_environment();
    // Before anything is said to anybody: whom the box may speak to.
    let milestones = Milestones::new(settings.pcrextend.as_deref(), &settings.runtime_log);
    let network = Network::new(settings.network.as_deref(), settings.bus.as_deref(), milestones);
    let site = Site::locked(&State::open(&settings.state)?)?;
    if let Some(site) = &site {
        network.begin(site);
    }
    // Where a person has to say which console is ours, the supervisor is up and waits for that as long as it takes.
    let mut screen = tokio::select! {
        screen = attended(&settings, &network, &notify) => screen?,
        _ = term.recv() => return Ok(true),
        _ = int.recv() => return Ok(true),
    };
    let mut supervisor = Supervisor::open(settings).await?;
    supervisor.network = network;
    if let Some(screen) = &mut screen {
        let who = format!("box:{}", supervisor.box_id);
        let recorder = supervisor.chronicle.recorder();
        screen.attend(recorder, &who).await?;
    }
    supervisor.board.also_on(screen);
    let mut sticks = stick::door::Door::open(&supervisor.settings.runtime)?;
    supervisor.show()?;
    notify.ready();
    notify.guard();
    tracing::info!(box_id = %supervisor.box_id, console = %supervisor.pairing.console, "the supervisor runs");
    loop {
        notify.beat();
        let looked = tokio::select! {
            looked = supervisor.look() => looked,
            // A round that is dropped is a round that was cut off: the next start goes on from there.
            _ = term.recv() => break,
            _ = int.recv() => break,
        };
        if let Err(fault) = looked {
            tracing::error!(code = fault.code(), %fault, "a round failed");
        }
        let (pause, wake) = (tokio::time::sleep(supervisor.pause()), supervisor.downloads.wake());
        tokio::pin!(pause);
        let again = loop {
            tokio::select! {
                () = &mut pause => break true,
                // A download, an examination or an engine's start has ended: what follows is done at once.
                () = wake.notified() => break true,
                Some(asked) = sticks.next() => {
                    let (answer, again) = supervisor.stick_wish(asked.wish).await;
                    let _ = asked.answer.send(answer);
                    if again {
                        break true;
                    }
                }
                () = tokio::time::sleep(PROGRESS), if supervisor.downloads.any() => {
                    if let Err(fault) = supervisor.show() {
                        tracing::warn!(%fault, "the status cannot be written");
                    }
                }
                _ = term.recv() => break false,
                _ = int.recv() => break false,
            }
        };
        if !again {
            break;
        }
    }
    notify.stopping();
    supervisor.downloads.stop_all().await;
    supervisor.engines.stop_all().await;
    let stopped = supervisor.chronicle.entry("supervisor.stopped").write().await;
    tracing::info!("the supervisor stops");
    stopped.map(|_| true)
}

/// One round; answers whether nothing is left to do. Engines that it started end with it.
///
/// # Errors
/// A [`Fault`].
pub async fn once(settings: Settings) -> Result<bool, Fault> {
    let mut supervisor = Supervisor::open(settings).await?;
    let mut looked = supervisor.look().await;
    // A download or a start that ended well belongs to the round: what it brought is still verified, stored and served.
    while looked.is_ok() && (supervisor.downloads.settle().await | supervisor.engines.settled().await) {
        looked = supervisor.look().await;
    }
    supervisor.downloads.stop_all().await;
    supervisor.engines.stop_all().await;
    looked
}

fn signals() -> Result<(tokio::signal::unix::Signal, tokio::signal::unix::Signal), Fault> {
    let fault = |error: std::io::Error| Fault::of("box.settings", format!("signals: {error}"));
    Ok((
        signal(SignalKind::terminate()).map_err(fault)?,
        signal(SignalKind::interrupt()).map_err(fault)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_listens_everywhere_is_shown_at_the_boxs_own_address() {
        let own = ["10.0.0.17".to_owned(), "10.0.0.18".to_owned()];
        assert_eq!(reachable("https://0.0.0.0:8443", &own), "https://10.0.0.17:8443");
        assert_eq!(reachable("https://0.0.0.0:8443", &[]), "https://0.0.0.0:8443");
        assert_eq!(reachable("https://127.0.0.1:9", &own), "https://127.0.0.1:9");
    }
}
