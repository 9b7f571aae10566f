//! Who attends to the person at the machine: first until a console is ours, then beside the rounds.
//!
//! Refuses to make a console ours that was only named. Invariant: what a person did at the machine stands in the record,
//! except what was done before there was one; that becomes its first entries.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freehold_protocol::enrol::Pairing;
use freehold_protocol::screen::{Deed, SettingsLock};
use freehold_record::Entry;
use freehold_record_files::Recorder;
use freehold_verify::rejection::Refusal as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::desk::Desk;
use super::stick::Stick;
use super::view::{Machine, view};
use super::{Door, Granted, ScreenRejection, Wish};
use crate::clock::BoxClock;
use crate::fault::Fault;
use crate::introduce::introduce;
use crate::network::{Network, Standing};
use crate::notify::Notify;
use crate::options::Settings;
use crate::pairing;
use crate::site::Site;
use crate::state::State;
use crate::status::Status;

/// The recovery key, put there by who made the volume, until it was written down.
const RECOVERY_KEY: &str = "recovery-key";
/// How often the screen is painted while a person is waited for.
const LOOK: Duration = Duration::from_secs(30);
/// How often it is looked whether the network stands.
const SOON: Duration = Duration::from_secs(1);
/// How often a console that was typed is asked for its keys, and the screen painted meanwhile.
const ASK: Duration = Duration::from_secs(3);

