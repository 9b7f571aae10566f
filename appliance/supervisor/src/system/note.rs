//! The durable note about slots and a trial: what was ordered, compared with what runs after a restart.
//!
//! Refuses to guess: a trial that ended without its image running has gone back, whatever the reason, and one that was never
//! restarted is still to come. Invariant: the note is written before the machine restarts, so that whichever image starts
//! next can say what became of the order.

use std::collections::BTreeMap;

use freehold_protocol::health::{HealthState, ReleaseHealth, Requests, Speed};
use freehold_trust::Sha256Digest;
use freehold_verify::Refusal as _;
use serde::{Deserialize, Serialize};

use super::rejection::UpdateRejection;

/// Outcomes that are kept for the reports.
const OUTCOMES: usize = 8;

/// What is known of one slot's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Its level.
    pub(crate) level: u8,
    /// The floor that its release asks for.
    pub(crate) floor: u8,
    /// The release that it came with; `None` for the image that was installed.
    pub(crate) release: Option<Sha256Digest>,
}

/// An image that was written and is to show that it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// The release.
    pub(crate) release: Sha256Digest,
    /// The image's name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The release's counter.
    pub(crate) counter: u64,
    /// The version that ran when it was written.
    pub(crate) from: String,
    /// The boot in which the restart was ordered; `None` before that.
    pub(crate) ordered: Option<String>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The release.
    pub(crate) release: Sha256Digest,
    /// The image's name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The code of why it went back; `None` when it works.
    pub(crate) code: Option<String>,
}

/// The note. Unknown fields are passed over and every field has a default: the image before this one reads it, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    pub(crate) v: u32,
    /// Both slots, by version.
    pub(crate) slots: BTreeMap<String, Slot>,
    /// What is on trial.
    pub(crate) trial: Option<Trial>,
    /// What became of earlier ones, newest last.
    pub(crate) outcomes: Vec<Outcome>,
    /// The floor as it was last raised from here.
    pub(crate) floor: u8,
}

/// What an image that was tried left behind about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attempt {
    pub(crate) v: u32,
    /// Whose health check it was.
    pub(crate) version: String,
    /// What it found.
    pub(crate) code: String,
    /// In words.
    pub(crate) message: String,
}

/// What the note means in this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Woke {
    /// Nothing is on trial.
    Steady,
    /// Written, and the restart is still to come.
    ToRestart,
    /// The image on trial runs.
    Trying,
    /// The image on trial was started, or should have been, and another one runs.
    WentBack(UpdateRejection),
}

impl Note {
    /// Compares what was ordered with what runs. `boot` is the kernel's identifier of this boot.
    pub(crate) fn wake(&self, running: &str, boot: &str, attempt: Option<&Attempt>) -> Woke {
        let Some(trial) = &self.trial else { return Woke::Steady };
        if trial.version == running {
            return Woke::Trying;
        }
        match &trial.ordered {
            Some(ordered) if ordered != boot => {
                let said = attempt.filter(|attempt| attempt.version == trial.version);
                let why = said.map_or_else(
                    || "it did not get so far as to say why".to_owned(),
                    |attempt| format!("{} ({})", attempt.message, attempt.code),
                );
                Woke::WentBack(UpdateRejection::WentBack {
                    version: trial.version.clone(),
                    why,
                })
            }
            _ => Woke::ToRestart,
        }
    }

    /// Ends the trial, with the code of why it went back or with nothing.
    pub(crate) fn ended(&mut self, rejection: Option<&UpdateRejection>) -> Option<Trial> {
        let trial = self.trial.take()?;
        if rejection.is_some() {
            // What failed is written over by the next one; it is no image that may be started again.
            self.slots.remove(&trial.version);
        }
        self.outcomes.retain(|outcome| outcome.release != trial.release);
        self.outcomes.push(Outcome {
            release: trial.release,
            name: trial.name.clone(),
            version: trial.version.clone(),
            code: rejection.map(|rejection| rejection.code().to_owned()),
        });
        let surplus = self.outcomes.len().saturating_sub(OUTCOMES);
        self.outcomes.drain(..surplus);
        Some(trial)
    }

    /// The level to which the floor is to rise: the highest that a slot's release asks for, no higher than the lower of both
    /// images, and only when both are known.
    pub(crate) fn floor_due(&self, running: &str, now: u8) -> Option<u8> {
        if self.trial.is_some() || self.slots.len() < 2 || !self.slots.contains_key(running) {
            return None;
        }
        let lower = self.slots.values().map(|slot| slot.level).min()?;
        let asked = self.slots.values().map(|slot| slot.floor).max()?;
        let due = asked.min(lower);
        (due > now.max(self.floor)).then_some(due)
    }

