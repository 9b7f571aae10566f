//! Rollouts in their states: proposed, running, halted, large; the list; the form.

use freehold_views::new_rollout::Typed;
use freehold_views::plan::{ApprovalPart, Approved};
use freehold_views::rollout::{Actions, BoxLine, Dot, StageMark, WaitingGroup, WavePart, WentBack};
use freehold_views::rollouts::{Mood, RolloutRow, StageCounts, Standing};
use freehold_views::shell::{Fault, Fingerprint, Parts};
use freehold_views::*;

use super::{NOW, hex};

fn shell(path: &str) -> Shell {
    let mut shell = super::shell(path);
    shell.parts = Parts {
        rollouts: true,
        ..Parts::default()
    };
    shell.waiting.rollouts = 1;
    shell
}

fn standing(word: &str, mood: Mood) -> Standing {
    Standing {
        word: word.into(),
        mood,
    }
}

fn counts(healthy: u32, ordered: u32, failed: u32, waiting: u32) -> StageCounts {
    StageCounts {
        healthy,
        ordered,
        failed,
        waiting,
    }
}

fn row(id: &str, from: &str, version: &str, standing: Standing, counts: StageCounts) -> RolloutRow {
    RolloutRow {
        id: id.into(),
        name: "triage-8b".into(),
        from: from.into(),
        version: version.into(),
        standing,
        counts,
        by: "mira.okafor".into(),
        changed: NOW - 95,
        ..Default::default()
    }
}

pub fn list() -> RolloutsPage {
    let mut running = row(
        "r-1f3a9c02",
        "2.0",
        "2.1",
        standing("running", Mood::Goes),
        counts(26, 3, 1, 10),
    );
    running.wave = "wave 2 of 3".into();
    running.doing = "wave 3 waits for a person who lets wave 3 begin".into();
    let mut asked = row(
        "r-77d0e1b4",
        "",
        "0.9",
        standing("proposed", Mood::Waits),
        counts(0, 0, 0, 12),
    );
    asked.name = "ward-policy".into();
    asked.doing = "waits for approval".into();
    let mut back = row(
        "r-0ac9f3d1",
        "1.9, 1.8",
        "2.0",
        standing("rolled back", Mood::Wrong),
        counts(0, 0, 40, 0),
    );
    back.doing = "2 failed, more than the budget allows; the last was delta-wren-41c0".into();
    back.changed = NOW - 86_400 * 9;
    let mut well = row(
        "r-5512aa90",
        "1.8",
        "1.9",
        standing("done", Mood::Well),
        counts(40, 0, 0, 0),
    );
    well.changed = NOW - 86_400 * 31;
    RolloutsPage {
        shell: shell("/rollouts"),
        open: vec![running, asked],
        over: vec![back, well],
        may_propose: true,
        command: "freehold rollout plan models/NAME/VERSION/release.json --boxes all".into(),
    }
}

pub fn list_empty() -> RolloutsPage {
    RolloutsPage {
        open: Vec::new(),
        over: Vec::new(),
        ..list()
    }
}

fn dots(marks: &[(StageMark, usize)]) -> Vec<Dot> {
    let mut dots = Vec::new();
    for (stage, count) in marks {
        for _ in 0..*count {
            dots.push(Dot {
                name: format!("ward-{}", dots.len() + 1),
                stage: *stage,
            });
        }
    }
    dots
}

fn wave(number: u32, dots: Vec<Dot>, state: &str, at: Option<i64>) -> WavePart {
    WavePart {
        number,
        bytes: 41_000_000 * dots.len() as u64,
        dots,
        state: state.into(),
        at,
        ..Default::default()
    }
}

fn terms() -> Vec<(String, String)> {
    let line = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    vec![
        line("Boxes", "40 boxes"),
        line(
            "Healthy is",
            "its own health check; a verdict after the change; 100 % of golden answers; at most 10 of 1,000 requests failed; at least 80 % of its speed before",
        ),
        line("Limits", "at most 4 out of service at once, 2 at each site"),
        line("Budget", "more than 1 failed: everything stops and goes back"),
        line(
            "Windows",
            "North Clinic: Mon Tue Wed Thu Fri from 22:00 for 6 h, Europe/Berlin",
        ),
        line("Release", &hex(77)),
    ]
}

