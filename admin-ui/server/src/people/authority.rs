//! Where policies are asked: may this person do that; what is this evidence worth.
//!
//! Refuses to have rules of its own. Invariant: a no is in the record before it is an answer.

use std::sync::RwLockReadGuard;

use axum::http::StatusCode;
use freehold_decide::{
    Account, BundleData, ConsoleFacts, Decision, EvidenceFacts, OsStanding, Permission, PolicySet, PolicySummary,
    Proposer, Reason, RecordStanding, Session,
};
use freehold_fleet::Fleet;
use freehold_fleet::member::CosignedHead;
use freehold_protocol::status::VerdictWord;
use freehold_verify::RefusalReport;
use freehold_verify::evidence::Claims;
use freehold_views::settings::Policy;

use super::action::Action;
use super::session::Visitor;
use crate::console::Console;
use crate::plan::{Plan, Proposal};
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

/// Where an action takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// At one site: a box's.
    Site(&'a str),
    /// In the fleet as a whole: what is not at any one site takes an account for all of them.
    Fleet,
    /// At whichever sites the account is for: lists, which then show those only.
    Own,
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

/// Stands for every site; no site may be called so.
const EVERYWHERE: &str = "*";

/// Where an action takes place when nothing else is said: looking is for everybody, at the account's own sites.
const fn usual(action: Action) -> Place<'static> {
    match action {
        Action::Look => Place::Own,
        _ => Place::Fleet,
    }
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

    /// Whether a visitor sees what is at a site.
    #[must_use]
    pub fn sees(&self, visitor: &Visitor, site: &str) -> bool {
        self.permits_at(visitor, Action::Look, Place::Site(site))
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed; for showing and hiding, without an entry.
    #[must_use]
    pub fn permits_deciding(&self, visitor: &Visitor, proposer: &str, place: Place<'_>) -> bool {
        let facts = facts(visitor, Action::DecidePlan, place, proposer_of(visitor, proposer));
        in_scope(visitor, Action::DecidePlan) && self.0.authority.console(&facts).is_allowed()
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed. A no is recorded.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_deciding(&self, visitor: &Visitor, proposer: &str, place: Place<'_>) -> Result<(), Refused> {
        self.allow_as(visitor, Action::DecidePlan, place, proposer_of(visitor, proposer))
            .await
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed; for showing and hiding, without an entry.
    #[must_use]
    pub fn permits_deciding(&self, visitor: &Visitor, proposer: &str) -> bool {
        self.permits_about(visitor, Action::DecidePlan, proposer_of(visitor, proposer))
    }

    /// Whether policy allows a visitor to decide about what `proposer` proposed. A no is recorded.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_deciding(&self, visitor: &Visitor, proposer: &str) -> Result<(), Refused> {
        self.allow_about(visitor, Action::DecidePlan, proposer_of(visitor, proposer))
            .await
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

    /// The fleet as a visitor may see it: all of it, or the boxes of the account's sites. Not to be held across an await.
    #[must_use]
    pub fn fleet_of(&self, visitor: &Visitor) -> FleetView<'_> {
        let fleet = self.fleet();
        // Policy is asked once for each site, not for each box.
        let seen: Vec<&str> = fleet.sites().filter(|site| self.sees(visitor, site)).collect();
        if seen.len() == fleet.sites().count() {
            return FleetView::Whole(fleet);
        }
        let part = Box::new(fleet.at_sites(|site| seen.contains(&site)));
        FleetView::Part(part)
    }

    /// Where a proposal takes place: at its box's site, or in the fleet as a whole.
    #[must_use]
    pub fn place_of_proposal(&self, proposal: &Proposal) -> OwnedPlace {
        OwnedPlace(self.site_of(proposal.box_id()))
    }

    /// Whether policy allows a visitor to confirm a proposal. A no is recorded.
    ///
    /// # Errors
    /// As [`Console::allow`].
    pub async fn allow_proposal(&self, visitor: &Visitor, proposal: &Proposal) -> Result<(), Refused> {
        let place = self.place_of_proposal(proposal);
        self.allow_at(visitor, proposal.action(), place.as_place()).await
    }

    /// Whether policy allows a visitor to confirm a proposal; for showing and hiding, without an entry.
    #[must_use]
    pub fn permits_proposal(&self, visitor: &Visitor, proposal: &Proposal) -> bool {
        self.permits_at(visitor, proposal.action(), self.place_of_proposal(proposal).as_place())
    }

    /// Whether a visitor sees a plan: as the box that it is about.
    #[must_use]
    pub fn sees_plan(&self, visitor: &Visitor, plan: &Plan) -> bool {
        match &plan.proposal {
            Proposal::Account { .. } => self.permits(visitor, Action::ManageAccounts),
            other => self
                .site_of(other.box_id())
                .is_none_or(|site| self.sees(visitor, &site)),
        }
    }

    /// The site of a box; a box that nobody knows is at no site that anybody may act at, but everybody may hear that it is
    /// not there.
    #[must_use]
    pub fn site_of(&self, box_id: &str) -> Option<String> {
        self.fleet().member(box_id).map(|member| member.site.clone())
    }
}

/// A place that owns its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPlace(Option<String>);

impl OwnedPlace {
    /// The place.
    #[must_use]
    pub fn as_place(&self) -> Place<'_> {
        self.0.as_deref().map_or(Place::Fleet, Place::Site)
    }
}

/// What a visitor sees of the fleet.
#[derive(Debug)]
pub enum FleetView<'a> {
    /// All of it.
    Whole(RwLockReadGuard<'a, Fleet>),
    /// A part.
    Part(Box<Fleet>),
}

impl std::ops::Deref for FleetView<'_> {
    type Target = Fleet;
    fn deref(&self) -> &Fleet {
        match self {
            Self::Whole(fleet) => fleet,
            Self::Part(fleet) => fleet,
        }
    }
}

/// A token does what it lists, never more.
fn in_scope(visitor: &Visitor, action: Action) -> bool {
    visitor.scope.as_ref().is_none_or(|scope| scope.contains(action.word()))
}