    /// For the reports: what is on trial, and what became of earlier ones.
    pub(crate) fn health(&self, running: &str) -> Vec<ReleaseHealth> {
        let of = |release: &Sha256Digest, name: &str, version: &str, state| ReleaseHealth {
            release: release.to_hex(),
            name: format!("systems/{name}"),
            version: version.to_owned(),
            state,
            answers: None,
            requests: Requests::default(),
            speed: Speed::default(),
        };
        let mut all: Vec<ReleaseHealth> = self
            .outcomes
            .iter()
            .map(|outcome| {
                let state = match &outcome.code {
                    None => HealthState::Confirmed,
                    Some(code) => HealthState::WentBack { code: code.clone() },
                };
                of(&outcome.release, &outcome.name, &outcome.version, state)
            })
            .collect();
        if let Some(trial) = self.trial.as_ref().filter(|trial| trial.version == running) {
            all.push(of(&trial.release, &trial.name, &trial.version, HealthState::Trying));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::sha256;

    fn slot(level: u8, floor: u8) -> Slot {
        Slot {
            level,
            floor,
            release: None,
        }
    }

    fn note(ordered: Option<&str>) -> Note {
        Note {
            v: 1,
            slots: [("1.0.0".to_owned(), slot(1, 0)), ("1.1.0".to_owned(), slot(2, 2))].into(),
            trial: Some(Trial {
                release: sha256(b"b"),
                name: "freehold".to_owned(),
                version: "1.1.0".to_owned(),
                counter: 2,
                from: "1.0.0".to_owned(),
                ordered: ordered.map(str::to_owned),
            }),
            ..Note::default()
        }
    }

    // promise S-166
    #[test]
    fn what_was_ordered_is_compared_with_what_runs() {
        // Written, and the power went before the restart was ordered; or ordered in this very boot.
        assert_eq!(note(None).wake("1.0.0", "boot-a", None), Woke::ToRestart);
        assert_eq!(note(Some("boot-a")).wake("1.0.0", "boot-a", None), Woke::ToRestart);
        assert_eq!(note(Some("boot-a")).wake("1.1.0", "boot-b", None), Woke::Trying);
        let Woke::WentBack(silent) = note(Some("boot-a")).wake("1.0.0", "boot-c", None) else {
            panic!("the old image runs in another boot")
        };
        assert_eq!(silent.code(), "update.went_back");
        assert!(silent.to_string().contains("did not get so far"), "{silent}");
        // What it said of itself is told, unless another version said it.
        let attempt = |version: &str| Attempt {
            v: 1,
            version: version.to_owned(),
            code: "update.engine".to_owned(),
            message: "the engine fails its self-test".to_owned(),
        };
        let said = note(Some("boot-a")).wake("1.0.0", "boot-c", Some(&attempt("1.1.0")));
        assert!(matches!(said, Woke::WentBack(why) if why.to_string().contains("update.engine")));
        let other = note(Some("boot-a")).wake("1.0.0", "boot-c", Some(&attempt("0.9.0")));
        assert!(matches!(other, Woke::WentBack(why) if !why.to_string().contains("update.engine")));
        assert_eq!(Note::default().wake("1.0.0", "boot-a", None), Woke::Steady);
    }

    #[test]
    fn an_outcome_is_reported_until_newer_ones_take_its_place() {
        let mut tried = note(Some("boot-a"));
        assert!(matches!(tried.health("1.1.0").as_slice(), [one] if one.state == HealthState::Trying));
        assert!(
            tried.health("1.0.0").is_empty(),
            "nothing is tried while the old one runs"
        );
        let went = UpdateRejection::WentBack {
            version: "1.1.0".to_owned(),
            why: String::new(),
        };
        assert_eq!(tried.ended(Some(&went)).map(|trial| trial.counter), Some(2));
        assert!(
            !tried.slots.contains_key("1.1.0"),
            "a slot that failed counts for no floor"
        );
        let state = HealthState::WentBack {
            code: "update.went_back".to_owned(),
        };
        assert!(
            matches!(tried.health("1.0.0").as_slice(), [one] if one.state == state && one.name == "systems/freehold")
        );
        // The same release again, and this time it works: one line, the newer.
        tried.trial = note(None).trial;
        tried.ended(None);
        assert!(matches!(tried.health("1.1.0").as_slice(), [one] if one.state == HealthState::Confirmed));
        for n in 0..20_u8 {
            tried.trial = note(None).trial;
            if let Some(trial) = &mut tried.trial {
                trial.release = sha256(&[n]);
            }
            tried.ended(None);
        }
        assert_eq!(tried.outcomes.len(), OUTCOMES);
    }

    // promise S-167
    #[test]
    fn the_floor_rises_only_when_both_slots_hold_what_the_release_asks_for() {
        let mut note = note(None);
        assert_eq!(
            note.floor_due("1.1.0", 0),
            None,
            "while something is on trial nothing rises"
        );
        note.trial = None;
        assert_eq!(note.floor_due("1.1.0", 0), Some(1), "no higher than the lower slot");
        assert_eq!(note.floor_due("1.1.0", 1), None);
        note.slots.insert("1.0.0".to_owned(), slot(2, 0));
        assert_eq!(note.floor_due("1.1.0", 1), Some(2));
        assert_eq!(note.floor_due("1.1.0", 2), None);
        note.floor = 2;
        assert_eq!(note.floor_due("1.1.0", 1), None, "it was raised in this boot");
        note.floor = 0;
        // An image that nobody knows runs, or one slot is unknown.
        assert_eq!(note.floor_due("9.9.9", 0), None);
        note.slots.remove("1.0.0");
        assert_eq!(note.floor_due("1.1.0", 0), None);
        // No release asks for it.
        note.slots.insert("1.0.0".to_owned(), slot(5, 0));
        note.slots.insert("1.1.0".to_owned(), slot(5, 0));
        assert_eq!(note.floor_due("1.1.0", 0), None);
    }

    // promise S-168
    #[test]
    fn the_image_before_reads_the_note_and_so_does_the_one_after() {
        let mut value = serde_json::to_value(note(Some("boot-a"))).unwrap();
        value["something_of_a_later_version"] = serde_json::json!({"x": 1});
        value["trial"]["more"] = serde_json::json!(true);
        let read: Note = serde_json::from_value(value).unwrap();
        assert_eq!(read, note(Some("boot-a")));
        let bare: Note = serde_json::from_str("{}").unwrap();
        assert_eq!(bare, Note::default());
    }
}
