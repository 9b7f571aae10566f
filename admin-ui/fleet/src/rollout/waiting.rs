//! Why a box or a wave waits: the same conditions that the tick asks, with their reasons.
//!
//! Refuses "not now" without a reason. Invariant: a box is ordered at a tick exactly when nothing here speaks against it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::member::Stage;
use super::state::{Phase, Rollout};

/// What a box or a wave waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingOn {
    /// Approval or start.
    Start,
    /// Somebody has to resume it.
    Resume,
    /// The rollout is over, or goes the other way.
    Nothing,
    /// Its wave's earliest time, Unix seconds.
    Time {
        /// When.
        at: i64,
    },
    /// The wave before it, counted from 1.
    Wave {
        /// Which.
        wave: usize,
    },
    /// The wave before it was healthy, and has to stay so until then, Unix seconds.
    Soak {
        /// Until when.
        until: i64,
    },
    /// A person who lets the wave begin, counted from 1.
    Person {
        /// Which wave.
        wave: usize,
    },
    /// The site's window, Unix seconds; `None`: it cannot be told.
    Window {
        /// When it opens.
        opens: Option<i64>,
    },
    /// Others have to be back in service first.
    Limit {
        /// Whether it is the site's own limit.
        of_site: bool,
    },
    /// The box itself is away.
    Away,
}

impl WaitingOn {
    /// What it waits for, as a person reads it; the time apart, in [`WaitingOn::until`].
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Start => "for somebody to start it".to_owned(),
            Self::Resume => "for somebody to resume it".to_owned(),
            Self::Nothing => "for nothing".to_owned(),
            Self::Time { .. } => "for its wave's time".to_owned(),
            Self::Wave { wave } => format!("for wave {wave}"),
            Self::Soak { .. } => "for the wave before to stay healthy".to_owned(),
            Self::Person { wave } => format!("for a person who lets wave {wave} begin"),
            Self::Window { opens: Some(_) } => "for its site's window".to_owned(),
            Self::Window { opens: None } => "for its site's window, of which the next time cannot be told".to_owned(),
            Self::Limit { of_site: true } => "for room under its site's limit".to_owned(),
            Self::Limit { of_site: false } => "for room under the limit".to_owned(),
            Self::Away => "for the box itself: it is away".to_owned(),
        }
    }

    /// Until when, Unix seconds, where that is known.
    #[must_use]
    pub const fn until(&self) -> Option<i64> {
        match self {
            Self::Time { at } => Some(*at),
            Self::Soak { until } => Some(*until),
            Self::Window { opens } => *opens,
            _ => None,
        }
    }
}

/// What may still be touched at one moment: room under the limits, and which windows are open.
pub(crate) struct Room {
    all: u32,
    sites: BTreeMap<String, u32>,
    windows: BTreeMap<String, Result<(), Option<i64>>>,
}

impl Room {
    /// The room that a rollout has at `now`.
    pub(crate) fn of(rollout: &Rollout, now: i64) -> Self {
        let mut room = Self {
            all: 0,
            sites: BTreeMap::new(),
            windows: BTreeMap::new(),
        };
        for (site, window) in &rollout.plan.windows {
            let open = window.closes(now).map(drop).ok_or_else(|| window.next(now));
            room.windows.insert(site.clone(), open);
        }
        for place in 0..rollout.boxes.len() {
            if rollout
                .boxes
                .get(place)
                .is_some_and(|one| one.down || one.stage.is_out_of_service())
            {
                room.count(rollout, place);
            }
        }
        room
    }

    /// Counts a box that is about to be told something.
    pub(crate) fn take(&mut self, rollout: &Rollout, place: usize) {
        if !rollout.is_out(place) {
            self.count(rollout, place);
        }
    }

    fn count(&mut self, rollout: &Rollout, place: usize) {
        if let Some(planned) = rollout.plan.boxes.get(place).filter(|planned| !planned.by_stick) {
            self.all = self.all.saturating_add(1);
            let site = self.sites.entry(planned.site.clone()).or_default();
            *site = site.saturating_add(1);
        }
    }
}

impl Rollout {
    /// What the box at `place` waits for at `now`; `None` when it has been told something, or is about to be.
    #[must_use]
    pub fn waiting_on(&self, place: usize, now: i64) -> Option<WaitingOn> {
        let one = self.boxes.get(place)?;
        if one.stage != Stage::Waiting {
            return None;
        }
        match self.phase {
            Phase::Proposed => return Some(WaitingOn::Start),
            Phase::Paused { .. } => return Some(WaitingOn::Resume),
            Phase::Running => {}
            _ => return Some(WaitingOn::Nothing),
        }
        let wave = (0..self.plan.waves.len()).find(|wave| self.plan.places(*wave).contains(&place))?;
        if wave > self.waves.len() {
            return Some(WaitingOn::Wave { wave });
        }
        if wave == self.waves.len() {
            return self.may_begin(wave, now).err();
        }
        self.may_order(place, &Room::of(self, now)).err()
    }

