//! The frame's model: who is signed in, what waits, what is simulated.
//!
//! Refuses nothing. Invariant: the counts come from the same fleet as the page.

use freehold_fleet::{Fleet, TpmKind};
use freehold_protocol::fingerprint::words_of;
use freehold_protocol::status::VerdictWord;
use freehold_trust::digest::Sha256Digest;
use freehold_verify::RefusalReport;
use freehold_views::Shell;
use freehold_views::shell::{Fault, Fingerprint, Person, Waiting};

use crate::console::Console;
use crate::people::session::Visitor;
use crate::plan::Stand;

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Console {
    /// The frame for a visitor, or for nobody.
    pub(crate) fn shell(&self, visitor: Option<&Visitor>, path: &str) -> Shell {
        let now = self.now();
        let fleet = self.fleet();
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
            waiting: if visitor.is_some() {
                self.waiting(&fleet, now)
            } else {
                Waiting::default()
            },
            development_keys: visitor.is_some() && development_keys(&fleet),
            simulated: visitor.is_some()
                && fleet
                    .boxes()
                    .values()
                    .any(|member| member.ek_trust.kind() == TpmKind::Software),
            ..Shell::default()
        }
    }

    fn waiting(&self, fleet: &Fleet, now: i64) -> Waiting {
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
        let plans = self
            .0
            .plans
            .all()
            .iter()
            .filter(|plan| plan.stand == Stand::Waiting)
            .count();
        let waiting = enrolments.saturating_add(plans);
        Waiting {
            overview: number(bad.saturating_add(waiting)),
            boxes: number(bad),
            approvals: number(waiting),
            ..Waiting::default()
        }
    }
}

fn development_keys(fleet: &Fleet) -> bool {
    fleet.boxes().values().any(|member| {
        let claims = member.verdict.as_ref().map(|verdict| &verdict.claims);
        claims
            .and_then(|claims| claims.get("development_keys"))
            .and_then(serde_json::Value::as_str)
            == Some("yes")
    })
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
    }
}
