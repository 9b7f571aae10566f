//! Units that the image brings, and the machine itself: start one and wait for its end, restart.
//!
//! Refuses to call a unit done because it was started. Invariant: what is answered is the result of systemd's own job.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::timeout;

use super::{Bus, answer};
use crate::unit::UnitFault;

impl Bus {
    /// Starts a unit of the image that runs to its end (`Type=oneshot`), and waits for that.
    ///
    /// # Errors
    /// [`UnitFault::Failed`] with the job's result, [`UnitFault::Silent`] when it takes longer than `limit`.
    pub async fn run(&self, unit: &str, limit: Duration) -> Result<(), UnitFault> {
        let what = "run a unit";
        // The signal may come before the answer: listen first.
        let mut jobs = answer("tell of jobs", unit, self.manager.receive_job_removed()).await?;
        let started = self.manager.start_unit(unit.to_owned(), "replace".to_owned());
        let job = answer(what, unit, started).await?;
        let wait = async {
            while let Some(signal) = jobs.next().await {
                if let Ok(done) = signal.args()
                    && *done.job() == job
                {
                    return Some(done.result().clone());
                }
            }
            None
        };
        match timeout(limit, wait).await {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(Some(result)) => {
                let outcome = self.outcome(unit).await;
                Err(UnitFault::Failed {
                    unit: unit.to_owned(),
                    job: result,
                    result: outcome.map_or_else(|_| "unknown".to_owned(), |outcome| outcome.result),
                })
            }
            Ok(None) => Err(UnitFault::BusGone {
                what,
                reason: "the connection ended".to_owned(),
            }),
            Err(_) => Err(UnitFault::Silent { what, limit }),
        }
    }

    /// Restarts the machine; systemd ends what runs first.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn restart_machine(&self) -> Result<(), UnitFault> {
        answer("restart the machine", "", self.manager.reboot()).await
    }
}