    /// Whether a wave may begin, or what it waits for.
    pub(crate) fn may_begin(&self, wave: usize, now: i64) -> Result<(), WaitingOn> {
        let spec = self.plan.waves.get(wave).ok_or(WaitingOn::Nothing)?;
        let started = self.started.ok_or(WaitingOn::Start)?;
        if let Some(before) = wave.checked_sub(1) {
            let places = self.plan.places(before);
            let settled = (0..places.end).all(|place| self.holds_nobody_up(place, now));
            if before >= self.waves.len() || !settled {
                return Err(WaitingOn::Wave { wave });
            }
            let last = self
                .boxes
                .get(places)
                .into_iter()
                .flatten()
                .filter_map(|one| one.since)
                .max();
            let until = last.map_or(now, |last| last.saturating_add(self.plan.gates.soak));
            if now < until {
                return Err(WaitingOn::Soak { until });
            }
        }
        let at = started.saturating_add(spec.start_after);
        if now < at {
            return Err(WaitingOn::Time { at });
        }
        if spec.person && !self.allowed.contains_key(&wave) {
            return Err(WaitingOn::Person {
                wave: wave.saturating_add(1),
            });
        }
        Ok(())
    }

    /// Whether a wave has nothing more to wait for at this box.
    fn holds_nobody_up(&self, place: usize, now: i64) -> bool {
        let by_stick = self.plan.boxes.get(place).is_none_or(|planned| planned.by_stick);
        self.boxes.get(place).is_none_or(|one| match one.stage {
            Stage::Waiting => one.down,
            Stage::Ordered => by_stick,
            Stage::Silent => true,
            Stage::Failed { .. } => false,
            // Told in vain: it counts as a failure and stays out of service, and the budget says whether that is too much.
            Stage::ReturnOrdered { .. } => one
                .told_at
                .is_some_and(|told| now.saturating_sub(told) > self.plan.patience),
            Stage::Healthy | Stage::WentBack { .. } | Stage::Returned { .. } => true,
        })
    }

    /// Whether a box of a wave that has begun may be told to take the release.
    pub(crate) fn may_order(&self, place: usize, room: &Room) -> Result<(), WaitingOn> {
        let (planned, one) = self.at(place).ok_or(WaitingOn::Nothing)?;
        if one.stage != Stage::Waiting {
            return Err(WaitingOn::Nothing);
        }
        // A stick is carried by a person, who knows the hour and how many boxes they can reach.
        if planned.by_stick {
            return Ok(());
        }
        if one.down {
            return Err(WaitingOn::Away);
        }
        self.has_window(&planned.site, room)?;
        self.has_room(place, &planned.site, room)
    }

    /// Whether a box may be told to go back.
    pub(crate) fn may_return(&self, place: usize, room: &Room) -> Result<(), WaitingOn> {
        let (planned, _) = self.at(place).ok_or(WaitingOn::Nothing)?;
        if planned.by_stick {
            return Ok(());
        }
        if self.plan.returns == super::plan::ReturnTime::InWindow {
            self.has_window(&planned.site, room)?;
        }
        self.has_room(place, &planned.site, room)
    }

    /// Whether a box is out of service already.
    pub(crate) fn is_out(&self, place: usize) -> bool {
        self.boxes
            .get(place)
            .is_some_and(|one| one.down || one.stage.is_out_of_service())
    }

    fn at(&self, place: usize) -> Option<(&super::plan::PlannedBox, &super::member::Progress)> {
        self.plan.boxes.get(place).zip(self.boxes.get(place))
    }

    fn has_window(&self, site: &str, room: &Room) -> Result<(), WaitingOn> {
        match room.windows.get(site) {
            Some(Err(opens)) => Err(WaitingOn::Window { opens: *opens }),
            _ => Ok(()),
        }
    }

    fn has_room(&self, place: usize, site: &str, room: &Room) -> Result<(), WaitingOn> {
        if self.is_out(place) {
            return Ok(());
        }
        if room.all >= self.plan.limits.unavailable {
            return Err(WaitingOn::Limit { of_site: false });
        }
        if room.sites.get(site).copied().unwrap_or(0) >= self.plan.limits.unavailable_per_site {
            return Err(WaitingOn::Limit { of_site: true });
        }
        Ok(())
    }
}
