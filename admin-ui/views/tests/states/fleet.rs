//! States of the overview and of the table of boxes.
//!
//! Invariant: made up, and the same on every run.

use freehold_protocol::status::VerdictWord;
use freehold_views::boxes::{Filter, Row, Sort};
use freehold_views::overview::{Doing, Figure, Need, Site, Step, VerdictCounts};
use freehold_views::shell::Waiting;
use freehold_views::{BoxesPage, OverviewPage};

use super::{NOW, shell};

const SITES: [&str; 6] = [
    "Radiology B",
    "Main House",
    "Cardiology",
    "Laboratory",
    "North Clinic",
    "Archive",
];
const FIRST: [&str; 10] = [
    "amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath", "ivory", "jade",
];
const SECOND: [&str; 10] = [
    "fox", "owl", "heron", "otter", "lynx", "finch", "badger", "hare", "wren", "stoat",
];

fn id(number: usize) -> String {
    format!(
        "{}-{}-{:04x}",
        FIRST[number % 10],
        SECOND[(number / 10 + number) % 10],
        (number * 40_503 + 0x9d1e) % 65_536
    )
}

pub fn overview() -> OverviewPage {
    let mut page = OverviewPage {
        shell: shell("/"),
        needs: vec![
            Need {
                mark: VerdictWord::Refused,
                subject: "amber-fox-9d1e".into(),
                place: "Radiology B, rack 3".into(),
                text: "PCR 7: db changed (1 certificate added)".into(),
                code: Some("boot.event".into()),
                since: NOW - 5_100,
                verb: "Look".into(),
                href: "/boxes/amber-fox-9d1e".into(),
            },
            Need {
                mark: VerdictWord::Attention,
                subject: "delta-wren-41c0".into(),
                place: "North Clinic".into(),
                text: "a new box proved its keys and waits until somebody has compared its fingerprint".into(),
                code: None,
                since: NOW - 2_220,
                verb: "Compare".into(),
                href: "/approvals".into(),
            },
        ],
        doing: vec![
            Doing {
                subject: "cedar-owl-77a2".into(),
                text: "fetching models/triage-8b/2.1.0".into(),
                share: Some(0.41),
                at: NOW - 12,
                href: "/boxes/cedar-owl-77a2".into(),
            },
            Doing {
                subject: "ember-hare-1b09".into(),
                text: "verifying models/triage-8b/2.1.0".into(),
                share: Some(0.87),
                at: NOW - 3,
                href: "/boxes/ember-hare-1b09".into(),
            },
        ],
        verdicts: VerdictCounts {
            trusted: 481,
            simulated: 0,
            attention: 3,
            refused: 1,
            unknown: 15,
        },
        oldest_proof: Some(NOW - 240),
        today: vec![
            Figure {
                name: "Requests".into(),
                value: 18_204,
                unit: String::new(),
                source: "reports of 485 boxes since 00:00".into(),
            },
            Figure {
                name: "Refused".into(),
                value: 9,
                unit: String::new(),
                source: "by gateways, since 00:00".into(),
            },
            Figure {
                name: "Proofs checked".into(),
                value: 54_310,
                unit: String::new(),
                source: "this console, since 00:00".into(),
            },
        ],
        ..Default::default()
    };
    for (place, name) in SITES.iter().enumerate() {
        let n = place as u32;
        page.sites.push(Site {
            name: (*name).into(),
            verdicts: VerdictCounts {
                trusted: 120 - 15 * n,
                simulated: 0,
                attention: u32::from(n == 1) * 2 + u32::from(n == 3),
                refused: u32::from(n == 0),
                unknown: n * 2,
            },
            oldest_proof: Some(NOW - 60 - i64::from(n) * 31),
        });
    }
    page
}

pub fn overview_calm() -> OverviewPage {
    let mut page = OverviewPage {
        needs: Vec::new(),
        doing: Vec::new(),
        verdicts: VerdictCounts {
            simulated: 3,
            ..Default::default()
        },
        sites: vec![Site {
            name: "site-1".into(),
            verdicts: VerdictCounts {
                simulated: 3,
                ..Default::default()
            },
            oldest_proof: Some(NOW - 18),
        }],
        ..overview()
    };
    page.shell.waiting = Waiting::default();
    page.shell.development_keys = true;
    page.shell.simulated = true;
    page
}

