//! What never happens, whatever boxes, people and time do.

use std::collections::BTreeMap;

use freehold_fleet::rollout::{
    Change, Command, Direction, Fact, Limits, Outcome, Phase, Rollout, Stage, WaveSize, Window,
};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::fixture::{HOUR, NOW, draft, planned, started, wave};

#[derive(Debug, Clone)]
enum Move {
    Time(i64),
    Says(u8),
    Hears(Index, u8),
    Down(Index, bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1_i64..40_000).prop_map(Move::Time),
        1 => (0_u8..5).prop_map(Move::Says),
        6 => (any::<Index>(), 0_u8..6).prop_map(|(place, fact)| Move::Hears(place, fact)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(place, down)| Move::Down(place, down)),
    ];
    proptest::collection::vec(one, 1..80)
}

fn fact(number: u8) -> Fact {
    let confirmed = |wrong_percent, slower_percent| {
        Fact::Forward(Outcome::Confirmed {
            wrong_percent,
            errors_permille: 0,
            slower_percent,
        })
    };
    match number {
        0 => confirmed(0, 0),
        1 => confirmed(20, 0),
        2 => confirmed(0, 50),
        3 => Fact::Verdict(None),
        4 => Fact::Verdict(Some("boot.event".into())),
        _ => Fact::Back,
    }
}

fn rollout(unavailable: u32, per_site: u32, budget: u32) -> Rollout {
    let mut draft = draft();
    draft.boxes = (0..24)
        .map(|n| {
            let mut one = planned(&format!("box{n}"), ["north", "south", "island"][n % 3]);
            one.by_stick = n % 3 == 2;
            one
        })
        .collect();
    draft.waves = vec![
        wave(WaveSize::Count(2), 0),
        wave(WaveSize::Percent(40), 6 * HOUR),
        wave(WaveSize::Percent(100), 12 * HOUR),
    ];
    draft.waves[2].person = true;
    draft.limits = Limits {
        unavailable,
        unavailable_per_site: per_site,
    };
    draft.failure_budget = budget;
    draft.windows = BTreeMap::from([(
        "north".into(),
        Window {
            zone: "America/New_York".into(),
            days: vec![1, 2, 3, 4, 5],
            opens: 20 * 60,
            minutes: 8 * 60,
        },
    )]);
    started(draft)
}

fn command(number: u8) -> Command {
    let by = "noor".to_owned();
    match number {
        0 => Command::Pause { by },
        1 => Command::Resume { by },
        2 => Command::RollBack { by },
        3 => Command::Abort { by },
        _ => Command::AllowWave { by, wave: 3 },
    }
}

/// Plays moves with a tick after each; gives every change with the state before it.
fn play(rollout: &mut Rollout, moves: &[Move], mut watch: impl FnMut(&Rollout, &Change, i64)) {
    let mut now = NOW;
    for one in moves {
        let changes = match one {
            Move::Time(seconds) => {
                now += seconds;
                Vec::new()
            }
            Move::Says(number) => rollout.command(&command(*number), now).unwrap_or_default(),
            Move::Hears(place, number) => rollout.hear_at(place.index(24), &fact(*number)),
            Move::Down(place, down) => rollout.hear_down(&format!("box{}", place.index(24)), *down),
        };
        rollout.apply_all(&changes);
        for change in rollout.tick(now) {
            watch(rollout, &change, now);
            rollout.apply(&change);
        }
        assert_eq!(rollout.tick(now), [], "a tick right after a tick changes nothing");
    }
}

