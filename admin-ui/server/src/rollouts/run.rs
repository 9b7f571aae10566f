//! Commands of people, and the tick that drives what is running.
//!
//! Refuses to decide anything by itself: the state machine of `freehold-fleet` does, from plan, facts and time. Invariant:
//! decide → record → database → memory, one rollout's decision at a time; a second tick right after finds nothing to do.

use std::sync::PoisonError;
use std::time::Duration;

use freehold_fleet::rollout::{Change, Command, Order, Phase, Rollout, Stage, Stopped, Told, heard};
use freehold_fleet::{Entry, Event, Member};
use freehold_store::{RolloutChange, RolloutChangeRow};
use tokio::sync::watch;

use super::Kept;
use super::propose::no;
use crate::console::Console;
use crate::live::Changed;
use crate::refused::Refused;

/// The longest time between two ticks: windows open and waves begin by the clock.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest, so that ten thousand reports are not ten thousand ticks.
const PACE: Duration = Duration::from_millis(250);
/// Reports that a box may miss before it counts as out of service.
const MISSED: u32 = 4;
/// And the seconds that it has in any case.
const MISSED_LEAST: i64 = 120;

impl Console {
    /// A person's command.
    ///
    /// # Errors
    /// 404, or the rollout's own refusal; both kinds of no stand in the record.
    pub async fn command_rollout(&self, id: &str, command: Command) -> Result<(), Refused> {
        let (who, what) = named(&command);
        let entry = self.entry(&format!("rollout.{what}"), &who).about(id);
        let console = self.clone();
        let decided = self
            .change_rollout(id, move |kept, now| {
                if matches!(command, Command::Start { .. }) && kept.rollout.started().is_none() {
                    console.may_begin(&kept.rollout)?;
                }
                let changes = kept
                    .rollout
                    .command(&command, now)
                    .map_err(|rejection| no(&rejection))?;
                let mut entry = console
                    .entry(&format!("rollout.{what}"), &who)
                    .about(&kept.rollout.plan().id);
                entry = entry.fact("plan", kept.rollout.plan().digest().to_hex());
                if let Command::AllowWave { wave, .. } = &command {
                    entry = entry.fact("wave", *wave);
                }
                // A command that has taken effect already changes nothing, and says nothing new.
                let entries = if changes.is_empty() { Vec::new() } else { vec![entry] };
                Ok((changes, entries))
            })
            .await;
        if let Err(refused) = decided {
            if refused.status.is_client_error() {
                self.record(entry.refused(&refused.report.code)).await?;
            }
            return Err(refused);
        }
        self.0.live.tell(Changed::Approvals);
        self.0.rollouts.wake();
        Ok(())
    }

    /// Decides about one rollout and makes the decision durable.
    async fn change_rollout<F>(&self, id: &str, decide: F) -> Result<(), Refused>
    where
        F: FnOnce(&Kept, i64) -> Result<(Vec<Change>, Vec<Entry>), Refused> + Send + 'static,
    {
        let (console, id) = (self.clone(), id.to_owned());
        // A task of its own: a caller that hangs up must not leave disk and memory apart.
        let done = tokio::spawn(async move {
            let rollouts = &console.0.rollouts;
            let _turn = rollouts.turn.lock().await;
            let now = console.now();
            let mut kept = rollouts.get(&id).ok_or_else(|| Refused::not_found("rollout"))?;
            let (changes, entries) = decide(&kept, now)?;
            if changes.is_empty() && entries.is_empty() {
                return Ok(());
            }
            let mut rows = Vec::new();
            for change in &changes {
                let document = serde_json::to_string(change).map_err(|error| Refused::inside(&error))?;
                rows.push(RolloutChange::Changed(RolloutChangeRow {
                    rollout: id.clone(),
                    number: kept.next,
                    at: now,
                    document,
                }));
                kept.next = kept.next.saturating_add(1);
            }
            console.rollout_change(rows, entries).await?;
            kept.rollout.apply_all(&changes);
            kept.changed = now;
            rollouts.put(id, kept);
            console.0.live.tell(Changed::Rollouts);
            Ok::<(), Refused>(())
        });
        done.await.unwrap_or_else(|error| Err(Refused::inside(&error)))
    }

    /// Drives every rollout that is not over, one step.
    pub async fn tick_rollouts(&self) {
        let _ticking = self.0.rollouts.ticking.lock().await;
        for kept in self.0.rollouts.open() {
            if kept.rollout.started().is_none() {
                continue;
            }
            let id = kept.rollout.plan().id.clone();
            let console = self.clone();
            let ticked = self
                .change_rollout(&id, move |kept, now| Ok(console.due(&kept.rollout, now)))
                .await;
            if let Err(refused) = ticked {
                tracing::warn!(rollout = id, code = %refused.report.code, message = %refused.report.message, "a tick failed");
                continue;
            }
            self.send_orders(&id).await;
            self.want_evidence(&id).await;
        }
    }

