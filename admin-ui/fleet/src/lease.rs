//! Verdict leases: what a good verdict gives a box, and what people take back.
//!
//! Refuses to give one that a person withdrew, and to anybody whose verdict is not good now. Invariant: a lease follows from the
//! last verdict and from what people withdrew, nothing else; the count of withdrawals and grants of a box only rises, so that
//! a lease from before one does not come back.

use std::collections::BTreeSet;

use freehold_protocol::status::VerdictWord;
use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;
use freehold_verify::Refusal as _;
use freehold_verify::document::{Lease, LeasedModels};
use freehold_verify::tpm::ClockInfo;
use serde::{Deserialize, Serialize};

use crate::effect::{Effect, Entry};
use crate::event::{Answer, Outcome};
use crate::member::Member;
use crate::rejection::FleetRejection;
use crate::state::Fleet;

/// Most models that one change names: bounds what a lease carries.
pub const LEASE_MODELS: usize = 256;

/// What people took back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawn {
    /// Nothing.
    #[default]
    Nothing,
    /// The lease as a whole.
    All,
    /// These models, by name.
    Models(BTreeSet<String>),
}

/// Where a box's lease stands by the will of people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseOrder {
    /// Counts withdrawals and grants.
    pub changes: u64,
    /// What is withdrawn.
    pub withdrawn: Withdrawn,
    /// Who changed it last; empty before.
    pub by: String,
    /// When, Unix seconds.
    pub at: i64,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lease", rename_all = "snake_case")]
pub enum LeaseChange {
    /// Take it back: for these models, or as a whole when none is named.
    Withdraw {
        /// Names of models.
        models: BTreeSet<String>,
    },
    /// Give it back as a whole.
    Grant,
}

/// The lease of a box as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseNow {
    /// The box may have this one.
    Held(Lease),
    /// It is taken back: by a person, or because a fault was found.
    Withdrawn(Lease),
    /// There is nothing to say: no verdict that counts now. What the box has goes on until it ends.
    NotRenewed,
}

/// The name of the model in a target of an assignment.
fn model_of(target: &str) -> Option<&str> {
    let mut parts = target.split('/');
    (parts.next()? == "models").then(|| parts.next())?
}

impl Fleet {
    /// The lease of a box at `now`.
    #[must_use]
    pub fn lease_of(&self, member: &Member, now: i64) -> LeaseNow {
        let verdict = self.verdict_of(member, now);
        let (Some(keys), Some(stored)) = (member.active.as_ref().filter(|_| member.is_approved()), verdict.stored)
        else {
            return LeaseNow::NotRenewed;
        };
        let order = self.leases.get(&member.box_id).cloned().unwrap_or_default();
        let good = stored.word.allows_change().then_some(stored);
        let clock = good
            .or(member.last_good.as_ref())
            .and_then(|verdict| serde_json::from_value::<ClockInfo>(verdict.claims.get("clock")?.clone()).ok());
        let Some(clock) = clock else {
            return LeaseNow::NotRenewed;
        };
        let lease = |models, not_after| Lease {
            v: 1,
            fleet: self.id.clone(),
            box_id: member.box_id.clone(),
            ak: ak(&keys.ak_public),
            reset_count: clock.reset_count,
            counter: order.changes,
            models,
            not_after,
        };
        if verdict.word == VerdictWord::Refused || order.withdrawn == Withdrawn::All {
            return LeaseNow::Withdrawn(lease(LeasedModels::none(), stored.at));
        }
        if !verdict.word.allows_change() {
            return LeaseNow::NotRenewed;
        }
        let until = stored.at.saturating_add(self.rules.lease_ttl);
        match &order.withdrawn {
            Withdrawn::Models(gone) => {
                // What is not withdrawn has to be named: there is no "all but".
                let named = member.assignment.iter().flat_map(|head| &head.targets);
                let models: BTreeSet<String> = named
                    .filter_map(|target| model_of(target))
                    .filter(|name| !gone.contains(*name))
                    .map(str::to_owned)
                    .take(LEASE_MODELS)
                    .collect();
                if models.is_empty() {
                    LeaseNow::Withdrawn(lease(LeasedModels::none(), stored.at))
                } else {
                    LeaseNow::Held(lease(LeasedModels::Named(models), until))
                }
            }
            Withdrawn::Nothing | Withdrawn::All => LeaseNow::Held(lease(LeasedModels::ALL, until)),
        }
    }
}

/// The name of an attestation key in a lease.
fn ak(public: &[u8]) -> Sha256Digest {
    sha256(public)
}

pub(crate) fn change(fleet: &Fleet, box_id: &str, change: &LeaseChange, by: &str, now: i64) -> Outcome {
    let kind = match change {
        LeaseChange::Withdraw { .. } => "lease.withdrawn",
        LeaseChange::Grant => "lease.granted",
    };
    let mut entry = Entry::new(kind, now, &fleet.site, by).about(box_id);
    if let LeaseChange::Withdraw { models } = change {
        entry = entry.fact("models", models.iter().cloned().collect::<Vec<_>>());
    }
    if !fleet.boxes.get(box_id).is_some_and(Member::is_approved) {
        let rejection = FleetRejection::UnknownBox {
            box_id: box_id.to_owned(),
        };
        let entry = entry.refused(rejection.code());
        return Outcome::refused(rejection).record(entry);
    }
    let old = fleet.leases.get(box_id).cloned().unwrap_or_default();
    let withdrawn = match change {
        LeaseChange::Grant => Withdrawn::Nothing,
        LeaseChange::Withdraw { models } if models.is_empty() => Withdrawn::All,
        LeaseChange::Withdraw { models } => match &old.withdrawn {
            Withdrawn::All => Withdrawn::All,
            Withdrawn::Nothing => Withdrawn::Models(models.clone()),
            Withdrawn::Models(before) => Withdrawn::Models(before.union(models).cloned().collect()),
        },
    };
    if let Withdrawn::Models(models) = &withdrawn
        && (models.len() > LEASE_MODELS || models.iter().any(|name| name.is_empty() || name.len() > 128))
    {
        let rejection = FleetRejection::BadLease { limit: LEASE_MODELS };
        let entry = entry.refused(rejection.code());
        return Outcome::refused(rejection).record(entry);
    }
    let order = LeaseOrder {
        changes: old.changes.saturating_add(1),
        withdrawn,
        by: by.to_owned(),
        at: now,
    };
    let entry = entry.fact("counter", order.changes);
    let saved = Effect::LeaseSaved {
        box_id: box_id.to_owned(),
        order,
    };
    Outcome::accepted(Answer::Done, vec![saved, Effect::Record(entry)])
}
