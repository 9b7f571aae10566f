//! The verdict lease on the box: what the console signed, whether it covers a model now, what became of it.
//!
//! Refuses a lease that is not for this box, key and boot, and one from before a withdrawal that was seen. Invariant: the
//! envelope is verified anew at every look, so that a lease ends by itself, with the console away as with it there.
//!
//! Which models need one is the policy's own question; a box whose policy demands none never asks for a lease.

use freehold_decide::{HeldStanding, RunFacts};
use freehold_plan::RunPermission;
use freehold_trust::{PublicKey, sha256};
use freehold_verify::document::{Lease, LeaseExpectation, LeaseRejection, MAX_DOCUMENT, verify_lease};
use freehold_verify::{Refusal as _, RefusalReport, Verified};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::policy::Policy;
use crate::state::State;

const ENVELOPE: &str = "lease.dsse";
const SEEN: &str = "lease.json";

/// What outlives a lease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    v: u32,
    /// The highest counter seen: older leases do not come back.
    counter: u64,
}

/// The lease as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Held {
    envelope: Option<Vec<u8>>,
    seen: Seen,
    /// The TPM's count of resets, as it last said it in this process.
    pub(crate) reset_count: Option<u32>,
    /// Whether the record has what stands now: the code, or nothing for a lease that holds.
    pub(crate) said: Option<Option<String>>,
}

/// Whose lease is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) fleet: &'a str,
    pub(crate) box_id: &'a str,
    pub(crate) director: &'a PublicKey,
    /// TPMT_PUBLIC of the attestation key.
    pub(crate) ak_public: &'a [u8],
}

impl Held {
    /// What an earlier run has kept.
    pub(crate) fn open(state: &State) -> Result<Self, Fault> {
        Ok(Self {
            envelope: state.bytes(ENVELOPE)?.filter(|bytes| bytes.len() <= MAX_DOCUMENT),
            seen: state.json(SEEN)?.unwrap_or_default(),
            reset_count: None,
            said: None,
        })
    }

    /// Keeps a lease that the console gave, when it counts here.
    ///
    /// # Errors
    /// [`LeaseRejection`] inside, a [`Fault`] of the disk outside.
    pub(crate) fn take(
        &mut self,
        state: &State,
        envelope: &[u8],
        whose: Whose<'_>,
    ) -> Result<Result<(), LeaseRejection>, Fault> {
        let lease = match verify_lease(envelope, whose.director, &self.expectation(whose)) {
            Ok(lease) => lease,
            Err(rejection) => return Ok(Err(rejection)),
        };
        if self.verified(whose).is_ok_and(|held| *held == *lease) {
            return Ok(Ok(()));
        }
        // The counter first: a power cut between the two must not bring a withdrawn lease back.
        if lease.counter > self.seen.counter || self.seen.v == 0 {
            self.seen = Seen {
                v: 1,
                counter: lease.counter,
            };
            state.put_json(SEEN, &self.seen)?;
        }
        state.put(ENVELOPE, envelope)?;
        self.envelope = Some(envelope.to_vec());
        Ok(Ok(()))
    }

    fn expectation(&self, whose: Whose<'_>) -> LeaseExpectation {
        LeaseExpectation {
            fleet: whose.fleet.to_owned(),
            box_id: whose.box_id.to_owned(),
            ak: sha256(whose.ak_public),
            reset_count: self.reset_count,
            last_counter: self.seen.counter,
        }
    }

    /// The lease, verified now.
    fn verified(&self, whose: Whose<'_>) -> Result<Verified<Lease>, LeaseRejection> {
        let envelope = self.envelope.as_ref().ok_or(LeaseRejection::Missing)?;
        verify_lease(envelope, whose.director, &self.expectation(whose))
    }

    /// Whether the lease covers `model` at `now`, and until when.
    pub(crate) fn covers(&self, model: &str, whose: Option<Whose<'_>>, now: i64) -> Result<i64, LeaseRejection> {
        // Without a TPM that was opened and a fleet that is known, nobody can say whose lease it would be.
        let lease = self.verified(whose.ok_or(LeaseRejection::BootUnknown)?)?;
        lease.covers(model, now)?;
        Ok(lease.not_after)
    }
}

/// Whether a model may run: the policy's answer, with the lease's own code where the lease is what is missing.
pub(crate) fn may_run(policy: Option<&Policy>, model: &str, lease: &Result<i64, LeaseRejection>) -> RunPermission {
    let Some(policy) = policy else {
        return RunPermission::Stop(RefusalReport {
            code: "policy.unusable".to_owned(),
            message: "the box has no usable policy, so no model runs".to_owned(),
            expected: None,
            found: None,
        });
    };
    let standing = match lease {
        Ok(_) => HeldStanding::Held,
        Err(_) => HeldStanding::Lost,
    };
    let facts = RunFacts {
        model: model.to_owned(),
        lease: standing,
    };
    match policy.run(&facts) {
        Ok(()) => RunPermission::Run,
        Err(denied) => RunPermission::Stop(match lease {
            Err(lost) if denied.code == "policy.lease_lost" => lost.report(),
            _ => denied,
        }),
    }
}

/// The models that policy demands a lease for, out of `names`.
pub(crate) fn demanded<'a>(policy: &Policy, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let without = Err(LeaseRejection::Missing);
    let needs = |name: &&str| matches!(may_run(Some(policy), name, &without), RunPermission::Stop(_));
    names.filter(needs).map(str::to_owned).collect()
}
