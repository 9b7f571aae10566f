//! What a plan is carried out on and by: the host that runs engines, and the judge of what is authentic and allowed.
//!
//! Refuses to be one of them: the binary brings both. Invariant: what only begins here says so.

use std::future::Future;
use std::path::Path;

use freehold_plan::Purpose;
use freehold_trust::Sha256Digest;

use crate::fault::StepFailed;
use crate::store::Admitted;

/// What a health check measured; also when it did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Answers that were as expected, and questions in all; `None` where the release brings no questions.
    pub answers: Option<(u32, u32)>,
    /// Thousandths of a token a second, over all answers.
    pub speed: Option<u64>,
}

/// Runs engines: plain processes in development, units of systemd on the OS.
pub trait Host: Send {
    /// Begins to start the engine of an admitted release whose folder in the store is `model`.
    fn start_engine(
        &mut self,
        admitted: &Admitted,
        model: &Path,
        purpose: Purpose,
    ) -> impl Future<Output = Result<(), StepFailed>> + Send;

    /// Begins to have a running model answer its own questions, which may take long: the host says by itself how it ended. A
    /// release without any has answered when its engine does.
    fn check_health(
        &mut self,
        admitted: &Admitted,
        model: &Path,
    ) -> impl Future<Output = Result<(), StepFailed>> + Send;

    /// Ends an engine; answers when nothing is left of it. One that does not run is ended already.
    fn stop_engine(
        &mut self,
        root: &Sha256Digest,
        purpose: Purpose,
    ) -> impl Future<Output = Result<(), StepFailed>> + Send;
}

/// Judges what was fetched. Every answer is final for that release, and about that release alone.
pub trait Judge: Send + Sync {
    /// Verifies signature, files, format headers and bill of materials of the download in `staged`.
    fn verify(
        &mut self,
        release: &Sha256Digest,
        root: &Sha256Digest,
        staged: &Path,
    ) -> impl Future<Output = Result<(), StepFailed>> + Send;

    /// Asks the policy; the answer to a yes is what the store will say about the model.
    fn admit(
        &mut self,
        release: &Sha256Digest,
        root: &Sha256Digest,
    ) -> impl Future<Output = Result<Admitted, StepFailed>> + Send;
}
