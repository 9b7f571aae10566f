//! Where policies are asked: may this person do that; what is this evidence worth.
//!
//! Refuses to have rules of its own. Invariant: a no is in the record before it is an answer.

use axum::http::StatusCode;
use freehold_decide::{
    Account, BundleData, ConsoleFacts, Decision, EvidenceFacts, OsStanding, Permission, PolicySet, PolicySummary,
    Proposer, Reason, RecordStanding, Session,
};
use freehold_fleet::member::CosignedHead;
use freehold_protocol::status::VerdictWord;
use freehold_verify::RefusalReport;
use freehold_verify::evidence::Claims;
use freehold_views::settings::Policy;

use super::action::Action;
use super::place::{EVERYWHERE, OwnedPlace, Place, usual};
use super::session::Visitor;
use crate::console::Console;
use crate::refused::Refused;
use crate::repository::Shelf;

/// The policies in force: about people those that came with this program, about evidence those of the publisher, where there
/// are any.
#[derive(Debug)]
pub struct Authority {
    shipped: Option<PolicySet>,
}

/// What a decision about evidence says, in the words of a verdict.
#[derive(Debug)]
pub struct EvidenceWorth {
    /// The word.
    pub word: VerdictWord,
    /// Sentences, the deciding policy's first.
    pub because: Vec<String>,
    /// Names of the policies.
    pub policies: Vec<String>,
    /// What policies found at fault.
    pub refusals: Vec<RefusalReport>,
}

impl Default for Authority {
    fn default() -> Self {
        let shipped = PolicySet::shipped(BundleData::default());
        if let Err(error) = &shipped {
            tracing::error!(%error, "the shipped policies cannot be used: everything is refused");
        }
        Self { shipped: shipped.ok() }
    }
}

/// The facts of a visitor's wish.
fn facts(visitor: &Visitor, action: Action, place: Place<'_>, proposer: Proposer) -> ConsoleFacts {
    ConsoleFacts {
        role: visitor.account.role.clone(),
        action: action.word().to_owned(),
        account: if visitor.account.disabled {
            Account::Disabled
        } else {
            Account::Active
        },
        // A change of role or password ends the account's other sessions in the same transaction (`freehold_store`): a
        // session that was found is from after the last change, or the one that made it.
        session: Session::Fresh,
        site: match place {
            Place::Site(site) => site.to_owned(),
            Place::Fleet => EVERYWHERE.to_owned(),
            Place::Own => String::new(),
        },
        sites: visitor.account.sites().map(str::to_owned).collect(),
        proposer,
    }
}

/// What is at no place in particular is the fleet's.
fn or_fleet(places: &[OwnedPlace]) -> &[OwnedPlace] {
    static FLEET: [OwnedPlace; 1] = [OwnedPlace::FLEET];
    if places.is_empty() { &FLEET } else { places }
}

fn proposer_of(visitor: &Visitor, proposer: &str) -> Proposer {
    if visitor.account.name == proposer {
        Proposer::Oneself
    } else {
        Proposer::Other
    }
}

impl Authority {
    fn console(&self, facts: &ConsoleFacts) -> Decision<Permission> {
        self.shipped
            .as_ref()
            .map_or_else(|| PolicySet::unusable(facts), |policies| policies.use_console(facts))
    }

    /// What evidence is worth, by the publisher's policies or the shipped ones.
    #[must_use]
    pub fn evidence(&self, published: Option<&PolicySet>, facts: &EvidenceFacts) -> EvidenceWorth {
        let decision = match published.or(self.shipped.as_ref()) {
            Some(policies) => policies.accept_evidence(facts),
            None => PolicySet::unusable_evidence(facts),
        };
        let word = match decision.answer {
            freehold_decide::Verdict::Trusted => VerdictWord::Trusted,
            freehold_decide::Verdict::TrustedSimulated => VerdictWord::TrustedSimulated,
            freehold_decide::Verdict::Attention => VerdictWord::Attention,
            freehold_decide::Verdict::Refused => VerdictWord::Refused,
            freehold_decide::Verdict::Unknown => VerdictWord::Unknown,
        };
        let sentence = |reason: &Reason| {
            let mut text = reason.why.clone();
            if let Some(first) = text.get(..1).map(str::to_uppercase) {
                text.replace_range(..1, &first);
            }
            format!("{text}.")
        };
        let report = |reason: &Reason| {
            let code = reason.code.clone()?;
            Some(RefusalReport {
                code,
                message: reason.why.clone(),
                expected: None,
                found: None,
            })
        };
        EvidenceWorth {
            word,
            because: decision
                .denied_by
                .iter()
                .chain(&decision.because)
                .map(sentence)
                .collect(),
            refusals: decision.denied_by.iter().filter_map(report).collect(),
            policies: decision.policies().map(str::to_owned).collect(),
        }
    }

    /// The policies about people, when they can be used.
    #[must_use]
    pub fn people(&self) -> Option<&PolicySet> {
        self.shipped.as_ref()
    }

    /// The policies in force, for the settings page.
    #[must_use]
    pub fn policies(&self) -> Vec<Policy> {
        let release = format!("built in, {}", env!("CARGO_PKG_VERSION"));
        let shown = |summary: PolicySummary| Policy {
            effect: if summary.code.is_some() { "forbid" } else { "permit" }.to_owned(),
            name: summary.id,
            says: summary.why,
            release: release.clone(),
        };
        self.shipped.iter().flat_map(PolicySet::summaries).map(shown).collect()
    }
}

