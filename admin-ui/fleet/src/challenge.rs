//! Challenges: one open nonce per box, answered once, in time, by that box.
//!
//! Refuses the older of two nonces, a second answer, another box's nonce and a late one, each by its own code. Invariant:
//! whatever the answer is, a nonce that was shown back is never accepted again.

use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::event::{Answer, Outcome};
use crate::rejection::FleetRejection;
use crate::state::Fleet;

/// How many spent nonces are remembered per box, so that a refusal can say *why*; an unknown nonce is refused anyway.
pub const SPENT_REMEMBERED: usize = 8;

/// An open challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// 32 random bytes.
    pub nonce: [u8; 32],
    /// Unix seconds at which it was issued.
    pub issued: i64,
    /// Unix seconds after which it is refused.
    pub expires: i64,
}

/// A nonce that may no longer be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentNonce {
    /// The nonce.
    pub nonce: [u8; 32],
    /// Why it is spent.
    pub why: Spent,
}

/// Why a nonce is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It was answered.
    Answered,
    /// A newer one was issued.
    Superseded,
}

pub(crate) fn issue(fleet: &Fleet, box_id: &str, nonce: [u8; 32], now: i64) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    // Two equal nonces mean a broken source of randomness; better no challenge than a predictable one.
    if fleet.nonces.contains_key(&nonce) || member.spent.iter().any(|spent| spent.nonce == nonce) {
        return Outcome::refused(FleetRejection::NonceRepeated);
    }
    let challenge = Challenge {
        nonce,
        issued: now,
        expires: now.saturating_add(fleet.rules.challenge_ttl),
    };
    Outcome::accepted(
        Answer::Challenge(challenge.clone()),
        vec![Effect::ChallengeIssued {
            box_id: box_id.to_owned(),
            challenge,
        }],
    )
}

/// Puts a challenge that travelled by stick back as the open one, as its answer is here. It was kept by the caller, who removes
/// it with the answer; what is already spent stays spent.
pub(crate) fn restore(fleet: &Fleet, box_id: &str, challenge: &Challenge) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    if member.spent.iter().any(|spent| spent.nonce == challenge.nonce) {
        return Outcome::refused(FleetRejection::NonceUsed);
    }
    Outcome::accepted(
        Answer::Challenge(challenge.clone()),
        vec![Effect::ChallengeIssued {
            box_id: box_id.to_owned(),
            challenge: challenge.clone(),
        }],
    )
}

/// Takes an answer to a challenge: on success the nonce is spent and the evidence may be verified against it.
pub(crate) fn answer(fleet: &Fleet, box_id: &str, nonce: &[u8], now: i64) -> Outcome {
    let Some(member) = fleet.boxes.get(box_id).filter(|member| member.is_approved()) else {
        return Outcome::refused(FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        });
    };
    if let Some(open) = member.challenge.as_ref().filter(|open| open.nonce.as_slice() == nonce) {
        let spend = Effect::ChallengeSpent {
            box_id: box_id.to_owned(),
            nonce: open.nonce,
        };
        // A clock that jumped back behind the issue makes the nonce as unusable as one that ran out.
        if now > open.expires || now < open.issued {
            return Outcome {
                effects: vec![spend],
                answer: Err(FleetRejection::NonceExpired {
                    expires: open.expires,
                    now,
                }),
            };
        }
        return Outcome::accepted(Answer::Nonce(open.nonce), vec![spend]);
    }
    if let Some(spent) = member.spent.iter().find(|spent| spent.nonce.as_slice() == nonce) {
        return Outcome::refused(match spent.why {
            Spent::Answered => FleetRejection::NonceUsed,
            Spent::Superseded => FleetRejection::NonceSuperseded,
        });
    }
    let owner = <[u8; 32]>::try_from(nonce)
        .ok()
        .and_then(|nonce| fleet.nonces.get(&nonce));
    match owner {
        Some(owner) => Outcome::refused(FleetRejection::NonceOfOtherBox { owner: owner.clone() }),
        None => Outcome::refused(FleetRejection::NonceUnknown { length: nonce.len() }),
    }
}
