//! Who attends to the person at the machine: first until a console is ours, then beside the rounds.
//!
//! Refuses to make a console ours that was only named. Invariant: what a person did at the machine stands in the record,
//! except what was done before there was one; that becomes its first entries.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use freehold_protocol::enrol::Pairing;
use freehold_protocol::screen::{Deed, SettingsLock};
use freehold_record::Entry;
use freehold_record_files::Recorder;
use freehold_trust::digest::ct_eq;
use freehold_verify::RefusalReport;
use freehold_verify::document::Settings as Document;
use freehold_verify::rejection::Refusal as _;
use tokio::sync::mpsc;

use super::view::{Machine, view};
use super::{Door, Granted, ScreenRejection, Wish};
use crate::fault::Fault;
use crate::notify::Notify;
use crate::options::Settings;
use crate::pairing;
use crate::state::State;
use crate::status::Status;

/// Settings that a person typed, as they were shown and applied.
const TYPED: &str = "settings.typed.json";
/// A pairing that was imported and waits for the comparison.
const OFFERED: &str = "pairing.offered.json";
/// The recovery key, put there by who made the volume, until it was written down.
const RECOVERY_KEY: &str = "recovery-key";
/// How often the screen is painted while a person is waited for.
const LOOK: Duration = Duration::from_secs(30);
/// A systemd that says nothing for so long does not shut the machine down.
const POWER: Duration = Duration::from_secs(10);
/// Bounds what is read from a stick.
const MAX_PAIRING: u64 = 16 * 1024;
/// Bounds typed settings: their values have some 300 bytes.
const MAX_SETTINGS: usize = 4096;