/// Attends to the screen.
#[derive(Debug)]
pub(crate) struct Attendant {
    door: Door,
    /// Taken by the task that grants wishes beside the rounds.
    wishes: Option<mpsc::Receiver<Wish>>,
    desk: Desk,
    console: Option<Pairing>,
    done_before: Vec<(&'static str, String)>,
    models: PathBuf,
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

/// Opens the screen where it is wished for, and waits there until a console is ours. `None` without a screen.
///
/// # Errors
/// A [`Fault`] of the state folder or the socket.
pub(crate) async fn attended(
    settings: &Settings,
    network: &Network,
    notify: &Notify,
) -> Result<Option<Attendant>, Fault> {
    if !settings.screen {
        return Ok(None);
    }
    let state = State::open(&settings.state)?;
    std::fs::create_dir_all(&settings.runtime).map_err(|error| Fault::State {
        path: settings.runtime.clone(),
        detail: error.to_string(),
    })?;
    let (door, wishes) = Door::open(&settings.runtime.join("screen.sock"))?;
    let bus = settings.bus.as_deref();
    let mut attendant = Attendant {
        door,
        wishes: Some(wishes),
        models: settings.state.clone(),
        console: pairing::locked(&state)?,
        done_before: Vec::new(),
        desk: Desk {
            state,
            network: network.clone(),
            stick: Stick::new(settings.stick.as_deref(), settings.stick_unit.as_deref(), bus),
            bus: settings.bus.clone(),
            recovery_key: settings.runtime.join(RECOVERY_KEY),
        },
    };
    if attendant.console.is_none() {
        attendant.until_paired(settings, notify).await?;
    }
    Ok(Some(attendant))
}

impl Attendant {
    /// Shows how the box is.
    pub(crate) fn show(&self, status: &Status) {
        self.door.show(view(status, &self.machine(self.console.as_ref(), true)));
    }

    fn machine<'a>(&'a self, console: Option<&'a Pairing>, confirmed: bool) -> Machine<'a> {
        Machine {
            console,
            confirmed,
            settings: if Site::is_locked(&self.desk.state) {
                SettingsLock::Locked
            } else {
                SettingsLock::Open
            },
            recovery_key: self.desk.recovery_key.exists(),
            models: &self.models,
            at: now(),
        }
    }

    /// From here on wishes are granted beside the rounds, and stand in the record.
    pub(crate) async fn attend(&mut self, recorder: &Recorder, who: &str) -> Result<(), Fault> {
        for (what, fingerprint) in self.done_before.drain(..) {
            let entry = Entry::new(now().saturating_mul(1000), who, what).with("fingerprint", fingerprint);
            recorder.submit(&entry)?.await?;
        }
        let Some(mut wishes) = self.wishes.take() else {
            return Ok(());
        };
        let (recorder, who) = (recorder.clone(), who.to_owned());
        let (desk, ours) = (self.desk.clone(), self.console.clone());
        tokio::spawn(async move {
            let note = |what: &'static str, fingerprint: Option<String>| {
                let mut entry = Entry::new(now().saturating_mul(1000), &who, what);
                if let Some(fingerprint) = fingerprint {
                    entry = entry.with("fingerprint", fingerprint);
                }
                let submitted = recorder.submit(&entry);
                async move {
                    let durable = async { submitted?.await };
                    durable.await.map(|_| ()).map_err(|fault| Fault::from(fault).report())
                }
            };
            while let Some(Wish { deed, answer }) = wishes.recv().await {
                let granted = match &deed {
                    // The entry first: afterwards nobody is left to write it.
                    Deed::ShutDown {} => match note("screen.shut_down", None).await {
                        Ok(()) => desk.shut_down().await,
                        Err(report) => Err(report),
                    },
                    Deed::RecoveryKey {} => desk.show_key(),
                    Deed::RecoveryKeyWritten { last_block } => match desk.forget_key(last_block) {
                        Ok(granted) => note("screen.recovery_key_written", None).await.map(|()| granted),
                        refused => refused,
                    },
                    Deed::Settings { settings } => match desk.take(settings, ours.as_ref()) {
                        Ok(site) => note("screen.settings_typed", Some(site.digest.to_hex()))
                            .await
                            .map(|()| Granted::Said("The settings are taken, and locked.".to_owned())),
                        Err(report) => Err(report),
                    },
                    Deed::Import {} => Err(ScreenRejection::NoStick.report()),
                    Deed::ConfirmConsole { .. } => Err(ScreenRejection::NothingOffered.report()),
                };
                let _ = answer.send(granted);
            }
        });
        Ok(())
    }

    /// Serves the screen until a console was confirmed on it.
    async fn until_paired(&mut self, settings: &Settings, notify: &Notify) -> Result<(), Fault> {
        // A pairing file on the command line is a console that was named, not one that was confirmed.
        let mut offered: Option<Pairing> = match self.desk.offered()? {
            Some(offered) => Some(offered),
            None => settings.pairing.as_deref().and_then(|path| pairing::read(path).ok()),
        };
        let mut status = Status {
            v: 1,
            box_id: crate::identity::box_id(&self.desk.state)?,
            label: settings.label.clone(),
            ..Status::default()
        };
        let clock = BoxClock::open(&self.desk.state)?;
        let Some(mut wishes) = self.wishes.take() else {
            return Ok(());
        };
        // The unit is up: it waits for a person, not for itself.
        notify.ready();
        notify.guard();
        let mut asking: JoinSet<Result<Pairing, Fault>> = JoinSet::new();
        loop {
            let typed = Site::locked(&self.desk.state)?.and_then(|site| site.console);
            let stands = self.desk.network.standing() == Standing::Applied;
            let to_ask = typed.filter(|named| stands && offered.is_none() && !named.address.is_empty());
            self.say(&mut status, to_ask.is_some());
            self.door.show(view(&status, &self.machine(offered.as_ref(), false)));
            notify.beat();
            let pause = match self.desk.network.standing() {
                Standing::Applying | Standing::Refused(_) => SOON,
                _ if to_ask.is_some() => ASK,
                _ => LOOK,
            };
            let wish = tokio::select! {
                wish = wishes.recv() => wish,
                Some(asked) = asking.join_next(), if !asking.is_empty() => {
                    self.asked(asked, &mut offered, &mut status);
                    continue;
                }
                // The clock on the screen, and the watchdog.
                () = tokio::time::sleep(pause) => {
                    if let (Some(named), true) = (to_ask, asking.is_empty()) {
                        let clock = clock.clone();
                        asking.spawn(async move { introduce(&named, &clock).await });
                    }
                    continue;
                }
            };
            let Some(Wish { deed, answer }) = wish else {
                return Ok(());
            };
            let granted = match &deed {
                Deed::ConfirmConsole { fingerprint } => {
                    let confirmed = self.desk.confirm(offered.as_ref(), fingerprint);
                    confirmed.map(|console| {
                        let fingerprint = console.fleet_ca.clone();
                        self.done_before.push(("screen.console_confirmed", fingerprint));
                        self.console = Some(console);
                        Granted::Said("This console is now the console of this box.".to_owned())
                    })
                }
                Deed::Import {} => self.desk.import().await.map(|(named, said)| {
                    offered = Some(named);
                    Granted::Said(said)
                }),
                Deed::Settings { settings } => self.desk.take(settings, None).map(|site| {
                    self.done_before.push(("screen.settings_typed", site.digest.to_hex()));
                    Granted::Said("The settings are taken, and locked.".to_owned())
                }),
                Deed::RecoveryKey {} => self.desk.show_key(),
                Deed::RecoveryKeyWritten { last_block } => self.desk.forget_key(last_block),
                Deed::ShutDown {} => self.desk.shut_down().await,
            };
            let _ = answer.send(granted);
            if self.console.is_some() {
                self.wishes = Some(wishes);
                return Ok(());
            }
        }
    }

    /// What is said while nobody's word is waited for but the network's and the console's.
    fn say(&self, status: &mut Status, asking: bool) {
        let standing = self.desk.network.standing();
        status.network = standing.word();
        status.refusals.retain(|report| !report.code.starts_with("settings."));
        match standing {
            Standing::Refused(report) => {
                status.doing = format!("{}: {}", report.code, report.message);
                status.refusals.push(report);
            }
            Standing::Applying => status.doing = "the network settings are being applied".to_owned(),
            _ if asking && status.console.is_empty() => {
                "the console is asked for its keys".clone_into(&mut status.doing)
            }
            _ if !asking => status.doing.clear(),
            _ => {}
        }
    }

    /// The answer of a console that was typed: named now, to be compared by a person.
    fn asked(
        &self,
        asked: Result<Result<Pairing, Fault>, tokio::task::JoinError>,
        offered: &mut Option<Pairing>,
        status: &mut Status,
    ) {
        let named = match asked {
            Ok(Ok(named)) => self.desk.offer(&named).map(|()| named),
            Ok(Err(fault)) => Err(fault.report()),
            Err(error) => Err(Fault::of("console.answer", error.to_string()).report()),
        };
        match named {
            Ok(named) => {
                "named".clone_into(&mut status.console);
                *offered = Some(named);
            }
            Err(report) => {
                tracing::warn!(code = %report.code, message = %report.message, "the console did not say its keys");
                status.console.clone_from(&report.code);
                status.doing = format!("{}: {}", report.code, report.message);
            }
        }
    }
}
