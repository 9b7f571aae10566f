//! One step of a plan.
//!
//! Refuses a step whose earlier ones did not happen: admission is remembered between the steps of one plan, and a model
//! that was not admitted by this very run is not stored. Invariant: a step that was done before does no harm.

use std::collections::BTreeMap;

use freehold_plan::Step;
use freehold_trust::Sha256Digest;

use crate::fault::StepFailed;
use crate::host::{Host, Judge};
use crate::store::{Admitted, Store};

/// Everything that steps need.
#[derive(Debug)]
pub struct Hands<'a, H, J> {
    /// The store.
    pub store: &'a Store,
    /// Runs engines.
    pub host: &'a mut H,
    /// Judges downloads.
    pub judge: &'a mut J,
    /// What this plan has verified and admitted so far.
    pub so_far: SoFar,
}

/// What earlier steps of the same plan have found.
#[derive(Debug, Clone, Default)]
pub struct SoFar {
    verified: Vec<Sha256Digest>,
    admitted: BTreeMap<Sha256Digest, Admitted>,
}

impl SoFar {
    /// What the policy's answer to a release says, once it was asked in this plan.
    #[must_use]
    pub fn admitted(&self, release: &Sha256Digest) -> Option<&Admitted> {
        self.admitted.get(release)
    }
}

/// Carries out one step that is no part of a download: those are [`crate::fetch`]'s, beside the others.
///
/// # Errors
/// [`StepFailed`]: a refusal, which is final for that release, or a fault, after which the next plan tries again.
pub async fn carry_out<H: Host, J: Judge>(step: &Step, hands: &mut Hands<'_, H, J>) -> Result<(), StepFailed> {
    let earlier = |what: &str| StepFailed::away("store.order", format!("`{what}` has to come first"));
    match step {
        // Saying it, and writing it into the record, is the caller's: it does that for every step.
        Step::RefuseTarget { .. } => Ok(()),
        Step::FetchFile { .. } | Step::ReuseFile { .. } | Step::CancelFetch { .. } => Err(earlier("fetch")),
        Step::VerifyModel { release, root, .. } => {
            hands.judge.verify(release, root, &hands.store.staged(release)).await?;
            hands.so_far.verified.push(*release);
            Ok(())
        }
        Step::AdmitModel { release, root, .. } => {
            if !hands.so_far.verified.contains(release) {
                return Err(earlier("verify"));
            }
            let admitted = hands.judge.admit(release, root).await?;
            hands.so_far.admitted.insert(*release, admitted);
            Ok(())
        }
        Step::StoreModel { release, .. } => {
            let admitted = hands.so_far.admitted.get(release).ok_or_else(|| earlier("admit"))?;
            Ok(hands.store.take(admitted)?)
        }
        Step::StopEngine { root, purpose, .. } => hands.host.stop_engine(root, *purpose).await,
        Step::StartEngine {
            release, root, purpose, ..
        } => {
            let stored = hands.store.stored()?;
            let admitted = stored.get(release).ok_or_else(|| earlier("store"))?;
            let folder = hands.store.folder(root, release);
            hands.host.start_engine(admitted, &folder, *purpose).await
        }
        // Of the operating system: the supervisor's own, which asks systemd.
        Step::StageSystem { .. } | Step::WriteSystem { .. } | Step::RestartSystem { .. } | Step::RaiseFloor { .. } => {
            Err(earlier("system"))
        }
        Step::CheckHealth { release, root, .. } => {
            let stored = hands.store.stored()?;
            let admitted = stored.get(release).ok_or_else(|| earlier("store"))?;
            let folder = hands.store.folder(root, release);
            hands.host.check_health(admitted, &folder).await
        }
        Step::RemoveModel { release, root, .. } => Ok(hands.store.remove(root, release)?),
        Step::DiscardStaged { release } => Ok(hands.store.discard(release)?),
    }
}
