//! One step of a plan.
//!
//! Refuses a step whose earlier ones did not happen: admission is remembered between the steps of one plan, and a model
//! that was not admitted by this very run is not stored. Invariant: a step that was done before does no harm.

use std::collections::BTreeMap;

use freehold_plan::Step;
use freehold_trust::Sha256Digest;

use crate::fault::StepFailed;
use crate::fetch::{ChunkSource, Progress, fetch_file};
use crate::host::{Host, Judge};
use crate::store::{Admitted, Store};

/// Everything that steps need.
#[derive(Debug)]
pub struct Hands<'a, H, J, S> {
    /// The store.
    pub store: &'a Store,
    /// Runs engines.
    pub host: &'a mut H,
    /// Judges downloads.
    pub judge: &'a mut J,
    /// Where chunks come from.
    pub source: &'a S,
    /// What this plan has verified and admitted so far.
    pub so_far: SoFar,
}

/// What earlier steps of the same plan have found.
#[derive(Debug, Clone, Default)]
pub struct SoFar {
    verified: Vec<Sha256Digest>,
    admitted: BTreeMap<Sha256Digest, Admitted>,
}

/// Carries out one step.
///
/// # Errors
/// [`StepFailed`]: a refusal, which is final for that release, or a fault, after which the next plan tries again.
pub async fn carry_out<H: Host, J: Judge, S: ChunkSource>(
    step: &Step,
    hands: &mut Hands<'_, H, J, S>,
    progress: &mut dyn Progress,
) -> Result<(), StepFailed> {
    let earlier = |what: &str| StepFailed::away("store.order", format!("`{what}` has to come first"));
    match step {
        // Saying it, and writing it into the record, is the caller's: it does that for every step.
        Step::RefuseTarget { .. } => Ok(()),
        Step::FetchFile { .. } => fetch_file(step, hands.store, hands.source, hands.judge, progress).await,
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
        Step::StartEngine { root, purpose, .. } => {
            let stored = hands.store.stored()?;
            let admitted = stored.get(root).ok_or_else(|| earlier("store"))?;
            hands
                .host
                .start_engine(admitted, &hands.store.model(root), *purpose)
                .await
        }
        Step::RemoveModel { root, .. } => Ok(hands.store.remove(root)?),
        Step::DiscardStaged { release } => Ok(hands.store.discard(release)?),
    }
}
