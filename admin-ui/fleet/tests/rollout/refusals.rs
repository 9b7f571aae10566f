//! Plans that cannot be and commands that may not be, each by its code; and commands that may be repeated.

use freehold_fleet::rollout::{Command, Phase, Rollout, Stage, WaitingOn, WaveSize, Window};
use freehold_verify::Refusal as _;

use crate::fixture::{HOUR, NOW, bad, draft, good, hear, planned, started, tick, wave};
use freehold_fleet::rollout::{Draft, Fact};

fn code(change: impl FnOnce(&mut Draft)) -> &'static str {
    let mut draft = draft();
    change(&mut draft);
    draft.plan(NOW).unwrap_err().code()
}

#[test]
fn plans_that_cannot_be_are_refused_by_code() {
    assert_eq!(code(|d| d.boxes.clear()), "rollout.no_boxes");
    assert_eq!(code(|d| d.boxes.push(planned("box1", "north"))), "rollout.box_twice");
    assert_eq!(
        code(|d| d.waves = vec![wave(WaveSize::Canaries(vec!["box77".into()]), 0)]),
        "rollout.canary"
    );
    assert_eq!(
        code(|d| d.waves = vec![wave(WaveSize::Percent(90), 0)]),
        "rollout.waves"
    );
    assert_eq!(
        code(|d| d.waves = vec![wave(WaveSize::Percent(50), 60), wave(WaveSize::Percent(100), 0)]),
        "rollout.waves"
    );
    assert_eq!(code(|d| d.limits.unavailable_per_site = 0), "rollout.limit");
    let window = |zone: &str, days: &[u8], minutes| Window {
        zone: zone.into(),
        days: days.to_vec(),
        opens: 60,
        minutes,
    };
    for wrong in [
        window("Europe/Atlantis", &[1], 60),
        window("Europe/Berlin", &[], 60),
        window("Europe/Berlin", &[8], 60),
        window("Europe/Berlin", &[1], 0),
    ] {
        assert_eq!(
            code(|d| drop(d.windows.insert("north".into(), wrong))),
            "rollout.window"
        );
    }
    assert_eq!(code(|d| d.deadline = NOW), "rollout.deadline");
}

// promise S-115
#[test]
fn a_changed_plan_needs_approval_again_and_nobody_approves_their_own() {
    let rollout = Rollout::new(draft().plan(NOW).unwrap());
    let digest = rollout.plan().digest().to_string();
    let approve = |by: &str, digest: &str| {
        let by = by.to_owned();
        let digest = digest.to_owned();
        rollout.command(&Command::Approve { by, digest }, NOW)
    };
    let mut other = draft();
    other.boxes.pop();
    let other = other.plan(NOW).unwrap().digest().to_string();
    assert_eq!(approve("noor", &other).unwrap_err().code(), "rollout.plan_changed");
    assert_eq!(approve("mia", &digest).unwrap_err().code(), "rollout.own_plan");
    let start = Command::Start { by: "mia".into() };
    assert_eq!(rollout.command(&start, NOW).unwrap_err().code(), "rollout.not_approved");
    let mut approved = rollout.clone();
    approved.apply_all(&approve("noor", &digest).unwrap());
    assert!(approved.command(&start, NOW).is_ok());
    let late = approved.command(&start, NOW + 240 * HOUR).unwrap_err();
    assert_eq!(late.code(), "rollout.deadline");
}

#[test]
fn commands_before_the_start_and_after_the_end_are_refused() {
    let proposed = Rollout::new(draft().plan(NOW).unwrap());
    let by = || "noor".to_owned();
    for command in [
        Command::Pause { by: by() },
        Command::Resume { by: by() },
        Command::RollBack { by: by() },
    ] {
        assert_eq!(
            proposed.command(&command, NOW).unwrap_err().code(),
            "rollout.not_started"
        );
    }
    let mut aborted = started(draft());
    let changes = aborted.command(&Command::Abort { by: by() }, NOW).unwrap();
    aborted.apply_all(&changes);
    for command in [
        Command::Pause { by: by() },
        Command::Resume { by: by() },
        Command::Start { by: by() },
        Command::AllowWave { by: by(), wave: 1 },
    ] {
        assert_eq!(aborted.command(&command, NOW).unwrap_err().code(), "rollout.ended");
    }
    let nobody = Command::AllowWave { by: by(), wave: 1 };
    assert_eq!(
        started(draft()).command(&nobody, NOW).unwrap_err().code(),
        "rollout.no_such_wave"
    );
}

