//! Assignments, tokens and the heads of records: what the console tells a box, and what it keeps about it.
//!
//! Refuses to reuse a counter, and to hand out an assignment while the box's verdict allows no change. Invariant: the
//! counter of a box only ever counts up, by one.

use freehold_verify::Refusal;

use crate::effect::{Effect, Entry};
use crate::event::{Answer, Outcome};
use crate::member::{AssignmentHead, CosignedHead, TokenRow};
use crate::rejection::FleetRejection;
use crate::state::Fleet;

/// Most targets in one assignment: bounds what a box has to check.
pub const TARGET_LIMIT: usize = 256;
/// Most tokens of one box: bounds what every report's answer carries.
pub const TOKEN_LIMIT: usize = 256;

pub(crate) fn assign(fleet: &Fleet, box_id: &str, head: &AssignmentHead, envelope: &[u8], now: i64) -> Outcome {
    let mut entry = Entry::new("assignment.made", now, &fleet.site, &head.by)
        .about(box_id)
        .fact("counter", head.counter)
        .fact("targets", head.targets.clone());
    let rejection = match fleet.boxes.get(box_id).filter(|member| member.is_approved()) {
        None => FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        },
        // Nothing at all is what a rollout asks for that takes its release back; a person never means it.
        Some(_)
            if (head.targets.is_empty() && !head.by.starts_with("rollout:")) || head.targets.len() > TARGET_LIMIT =>
        {
            FleetRejection::BadTargets {
                found: head.targets.len(),
                limit: TARGET_LIMIT,
            }
        }
        Some(_) if head.counter != fleet.next_counter(box_id) => FleetRejection::CounterNotNext {
            expected: fleet.next_counter(box_id),
            found: head.counter,
        },
        Some(_) => {
            let assigned = Effect::Assigned {
                box_id: box_id.to_owned(),
                head: head.clone(),
                envelope: envelope.to_vec(),
            };
            return Outcome::accepted(
                Answer::Assignment(Some(head.counter)),
                vec![assigned, Effect::Record(entry)],
            );
        }
    };
    entry = entry.refused(rejection.code());
    Outcome::refused(rejection).record(entry)
}

pub(crate) fn ask(fleet: &Fleet, box_id: &str, now: i64) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    let Some(head) = &member.assignment else {
        return Outcome::accepted(Answer::Assignment(None), Vec::new());
    };
    let word = fleet.verdict_of(member, now).word;
    if word.allows_change() {
        Outcome::accepted(Answer::Assignment(Some(head.counter)), Vec::new())
    } else {
        Outcome::refused(FleetRejection::NotTrusted {
            box_id: box_id.to_owned(),
            word: word.word(),
        })
    }
}

pub(crate) fn cosign(fleet: &Fleet, box_id: &str, head: &CosignedHead, now: i64) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    let fault = member
        .cosigned
        .as_ref()
        .filter(|last| head.size < last.size || (head.size == last.size && head.root != last.root));
    if let Some(last) = fault {
        let rejection = FleetRejection::RecordRollback {
            box_id: box_id.to_owned(),
            expected: last.size,
            found: head.size,
        };
        let entry = Entry::new("record.shown", now, &fleet.site, &format!("box:{box_id}"))
            .about(box_id)
            .refused(rejection.code())
            .fact("size", head.size)
            .fact("root", head.root.clone());
        return Outcome::refused(rejection).record(entry);
    }
    if member.cosigned.as_ref().is_some_and(|last| last.size == head.size) {
        return Outcome::accepted(Answer::Done, Vec::new());
    }
    Outcome::accepted(
        Answer::Done,
        vec![Effect::Cosigned {
            box_id: box_id.to_owned(),
            head: head.clone(),
        }],
    )
}

pub(crate) fn make_token(fleet: &Fleet, box_id: &str, token: &TokenRow, now: i64) -> Outcome {
    let entry = Entry::new("token.made", now, &fleet.site, &token.made_by)
        .about(box_id)
        .fact("token_id", token.id.clone())
        .fact("name", token.name.clone())
        .fact("models", token.models.clone());
    let named = (1..=64).contains(&token.name.len()) && !token.name.chars().any(char::is_control);
    let bounded = token.models.len() <= 64 && token.models.iter().all(|model| model.len() <= 128);
    let rejection = match fleet.boxes.get(box_id).filter(|member| member.is_approved()) {
        None => FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        },
        Some(member) if !named || !bounded || member.tokens.len() >= TOKEN_LIMIT => {
            FleetRejection::BadToken { limit: TOKEN_LIMIT }
        }
        Some(_) => {
            let made = Effect::TokenMade {
                box_id: box_id.to_owned(),
                token: token.clone(),
            };
            return Outcome::accepted(Answer::Done, vec![made, Effect::Record(entry)]);
        }
    };
    let entry = entry.refused(rejection.code());
    Outcome::refused(rejection).record(entry)
}

pub(crate) fn withdraw_token(fleet: &Fleet, box_id: &str, id: &str, by: &str, now: i64) -> Outcome {
    let entry = Entry::new("token.withdrawn", now, &fleet.site, by)
        .about(box_id)
        .fact("token_id", id);
    let known = fleet
        .boxes
        .get(box_id)
        .is_some_and(|member| member.tokens.iter().any(|token| token.id == id));
    if !known {
        return Outcome::refused(FleetRejection::TokenUnknown {
            id: id.chars().take(32).collect(),
        })
        .record(entry.refused("console.token_unknown"));
    }
    let gone = Effect::TokenWithdrawn {
        box_id: box_id.to_owned(),
        id: id.to_owned(),
    };
    Outcome::accepted(Answer::Done, vec![gone, Effect::Record(entry)])
}
