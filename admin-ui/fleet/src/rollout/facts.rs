//! Facts that boxes add to a rollout.
//!
//! Refuses to forget and to depend on order: facts are joined, the worse of two contradicting ones wins. Invariant: joining is
//! commutative, associative and idempotent, so any order and repetition of reports gives the same facts.

use serde::{Deserialize, Serialize};

use super::plan::Gates;

/// How the change went on the box, by its own word. Ordered from good to bad.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The box runs it and its own health check holds.
    Confirmed {
        /// Golden answers that were wrong, in percent of all.
        wrong_percent: u8,
        /// Requests that failed since, of a thousand.
        errors_permille: u16,
        /// Tokens a second that are missing, in percent of before; 0 when it is as fast or faster.
        slower_percent: u16,
    },
    /// The box went back by itself.
    WentBack {
        /// Why, a refusal code.
        code: String,
    },
}

/// One fact about a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// How the change to the new release went.
    Forward(Outcome),
    /// A verdict reached after the change: `None` is a good one, else the code.
    Verdict(Option<String>),
    /// The box runs again what it ran before.
    Back,
}

/// Everything that is known of a box in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// How the change went.
    pub forward: Option<Outcome>,
    /// The verdict after it; the inner `None` is a good one.
    pub verdict: Option<Option<String>>,
    /// Whether it runs again what it ran before.
    pub back: bool,
}

/// What the facts mean under a plan's gates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Something is still to be said.
    Open,
    /// Every gate holds.
    Healthy,
    /// The box went back by itself.
    WentBack {
        /// Why.
        code: String,
    },
    /// A gate does not hold.
    Failed {
        /// Which, in the words of the plan.
        gate: &'static str,
    },
}

impl Facts {
    /// These facts and one more.
    #[must_use]
    pub fn join(&self, fact: &Fact) -> Self {
        let mut joined = self.clone();
        match fact {
            Fact::Forward(outcome) => joined.forward = worse(joined.forward.take(), outcome.clone()),
            Fact::Verdict(verdict) => joined.verdict = worse(joined.verdict.take(), verdict.clone()),
            Fact::Back => joined.back = true,
        }
        joined
    }

    /// What they mean.
    #[must_use]
    pub fn judge(&self, gates: &Gates) -> Judgement {
        let Some(outcome) = &self.forward else {
            return Judgement::Open;
        };
        let failed = |gate| Judgement::Failed { gate };
        match outcome {
            Outcome::WentBack { code } => Judgement::WentBack { code: code.clone() },
            Outcome::Confirmed { wrong_percent, .. } if wrong_percent.saturating_add(gates.answers_percent) > 100 => {
                failed("answers")
            }
            Outcome::Confirmed { errors_permille, .. } if *errors_permille > gates.errors_permille => failed("errors"),
            Outcome::Confirmed { slower_percent, .. } if slower_percent.saturating_add(gates.speed_percent) > 100 => {
                failed("speed")
            }
            Outcome::Confirmed { .. } if !gates.verdict => Judgement::Healthy,
            Outcome::Confirmed { .. } => match &self.verdict {
                None => Judgement::Open,
                Some(None) => Judgement::Healthy,
                Some(Some(_)) => failed("verdict"),
            },
        }
    }
}

fn worse<T: Ord>(known: Option<T>, new: T) -> Option<T> {
    known.into_iter().chain([new]).max()
}