// promise S-113
#[test]
fn every_command_may_be_repeated() {
    let by = || "noor".to_owned();
    let mut waiting = draft();
    waiting.waves[0].person = true;
    for command in [
        Command::Start { by: by() },
        Command::Pause { by: by() },
        Command::Resume { by: by() },
        Command::AllowWave { by: by(), wave: 1 },
        Command::Abort { by: by() },
        Command::RollBack { by: by() },
    ] {
        let mut rollout = started(waiting.clone());
        let first = rollout.command(&command, NOW).unwrap();
        rollout.apply_all(&first);
        assert_eq!(rollout.command(&command, NOW), Ok(Vec::new()), "{command:?}");
    }
}

// promise S-112
#[test]
fn more_failures_than_the_budget_send_everything_back() {
    let mut rollout = started(draft());
    let mut now = NOW;
    tick(&mut rollout, now);
    let ordered: Vec<String> = rollout.orders().map(|order| order.box_id).collect();
    assert_eq!(ordered.len(), 2, "two at once");
    hear(&mut rollout, &ordered[0], &[good(), Fact::Verdict(None)]);
    hear(&mut rollout, &ordered[1], &[bad()]);
    now += 60;
    tick(&mut rollout, now);
    assert_eq!(rollout.phase(), &Phase::Running, "one failure is within the budget");
    let next: Vec<String> = rollout
        .orders()
        .map(|order| order.box_id)
        .filter(|id| !ordered.contains(id))
        .collect();
    hear(
        &mut rollout,
        &next[0],
        &[good(), Fact::Verdict(Some("boot.event".into()))],
    );
    now += 60;
    tick(&mut rollout, now);
    assert!(
        matches!(rollout.phase(), Phase::RollingBack(_)),
        "{:?}",
        rollout.phase()
    );
    let told: Vec<String> = rollout.orders().map(|order| order.box_id).collect();
    for box_id in &told {
        hear(&mut rollout, box_id, &[Fact::Back]);
        now += 60;
        tick(&mut rollout, now);
    }
    for box_id in &told {
        hear(&mut rollout, box_id, &[Fact::Back]);
    }
    tick(&mut rollout, now + 60);
    assert!(matches!(rollout.phase(), Phase::RolledBack(_)), "{:?}", rollout.phase());
    assert_eq!(rollout.count(|stage| *stage == Stage::Healthy), 0);
    assert!(
        rollout
            .orders()
            .all(|order| order.run == Some(crate::fixture::release("1.0")))
    );
}

#[test]
fn a_box_says_what_it_waits_for() {
    let mut draft = draft();
    draft.waves = vec![wave(WaveSize::Count(2), 0), wave(WaveSize::Percent(100), HOUR)];
    let proposed = Rollout::new(draft.clone().plan(NOW).unwrap());
    assert_eq!(proposed.waiting_on(0, NOW), Some(WaitingOn::Start));
    let mut rollout = started(draft);
    tick(&mut rollout, NOW);
    assert_eq!(rollout.waiting_on(0, NOW), None, "told");
    assert_eq!(rollout.waiting_on(5, NOW), Some(WaitingOn::Wave { wave: 1 }));
    for order in rollout.clone().orders() {
        hear(&mut rollout, &order.box_id, &[good(), Fact::Verdict(None)]);
    }
    tick(&mut rollout, NOW + 60);
    assert_eq!(
        rollout.waiting_on(5, NOW + 60),
        Some(WaitingOn::Time { at: NOW + HOUR })
    );
    tick(&mut rollout, NOW + HOUR);
    assert_eq!(
        rollout.waiting_on(9, NOW + HOUR),
        Some(WaitingOn::Limit { of_site: false })
    );
}
