//! States of what approvers see: a plan that waits for passkeys, their own account.
//!
//! Invariant: made up, and the same on every run.

use freehold_views::account::Passkey;
use freehold_views::plan::{ApprovalPart, Approved, Line};
use freehold_views::*;

use super::others::{finger, plan};
use super::{NOW, hex, shell};

pub fn plan_approval() -> PlanPage {
    PlanPage {
        title: "Assign triage-8b 2.1 to amber-fox-9d1e".into(),
        verb: "Assign".into(),
        lines: vec![Line {
            what: "release".into(),
            before: "models/triage-8b/2.0/release.json".into(),
            after: format!("models/triage-8b/2.1/release.json ({})", hex(540)),
        }],
        compare: Vec::new(),
        approval: Some(ApprovalPart {
            needed: 2,
            given: vec![Approved {
                name: "jonas.weber".into(),
                at: NOW - 600,
            }],
            digest: finger("What approvers sign (SHA-256)", 541, "basil copper harbor lantern"),
            until: NOW + 86_400,
            may_approve: true,
            challenge: "q83vEjRWeJA".into(),
            relying_party: "console.riverside.example".into(),
            credentials: vec!["Zmlyc3Q".into(), "c2Vjb25k".into()],
            ..Default::default()
        }),
        subject: "amber-fox-9d1e".into(),
        subject_href: "/boxes/amber-fox-9d1e".into(),
        ..plan()
    }
}

pub fn account() -> AccountPage {
    let passkey = |name: &str, purpose: &str, line: &str, listed: bool| Passkey {
        credential: "Zmlyc3Q".into(),
        name: name.into(),
        purpose: purpose.into(),
        made: NOW - 86_400,
        used: listed.then_some(NOW - 600),
        line: line.into(),
        listed,
    };
    AccountPage {
        shell: shell("/account"),
        passkeys: vec![
            passkey("blue key on my ring", "approval", "", true),
            passkey(
                "spare in the safe",
                "approval",
                "freehold-approver:1:mira.okafor:c2Vjb25k:MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
                false,
            ),
        ],
        challenge: "q83vEjRWeJA".into(),
        relying_party: "console.riverside.example".into(),
        approves: vec!["Radiology B".into(), "North Clinic".into()],
        codes: true,
        recovery: 8,
        ..Default::default()
    }
}

/// While an authenticator app is being set up, with a passkey that signs in.
pub fn account_codes() -> AccountPage {
    let mut page = AccountPage {
        codes: false,
        recovery: 0,
        secret: "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP".into(),
        secret_uri: "otpauth://totp/Riverside:mira.okafor?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Riverside"
            .into(),
        ..account()
    };
    page.passkeys.truncate(1);
    for passkey in &mut page.passkeys {
        passkey.purpose = "sign_in".into();
        passkey.listed = false;
    }
    page
}

pub fn account_by_number() -> AccountPage {
    AccountPage {
        shell: shell("/account"),
        why_not: "Passkeys need a console that is reached by a name.".into(),
        fault: Some("Not registered: the password is wrong (console.sign_in_refused).".into()),
        ..Default::default()
    }
}