/// Attends to the screen.
#[derive(Debug)]
pub(crate) struct Attendant {
    door: Door,
    /// Taken by the task that grants wishes beside the rounds.
    wishes: Option<mpsc::Receiver<Wish>>,
    state: State,
    console: Option<Pairing>,
    done_before: Vec<(&'static str, String)>,
    recovery_key: PathBuf,
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
pub(crate) async fn attended(settings: &Settings, notify: &Notify) -> Result<Option<Attendant>, Fault> {
    if !settings.screen {
        return Ok(None);
    }
    let state = State::open(&settings.state)?;
    std::fs::create_dir_all(&settings.runtime).map_err(|error| Fault::State {
        path: settings.runtime.clone(),
        detail: error.to_string(),
    })?;
    let (door, wishes) = Door::open(&settings.runtime.join("screen.sock"))?;
    let mut attendant = Attendant {
        door,
        wishes: Some(wishes),
        models: settings.state.clone(),
        recovery_key: settings.runtime.join(RECOVERY_KEY),
        console: pairing::locked(&state)?,
        done_before: Vec::new(),
        state,
    };
    if attendant.console.is_none() {
        attendant.until_paired(settings, notify).await?;
    }
    Ok(Some(attendant))
}

impl Attendant {
    /// Shows how the box is.
    pub(crate) fn show(&self, status: &Status) {
        let machine = Machine {
            console: self.console.as_ref(),
            confirmed: true,
            settings: lock(&self.state),
            recovery_key: self.recovery_key.exists(),
            models: &self.models,
            at: now(),
        };
        self.door.show(view(status, &machine));
    }

    /// From here on wishes are granted beside the rounds, and stand in the record.
    pub(crate) async fn attend(&mut self, settings: &Settings, recorder: &Recorder, who: &str) -> Result<(), Fault> {
        for (what, fingerprint) in self.done_before.drain(..) {
            let entry = Entry::new(now().saturating_mul(1000), who, what).with("fingerprint", fingerprint);
            recorder.submit(&entry)?.await?;
        }
        let Some(mut wishes) = self.wishes.take() else {
            return Ok(());
        };
        let (recorder, who, settings) = (recorder.clone(), who.to_owned(), settings.clone());
        let key = self.recovery_key.clone();
        tokio::spawn(async move {
            while let Some(Wish { deed, answer }) = wishes.recv().await {
                let granted = match &deed {
                    Deed::ShutDown {} => {
                        // The entry first: afterwards nobody is left to write it.
                        let noted = note(&recorder, &who, "screen.shut_down").await;
                        match noted {
                            Ok(()) => shut_down(settings.bus.as_deref())
                                .await
                                .map_err(|rejection| rejection.report()),
                            Err(fault) => Err(fault.report()),
                        }
                    }
                    Deed::RecoveryKey {} => show_key(&key),
                    Deed::RecoveryKeyWritten { last_block } => match forget_key(&key, last_block) {
                        Ok(granted) => note(&recorder, &who, "screen.recovery_key_written")
                            .await
                            .map(|()| granted)
                            .map_err(|fault| fault.report()),
                        refused => refused,
                    },
                    Deed::Settings { .. } => Err(ScreenRejection::SettingsLocked.report()),
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
        let mut offered: Option<Pairing> = match self.state.json::<Pairing>(OFFERED)? {
            Some(offered) => Some(offered),
            None => settings.pairing.as_deref().and_then(|path| pairing::read(path).ok()),
        };
        let status = Status {
            v: 1,
            box_id: crate::identity::box_id(&self.state)?,
            label: settings.label.clone(),
            ..Status::default()
        };
        let Some(mut wishes) = self.wishes.take() else {
            return Ok(());
        };
        // The unit is up: it waits for a person, not for itself.
        notify.ready();
        notify.guard();
        loop {
            let machine = Machine {
                console: offered.as_ref(),
                confirmed: false,
                settings: lock(&self.state),
                recovery_key: self.recovery_key.exists(),
                models: &self.models,
                at: now(),
            };
            self.door.show(view(&status, &machine));
            notify.beat();
            let wish = tokio::select! {
                wish = wishes.recv() => wish,
                // The clock on the screen, and the watchdog.
                () = tokio::time::sleep(LOOK) => continue,
            };
            let Some(Wish { deed, answer }) = wish else {
                return Ok(());
            };
            let granted = match &deed {
                Deed::ConfirmConsole { fingerprint } => match self.confirm(offered.as_ref(), fingerprint) {
                    Ok(console) => {
                        self.done_before
                            .push(("screen.console_confirmed", console.fleet_ca.clone()));
                        self.console = Some(console);
                        Ok(Granted::Said("This console is now the console of this box.".to_owned()))
                    }
                    Err(report) => Err(report),
                },
                Deed::Import {} => match self.import(settings.stick.as_deref()) {
                    Ok(named) => {
                        let said = format!("The stick names the console of fleet {}. Compare it now.", named.fleet);
                        offered = Some(named);
                        Ok(Granted::Said(said))
                    }
                    Err(report) => Err(report),
                },
                Deed::Settings { settings } => match self.take(settings) {
                    Ok(()) => {
                        self.done_before
                            .push(("screen.settings_typed", typed_console(settings)));
                        Ok(Granted::Said("The settings are taken, and locked.".to_owned()))
                    }
                    Err(report) => Err(report),
                },
                Deed::RecoveryKey {} => show_key(&self.recovery_key),
                Deed::RecoveryKeyWritten { last_block } => forget_key(&self.recovery_key, last_block),
                Deed::ShutDown {} => shut_down(settings.bus.as_deref())
                    .await
                    .map_err(|rejection| rejection.report()),
            };
            let _ = answer.send(granted);
            if self.console.is_some() {
                self.wishes = Some(wishes);
                return Ok(());
            }
        }
    }

    fn confirm(&self, offered: Option<&Pairing>, fingerprint: &str) -> Result<Pairing, RefusalReport> {
        let offered = offered.ok_or_else(|| ScreenRejection::NothingOffered.report())?;
        if !ct_eq(offered.fleet_ca.as_bytes(), fingerprint.as_bytes()) {
            return Err(ScreenRejection::OtherConsole {
                expected: offered.fleet_ca.clone(),
                found: fingerprint.to_owned(),
            }
            .report());
        }
        self.as_typed(offered)?;
        pairing::lock(&self.state, offered).map_err(|fault| fault.report())
    }

    /// Whether a pairing is of the console whose fingerprint was typed, where one was.
    fn as_typed(&self, offered: &Pairing) -> Result<(), RefusalReport> {
        let typed = self.state.json::<Document>(TYPED).map_err(|fault| fault.report())?;
        let expected = typed.as_ref().map(typed_console).unwrap_or_default();
        if expected.is_empty() || expected == offered.fleet_ca {
            return Ok(());
        }
        Err(ScreenRejection::OtherConsole {
            expected,
            found: offered.fleet_ca.clone(),
        }
        .report())
    }

    /// Takes the pairing file of the stick, which is mounted read-only at `stick`.
    fn import(&self, stick: Option<&Path>) -> Result<Pairing, RefusalReport> {
        let path = stick.map(|stick| stick.join("pairing.json"));
        let path =
            path.filter(|path| std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_PAIRING));
        let path = path.ok_or_else(|| ScreenRejection::NoStick.report())?;
        let named = pairing::read(&path).map_err(|fault| fault.report())?;
        self.as_typed(&named)?;
        self.state.put_json(OFFERED, &named).map_err(|fault| fault.report())?;
        Ok(named)
    }

    fn take(&self, settings: &Document) -> Result<(), RefusalReport> {
        if lock(&self.state) == SettingsLock::Locked {
            return Err(ScreenRejection::SettingsLocked.report());
        }
        let malformed = |why: &str| ScreenRejection::SettingsMalformed { why: why.to_owned() }.report();
        if settings.v != 1 {
            return Err(malformed("another version"));
        }
        if typed_console(settings).parse::<freehold_trust::Sha256Digest>().is_err() {
            return Err(malformed("no fingerprint of a console"));
        }
        if serde_json::to_vec(settings).map_or(usize::MAX, |bytes| bytes.len()) > MAX_SETTINGS {
            return Err(malformed("too long"));
        }
        self.state.put_json(TYPED, settings).map_err(|fault| fault.report())
    }
}

/// The fleet CA's fingerprint in typed settings; empty when there is none.
fn typed_console(settings: &Document) -> String {
    (settings.values.get("console"))
        .and_then(|console| console.get("fleet_ca"))
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn lock(state: &State) -> SettingsLock {
    if state.path(TYPED).exists() {
        SettingsLock::Locked
    } else {
        SettingsLock::Open
    }
}

async fn note(recorder: &Recorder, who: &str, what: &str) -> Result<(), Fault> {
    recorder
        .submit(&Entry::new(now().saturating_mul(1000), who, what))?
        .await?;
    Ok(())
}

fn blocks(path: &Path) -> Result<Vec<String>, RefusalReport> {
    let text = std::fs::read_to_string(path).map_err(|_| ScreenRejection::NoRecoveryKey.report())?;
    let blocks: Vec<String> = text.trim().split('-').map(str::to_owned).collect();
    // Eight blocks of six letters; anything else is not a key that somebody should copy.
    if blocks.len() == 8 && blocks.iter().all(|block| block.len() == 6) {
        Ok(blocks)
    } else {
        Err(ScreenRejection::NoRecoveryKey.report())
    }
}

fn show_key(path: &Path) -> Result<Granted, RefusalReport> {
    blocks(path).map(Granted::RecoveryKey)
}

/// Removes the key once somebody has it on paper.
fn forget_key(path: &Path, last_block: &str) -> Result<Granted, RefusalReport> {
    let blocks = blocks(path)?;
    if !(blocks.last()).is_some_and(|last| ct_eq(last.as_bytes(), last_block.as_bytes())) {
        return Err(ScreenRejection::RecoveryBlock.report());
    }
    std::fs::remove_file(path).map_err(|_| ScreenRejection::NoRecoveryKey.report())?;
    Ok(Granted::Said(
        "The recovery key is on paper now, and gone from here.".to_owned(),
    ))
}

/// Asks systemd to shut the machine down.
async fn shut_down(bus: Option<&str>) -> Result<Granted, ScreenRejection> {
    let call = async {
        let connection = match bus {
            Some(address) => zbus::connection::Builder::address(address).build().await?,
            None => zbus::Connection::system().await?,
        };
        // org.freedesktop.systemd1(5): `Manager.PowerOff()` starts poweroff.target.
        connection
            .call_method(
                Some("org.freedesktop.systemd1"),
                "/org/freedesktop/systemd1",
                Some("org.freedesktop.systemd1.Manager"),
                "PowerOff",
                &(),
            )
            .await
    };
    let power = |why: String| ScreenRejection::Power { why };
    match tokio::time::timeout(POWER, call).await {
        Ok(Ok(_)) => Ok(Granted::Said("The machine shuts down.".to_owned())),
        Ok(Err(error)) => Err(power(error.to_string())),
        Err(_) => Err(power(format!("no answer within {} s", POWER.as_secs()))),
    }
}
