//! The boxes of a scenario and their fates.
//!
//! Refuses to let fate depend on what the rollout does: each box's is a function of seed and box alone.

use freehold_trust::sha256;

use super::scenario::{ReleaseQuality, Scenario};
use crate::rollout::{Fact, Outcome, PlannedBox, ReleaseRef};

/// What becomes of a box once it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    /// Facts in the order in which they come; empty: it never answers.
    pub facts: Vec<Fact>,
    /// Seconds from order to answer.
    pub takes: i64,
    /// Seconds from the beginning until it comes back, when it is away.
    pub away: Option<i64>,
}

/// The boxes of a scenario, by site.
pub(super) fn boxes(scenario: &Scenario) -> Vec<PlannedBox> {
    let mut boxes = Vec::new();
    for wish in &scenario.sites {
        for site in 1..=wish.count {
            let name = if wish.count == 1 {
                wish.name.clone()
            } else {
                format!("{} {site}", wish.name)
            };
            for number in 1..=wish.boxes {
                boxes.push(PlannedBox {
                    box_id: format!("{name} / box {number}"),
                    site: name.clone(),
                    from: Some(release("1")),
                    bytes: 4_900_000_000,
                    by_stick: wish.by_stick,
                });
            }
        }
    }
    boxes
}

/// Version `version` of the model that every box of a scenario runs.
pub(super) fn release(version: &str) -> ReleaseRef {
    ReleaseRef {
        name: "models/triage-8b".to_owned(),
        version: version.to_owned(),
        sha256: sha256(version.as_bytes()).to_string(),
    }
}

/// The fate of one box.
pub(super) fn fate(scenario: &Scenario, planned: &PlannedBox) -> Fate {
    let mut chance = Chance::new(scenario.seed, &planned.box_id);
    let quality = &scenario.release;
    let away = (chance.permille() < quality.away_permille)
        .then(|| i64::from(chance.between(1, scenario.days.max(1))).saturating_mul(86_400));
    let takes = if planned.by_stick {
        let (least, most) = quality.stick_days;
        i64::from(chance.between(least, most)).saturating_mul(86_400)
    } else {
        let (least, most) = quality.minutes;
        i64::from(chance.between(least, most)).saturating_mul(60)
    };
    Fate {
        facts: facts(quality, chance.permille()),
        takes,
        away,
    }
}

fn facts(quality: &ReleaseQuality, mut drawn: u32) -> Vec<Fact> {
    let mut falls_in = |share: u32| {
        let hit = drawn < share;
        drawn = drawn.saturating_sub(share);
        // What fell into this share falls into no later one.
        if hit {
            drawn = u32::MAX;
        }
        hit
    };
    let confirmed = |wrong_percent, slower_percent| {
        Fact::Forward(Outcome::Confirmed {
            wrong_percent,
            errors_permille: 1,
            slower_percent,
        })
    };
    if falls_in(quality.goes_back_permille) {
        let code = "engine.self_test".to_owned();
        return vec![Fact::Forward(Outcome::WentBack { code })];
    }
    if falls_in(quality.wrong_answers_permille) {
        return vec![confirmed(15, 0), Fact::Verdict(None)];
    }
    if falls_in(quality.slow_permille) {
        return vec![confirmed(0, 40), Fact::Verdict(None)];
    }
    if falls_in(quality.bad_verdict_permille) {
        return vec![confirmed(0, 0), Fact::Verdict(Some("boot.event".to_owned()))];
    }
    if falls_in(quality.silent_permille) {
        return Vec::new();
    }
    vec![confirmed(0, 0), Fact::Verdict(None)]
}

/// Numbers that follow from a seed and a name: SplitMix64 (Steele, Lea and Flood, 2014), begun at a digest.
struct Chance(u64);

impl Chance {
    fn new(seed: u64, name: &str) -> Self {
        let digest = sha256(format!("{seed}\n{name}").as_bytes());
        let start = digest
            .as_bytes()
            .first_chunk::<8>()
            .map_or(seed, |first| u64::from_be_bytes(*first));
        Self(start)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to 999.
    fn permille(&mut self) -> u32 {
        u32::try_from(self.next().checked_rem(1000).unwrap_or(0)).unwrap_or(0)
    }

    /// `least` to `most`, both included.
    fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)).saturating_add(1);
        let offset = self.next().checked_rem(span).unwrap_or(0);
        least.saturating_add(u32::try_from(offset).unwrap_or(0))
    }
}
