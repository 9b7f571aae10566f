//! The frame's model: who is signed in, what waits, what is simulated.
//!
//! Refuses nothing. Invariant: the counts come from the same fleet as the page.

use freehold_fleet::{Fleet, Member, TpmKind, Verdict};
use freehold_protocol::fingerprint::words_of;
use freehold_protocol::status::VerdictWord;
use freehold_trust::digest::Sha256Digest;
use freehold_verify::RefusalReport;
use freehold_views::Shell;
use freehold_views::shell::{Fault, Fingerprint, Parts, Person, Waiting};

use crate::console::Console;
use crate::people::action::Action;
use crate::people::place::FleetView;
use crate::people::session::Visitor;
use crate::plan::Stand;
use crate::repository::Shelf;

/// What is asked of people beside the boxes.
struct Asked {
    plans: usize,
    rollouts: usize,
    alarms: usize,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Console {
    /// The frame for a visitor, or for nobody.
    pub(crate) fn shell(&self, visitor: Option<&Visitor>, path: &str) -> Shell {
        let now = self.now();
        // Before the fleet is held: it is looked into.
        let asked = visitor.map(|visitor| Asked {
            plans: self.plans_waiting(visitor),
            rollouts: self.rollouts_for_people(visitor, now),
            alarms: self.alarms().len(),
        });
        let whole;
        let fleet: &Fleet = match visitor {
            Some(visitor) => {
                whole = self.fleet_of(visitor);
                &whole
            }
            None => {
                whole = FleetView::Whole(self.fleet());
                &whole
            }
        };
        Shell {
            fleet: self.0.file.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now,
            person: visitor.map(|visitor| Person {
                name: visitor.account.name.clone(),
                role: visitor.account.role.clone(),
            }),
            csrf: visitor.map(|visitor| visitor.session.csrf.clone()).unwrap_or_default(),
            path: path.to_owned(),
            waiting: asked.map(|asked| self.waiting(&asked, fleet, now)).unwrap_or_default(),
            parts: Parts {
                reports: visitor.is_some_and(|visitor| self.permits(visitor, Action::ExportRecord)),
                rollouts: true,
            },
            development_keys: visitor.is_some() && development_keys(fleet, &self.shelf()),
            simulated: visitor.is_some()
                && fleet
                    .boxes()
                    .values()
                    .any(|member| member.ek_trust.kind() == TpmKind::Software),
            ..Shell::default()
        }
    }

    fn plans_waiting(&self, visitor: &Visitor) -> usize {
        let plans = self.0.plans.all();
        let waiting = plans.iter().filter(|plan| plan.stand == Stand::Waiting);
        waiting.filter(|plan| self.sees_plan(visitor, plan)).count()
    }

    /// How many of the visitor's rollouts wait for a person.
    fn rollouts_for_people(&self, visitor: &Visitor, now: i64) -> usize {
        let open = self.open_rollouts_of(visitor);
        open.iter().filter(|kept| kept.needs(now).is_some()).count()
    }

    fn waiting(&self, asked: &Asked, fleet: &Fleet, now: i64) -> Waiting {
        let members = || fleet.boxes().values();
        let bad = members()
            .filter(|member| member.is_approved())
            .filter(|member| {
                matches!(
                    fleet.verdict_of(member, now).word,
                    VerdictWord::Refused | VerdictWord::Attention
                )
            })
            .count();
        let enrolments = members().filter(|member| member.waits_for_person()).count();
        let waiting = enrolments.saturating_add(asked.plans);
        let faults = usize::from(self.shelf().policy_fault.is_some());
        let Asked { rollouts, alarms, .. } = *asked;
        Waiting {
            overview: number(
                bad.saturating_add(waiting)
                    .saturating_add(faults)
                    .saturating_add(rollouts)
                    .saturating_add(alarms),
            ),
            boxes: number(bad),
            approvals: number(waiting),
            models: number(faults),
            rollouts: number(rollouts),
            settings: number(alarms),
            ..Waiting::default()
        }
    }
}

/// Whether anything that this fleet rests on was signed with development keys: a release that boxes may boot, or the last boot
/// that a box has shown. Evidence that is refused says nothing about its boot; then what was known before still stands.
fn development_keys(fleet: &Fleet, shelf: &Shelf) -> bool {
    let says = |verdict: &Verdict| match verdict.claims.get("development_keys")?.as_str()? {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let shown = |member: &Member| {
        let last = member.verdict.as_ref().and_then(says);
        last.or_else(|| member.last_good.as_ref().and_then(says)) == Some(true)
    };
    shelf.manifests.iter().any(|manifest| manifest.development_keys) || fleet.boxes().values().any(shown)
}

/// A digest with words.
#[must_use]
pub fn fingerprint(of: &str, hex: &str) -> Fingerprint {
    let bytes = hex::decode(hex).unwrap_or_default();
    Fingerprint {
        of: of.to_owned(),
        hex: hex.to_owned(),
        words: words_of(&bytes, 8),
    }
}

/// A digest with words.
#[must_use]
pub fn digest(of: &str, digest: Sha256Digest) -> Fingerprint {
    fingerprint(of, &digest.to_hex())
}

/// A fault for a page.
#[must_use]
pub fn fault(report: &RefusalReport, since: Option<i64>) -> Fault {
    Fault {
        code: report.code.clone(),
        message: report.message.clone(),
        expected: report.expected.clone(),
        found: report.found.clone(),
        since,
        ..Fault::default()
    }
}
