//! A small plan, every part at choice.

use std::collections::BTreeMap;

use freehold_fleet::rollout::{
    Command, Draft, Fact, Gates, Limits, Outcome, PlannedBox, ReleaseRef, ReturnTime, Rollout, WaveSize, WaveSpec,
};

/// Monday 2026-11-02, 08:00 UTC.
pub const NOW: i64 = 1_793_606_400;
pub const HOUR: i64 = 3600;

pub fn release(version: &str) -> ReleaseRef {
    ReleaseRef {
        name: "models/triage".into(),
        version: version.into(),
        sha256: format!("{:0>64}", version.replace('.', "")),
    }
}

pub fn planned(name: &str, site: &str) -> PlannedBox {
    PlannedBox {
        box_id: name.into(),
        site: site.into(),
        from: Some(release("1.0")),
        bytes: 100,
        by_stick: false,
    }
}

/// Ten boxes at two sites, one wave, two at once.
pub fn draft() -> Draft {
    Draft {
        id: "r1".into(),
        by: "mia".into(),
        release: release("2.0"),
        boxes: (0..10)
            .map(|n| planned(&format!("box{n}"), if n % 2 == 0 { "north" } else { "south" }))
            .collect(),
        waves: vec![wave(WaveSize::Percent(100), 0)],
        gates: Gates::default(),
        limits: Limits {
            unavailable: 2,
            unavailable_per_site: 2,
        },
        windows: BTreeMap::new(),
        returns: ReturnTime::Anytime,
        failure_budget: 1,
        patience: 2 * HOUR,
        approvals: 1,
        deadline: NOW + 240 * HOUR,
    }
}

pub fn wave(size: WaveSize, start_after: i64) -> WaveSpec {
    WaveSpec {
        size,
        start_after,
        person: false,
    }
}

pub fn started(draft: Draft) -> Rollout {
    let mut rollout = Rollout::new(draft.plan(NOW).unwrap());
    let digest = rollout.plan().digest().to_string();
    for command in [
        Command::Approve {
            by: "noor".into(),
            digest,
        },
        Command::Start { by: "noor".into() },
    ] {
        let changes = rollout.command(&command, NOW).unwrap();
        rollout.apply_all(&changes);
    }
    rollout
}

pub fn good() -> Fact {
    Fact::Forward(Outcome::Confirmed {
        wrong_percent: 0,
        errors_permille: 0,
        slower_percent: 0,
    })
}

pub fn bad() -> Fact {
    Fact::Forward(Outcome::WentBack {
        code: "engine.self_test".into(),
    })
}

pub fn tick(rollout: &mut Rollout, now: i64) {
    let changes = rollout.tick(now);
    rollout.apply_all(&changes);
    assert_eq!(rollout.tick(now), [], "a tick right after a tick changes nothing");
}

pub fn hear(rollout: &mut Rollout, box_id: &str, facts: &[Fact]) {
    for fact in facts {
        let changes = rollout.hear(box_id, fact);
        rollout.apply_all(&changes);
    }
}