/// How a box's record compares with the head that was cosigned last.
#[must_use]
pub fn record_standing(claims: &Claims, cosigned: Option<&CosignedHead>) -> RecordStanding {
    match (&claims.checkpoint, cosigned) {
        (None, _) => RecordStanding::NotShown,
        (Some(_), None) => RecordStanding::First,
        (Some(shown), Some(seen)) if shown.size < seen.size => RecordStanding::Truncated,
        (Some(shown), Some(seen)) if shown.size == seen.size && shown.root.to_hex() != seen.root => {
            RecordStanding::Forked
        }
        // Above what was cosigned: the box shows consistency with the next checkpoint, or is refused there.
        (Some(_), Some(_)) => RecordStanding::Extends,
    }
}

/// How a box's operating system release stands.
#[must_use]
pub fn os_standing(claims: &Claims, shelf: &Shelf) -> OsStanding {
    let (Some(release), Some(version)) = (&claims.release, &claims.version) else {
        return OsStanding::NotKnown;
    };
    match shelf.os_release(release, version) {
        None => OsStanding::NotKnown,
        Some(None) => OsStanding::Current,
        Some(Some("release.rollback")) => OsStanding::BelowFloor,
        Some(Some(_)) => OsStanding::Revoked,
    }
}

impl Console {
    /// Whether policy allows a visitor an action; for showing and hiding, without an entry.
    #[must_use]
    pub fn permits(&self, visitor: &Visitor, action: Action) -> bool {
        self.permits_at(visitor, action, usual(action))
    }

    /// The same at a place.
    #[must_use]
    pub fn permits_at(&self, visitor: &Visitor, action: Action, place: Place<'_>) -> bool {
        in_scope(visitor, action)
            && self
                .0
                .authority
                .console(&facts(visitor, action, place, Proposer::None))
                .is_allowed()
    }

    /// The same at each of some places.
    #[must_use]
    pub fn permits_at_all(&self, visitor: &Visitor, action: Action, places: &[OwnedPlace]) -> bool {
        let mut places = or_fleet(places).iter();
        places.all(|place| self.permits_at(visitor, action, place.as_place()))
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed for these places; for showing and hiding,
    /// without an entry.
    #[must_use]
    pub fn permits_deciding(&self, visitor: &Visitor, proposer: &str, places: &[OwnedPlace]) -> bool {
        let allowed = |place: &OwnedPlace| {
            let proposer = proposer_of(visitor, proposer);
            let facts = facts(visitor, Action::DecidePlan, place.as_place(), proposer);
            self.0.authority.console(&facts).is_allowed()
        };
        in_scope(visitor, Action::DecidePlan) && or_fleet(places).iter().all(allowed)
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed for these places. A no is recorded.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_deciding(
        &self,
        visitor: &Visitor,
        proposer: &str,
        places: &[OwnedPlace],
    ) -> Result<(), Refused> {
        for place in or_fleet(places) {
            let proposer = proposer_of(visitor, proposer);
            self.allow_as(visitor, Action::DecidePlan, place.as_place(), proposer)
                .await?;
        }
        Ok(())
    }

    /// Whether policy allows a visitor an action. A no is recorded.
    ///
    /// # Errors
    /// 403 with the policy's code, 503 when the refusal could not be recorded.
    pub async fn allow(&self, visitor: &Visitor, action: Action) -> Result<(), Refused> {
        self.allow_as(visitor, action, usual(action), Proposer::None).await
    }

    /// The same at a place.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_at(&self, visitor: &Visitor, action: Action, place: Place<'_>) -> Result<(), Refused> {
        self.allow_as(visitor, action, place, Proposer::None).await
    }

    /// The same at each of some places.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_at_all(&self, visitor: &Visitor, action: Action, places: &[OwnedPlace]) -> Result<(), Refused> {
        for place in or_fleet(places) {
            self.allow_at(visitor, action, place.as_place()).await?;
        }
        Ok(())
    }

    async fn allow_as(
        &self,
        visitor: &Visitor,
        action: Action,
        place: Place<'_>,
        proposer: Proposer,
    ) -> Result<(), Refused> {
        let decision = self.0.authority.console(&facts(visitor, action, place, proposer));
        let code = if !in_scope(visitor, action) {
            "console.token_scope".to_owned()
        } else if decision.is_allowed() {
            return Ok(());
        } else {
            decision
                .code
                .clone()
                .unwrap_or_else(|| "policy.not_permitted".to_owned())
        };
        let entry = self
            .entry("console.request", &visitor.account.name)
            .refused(&code)
            .fact("action", action.word())
            .fact("role", visitor.account.role.clone());
        self.record(entry).await?;
        let message = match place {
            Place::Site(site) => format!(
                "the role `{}` may not `{}` at `{site}`",
                visitor.account.role,
                action.word()
            ),
            _ => format!("the role `{}` may not `{}`", visitor.account.role, action.word()),
        };
        Err(Refused::new(StatusCode::FORBIDDEN, &code, message))
    }
}

/// A token does what it lists, never more, and never what takes a person: whatever its row says.
fn in_scope(visitor: &Visitor, action: Action) -> bool {
    visitor
        .scope
        .as_ref()
        .is_none_or(|scope| !action.takes_a_person() && scope.contains(action.word()))
}