fn out(rollout: &Rollout, site: Option<&str>) -> u32 {
    let boxes = rollout.plan().boxes.iter().zip(rollout.progress());
    let count = boxes
        .filter(|(planned, _)| !planned.by_stick && site.is_none_or(|site| planned.site == site))
        .filter(|(_, one)| one.down || one.stage.is_out_of_service())
        .count();
    u32::try_from(count).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    // promise S-110
    #[test]
    fn a_box_is_told_only_in_its_wave_window_and_limits(moves in moves(), all in 1_u32..5, site in 1_u32..4, budget in 0_u32..4) {
        let mut rollout = rollout(all, site, budget);
        let windows = rollout.plan().windows.clone();
        play(&mut rollout, &moves, |before, change, now| {
            let Change::StageSet { place, stage: Stage::Ordered, .. } = change else { return };
            let planned = &before.plan().boxes[*place];
            assert!(matches!(before.phase(), Phase::Running));
            assert!(now < before.plan().deadline);
            let wave = (0..3).find(|wave| before.plan().places(*wave).contains(place)).unwrap();
            assert!(wave < before.waves_begun().len(), "its wave has begun");
            let failed = before.count(Stage::is_failure);
            assert!(failed <= usize::try_from(budget).unwrap(), "never past the budget");
            if planned.by_stick { return }
            assert!(windows.get(&planned.site).is_none_or(|window| window.closes(now).is_some()), "its window is open");
            assert!(out(before, None) < all, "room in all");
            assert!(out(before, Some(&planned.site)) < site, "room at the site");
        });
    }

    // promise S-111
    #[test]
    fn a_wave_begins_only_when_the_one_before_it_is_settled(moves in moves()) {
        let mut rollout = rollout(4, 3, 3);
        play(&mut rollout, &moves, |before, change, now| {
            let Change::WaveBegun { wave, .. } = change else { return };
            assert!(now >= NOW + before.plan().waves[*wave].start_after);
            for place in 0..before.plan().places(*wave).start {
                let one = &before.progress()[place];
                let by_stick = before.plan().boxes[place].by_stick;
                assert!(!matches!(one.stage, Stage::Failed { .. }), "nothing failed is left as it is");
                assert!(by_stick || one.down || one.stage != Stage::Waiting, "everybody was told");
            }
        });
    }

    // promise S-113
    #[test]
    fn reports_in_any_order_and_repeated_give_the_same_state(
        reports in proptest::collection::vec((0_usize..24, 0_u8..6), 0..60),
        seed in any::<u64>(),
    ) {
        let mut rollout = rollout(20, 10, 20);
        let changes = rollout.tick(NOW);
        rollout.apply_all(&changes);
        let hear = |order: &[(usize, u8)]| {
            let mut one = rollout.clone();
            for (place, number) in order {
                let changes = one.hear_at(*place, &fact(*number));
                one.apply_all(&changes);
            }
            let changes = one.tick(NOW + 60);
            one.apply_all(&changes);
            one
        };
        let mut other: Vec<_> = reports.iter().chain(&reports).copied().collect();
        // Fisher-Yates with numbers that follow from the seed.
        let mut state = seed;
        for last in (1..other.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            other.swap(last, usize::try_from(state >> 33).unwrap() % (last + 1));
        }
        prop_assert_eq!(hear(&reports), hear(&other));
    }

    // promise S-114
    #[test]
    fn a_console_that_was_killed_loses_and_repeats_nothing(moves in moves()) {
        let mut rollout = rollout(4, 3, 3);
        let plan = rollout.plan().clone();
        // Stored: the plan and every change, in order.
        let mut stored = Vec::new();
        let digest = plan.digest().to_string();
        let mut fresh = Rollout::new(plan.clone());
        for command in [Command::Approve { by: "noor".into(), digest }, Command::Start { by: "noor".into() }] {
            let changes = fresh.command(&command, NOW).unwrap();
            fresh.apply_all(&changes);
            stored.extend(changes);
        }
        let mut now = NOW;
        for one in &moves {
            let mut changes = match one {
                Move::Time(seconds) => { now += seconds; Vec::new() }
                Move::Says(number) => rollout.command(&command(*number), now).unwrap_or_default(),
                Move::Hears(place, number) => rollout.hear_at(place.index(24), &fact(*number)),
                Move::Down(place, down) => rollout.hear_down(&format!("box{}", place.index(24)), *down),
            };
            rollout.apply_all(&changes);
            let ticked = rollout.tick(now);
            rollout.apply_all(&ticked);
            changes.extend(ticked);
            stored.extend(changes);
            // Killed here: what was stored is read again, and the orders in force are the same.
            let mut again = Rollout::new(plan.clone());
            again.apply_all(&stored);
            prop_assert_eq!(&again, &rollout);
            prop_assert_eq!(again.orders().collect::<Vec<_>>(), rollout.orders().collect::<Vec<_>>());
            prop_assert_eq!(again.tick(now), []);
        }
    }

    // promise S-110
    #[test]
    fn only_boxes_of_the_approved_plan_are_ever_told(moves in moves()) {
        let mut rollout = rollout(4, 3, 1);
        let digest = rollout.plan().digest();
        play(&mut rollout, &moves, |_, _, _| {});
        prop_assert_eq!(rollout.plan().digest(), digest);
        for order in rollout.orders() {
            let planned = rollout.plan().boxes.iter().find(|one| one.box_id == order.box_id).unwrap();
            let expected = match order.direction {
                Direction::Forward => Some(rollout.plan().release.clone()),
                Direction::Back => planned.from.clone(),
            };
            prop_assert_eq!(order.run, expected);
        }
        prop_assert_eq!(rollout.hear("a stranger", &fact(0)), []);
    }
}
