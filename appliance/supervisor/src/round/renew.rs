//! The operating system in a round: its steps, what became of a trial, and that the supervisor lives.
//!
//! Refuses to call a trial over before the box's own health check has said so. Invariant: the end of a trial is in the record
//! before anything is planned upon it.

use freehold_execute::StepFailed;
use freehold_plan::Step;
use freehold_verify::Refusal as _;

use crate::fault::Fault;
use crate::supervisor::Supervisor;
use crate::system::{Alive, News, System};

impl Supervisor {
    /// Carries out a step about the operating system; `None` for any other.
    pub(super) async fn system_step(&mut self, step: &Step) -> Option<Result<(), StepFailed>> {
        let missing = || StepFailed::away("store.order", "the release is not at hand");
        Some(match step {
            Step::StageSystem { release, .. } => match self.aim.releases.get(release) {
                Some(signed) => self.system.stage(&self.store, signed),
                None => Err(missing()),
            },
            Step::WriteSystem { release, .. } => match self.aim.releases.get(release) {
                Some(signed) => self.system.write(&self.state, signed).await,
                None => Err(missing()),
            },
            Step::RestartSystem { .. } => self.system.restart(&self.state).await,
            Step::RaiseFloor { level } => self.system.raise(&self.state, *level).await,
            _ => return None,
        })
    }

    /// Says in record and status what became of a trial.
    pub(super) async fn trial_news(&mut self) -> Result<(), Fault> {
        self.status.root_read = System::root_read();
        match self.system.settle(&self.state)? {
            None => {}
            Some(News::Confirmed {
                release,
                name,
                version,
                counter,
            }) => {
                tracing::info!(name, version, "this system works and stays");
                let entry = self.chronicle.entry("update.confirmed").with("release", release);
                entry
                    .with("name", name.as_str())
                    .with("version", version)
                    .write()
                    .await?;
                let line = self.installed.counters.entry(format!("systems/{name}")).or_default();
                *line = counter.max(*line);
                self.state.put_json("installed.json", &self.installed)?;
            }
            Some(News::WentBack { release, rejection }) => {
                let report = rejection.report();
                tracing::warn!(code = %report.code, message = %report.message, "the system before runs again");
                let entry = self.chronicle.entry("update.went_back").with("release", release);
                entry.refused(&report).write().await?;
                self.pursuit.failed.insert(release, report.clone());
                self.state.put_json("pursuit.json", &self.pursuit)?;
                self.remember(report);
            }
        }
        Ok(())
    }

    /// Says that this process lives, and how TPM and engine are; while an image is on trial the engine is tested once.
    pub(super) async fn say_alive(&mut self, round_was_whole: bool) {
        if !self.system.is_ours() {
            return;
        }
        if round_was_whole {
            self.rounds = self.rounds.saturating_add(1);
        }
        let tested = matches!(&self.self_test, Some(Ok(())));
        if self.system.is_trying() && !tested {
            let model = self.settings.self_test.clone();
            let test = match model {
                Some(model) => self.engines.self_test(&model).await,
                None => Err("engine.missing".to_owned()),
            };
            if let Err(code) = &test {
                tracing::warn!(code, "the engine fails its self-test");
            }
            self.self_test = Some(test);
        }
        let engine = match &self.self_test {
            Some(Ok(())) => "ok".to_owned(),
            Some(Err(code)) => code.clone(),
            None => "waiting".to_owned(),
        };
        // Before the first word with the console nobody has asked the TPM anything.
        let tpm = match self.know_ourselves().await {
            Ok(()) => {
                let tpm = self.tpm.clone();
                match tokio::task::spawn_blocking(move || tpm.random(8)).await {
                    Ok(Ok(_)) => "ok".to_owned(),
                    Ok(Err(error)) => error.code().to_owned(),
                    Err(_) => "tpm.garbage".to_owned(),
                }
            }
            Err(fault) => fault.code().to_owned(),
        };
        self.system.alive(&Alive {
            v: 1,
            pid: std::process::id(),
            rounds: self.rounds,
            tpm,
            engine,
        });
    }
}
