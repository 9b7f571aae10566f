//! The conversation with systemd's manager: start a transient unit, see it end, end it, find what an earlier supervisor left;
//! and the few other things that a box asks of it ([`machine`]).
//!
//! Refuses to wait for ever: every question has a limit. Invariant: a unit that was started here and is not wanted any more is
//! stopped, killed where it does not stop, and its failed state reset, so that its name is free again.

mod job;
mod machine;

use std::os::fd::OwnedFd;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::timeout;
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedVariant, Variant};
use zbus_systemd::systemd1::{JobRemovedStream, ManagerProxy, ServiceProxy, UnitProxy};

use super::{UNIT_PREFIX, UnitFault, UnitOptions};

/// How long systemd may take to answer a question.
const ANSWER: Duration = Duration::from_secs(10);

/// How long the job of starting a unit may take: mounting a verity image is in it.
const JOB: Duration = Duration::from_secs(30);

/// How long a unit may take to end by itself once it was told.
const GRACE: Duration = Duration::from_millis(700);

/// How long the kernel may take to end it after that; both together stay below two seconds.
const KILL: Duration = Duration::from_millis(1000);

/// A unit that ended is let go a moment after its failed state was reset.
const TRIES: u32 = 5;

/// Between two looks at a unit that is about to end.
const SOON: Duration = Duration::from_millis(10);

/// How a unit ended, in systemd's words (`Result`, `ExecMainCode`, `ExecMainStatus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, `resources` and so on.
    pub result: String,
    /// `CLD_EXITED` 1, `CLD_KILLED` 2, `CLD_DUMPED` 3; 0 when nothing ran.
    pub code: i32,
    /// The exit code or the signal.
    pub status: i32,
}

/// A connection to systemd.
#[derive(Debug, Clone)]
pub struct Bus {
    connection: Connection,
    manager: ManagerProxy<'static>,
}

/// Waits for an answer, and says what its absence means.
async fn answer<T>(
    what: &'static str,
    unit: &str,
    question: impl Future<Output = zbus::Result<T>>,
) -> Result<T, UnitFault> {
    match timeout(ANSWER, question).await {
        Ok(answer) => answer.map_err(|error| UnitFault::of(error, what, unit)),
        Err(_) => Err(UnitFault::Silent { what, limit: ANSWER }),
    }
}

impl Bus {
    /// Connects to the bus at `address`, or to the system's, and asks for signals.
    ///
    /// # Errors
    /// [`UnitFault::BusMissing`].
    pub async fn connect(address: Option<&str>) -> Result<Self, UnitFault> {
        let missing = |error: zbus::Error| UnitFault::BusMissing {
            reason: error.to_string(),
        };
        let builder = match address {
            Some(address) => zbus::connection::Builder::address(address),
            None => zbus::connection::Builder::system(),
        };
        let connect = async {
            let connection = builder.build().await?;
            let manager = ManagerProxy::builder(&connection)
                .cache_properties(CacheProperties::No)
                .build()
                .await?;
            manager.subscribe().await?;
            Ok(Self { connection, manager })
        };
        match timeout(ANSWER, connect).await {
            Ok(connected) => connected.map_err(missing),
            Err(_) => Err(UnitFault::Silent {
                what: "say that it is there",
                limit: ANSWER,
            }),
        }
    }

