//! What the screen is shown: the status, and what only the machine itself knows.
//!
//! Refuses secrets: there is no field for one. Invariant: a box that is not a member of a fleet never shows a verdict.

use std::path::Path;

use freehold_protocol::enrol::Pairing;
use freehold_protocol::screen::{Ability, ConsoleView, Room, SettingsLock, Stage, VERSION, View};
use freehold_protocol::status::VerdictWord;

use crate::network::own_addresses;
use crate::status::Status;

/// What the machine itself knows.
pub(crate) struct Machine<'a> {
    /// The console, confirmed or offered.
    pub(crate) console: Option<&'a Pairing>,
    /// Whether it is ours.
    pub(crate) confirmed: bool,
    /// Whether settings were taken.
    pub(crate) settings: SettingsLock,
    /// Whether a recovery key waits to be written down.
    pub(crate) recovery_key: bool,
    /// Where models are.
    pub(crate) models: &'a Path,
    /// Unix seconds.
    pub(crate) at: i64,
}

/// The whole view.
pub(crate) fn view(status: &Status, machine: &Machine<'_>) -> View {
    let stage = match (machine.console, machine.confirmed, status.enrolment.as_str()) {
        (None, ..) => Stage::Unpaired,
        (Some(_), false, _) => Stage::Offered,
        (_, _, "approved") => Stage::Member,
        (_, _, "refused") => Stage::SentAway,
        _ => Stage::Waiting,
    };
    let console = machine
        .console
        .map_or_else(ConsoleView::default, |pairing| ConsoleView {
            address: pairing.console.clone(),
            state: status.console.clone(),
            fleet_ca: pairing.fleet_ca.clone(),
            tuf_root: pairing.tuf_root.clone(),
            director: pairing.director.clone(),
        });
    let mut can = vec![Ability::ShutDown];
    if !machine.confirmed {
        can.push(Ability::Import);
    }
    if stage == Stage::Offered {
        can.push(Ability::ConfirmConsole);
    }
    if machine.settings == SettingsLock::Open {
        can.push(Ability::Settings);
    }
    if machine.recovery_key {
        can.push(Ability::RecoveryKey);
    }
    View {
        v: VERSION,
        generation: 0,
        at: machine.at,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        box_id: status.box_id.clone(),
        label: status.label.clone(),
        fleet: machine
            .console
            .map_or_else(String::new, |pairing| pairing.fleet.clone()),
        site: machine.console.map_or_else(String::new, |pairing| pairing.site.clone()),
        stage,
        console,
        fingerprint: status.fingerprint.clone(),
        verdict: if stage == Stage::Member {
            status.verdict
        } else {
            VerdictWord::Unknown
        },
        because: status.because.clone(),
        tpm: status.tpm.state.clone(),
        boot: status.boot.clone(),
        doing: status.doing.clone(),
        models: status.models.clone(),
        gateway: status.gateway.clone(),
        addresses: own_addresses(),
        interfaces: interfaces(Path::new("/sys/class/net")),
        disk: room(machine.models),
        record: status.record,
        refusals: status.refusals.clone(),
        settings: machine.settings,
        can,
    }
}

/// Interfaces with a device behind them: no loopback, no bridges that something made.
fn interfaces(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = (entries.take(64).flatten())
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn room(path: &Path) -> Option<Room> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(Room {
        free: found.f_bavail.checked_mul(found.f_frsize)?,
        total: found.f_blocks.checked_mul(found.f_frsize)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_shown_of_a_member_only() {
        let status = Status {
            verdict: VerdictWord::Trusted,
            enrolment: "waiting_for_approval".to_owned(),
            ..Status::default()
        };
        let machine = Machine {
            console: None,
            confirmed: false,
            settings: SettingsLock::Open,
            recovery_key: false,
            models: Path::new("/"),
            at: 0,
        };
        let shown = view(&status, &machine);
        assert_eq!((shown.stage, shown.verdict), (Stage::Unpaired, VerdictWord::Unknown));
        assert_eq!(shown.can, [Ability::ShutDown, Ability::Import, Ability::Settings]);
    }
}
