//! Every page in its states, for snapshots here and for the gallery in the browser: normal, empty, refused, hostile.
//!
//! Refuses to look like a real fleet's secrets: every name, key and number is made up. Invariant: a page that exists is here.

#[path = "access.rs"]
mod access;
#[path = "approving.rs"]
mod approving;
#[path = "fleet.rs"]
mod fleet;
#[path = "hostile.rs"]
pub mod hostile;
#[path = "one_box.rs"]
mod one_box;
#[path = "others.rs"]
mod others;
#[path = "rollouts.rs"]
mod rollouts;
#[path = "sticks.rs"]
mod sticks;

use freehold_views::shell::{Parts, Person, Waiting};
use freehold_views::*;

/// 2026-11-21 09:17:00 UTC, a Saturday: the fixed now of every state.
pub const NOW: i64 = 1_795_252_620;

/// One page in one state.
pub struct State {
    /// `page-state`, the name of its snapshot and pictures.
    pub name: &'static str,
    /// Its HTML.
    pub html: String,
}

fn state(name: &'static str, html: String) -> State {
    State { name, html }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<State> {
    let mut states = vec![
        state("sign-in-normal", others::sign_in().render()),
        state("sign-in-first", others::sign_in_first().render()),
        state("sign-in-refused", others::sign_in_refused().render()),
        state("second-normal", access::second().render()),
        state("second-by-code", access::second_by_code().render()),
        state("onward-normal", access::onward().render()),
        state("password-normal", others::password().render()),
        state("overview-normal", fleet::overview().render()),
        state("overview-calm", fleet::overview_calm().render()),
        state("overview-empty", fleet::overview_empty().render()),
        state("boxes-normal", fleet::boxes().render()),
        state("boxes-three", fleet::boxes_three().render()),
        state("boxes-empty", fleet::boxes_empty().render()),
        state("boxes-nothing", fleet::boxes_nothing().render()),
        state("box-normal", one_box::trusted().render()),
        state("box-waiting", one_box::waiting().render()),
        state("box-refused", one_box::refused().render()),
        state("box-boot-refused", one_box::refused_boot().render()),
        state("box-boot-empty", one_box::boot_empty().render()),
        state("box-models-normal", one_box::models().render()),
        state("box-hardware-normal", one_box::hardware().render()),
        state("box-record-normal", one_box::record().render()),
        state("box-unknown", one_box::unknown().render()),
        state("approvals-normal", others::approvals().render()),
        state("approvals-empty", others::approvals_empty().render()),
        state("plan-normal", others::plan().render()),
        state("plan-approval", approving::plan_approval().render()),
        state("plan-refused", others::plan_refused().render()),
        state("account-normal", approving::account().render()),
        state("account-codes", approving::account_codes().render()),
        state("account-empty", approving::account_by_number().render()),
        state("access-normal", access::access().render()),
        state("access-empty", access::access_own().render()),
        state("secret-normal", others::secret().render()),
        state("models-normal", others::models().render()),
        state("models-empty", others::models_empty().render()),
        state("model-normal", others::model().render()),
        state("model-refused", others::model_revoked().render()),
        state("releases-normal", others::releases().render()),
        state("releases-empty", others::releases_empty().render()),
        state("advisories-normal", others::advisories().render()),
        state("advisories-empty", others::advisories_empty().render()),
        state("sticks-normal", sticks::sticks().render()),
        state("sticks-empty", sticks::sticks_empty().render()),
        state("record-normal", others::record().render()),
        state("record-empty", others::record_empty().render()),
        state("reports-normal", others::reports().render()),
        state("reports-empty", others::reports_empty().render()),
        state("settings-normal", others::settings().render()),
        state("search-normal", others::search().render()),
        state("search-empty", others::search_empty().render()),
        state("rollouts-normal", rollouts::list().render()),
        state("rollouts-empty", rollouts::list_empty().render()),
        state("rollout-running", rollouts::running().render()),
        state("rollout-proposed", rollouts::proposed().render()),
        state("rollout-passkeys", rollouts::proposed_passkeys().render()),
        state("rollout-halted", rollouts::halted().render()),
        state("rollout-large", rollouts::large().render()),
        state("rollout-new", rollouts::new().render()),
        state("rollout-new-refused", rollouts::new_refused().render()),
        state("rollout-new-empty", rollouts::new_empty().render()),
        state("failure-refused", others::failure().render()),
    ];
    states.extend(hostile_pages().into_iter().map(|(name, html)| state(name, html)));
    states
}

/// Every page with every string from a hostile box.
#[must_use]
pub fn hostile_pages() -> Vec<(&'static str, String)> {
    use hostile::everywhere;
    vec![
        ("sign-in-hostile", everywhere(&others::sign_in_refused()).render()),
        ("overview-hostile", everywhere(&fleet::overview()).render()),
        ("boxes-hostile", everywhere(&fleet::boxes_three()).render()),
        ("box-hostile", everywhere(&one_box::refused()).render()),
        ("box-boot-hostile", everywhere(&one_box::refused_boot()).render()),
        ("box-models-hostile", everywhere(&one_box::models()).render()),
        ("box-hardware-hostile", everywhere(&one_box::hardware()).render()),
        ("approvals-hostile", everywhere(&others::approvals()).render()),
        ("plan-hostile", everywhere(&others::plan()).render()),
        (
            "plan-approval-hostile",
            everywhere(&approving::plan_approval()).render(),
        ),
        ("account-hostile", everywhere(&approving::account()).render()),
        ("second-hostile", everywhere(&access::second()).render()),
        ("access-hostile", everywhere(&access::access()).render()),
        ("models-hostile", everywhere(&others::models()).render()),
        ("model-hostile", everywhere(&others::model()).render()),
        ("releases-hostile", everywhere(&others::releases()).render()),
        ("advisories-hostile", everywhere(&others::advisories()).render()),
        ("sticks-hostile", everywhere(&sticks::sticks()).render()),
        ("record-hostile", everywhere(&others::record()).render()),
        ("reports-hostile", everywhere(&others::reports()).render()),
        ("settings-hostile", everywhere(&others::settings()).render()),
        ("search-hostile", everywhere(&others::search()).render()),
        ("rollouts-hostile", everywhere(&rollouts::list()).render()),
        ("rollout-hostile", everywhere(&rollouts::running()).render()),
        ("rollout-proposed-hostile", everywhere(&rollouts::proposed()).render()),
        (
            "rollout-passkeys-hostile",
            everywhere(&rollouts::proposed_passkeys()).render(),
        ),
        ("rollout-new-hostile", everywhere(&rollouts::new_refused()).render()),
        ("failure-hostile", everywhere(&others::failure()).render()),
    ]
}

/// The frame of a signed-in operator at `path`.
fn shell(path: &str) -> Shell {
    Shell {
        fleet: "Riverside Hospitals".into(),
        version: "0.1.0".into(),
        now: NOW,
        utc_offset_minutes: 0,
        person: Some(Person {
            name: "mira.okafor".into(),
            role: "operator".into(),
        }),
        csrf: "b3f1c0ffee".into(),
        path: path.into(),
        waiting: Waiting {
            overview: 2,
            boxes: 4,
            approvals: 1,
            ..Default::default()
        },
        parts: Parts::default(),
        ..Default::default()
    }
}

/// Made-up hex of 64 digits, the same for the same seed.
fn hex(seed: u64) -> String {
    let mut x = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678_9abc_def1);
    let mut out = String::new();
    for _ in 0..4 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out.push_str(&format!("{x:016x}"));
    }
    out
}
