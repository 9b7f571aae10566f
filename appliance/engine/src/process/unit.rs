//! The thread of one engine that systemd runs: asks for its unit, watches it, ends it.
//!
//! Refuses to call an engine ended while its unit may still be there and can be asked. Invariant: as [`super::watch`]: it returns
//! only when nothing of the engine is left, or the bus has gone for good.

use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::{Exit, ProcessState};
use crate::bounds::{Bounds, CpuBound, MemoryBound};
use crate::journal::{self, LastWords};
use crate::launch::LaunchSpec;
use crate::unit::{Bus, Outcome, Root, UnitFault, UnitOptions, properties, unit_name};

/// How long what it wrote last may still be on its way after it ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A bus that went away is asked for so often, and so far apart: dbus-broker restarts in a second.
const RECONNECT: (u32, Duration) = (20, Duration::from_millis(250));

/// `CLD_EXITED` and the two ways to be ended by a signal (waitid(2)).
const EXITED: i32 = 1;
const SIGNALLED: [i32; 2] = [2, 3];

type Started = Result<(u32, Bounds), UnitFault>;

/// What the thread is given.
pub(super) struct Order {
    pub(super) spec: LaunchSpec,
    pub(super) root: Root,
    pub(super) options: UnitOptions,
    pub(super) last: LastWords,
}

pub(super) fn run(
    order: &Order,
    started: &std::sync::mpsc::Sender<Started>,
    stopped: oneshot::Receiver<()>,
    state: &watch::Sender<ProcessState>,
) {
    let failed = |error: std::io::Error| UnitFault::BusMissing {
        reason: error.to_string(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(failed(error)));
            return;
        }
    };
    runtime.block_on(async {
        match begin(order).await {
            Err(fault) => {
                let _ = started.send(Err(fault));
            }
            Ok((bus, pid, words)) => {
                let bounds = Bounds {
                    memory: MemoryBound::Systemd,
                    cpu: CpuBound::Cgroup,
                };
                let _ = started.send(Ok((pid, bounds)));
                let exit = watch(order, bus, stopped).await;
                let _ = words.recv_timeout(LAST_WORDS);
                tracing::info!(engine = order.spec.name, %exit, "engine ended");
                state.send_replace(ProcessState::Ended(exit));
            }
        }
    });
}

/// Starts the unit with its output going to the journal of this engine.
async fn begin(order: &Order) -> Result<(Bus, u32, std::sync::mpsc::Receiver<()>), UnitFault> {
    let unit = unit_name(&order.spec);
    let bus = Bus::connect(order.options.address.as_deref()).await?;
    let own = |error: std::io::Error| UnitFault::of(error.into(), "take an engine's words", &unit);
    let (reader, writer) = std::io::pipe().map_err(own)?;
    let (log, words) = (order.spec.log.clone(), order.last.clone());
    let (log_ends, log_ended) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name(format!("engine-log-{}", order.spec.name))
        .spawn(move || {
            journal::keep(reader, &log, &words);
            let _ = log_ends.send(());
        })
        .map_err(own)?;
    let all = properties(&order.spec, &order.root, &order.options)
        .map_err(|error| UnitFault::of(error, "start a unit", &unit))?;
    bus.start(&unit, all, writer.into()).await?;
    // A unit that ended at once has no process any more; its end is told by `watch`.
    let pid = bus.main_pid(&unit).await.unwrap_or(0);
    Ok((bus, pid, log_ended))
}

async fn watch(order: &Order, mut bus: Bus, mut stopped: oneshot::Receiver<()>) -> Exit {
    let unit = unit_name(&order.spec);
    loop {
        let ended = tokio::select! {
            // Dropping the sender is telling, too.
            _ = &mut stopped => {
                return match end(order, &bus, &unit).await {
                    Ok(()) => Exit::Stopped,
                    Err(fault) => {
                        tracing::error!(code = fault.code(), %fault, "an engine's unit did not end");
                        Exit::Unknown
                    }
                };
            }
            ended = bus.ended(&unit) => ended,
        };
        match ended {
            Ok(()) => {
                let outcome = bus.outcome(&unit).await;
                bus.forget(&unit).await;
                return outcome.map_or(Exit::Unknown, |outcome| exit_of(&outcome, order.spec.memory_bytes));
            }
            // It is not even loaded: it ended between two looks.
            Err(UnitFault::Refused { .. }) => return Exit::Unknown,
            Err(fault) => {
                tracing::warn!(code = fault.code(), %fault, "the bus is asked for again");
                match reconnect(order).await {
                    Some(again) => bus = again,
                    None => return Exit::BusGone,
                }
            }
        }
    }
}

/// Ends the unit; over a new connection where the old one is gone.
async fn end(order: &Order, bus: &Bus, unit: &str) -> Result<(), UnitFault> {
    match bus.end(unit).await {
        Err(UnitFault::BusGone { .. } | UnitFault::Silent { .. }) => {
            let again = Bus::connect(order.options.address.as_deref()).await?;
            again.end(unit).await
        }
        other => other,
    }
}

async fn reconnect(order: &Order) -> Option<Bus> {
    for _ in 0..RECONNECT.0 {
        if let Ok(bus) = Bus::connect(order.options.address.as_deref()).await {
            return Some(bus);
        }
        tokio::time::sleep(RECONNECT.1).await;
    }
    None
}

/// systemd's words in ours.
fn exit_of(outcome: &Outcome, bound: u64) -> Exit {
    match (outcome.result.as_str(), outcome.code) {
        ("oom-kill", _) => Exit::MemoryBound { bound },
        (_, EXITED) => Exit::Code(outcome.status),
        (_, code) if SIGNALLED.contains(&code) => Exit::Signal(outcome.status),
        _ => Exit::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemds_words_become_ours() {
        for (result, code, status, exit) in [
            ("success", 1, 0, Exit::Code(0)),
            ("exit-code", 1, 3, Exit::Code(3)),
            ("signal", 2, 9, Exit::Signal(9)),
            ("core-dump", 3, 11, Exit::Signal(11)),
            ("oom-kill", 2, 9, Exit::MemoryBound { bound: 7 }),
            ("resources", 0, 0, Exit::Unknown),
        ] {
            let outcome = Outcome {
                result: result.to_owned(),
                code,
                status,
            };
            assert_eq!(exit_of(&outcome, 7), exit, "{result}");
        }
    }
}