fn line(name: &str, site: &str, wave: u32, stage: StageMark, text: &str) -> BoxLine {
    BoxLine {
        box_id: format!("{name}-id"),
        label: name.into(),
        site: site.into(),
        wave,
        stage,
        since: (stage != StageMark::Waiting).then_some(NOW - 600),
        from: "2.0".into(),
        text: text.into(),
        by_stick: false,
    }
}

/// Under way, one box back, one wave waiting for a person, two boxes by stick.
pub fn running() -> RolloutPage {
    let mut last = wave(
        3,
        dots(&[(StageMark::Waiting, 24)]),
        "waits for a person who lets wave 3 begin",
        None,
    );
    last.may_allow = true;
    let mut by_stick = line("island-1", "Island Clinic", 3, StageMark::Ordered, "");
    by_stick.by_stick = true;
    RolloutPage {
        shell: shell("/rollouts/r-1f3a9c02"),
        id: "r-1f3a9c02".into(),
        name: "triage-8b".into(),
        from: "2.0".into(),
        version: "2.1".into(),
        release_href: "/models/triage-8b/2.1".into(),
        standing: standing("running", Mood::Goes),
        counts: counts(11, 3, 1, 25),
        waves: vec![
            wave(1, dots(&[(StageMark::Healthy, 4)]), "done", Some(NOW - 25_000)),
            wave(
                2,
                dots(&[
                    (StageMark::Healthy, 7),
                    (StageMark::WentBack, 1),
                    (StageMark::Ordered, 3),
                    (StageMark::Waiting, 1),
                ]),
                "under way since",
                Some(NOW - 2_400),
            ),
            last,
        ],
        went_back: vec![WentBack {
            box_id: "delta-wren-41c0".into(),
            label: "Radiology B".into(),
            site: "North Clinic".into(),
            stage: StageMark::WentBack,
            since: Some(NOW - 700),
            runs: "2.0".into(),
            fault: Fault {
                code: "health.answers".into(),
                message: "`triage-8b` answered 17 of 20 questions as expected".into(),
                expected: Some("20".into()),
                found: Some("17".into()),
                since: Some(NOW - 700),
                ..Default::default()
            },
        }],
        waiting: vec![
            WaitingGroup {
                what: "for a person who lets wave 3 begin".into(),
                until: None,
                count: 24,
                names: "ward-17, ward-18, ward-19, ward-20, ward-21, ward-22, ward-23, ward-24 and 16 more".into(),
            },
            WaitingGroup {
                what: "for its site's window".into(),
                until: Some(NOW + 45_000),
                count: 1,
                names: "ward-16".into(),
            },
        ],
        by_stick: "3 of 5 back, 2 not yet".into(),
        boxes: vec![
            line("ward-1", "North Clinic", 1, StageMark::Healthy, ""),
            line(
                "Radiology B",
                "North Clinic",
                2,
                StageMark::WentBack,
                "`health.answers`",
            ),
            line("ward-12", "South Clinic", 2, StageMark::Ordered, ""),
            line(
                "ward-16",
                "South Clinic",
                2,
                StageMark::Waiting,
                "waits for its site's window",
            ),
            by_stick,
        ],
        more_boxes: 35,
        terms: terms(),
        bytes: 1_640_000_000,
        deadline: NOW + 600_000,
        digest: Fingerprint {
            of: "plan".into(),
            hex: hex(78),
            words: "granite linen otter plum harbor violet cobalt maple".into(),
        },
        by: "mira.okafor".into(),
        at: NOW - 90_000,
        approvals: vec!["noor.haddad".into()],
        approvals_needed: 1,
        started: Some(NOW - 30_000),
        actions: Actions {
            pause: true,
            abort: true,
            rollback: true,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Shown to the one who has to approve it.
pub fn proposed() -> RolloutPage {
    let mut waves = running().waves;
    let times = [
        "at the start",
        "4 h after the start, at the earliest",
        "1 day after the start, at the earliest",
    ];
    for (wave, time) in waves.iter_mut().zip(times) {
        for dot in &mut wave.dots {
            dot.stage = StageMark::Waiting;
        }
        wave.state = "not begun".into();
        wave.at = None;
        wave.may_allow = false;
        wave.earliest = time.into();
    }
    RolloutPage {
        standing: standing("proposed", Mood::Waits),
        is_proposed: true,
        counts: counts(0, 0, 0, 40),
        waves,
        went_back: Vec::new(),
        waiting: Vec::new(),
        boxes: vec![
            line("ward-1", "North Clinic", 1, StageMark::Waiting, ""),
            line("ward-12", "South Clinic", 2, StageMark::Waiting, ""),
        ],
        more_boxes: 38,
        risks: vec![
            "3 boxes were not heard of for ten minutes: they wait until they are back.".into(),
            "No maintenance window for South Clinic: boxes there are touched at any time.".into(),
        ],
        approvals: Vec::new(),
        started: None,
        actions: Actions {
            approve: true,
            ..Default::default()
        },
        ..running()
    }
}

/// The same where the publisher's policy wants the passkeys of two people; one has approved.
pub fn proposed_passkeys() -> RolloutPage {
    RolloutPage {
        approvals: vec!["jonas.weber".into()],
        approvals_needed: 2,
        approval: Some(ApprovalPart {
            needed: 2,
            given: vec![Approved {
                name: "jonas.weber".into(),
                at: NOW - 600,
            }],
            digest: Fingerprint {
                of: "what approvers sign (SHA-256)".into(),
                hex: hex(79),
                words: "basil copper harbor lantern".into(),
            },
            until: NOW + 600_000,
            may_approve: true,
            challenge: "q83vEjRWeJA".into(),
            relying_party: "console.riverside.example".into(),
            credentials: vec!["Zmlyc3Q".into()],
            ..Default::default()
        }),
        actions: Actions::default(),
        ..proposed()
    }
}

/// More failures than the budget: everything goes back.
pub fn halted() -> RolloutPage {
    RolloutPage {
        standing: standing("rolling back", Mood::Wrong),
        because: "2 failed, more than the budget allows; the last was delta-wren-41c0".into(),
        counts: counts(0, 0, 12, 28),
        waves: vec![
            wave(1, dots(&[(StageMark::Returned, 4)]), "done", Some(NOW - 25_000)),
            wave(
                2,
                dots(&[
                    (StageMark::Returned, 3),
                    (StageMark::WentBack, 2),
                    (StageMark::ReturnOrdered, 5),
                    (StageMark::Silent, 1),
                    (StageMark::Failed, 1),
                ]),
                "under way since",
                Some(NOW - 2_400),
            ),
            wave(3, dots(&[(StageMark::Waiting, 24)]), "not begun", None),
        ],
        waiting: Vec::new(),
        by_stick: String::new(),
        actions: Actions {
            abort: true,
            ..Default::default()
        },
        ..running()
    }
}

/// Ten thousand boxes: waves are bars.
pub fn large() -> RolloutPage {
    RolloutPage {
        counts: counts(1480, 12, 8, 8500),
        waves: vec![
            wave(
                1,
                dots(&[(StageMark::Healthy, 95), (StageMark::WentBack, 5)]),
                "done",
                Some(NOW - 90_000),
            ),
            wave(
                2,
                dots(&[
                    (StageMark::Healthy, 1385),
                    (StageMark::Ordered, 12),
                    (StageMark::WentBack, 3),
                ]),
                "under way since",
                Some(NOW - 2_400),
            ),
            wave(3, dots(&[(StageMark::Waiting, 8500)]), "waits for wave 2", None),
        ],
        ..running()
    }
}

pub fn new() -> NewRolloutPage {
    NewRolloutPage {
        shell: shell("/rollouts/new"),
        releases: vec![
            (
                "models/triage-8b/2.1/release.json".into(),
                "triage-8b 2.1 (model)".into(),
            ),
            (
                "models/triage-8b/2.0/release.json".into(),
                "triage-8b 2.0 (model)".into(),
            ),
            ("policies/ward/1.4/release.json".into(), "ward 1.4 (policy)".into()),
        ],
        typed: Typed {
            release: "models/triage-8b/2.1/release.json".into(),
            boxes: "site=north,south".into(),
            canaries: "ward-1, ward-2".into(),
            waves: "10 % after 4h\n100 % after 1d person".into(),
            approvals: "1".into(),
            answers: "100".into(),
            speed: "80".into(),
            window: "Europe/Berlin 1-5 22:00 6h".into(),
            ..Default::default()
        },
        fault: None,
        boxes: 40,
    }
}

pub fn new_refused() -> NewRolloutPage {
    let mut page = new();
    page.typed.boxes = "sit=north".into();
    page.fault = Some(Fault {
        code: "rollout.query".into(),
        message: "the query for boxes is not understood: sit=north".into(),
        found: Some("sit=north".into()),
        ..Default::default()
    });
    page
}

pub fn new_empty() -> NewRolloutPage {
    NewRolloutPage {
        releases: Vec::new(),
        ..new()
    }
}
