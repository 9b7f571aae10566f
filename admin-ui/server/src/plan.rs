//! Proposals: what somebody wants to change, shown as a plan with a digest, then confirmed by exactly that digest.
//!
//! Refuses to confirm what has changed since it was shown. Invariant: the digest covers everything that the plan will do, in a
//! canonical form; a plan is done at most once. What is here is what the store holds: a console that is killed forgets no plan, and one that was
//! killed while it carried a plan out says that it cannot tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use freehold_fleet::LeaseChange;
use freehold_store::{PendingChange, PlanRow};
use freehold_trust::sha256;
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::approvals::{Asked, Given};
use crate::people::action::Action;
use crate::people::proposal::AccountProposal;

/// Most plans remembered; the oldest are forgotten.
const REMEMBERED: usize = 500;

/// What is proposed. Everything that matters stands in it, so that its digest covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Proposal {
    /// Approve the keys that wait.
    Approve {
        /// Which box.
        box_id: String,
        /// The fingerprint that is compared.
        fingerprint: String,
        /// The EK's digest, where no certificate vouches for it.
        ek: Option<String>,
    },
    /// Refuse the keys that wait.
    Refuse {
        /// Which box.
        box_id: String,
        /// Which keys.
        fingerprint: String,
    },
    /// Assign releases.
    Assign {
        /// Which box.
        box_id: String,
        /// Target names with the SHA-256 of their descriptors.
        targets: BTreeMap<String, String>,
        /// The counter it will have.
        counter: u64,
    },
    /// Make a token.
    MakeToken {
        /// Which box.
        box_id: String,
        /// For whom.
        name: String,
        /// How long.
        days: u32,
        /// How many tokens the box has: another one made since changes the plan.
        tokens: usize,
    },
    /// Withdraw a token.
    WithdrawToken {
        /// Which box.
        box_id: String,
        /// Which.
        token: String,
    },
    /// Withdraw or grant the verdict lease.
    Lease {
        /// Which box.
        box_id: String,
        /// How.
        change: LeaseChange,
        /// The count of changes before: another one made since changes the plan.
        changes: u64,
    },
    /// Something about an account.
    Account {
        /// Which account.
        name: String,
        /// What.
        proposal: AccountProposal,
    },
    /// Take the box out of the fleet.
    Remove {
        /// Which box.
        box_id: String,
        /// With which key.
        key: String,
    },
}

impl Proposal {
    /// Which box; empty for what is about none.
    #[must_use]
    pub fn box_id(&self) -> &str {
        match self {
            Self::Account { .. } => "",
            Self::Approve { box_id, .. }
            | Self::Refuse { box_id, .. }
            | Self::Assign { box_id, .. }
            | Self::MakeToken { box_id, .. }
            | Self::WithdrawToken { box_id, .. }
            | Self::Lease { box_id, .. }
            | Self::Remove { box_id, .. } => box_id,
        }
    }

    /// What it is about, for the record: a box or an account.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Account { name, .. } => name,
            _ => self.box_id(),
        }
    }

    /// What confirming it needs.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Approve { .. } | Self::Refuse { .. } => Action::DecideEnrolment,
            Self::Assign { .. } | Self::Lease { .. } => Action::Assign,
            Self::MakeToken { .. } | Self::WithdrawToken { .. } => Action::ManageTokens,
            Self::Remove { .. } => Action::RemoveBox,
            Self::Account { .. } => Action::ManageAccounts,
        }
    }

    /// SHA-256 of the canonical form, hex.
    #[must_use]
    pub fn digest(&self) -> String {
        // Field order is fixed by the type and maps are sorted: one value, one spelling.
        sha256(&serde_json::to_vec(self).unwrap_or_default()).to_hex()
    }
}

/// Where a plan stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It waits.
    Waiting,
    /// It is being done.
    InWork,
    /// It was done.
    Done,
    /// It was refused.
    Refused(RefusalReport),
    /// It was withdrawn.
    Withdrawn,
    /// What it was made from has changed.
    Outdated,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Random name.
    pub id: String,
    /// What it does.
    pub proposal: Proposal,
    /// Its digest.
    pub digest: String,
    /// Where it stands.
    pub stand: Stand,
    /// Who proposed it.
    pub by: String,
    /// When, Unix seconds.
    pub at: i64,
    /// Who decided.
    pub decided_by: String,
    /// When, Unix seconds.
    pub decided: Option<i64>,
    /// What approvers are asked, where the publisher's policy wants them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// All plans.
#[derive(Debug, Default)]
pub struct Plans(Mutex<Vec<Plan>>);

impl Plan {
    /// As the store keeps it.
    #[must_use]
    pub fn row(&self) -> PendingChange {
        PendingChange::Plan(PlanRow {
            id: self.id.clone(),
            at: self.at,
            document: serde_json::to_string(self).unwrap_or_default(),
        })
    }
}

impl Plans {
    /// What the store holds. A plan that was being carried out when the console ended is closed: nobody can tell how far it came.
    #[must_use]
    pub fn of(rows: Vec<PlanRow>) -> Self {
        let read = |row: PlanRow| {
            let mut plan: Plan = serde_json::from_str(&row.document)
                .inspect_err(|error| tracing::warn!(plan = %row.id, %error, "a stored plan cannot be read"))
                .ok()?;
            if plan.stand == Stand::InWork {
                plan.stand = Stand::Refused(RefusalReport {
                    code: "console.plan_interrupted".to_owned(),
                    message: "the console ended while the plan was carried out".to_owned(),
                    expected: None,
                    found: None,
                });
            }
            Some(plan)
        };
        Self(Mutex::new(rows.into_iter().filter_map(read).collect()))
    }

    /// How many wait for somebody.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plans.iter().filter(|plan| plan.stand == Stand::Waiting).count()
    }

    /// Keeps a new plan.
    pub fn add(&self, plan: Plan) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= REMEMBERED {
            plans.remove(0);
        }
        plans.push(plan);
    }

    /// A plan.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Plan> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|plan| plan.id == id)
            .cloned()
    }

    /// All plans, newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Plan> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .rev()
            .cloned()
            .collect()
    }

    /// Adds a person's approval to a waiting plan; what is to be stored comes back, with the plan as it is now.
    pub fn approve(&self, id: &str, given: Given) -> Option<(PendingChange, Plan)> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans
            .iter_mut()
            .find(|plan| plan.id == id && plan.stand == Stand::Waiting)?;
        let asked = plan.asked.as_mut()?;
        // Two requests of one person at once: the second finds the first.
        if asked.given.iter().any(|known| known.name == given.name) {
            return None;
        }
        asked.given.push(given);
        Some((plan.row(), plan.clone()))
    }

    /// Takes back what could not be stored.
    pub fn unapprove(&self, id: &str, name: &str) {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.iter_mut().find(|plan| plan.id == id);
        if let Some(asked) = plan.and_then(|plan| plan.asked.as_mut()) {
            asked.given.retain(|given| given.name != name);
        }
    }

    /// Moves a plan on, when it stands at `from`; what is to be stored comes back.
    pub fn advance(&self, id: &str, from: &Stand, to: Stand, by: &str, at: i64) -> Option<PendingChange> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = plans.iter_mut().find(|plan| plan.id == id && plan.stand == *from)?;
        plan.stand = to;
        plan.decided_by = by.to_owned();
        plan.decided = Some(at);
        Some(plan.row())
    }
}
