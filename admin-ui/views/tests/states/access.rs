//! States of signing in by a second step, of the way back from an identity provider, and of the access page.
//!
//! Invariant: made up, and the same on every run.

use freehold_views::access::{AccountLine, Alarm, TokenLine};
use freehold_views::settings::Session;
use freehold_views::*;

use super::{NOW, shell};

/// The frame before anybody is signed in.
fn outside() -> Shell {
    Shell {
        person: None,
        csrf: String::new(),
        ..shell("/sign-in")
    }
}

pub fn second() -> SecondPage {
    SecondPage {
        shell: outside(),
        next: "/boxes".into(),
        ticket: "5eed".into(),
        code: true,
        credentials: vec!["Zmlyc3Q".into()],
        challenge: "q83vEjRWeJA".into(),
        relying_party: "console.riverside.example".into(),
    }
}

pub fn second_by_code() -> SecondPage {
    SecondPage {
        credentials: Vec::new(),
        challenge: String::new(),
        relying_party: String::new(),
        ..second()
    }
}

pub fn onward() -> OnwardPage {
    OnwardPage {
        shell: outside(),
        name: "mira.okafor".into(),
        // Nowhere else: the page is looked at, and it leads on by itself.
        to: "#main".into(),
    }
}

fn account(name: &str, role: &str, sites: &str, kind: &str, factors: &str) -> AccountLine {
    AccountLine {
        name: name.into(),
        role: role.into(),
        sites: sites.into(),
        kind: kind.into(),
        factors: factors.into(),
        made: NOW - 30 * 86_400,
        ..Default::default()
    }
}

/// As somebody sees it who manages accounts.
pub fn access() -> AccessPage {
    let mut off = account("jonas.weber", "operator", "Radiology B", "person", "");
    off.disabled = true;
    let mut new = account("noor.haddad", "approver", "every site", "person", "");
    new.one_time_password = true;
    AccessPage {
        shell: shell("/access"),
        alarms: vec![Alarm {
            id: "a-1".into(),
            about: "envelope".into(),
            text: "signed in from 10.20.4.9".into(),
            at: NOW - 900,
        }],
        accounts: vec![
            account("envelope", "administrator", "every site", "break-glass", ""),
            off,
            account("mira.okafor", "administrator", "every site", "person", "app, passkey"),
            new,
            account("wall-display", "viewer", "Radiology B, North Clinic", "machine", ""),
        ],
        sessions: vec![Session {
            factor: "totp".into(),
            id: "5e55".into(),
            account: "mira.okafor".into(),
            since: NOW - 3600,
            last: NOW - 3600,
            until: NOW + 39_600,
            from: "10.20.4.2".into(),
            current: true,
        }],
        tokens: vec![TokenLine {
            id: "70ke".into(),
            account: "wall-display".into(),
            name: "the display in the hall".into(),
            actions: "look".into(),
            made: NOW - 86_400,
            until: NOW + 89 * 86_400,
        }],
        roles: vec![
            ("viewer".into(), "look".into()),
            ("approver".into(), "look, read evidence, decide plan".into()),
        ],
        actions: vec!["look".into(), "read_evidence".into()],
        sites: vec!["Radiology B".into(), "North Clinic".into()],
        may_manage: true,
        outside: "the hospital's directory".into(),
    }
}

/// As somebody sees it who manages nothing and has no token.
pub fn access_own() -> AccessPage {
    AccessPage {
        alarms: Vec::new(),
        accounts: vec![account("mira.okafor", "operator", "Radiology B", "person", "app")],
        tokens: Vec::new(),
        may_manage: false,
        outside: String::new(),
        ..access()
    }
}