    /// systemd's version: the number at the front of `257.9-1`.
    ///
    /// # Errors
    /// [`UnitFault`]; a version without a number is one that is refused.
    pub async fn version(&self) -> Result<u32, UnitFault> {
        let text = answer("say its version", "", self.manager.version()).await?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| UnitFault::Refused {
            unit: String::new(),
            name: "Version".to_owned(),
            message: format!("`{text}` has no number"),
        })
    }

    /// Starts a transient unit and waits until its first process was executed. A leftover of the same name is ended first.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn start(
        &self,
        unit: &str,
        properties: Vec<(String, OwnedVariant)>,
        output: OwnedFd,
    ) -> Result<(), UnitFault> {
        let refused = |error: zbus::Error| UnitFault::of(error, "start a unit", unit);
        let mut all = properties;
        for name in ["StandardOutputFileDescriptor", "StandardErrorFileDescriptor"] {
            let end = output.try_clone().map_err(|error| refused(error.into()))?;
            let value = Variant::from(zbus::Fd::from(end)).try_into_owned().map_err(refused)?;
            all.push((name.to_owned(), value));
        }
        // The signal may come before the answer: listen first.
        let mut jobs = answer("tell of jobs", unit, self.manager.receive_job_removed()).await?;
        let mut tries = TRIES;
        let job = loop {
            tries = tries.saturating_sub(1);
            let copy: Vec<(String, OwnedVariant)> = all
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.try_clone()?)))
                .collect::<zbus::Result<_>>()
                .map_err(refused)?;
            match self.ask(unit, copy).await {
                Err(UnitFault::Exists { .. }) if tries > 0 => self.end(unit).await?,
                other => break other?,
            }
            tokio::time::sleep(SOON).await;
        };
        let what = "start a unit";
        match timeout(JOB, end_of(&mut jobs, &job)).await {
            Ok(Some(result)) if result == "done" => Ok(()),
            Ok(Some(result)) => {
                let outcome = self
                    .outcome(unit)
                    .await
                    .map_or_else(|_| "unknown".to_owned(), |outcome| outcome.result);
                let _ = self.end(unit).await;
                Err(UnitFault::Failed {
                    unit: unit.to_owned(),
                    job: result,
                    result: outcome,
                })
            }
            Ok(None) => Err(UnitFault::BusGone {
                what,
                reason: "the connection ended".to_owned(),
            }),
            Err(_) => {
                let _ = self.end(unit).await;
                Err(UnitFault::Silent { what, limit: JOB })
            }
        }
    }

    async fn ask(
        &self,
        unit: &str,
        properties: Vec<(String, OwnedVariant)>,
    ) -> Result<zbus::OwnedObjectPath, UnitFault> {
        let question = self
            .manager
            .start_transient_unit(unit.to_owned(), "fail".to_owned(), properties, Vec::new());
        answer("start a unit", unit, question).await
    }

    /// Its main process.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn main_pid(&self, unit: &str) -> Result<u32, UnitFault> {
        let service = self.service(unit).await?;
        answer("name a unit's process", unit, service.main_pid()).await
    }

    /// Waits until the unit is neither running nor on its way to it.
    ///
    /// # Errors
    /// [`UnitFault::BusGone`] when the connection ended first.
    pub async fn ended(&self, unit: &str) -> Result<(), UnitFault> {
        let what = "tell of a unit's end";
        let path = answer(what, unit, self.manager.get_unit(unit.to_owned())).await?;
        let proxy = UnitProxy::builder(&self.connection).path(path).build();
        let proxy = answer(what, unit, proxy).await?;
        let mut changes = proxy.receive_active_state_changed().await;
        let mut state = answer(what, unit, proxy.active_state()).await?;
        loop {
            if over(&state) {
                return Ok(());
            }
            let change = changes.next().await.ok_or_else(|| UnitFault::BusGone {
                what,
                reason: "the connection ended".to_owned(),
            })?;
            state = answer(what, unit, change.get()).await?;
        }
    }

    /// How a unit ended.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn outcome(&self, unit: &str) -> Result<Outcome, UnitFault> {
        let what = "say how a unit ended";
        let service = self.service(unit).await?;
        Ok(Outcome {
            result: answer(what, unit, service.result()).await?,
            code: answer(what, unit, service.exec_main_code()).await?,
            status: answer(what, unit, service.exec_main_status()).await?,
        })
    }

    /// Ends a unit and everything in its control group, within two seconds, and frees its name.
    ///
    /// # Errors
    /// [`UnitFault::Exists`] when it is there after all that.
    pub async fn end(&self, unit: &str) -> Result<(), UnitFault> {
        let stopped = answer(
            "stop a unit",
            unit,
            self.manager.stop_unit(unit.to_owned(), "replace".to_owned()),
        )
        .await;
        match stopped {
            // Not loaded: it is gone already.
            Err(UnitFault::Refused { .. }) => {}
            other => {
                other?;
            }
        }
        if !self.gone_within(unit, GRACE).await? {
            let _ = answer(
                "kill a unit",
                unit,
                self.manager.kill_unit(unit.to_owned(), "all".to_owned(), 9),
            )
            .await;
            if !self.gone_within(unit, KILL).await? {
                return Err(UnitFault::Exists { unit: unit.to_owned() });
            }
        }
        self.forget(unit).await;
        Ok(())
    }

    /// Lets systemd forget a unit that ended: its failed state, and that somebody asked for it.
    pub async fn forget(&self, unit: &str) {
        // Each is refused where there is nothing to forget.
        let _ = answer("reset a unit", unit, self.manager.reset_failed_unit(unit.to_owned())).await;
        let _ = answer("forget a unit", unit, self.manager.unref_unit(unit.to_owned())).await;
    }

    async fn gone_within(&self, unit: &str, limit: Duration) -> Result<bool, UnitFault> {
        let gone = async {
            loop {
                match self.state(unit).await {
                    Err(UnitFault::Refused { .. }) => return Ok(()),
                    Err(other) => return Err(other),
                    Ok(state) if over(&state) => return Ok(()),
                    Ok(_) => tokio::time::sleep(SOON).await,
                }
            }
        };
        match timeout(limit, gone).await {
            Ok(gone) => gone.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn state(&self, unit: &str) -> Result<String, UnitFault> {
        let what = "say how a unit is";
        let path = answer(what, unit, self.manager.get_unit(unit.to_owned())).await?;
        let proxy = UnitProxy::builder(&self.connection)
            .path(path)
            .cache_properties(CacheProperties::No)
            .build();
        let proxy = answer(what, unit, proxy).await?;
        answer(what, unit, proxy.active_state()).await
    }

    async fn service(&self, unit: &str) -> Result<ServiceProxy<'static>, UnitFault> {
        let what = "name a unit";
        let path = answer(what, unit, self.manager.get_unit(unit.to_owned())).await?;
        let proxy = ServiceProxy::builder(&self.connection)
            .path(path)
            .cache_properties(CacheProperties::No)
            .build();
        answer(what, unit, proxy).await
    }

    /// The engines' units that are there, whoever started them.
    ///
    /// # Errors
    /// [`UnitFault`].
    pub async fn units(&self) -> Result<Vec<String>, UnitFault> {
        let pattern = format!("{UNIT_PREFIX}*.service");
        let listed = self.manager.list_units_by_patterns(Vec::new(), vec![pattern]);
        let listed = answer("list units", "", listed).await?;
        Ok(listed.into_iter().map(|unit| unit.0).collect())
    }
}