pub fn overview_empty() -> OverviewPage {
    let mut page = OverviewPage {
        shell: shell("/"),
        ..Default::default()
    };
    page.shell.waiting = Waiting {
        overview: 0,
        ..Default::default()
    };
    page.shell.development_keys = true;
    let step = |title: &str, text: &str, command: &str, href: &str, done: bool| Step {
        title: title.into(),
        text: text.into(),
        command: command.into(),
        href: href.into(),
        done,
    };
    page.steps = vec![
        step(
            "Choose a password of your own",
            "The one-time password has ended.",
            "",
            "/password",
            true,
        ),
        step(
            "Take in the publisher's repository",
            "Copy the signed releases to this console.",
            "freehold release export --to /media/stick",
            "",
            false,
        ),
        step(
            "Pair a box",
            "Bring the pairing document to it by stick, and compare the fingerprints on its screen.",
            "freehold box pair --file pairing.json",
            "",
            false,
        ),
        step(
            "Approve the box",
            "Compare its fingerprint here with the one on its screen.",
            "",
            "/approvals",
            false,
        ),
        step(
            "Assign a model",
            "Open the box and choose a release.",
            "",
            "/boxes",
            false,
        ),
    ];
    page
}

fn row(number: usize) -> Row {
    let verdict = match number {
        0 => VerdictWord::Refused,
        1..4 => VerdictWord::Attention,
        4..8 => VerdictWord::Unknown,
        _ => VerdictWord::Trusted,
    };
    let (reason, code) = match verdict {
        VerdictWord::Refused => ("PCR 7: db changed (1 certificate added)", Some("boot.event")),
        VerdictWord::Attention => ("firmware version changed since the last boot", None),
        VerdictWord::Unknown => ("not heard for 3 h", None),
        _ => ("as release 1.4.2 expects", None),
    };
    let known = verdict != VerdictWord::Unknown;
    Row {
        verdict,
        simulated: false,
        id: id(number),
        label: format!("ward {} desk {}", number / 4 + 1, number % 4 + 1),
        site: SITES[number % 6].into(),
        reason: reason.into(),
        code: code.map(Into::into),
        model: if known { "triage-8b 2.0.3".into() } else { String::new() },
        model_state: if number == 9 {
            "fetching 2.1.0, 41 %".into()
        } else {
            String::new()
        },
        tokens_per_s: (verdict == VerdictWord::Trusted).then(|| 21.4 + (number * 7 % 30) as f64 * 0.9),
        last_proof: known.then(|| NOW - 20 - (number as i64 * 37) % 200),
        last_heard: Some(NOW - 9),
    }
}

pub fn boxes() -> BoxesPage {
    BoxesPage {
        shell: shell("/boxes"),
        filter: Filter::default(),
        sites: SITES.iter().map(|site| (*site).into()).collect(),
        models: vec![
            "triage-8b 2.0.3".into(),
            "triage-8b 2.1.0".into(),
            "letters-3b 1.2.0".into(),
        ],
        rows: (0..60).map(row).collect(),
        total: 500,
        matched: 500,
        verdicts: VerdictCounts {
            trusted: 481,
            simulated: 0,
            attention: 3,
            refused: 1,
            unknown: 15,
        },
        tokens_per_s: Some(15_482.5),
        oldest_proof: Some(NOW - 240),
        pair_command: "freehold box pair --file pairing.json".into(),
    }
}

/// The demonstration's fleet: three process boxes.
pub fn boxes_three() -> BoxesPage {
    let mut page = boxes();
    page.shell.development_keys = true;
    page.shell.simulated = true;
    page.total = 3;
    page.matched = 3;
    page.verdicts = VerdictCounts {
        simulated: 2,
        refused: 1,
        ..Default::default()
    };
    page.rows = (0..3)
        .map(|number| {
            let refused = number == 0;
            Row {
                verdict: if refused {
                    VerdictWord::Refused
                } else {
                    VerdictWord::TrustedSimulated
                },
                simulated: true,
                label: format!("box{}", number + 1),
                site: "site-1".into(),
                reason: if refused {
                    "event 23: `db` differs".into()
                } else {
                    "software TPM; everything else as expected".into()
                },
                model: "freehold-guide 1.0.0".into(),
                tokens_per_s: Some(312.0),
                ..row(number)
            }
        })
        .collect();
    page.tokens_per_s = Some(936.0);
    page
}

pub fn boxes_empty() -> BoxesPage {
    BoxesPage {
        shell: shell("/boxes"),
        pair_command: "freehold box pair --file pairing.json".into(),
        ..Default::default()
    }
}

pub fn boxes_nothing() -> BoxesPage {
    BoxesPage {
        filter: Filter {
            q: "zebra".into(),
            verdict: Some(VerdictWord::Refused),
            sort: Sort::Id,
            descending: true,
            ..Default::default()
        },
        rows: Vec::new(),
        matched: 0,
        verdicts: VerdictCounts::default(),
        tokens_per_s: None,
        ..boxes()
    }
}
