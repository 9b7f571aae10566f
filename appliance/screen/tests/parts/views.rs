//! Views that the tests show: one box at its stages.

use freehold_protocol::fingerprint::Fingerprint;
use freehold_protocol::report::GatewayDoor;
use freehold_protocol::screen::{Ability, ConsoleView, Room, SettingsLock, Stage, VERSION, View};
use freehold_protocol::status::{Fetched, ModelPhase, ModelState, VerdictWord};
use freehold_trust::sha256;
use freehold_verify::RefusalReport;

/// 2026-11-21 09:14 UTC.
pub const NOW: i64 = 1_795_252_440;

fn console() -> ConsoleView {
    ConsoleView {
        address: "https://10.0.0.5:8443".to_owned(),
        state: "ok".to_owned(),
        fleet_ca: sha256(b"fleet ca").to_hex(),
        tuf_root: sha256(b"tuf root").to_hex(),
        director: sha256(b"director").to_hex(),
    }
}

fn model(name: &str, phase: ModelPhase) -> ModelState {
    ModelState {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        digest: sha256(name.as_bytes()).to_hex(),
        signer: sha256(b"signer").to_hex(),
        phase,
        reason: None,
        memory_bound: "cgroup".to_owned(),
        progress: None,
    }
}

/// A box that serves and has nothing to say.
pub fn serving() -> View {
    View {
        v: VERSION,
        generation: 1,
        at: NOW,
        program: "0.1.0".to_owned(),
        box_id: "amber-fox-9d1e".to_owned(),
        label: "Radiology B".to_owned(),
        fleet: "ward".to_owned(),
        site: "north".to_owned(),
        stage: Stage::Member,
        console: console(),
        fingerprint: Some(Fingerprint::over(b"ek", b"ak", b"tls").to_string()),
        verdict: VerdictWord::Trusted,
        because: vec!["boot, TPM and models are as policy `ward 1.0.0` asks.".to_owned()],
        tpm: "ok".to_owned(),
        boot: "measured".to_owned(),
        doing: "nothing to do".to_owned(),
        models: vec![model("freehold-guide", ModelPhase::Serving)],
        gateway: Some(GatewayDoor {
            url: "https://10.0.0.17:8443".to_owned(),
            spki: sha256(b"door").to_hex(),
        }),
        addresses: vec!["10.0.0.17".to_owned()],
        interfaces: vec!["eno1".to_owned()],
        disk: Some(Room {
            free: 412 << 30,
            total: 931 << 30,
        }),
        record: 1204,
        refusals: Vec::new(),
        settings: SettingsLock::Locked,
        can: vec![Ability::Import, Ability::ShutDown],
    }
}

/// A machine that was switched on for the first time.
pub fn unpaired() -> View {
    View {
        v: VERSION,
        generation: 1,
        at: NOW,
        program: "0.1.0".to_owned(),
        box_id: "amber-fox-9d1e".to_owned(),
        interfaces: vec!["eno1".to_owned(), "eno2".to_owned()],
        can: vec![Ability::Import, Ability::Settings, Ability::ShutDown],
        ..View::default()
    }
}

/// A stick named a console.
pub fn offered() -> View {
    View {
        generation: 2,
        stage: Stage::Offered,
        fleet: "ward".to_owned(),
        site: "north".to_owned(),
        console: ConsoleView {
            state: String::new(),
            ..console()
        },
        can: vec![Ability::Import, Ability::ConfirmConsole, Ability::ShutDown],
        ..unpaired()
    }
}

/// It waits for approval.
pub fn waiting() -> View {
    View {
        stage: Stage::Waiting,
        verdict: VerdictWord::Unknown,
        because: Vec::new(),
        models: Vec::new(),
        doing: "waiting for a person to approve this box at the console".to_owned(),
        generation: 3,
        ..serving()
    }
}

/// Refused, three refusals, five models of which one is being fetched.
pub fn troubled() -> View {
    let refusal = |code: &str, message: &str, expected: Option<&str>, found: Option<&str>| RefusalReport {
        code: code.to_owned(),
        message: message.to_owned(),
        expected: expected.map(str::to_owned),
        found: found.map(str::to_owned),
    };
    let mut fetching = model("triage-8b", ModelPhase::Fetching);
    fetching.progress = Some(Fetched { done: 62, total: 100 });
    let mut refused = model("borrowed", ModelPhase::Refused);
    refused.reason = Some("release.revoked".to_owned());
    View {
        verdict: VerdictWord::Refused,
        because: vec!["boot.event: PCR 7 differs from what release 1.4.2 allows on this hardware.".to_owned()],
        models: vec![
            model("freehold-guide", ModelPhase::Serving),
            fetching,
            refused,
            model("fourth", ModelPhase::Admitted),
            model("fifth", ModelPhase::Stopped),
        ],
        refusals: vec![
            refusal("release.revoked", "release `borrowed` 1.0.0 was revoked", None, None),
            refusal("tomorrow.code", "a code of a later version", None, None),
            refusal(
                "release.rollback",
                "`models/guide/1.0.0/release.json` is older than what was installed",
                Some("more than 2"),
                Some("1"),
            ),
        ],
        generation: 4,
        ..serving()
    }
}

/// Everything that a box or a console can say is hostile and endless.
pub fn hostile() -> View {
    let nasty = "\x1b[2J\x1b]0;owned\x07\u{202e}evil\r\n".repeat(40);
    let mut view = troubled();
    view.label.clone_from(&nasty);
    view.fleet.clone_from(&nasty);
    view.site.clone_from(&nasty);
    view.doing.clone_from(&nasty);
    view.because = vec![nasty.clone(); 20];
    view.console.address.clone_from(&nasty);
    view.console.state.clone_from(&nasty);
    view.console.fleet_ca.clone_from(&nasty);
    view.fingerprint = Some(nasty.clone());
    view.addresses = vec![nasty.clone(); 20];
    view.box_id.clone_from(&nasty);
    for model in &mut view.models {
        model.name.clone_from(&nasty);
        model.reason = Some(nasty.clone());
    }
    view.models = vec![view.models[2].clone(); 300];
    for refusal in &mut view.refusals {
        refusal.code.clone_from(&nasty);
        refusal.message.clone_from(&nasty);
    }
    view
}