/// The result of a job, once it is there; `None` when the connection ended first.
async fn end_of(jobs: &mut JobRemovedStream, job: &zbus::OwnedObjectPath) -> Option<String> {
    while let Some(signal) = jobs.next().await {
        if let Ok(done) = signal.args()
            && done.job() == job
        {
            return Some(done.result().clone());
        }
    }
    None
}

fn over(state: &str) -> bool {
    matches!(state, "inactive" | "failed")
}

/// Whether systemd runs this machine and answers; its version then. Without an address it is asked only where libsystemd's own test
/// (`/run/systemd/system`, sd_booted(3)) says that it booted the machine.
///
/// # Errors
/// [`UnitFault`]: why it is not used.
pub async fn probe(options: &UnitOptions) -> Result<u32, UnitFault> {
    if options.address.is_none() && !std::path::Path::new("/run/systemd/system").is_dir() {
        return Err(UnitFault::BusMissing {
            reason: "the machine was not booted with systemd".to_owned(),
        });
    }
    Bus::connect(options.address.as_deref()).await?.version().await
}

/// Ends what an earlier supervisor left running: nobody watches it, and it may not be what is wanted now. Answers the names.
///
/// # Errors
/// [`UnitFault`].
pub async fn sweep(options: &UnitOptions) -> Result<Vec<String>, UnitFault> {
    let bus = Bus::connect(options.address.as_deref()).await?;
    let units = bus.units().await?;
    for unit in &units {
        bus.end(unit).await?;
    }
    Ok(units)
}
