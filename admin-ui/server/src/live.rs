//! Live pages: which parts changed, told to whoever listens.
//!
//! Refuses to carry content: an event's name says what to ask for again. Invariant: a slow listener loses nothing but is told
//! once that everything may have changed.

use tokio::sync::broadcast;

/// Names that may wait for one listener; more than that and it is told to look at everything.
const WAITING: usize = 1024;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Changed {
    /// A verdict, a report, or the set of boxes.
    Fleet,
    /// One box.
    OneBox(String),
    /// Enrolments or plans.
    Approvals,
    /// Repository or models.
    Releases,
    /// A rollout.
    Rollouts,
    /// The record.
    Record,
}

impl Changed {
    /// The box whose identifier is in the event's name.
    #[must_use]
    pub fn box_id(&self) -> Option<&str> {
        match self {
            Self::OneBox(id) => Some(id),
            Self::Fleet | Self::Approvals | Self::Releases | Self::Rollouts | Self::Record => None,
        }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> String {
        use freehold_views::address::event;
        match self {
            Self::Fleet => event::FLEET.to_owned(),
            Self::OneBox(id) => event::one_box(id),
            Self::Approvals => event::APPROVALS.to_owned(),
            Self::Releases => event::RELEASES.to_owned(),
            Self::Rollouts => event::ROLLOUTS.to_owned(),
            Self::Record => event::RECORD.to_owned(),
        }
    }
}

/// The channel.
#[derive(Debug, Clone)]
pub struct Live(broadcast::Sender<Changed>);

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::channel(WAITING).0)
    }
}

impl Live {
    /// Tells.
    pub fn tell(&self, changed: Changed) {
        // Nobody listening is no fault.
        let _ = self.0.send(changed);
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Changed> {
        self.0.subscribe()
    }
}
