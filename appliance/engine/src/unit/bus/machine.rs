//! What a box asks of systemd beside its engines: load the packet filter anew, read the links' files, mount the stick, shut down.
//!
//! Refuses to call a unit reloaded or started before its job ended well. Invariant: nothing here names a program or a file: the
//! units are those of the image, and what they do stands in the verified root.

use tokio::time::timeout;
use zbus::OwnedObjectPath;

use super::{Bus, JOB, answer, end_of};
use crate::unit::UnitFault;

impl Bus {
    /// Reloads a unit and waits for the end of the job.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn reload_unit(&self, unit: &str) -> Result<(), UnitFault> {
        let question = self.manager.reload_unit(unit.to_owned(), "replace".to_owned());
        self.job("reload a unit", unit, question).await
    }

    /// Starts a unit of the image and waits for the end of the job.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn start_unit(&self, unit: &str) -> Result<(), UnitFault> {
        let question = self.manager.start_unit(unit.to_owned(), "replace".to_owned());
        self.job("start a unit of the image", unit, question).await
    }

    /// Stops a unit of the image and waits for the end of the job.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn stop_unit(&self, unit: &str) -> Result<(), UnitFault> {
        let question = self.manager.stop_unit(unit.to_owned(), "replace".to_owned());
        self.job("stop a unit of the image", unit, question).await
    }

    /// Has systemd-networkd read its files again (`Reload()` of org.freedesktop.network1(5)).
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn reload_links(&self) -> Result<(), UnitFault> {
        let question = self.connection.call_method(
            Some("org.freedesktop.network1"),
            "/org/freedesktop/network1",
            Some("org.freedesktop.network1.Manager"),
            "Reload",
            &(),
        );
        answer("read the links' files", "systemd-networkd.service", question)
            .await
            .map(|_| ())
    }

    /// Shuts the machine down.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn power_off(&self) -> Result<(), UnitFault> {
        answer("shut the machine down", "poweroff.target", self.manager.power_off()).await
    }

    /// Starts the machine again.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn reboot(&self) -> Result<(), UnitFault> {
        answer("start the machine again", "reboot.target", self.manager.reboot()).await
    }

    async fn job(
        &self,
        what: &'static str,
        unit: &str,
        question: impl Future<Output = zbus::Result<OwnedObjectPath>>,
    ) -> Result<(), UnitFault> {
        // The signal may come before the answer: listen first.
        let mut jobs = answer("tell of jobs", unit, self.manager.receive_job_removed()).await?;
        let job = answer(what, unit, question).await?;
        match timeout(JOB, end_of(&mut jobs, &job)).await {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(Some(job)) => Err(UnitFault::Failed {
                unit: unit.to_owned(),
                job,
                result: self.state(unit).await.unwrap_or_else(|_| "unknown".to_owned()),
            }),
            Ok(None) => Err(UnitFault::BusGone {
                what,
                reason: "the connection ended".to_owned(),
            }),
            Err(_) => Err(UnitFault::Silent { what, limit: JOB }),
        }
    }
}
