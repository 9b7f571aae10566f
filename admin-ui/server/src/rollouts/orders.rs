//! Orders become assignments, by the path that every assignment takes.
//!
//! Refuses to touch what a rollout is not about: other releases of the box stay assigned as they are. Invariant: an order whose
//! assignment is the box's last one is sent; sending it again does nothing.

use std::collections::BTreeMap;

use freehold_fleet::Member;
use freehold_fleet::rollout::{Direction, Order, PlannedBox, ReleaseRef, Rollout};

use crate::console::Console;

/// Seconds until an order that could not be assigned is tried again: each try stands in the record.
const TRY_AGAIN: i64 = 60;

/// An assignment that is due.
pub(super) struct Due {
    box_id: String,
    targets: Vec<String>,
    fallback: Vec<String>,
}

fn target(release: &ReleaseRef) -> String {
    format!("{}/{}/release.json", release.name, release.version)
}

/// What a box has to be assigned for an order to stand; `None` when it is.
fn due(line: &str, order: &Order, planned: &PlannedBox, member: &Member) -> Option<Due> {
    let prefix = format!("{line}/");
    let has: Vec<&String> = member.assignment.iter().flat_map(|head| &head.targets).collect();
    let of_line: Vec<&&String> = has.iter().filter(|name| name.starts_with(&prefix)).collect();
    let wanted = order.run.as_ref().map(target);
    let stands = match &wanted {
        Some(wanted) => matches!(of_line.as_slice(), [one] if ***one == *wanted),
        None => of_line.is_empty(),
    };
    if stands {
        return None;
    }
    let others = has.iter().filter(|name| !name.starts_with(&prefix));
    let mut targets: Vec<String> = others.map(|name| (*name).clone()).collect();
    targets.extend(wanted);
    // The way back stays on the box until the rollout no longer needs it.
    let fallback = match order.direction {
        Direction::Forward => planned.from.iter().map(target).collect(),
        Direction::Back => Vec::new(),
    };
    Some(Due {
        box_id: planned.box_id.clone(),
        targets,
        fallback,
    })
}

impl Console {
    /// Orders that are not assigned yet, but for boxes whose order was refused a moment ago.
    pub(super) fn due_orders(&self, rollout: &Rollout, now: i64) -> Vec<Due> {
        let plan = rollout.plan();
        let orders: BTreeMap<String, Order> = (rollout.orders()).map(|order| (order.box_id.clone(), order)).collect();
        let fleet = self.fleet();
        (plan.boxes.iter())
            .filter(|planned| self.0.rollouts.may_try(&planned.box_id, now))
            .filter_map(|planned| {
                let order = orders.get(&planned.box_id)?;
                let member = fleet.member(&planned.box_id).filter(|member| member.is_approved())?;
                due(&plan.release.name, order, planned, member)
            })
            .collect()
    }

    /// Assigns what the orders in force ask for, where it is not assigned yet.
    pub(super) async fn send_orders(&self, id: &str) {
        let open = self.0.rollouts.get(id).filter(|kept| !kept.rollout.phase().is_over());
        let Some(kept) = open else { return };
        let now = self.now();
        let by = format!("rollout:{id}");
        for one in self.due_orders(&kept.rollout, now) {
            match self
                .assign_with_fallback(&one.box_id, &one.targets, &one.fallback, None, &by)
                .await
            {
                Ok(_) => self.0.rollouts.hold(&one.box_id, None),
                Err(refused) => {
                    tracing::warn!(rollout = id, box_id = %one.box_id, code = %refused.report.code, "an order was not assigned");
                    self.0.rollouts.hold(&one.box_id, Some(now.saturating_add(TRY_AGAIN)));
                }
            }
        }
    }
}
