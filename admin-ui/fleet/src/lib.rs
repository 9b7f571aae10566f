//! The fleet as data: which boxes belong to it, what they were asked, what they answered, what they should run.
//!
//! Refuses to read a clock, to make randomness, to store or to send: `(fleet, event, now)` gives effects, and the same
//! effects applied to the same fleet give the same fleet. The one invariant: nothing changes a [`Fleet`] but
//! [`Fleet::apply`], so what was stored and what is in memory come from the same list.

pub mod assignment;
pub mod challenge;
pub mod effect;
pub mod enrolment;
pub mod event;
pub mod lease;
pub mod member;
pub mod rejection;
pub mod report;
pub mod rollout;
pub mod rules;
pub mod simulate;
pub mod state;
pub mod verdict;

pub use challenge::{Challenge, SpentNonce};
pub use effect::{Effect, Entry};
pub use enrolment::Session;
pub use event::{Answer, Event, Outcome};
pub use lease::{LeaseChange, LeaseNow, LeaseOrder, Withdrawn};
pub use member::{EkTrust, Keys, Member, Membership, TpmKind};
pub use rejection::FleetRejection;
pub use rules::Rules;
pub use state::Fleet;
pub use verdict::{Freshness, Verdict, VerdictView};
