//! Where things are: at a site, at several, or in the fleet as a whole; and what of the fleet a visitor sees.
//!
//! Refuses to show what is not known to be at a visitor's site: a box that nobody knows, and what is about no box, is the
//! fleet's as a whole. Invariant: whoever lists, counts or streams boxes for a person asks here; what several sites have a part
//! in is seen and steered only by accounts for each of them.

use std::collections::BTreeSet;
use std::sync::RwLockReadGuard;

use freehold_fleet::Fleet;

use super::action::Action;
use super::session::Visitor;
use crate::console::Console;
use crate::plan::{Plan, Proposal};
use crate::refused::Refused;
use crate::rollouts::Kept;

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

/// Stands for every site; no site may be called so.
pub(super) const EVERYWHERE: &str = "*";

/// Where an action takes place when nothing else is said: looking is for everybody, at the account's own sites.
pub(super) const fn usual(action: Action) -> Place<'static> {
    match action {
        Action::Look => Place::Own,
        _ => Place::Fleet,
    }
}

/// A place that owns its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedPlace(Option<String>);

impl OwnedPlace {
    /// The fleet as a whole.
    pub const FLEET: Self = Self(None);

    /// The place.
    #[must_use]
    pub fn as_place(&self) -> Place<'_> {
        self.0.as_deref().map_or(Place::Fleet, Place::Site)
    }
}

impl From<Option<String>> for OwnedPlace {
    /// A site, or the fleet for what is at none that is known.
    fn from(site: Option<String>) -> Self {
        Self(site)
    }
}

/// What a visitor sees of the fleet.
#[derive(Debug)]
pub enum FleetView<'a> {
    /// All of it.
    Whole(RwLockReadGuard<'a, Fleet>),
    /// A part, and the names of its sites.
    Part(Box<Fleet>, Vec<String>),
}

impl FleetView<'_> {
    /// The sites that the visitor sees, the console's own first.
    #[must_use]
    pub fn seen_sites(&self) -> Vec<String> {
        match self {
            Self::Whole(fleet) => fleet.sites().map(str::to_owned).collect(),
            Self::Part(_, sites) => sites.clone(),
        }
    }
}

impl std::ops::Deref for FleetView<'_> {
    type Target = Fleet;
    fn deref(&self) -> &Fleet {
        match self {
            Self::Whole(fleet) => fleet,
            Self::Part(fleet, _) => fleet,
        }
    }
}

impl Console {
    /// Whether a visitor sees what is at a site.
    #[must_use]
    pub fn sees(&self, visitor: &Visitor, site: &str) -> bool {
        self.permits_at(visitor, Action::Look, Place::Site(site))
    }

    /// The fleet as a visitor may see it: all of it, or the boxes of the account's sites. Not to be held across an await, nor
    /// while anything else here is asked: the lock is not for taking twice.
    #[must_use]
    pub fn fleet_of(&self, visitor: &Visitor) -> FleetView<'_> {
        let everything = self.permits_at(visitor, Action::Look, Place::Fleet);
        let fleet = self.fleet();
        if everything {
            return FleetView::Whole(fleet);
        }
        // Policy is asked once for each site, not for each box.
        let seen = fleet.sites().filter(|site| self.sees(visitor, site));
        let seen: Vec<String> = seen.map(str::to_owned).collect();
        let part = Box::new(fleet.at_sites(|site| seen.iter().any(|name| name == site)));
        FleetView::Part(part, seen)
    }

    /// The site of a box that is known.
    #[must_use]
    pub fn site_of(&self, box_id: &str) -> Option<String> {
        self.fleet().member(box_id).map(|member| member.site.clone())
    }

    /// Where a box is: at its site; one that nobody knows is the fleet's.
    #[must_use]
    pub fn place_of_box(&self, box_id: &str) -> OwnedPlace {
        self.site_of(box_id).into()
    }

    /// Where a proposal takes place: at its box's site, or in the fleet as a whole.
    #[must_use]
    pub fn place_of_proposal(&self, proposal: &Proposal) -> OwnedPlace {
        self.place_of_box(proposal.box_id())
    }

    /// Every place that these boxes are at; of none, the fleet.
    #[must_use]
    pub fn places_of_boxes<'a>(&self, boxes: impl Iterator<Item = &'a str>) -> Vec<OwnedPlace> {
        let fleet = self.fleet();
        let place = |box_id: &str| OwnedPlace(fleet.member(box_id).map(|member| member.site.clone()));
        let mut places: BTreeSet<OwnedPlace> = boxes.map(place).collect();
        if places.is_empty() {
            places.insert(OwnedPlace::FLEET);
        }
        places.into_iter().collect()
    }

    /// Every place of a rollout: where its boxes are, and where they were when it was planned.
    #[must_use]
    pub fn places_of_rollout(&self, kept: &Kept) -> Vec<OwnedPlace> {
        let planned = &kept.rollout.plan().boxes;
        let mut places = self.places_of_boxes(planned.iter().map(|one| one.box_id.as_str()));
        places.extend(planned.iter().map(|one| OwnedPlace(Some(one.site.clone()))));
        places.sort();
        places.dedup();
        places
    }

    /// Whether a visitor sees a rollout: only with each of its sites.
    #[must_use]
    pub fn sees_rollout(&self, visitor: &Visitor, kept: &Kept) -> bool {
        self.permits_at_all(visitor, Action::Look, &self.places_of_rollout(kept))
    }

    /// A rollout that a visitor sees; what they do not see is not there.
    ///
    /// # Errors
    /// 404.
    pub fn rollout_of(&self, visitor: &Visitor, id: &str) -> Result<Kept, Refused> {
        let kept = self.0.rollouts.get(id).filter(|kept| self.sees_rollout(visitor, kept));
        kept.ok_or_else(|| Refused::not_found("rollout"))
    }

    /// The rollouts that a visitor sees, newest first.
    #[must_use]
    pub fn rollouts_of(&self, visitor: &Visitor) -> Vec<Kept> {
        let mut all = self.0.rollouts.all();
        all.retain(|kept| self.sees_rollout(visitor, kept));
        all
    }

    /// Those of them that are not over.
    #[must_use]
    pub fn open_rollouts_of(&self, visitor: &Visitor) -> Vec<Kept> {
        let mut open = self.0.rollouts.open();
        open.retain(|kept| self.sees_rollout(visitor, kept));
        open
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

    /// Whether a visitor sees a plan: as the box that it is about; one about an account only with the right to manage them.
    #[must_use]
    pub fn sees_plan(&self, visitor: &Visitor, plan: &Plan) -> bool {
        let action = match &plan.proposal {
            Proposal::Account { .. } => Action::ManageAccounts,
            _ => Action::Look,
        };
        self.permits_at(visitor, action, self.place_of_proposal(&plan.proposal).as_place())
    }

    /// A plan that a visitor sees; what they do not see is not there.
    ///
    /// # Errors
    /// 404.
    pub fn plan_of(&self, visitor: &Visitor, id: &str) -> Result<Plan, Refused> {
        let plan = self.0.plans.get(id).filter(|plan| self.sees_plan(visitor, plan));
        plan.ok_or_else(|| Refused::not_found("plan"))
    }
}