    /// What is due: facts that boxes have added, then the tick's own decisions. Reads the fleet as it is; so whatever was
    /// heard before the console was killed is found again.
    fn due(&self, rollout: &Rollout, now: i64) -> (Vec<Change>, Vec<Entry>) {
        let mut next = rollout.clone();
        let mut changes = Vec::new();
        let root = self.root_of(rollout);
        let orders: std::collections::BTreeMap<String, Order> =
            (rollout.orders()).map(|order| (order.box_id.clone(), order)).collect();
        {
            let fleet = self.fleet();
            let silence = i64::from(fleet.rules.report_every.saturating_mul(MISSED)).max(MISSED_LEAST);
            for (place, planned) in rollout.plan().boxes.iter().enumerate() {
                let member = fleet.member(&planned.box_id).filter(|member| member.is_approved());
                if !planned.by_stick {
                    let quiet = |member: &Member| member.report_at.is_none_or(|at| now.saturating_sub(at) > silence);
                    let down = member
                        .is_none_or(|member| quiet(member) || !fleet.verdict_of(member, now).word.allows_change());
                    if rollout.progress().get(place).is_some_and(|one| one.down != down) {
                        changes.push(Change::Down { place, down });
                    }
                }
                let (Some(member), Some(order), Some(progress)) =
                    (member, orders.get(&planned.box_id), rollout.progress().get(place))
                else {
                    continue;
                };
                let told = Told {
                    order,
                    progress,
                    root: root.as_deref(),
                };
                for fact in heard(member, &told) {
                    changes.extend(rollout.hear_at(place, &fact));
                }
            }
        }
        next.apply_all(&changes);
        let mut decided = next.tick(now);
        next.apply_all(&decided);
        if matches!(next.phase(), Phase::Done | Phase::RolledBack(_)) && !self.due_orders(&next, now).is_empty() {
            // Nothing is sent of a rollout that is over: what its last decision ordered goes first.
            decided.retain(|change| !matches!(change, Change::PhaseSet(phase) if phase.is_over()));
        }
        let entries = decided
            .iter()
            .filter_map(|change| self.told_of(rollout, change))
            .collect();
        changes.extend(decided);
        (changes, entries)
    }

    /// The entry of a decision.
    fn told_of(&self, rollout: &Rollout, change: &Change) -> Option<Entry> {
        let plan = rollout.plan();
        let entry = |kind: &str| self.entry(kind, &format!("rollout:{}", plan.id)).about(&plan.id);
        match change {
            Change::StageSet { place, stage, .. } => {
                let planned = plan.boxes.get(*place)?;
                let entry = entry("rollout.box")
                    .fact("box", planned.box_id.clone())
                    .fact("stage", stage.word());
                Some(match stage {
                    Stage::WentBack { code } => entry.refused(code),
                    Stage::Failed { gate } => entry.fact("gate", gate.clone()),
                    _ => entry,
                })
            }
            Change::WaveBegun { wave, .. } => Some(entry("rollout.wave").fact("wave", wave.saturating_add(1))),
            Change::PhaseSet(phase) => {
                let entry = entry("rollout.phase").fact("phase", phase.word());
                Some(match phase {
                    Phase::RollingBack(Stopped::Budget { failed, last }) => {
                        entry.fact("failed", *failed).fact("box", last.clone())
                    }
                    _ => entry,
                })
            }
            _ => None,
        }
    }

    /// Root digest of the model that a rollout brings, hex.
    fn root_of(&self, rollout: &Rollout) -> Option<String> {
        let release = &rollout.plan().release;
        let target = format!("{}/{}/release.json", release.name, release.version);
        let root = self.shelf().descriptors.get(&target)?.root?;
        Some(root.to_hex())
    }

    /// Asks boxes that run the release for evidence, where the plan wants a verdict after the change.
    async fn want_evidence(&self, id: &str) {
        let Some(kept) = self.0.rollouts.get(id).filter(|kept| kept.rollout.plan().gates.verdict) else {
            return;
        };
        let rollout = &kept.rollout;
        let waiting: Vec<String> = {
            let fleet = self.fleet();
            let boxes = rollout.plan().boxes.iter().zip(rollout.progress());
            boxes
                .filter(|(planned, one)| {
                    !planned.by_stick
                        && one.stage == Stage::Ordered
                        && one.facts.forward.is_some()
                        && one.facts.verdict.is_none()
                })
                .filter_map(|(planned, _)| fleet.member(&planned.box_id))
                .filter(|member| member.is_approved() && !member.attest_wanted)
                .map(|member| member.box_id.clone())
                .collect()
        };
        for box_id in waiting {
            let by = format!("rollout:{id}");
            let wanted = self.happen(Event::AttestWanted { box_id, by }).await;
            if let Err(refused) = wanted {
                tracing::warn!(code = %refused.report.code, "evidence after a change was not asked for");
            }
        }
    }
}

/// Who commands what.
fn named(command: &Command) -> (String, &'static str) {
    let (by, what) = match command {
        Command::Approve { by, .. } => (by, "approved"),
        Command::Start { by } => (by, "started"),
        Command::Pause { by } => (by, "paused"),
        Command::Resume { by } => (by, "resumed"),
        Command::Abort { by } => (by, "aborted"),
        Command::RollBack { by } => (by, "rolled_back"),
        Command::AllowWave { by, .. } => (by, "wave_allowed"),
    };
    (by.clone(), what)
}

/// Ticks until the console stops.
pub async fn drive(console: Console, mut stopped: watch::Receiver<bool>) {
    loop {
        console.tick_rollouts().await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = console.0.rollouts.wake.notified() => tokio::time::sleep(PACE).await,
            _ = stopped.changed() => return,
        }
    }
}

impl super::Rollouts {
    /// Whether the order of a box may be tried at `now`.
    pub(super) fn may_try(&self, box_id: &str, now: i64) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(box_id).is_none_or(|until| *until <= now)
    }

    /// Holds the order of a box back until `until`; `None` lets it go.
    pub(super) fn hold(&self, box_id: &str, until: Option<i64>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match until {
            Some(until) => held.insert(box_id.to_owned(), until),
            None => held.remove(box_id),
        };
    }
}
