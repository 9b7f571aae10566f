//! Rollouts: one release over many boxes, a few at a time, stopping by itself when it goes wrong.
//!
//! Refuses to decide while it hears: reports only add facts, and decisions are made at a tick from plan, facts and time. The
//! one invariant: a box is only ever ordered when it is in the approved plan, its wave is open, every gate before it holds,
//! its site's window is open, and the limits leave room.

pub mod command;
pub mod facts;
pub mod hearing;
pub mod member;
pub mod plan;
pub mod query;
pub mod rejection;
pub mod schedule;
pub mod state;
pub mod tick;
pub mod waiting;
pub mod window;

pub use command::Command;
pub use facts::{Fact, Facts, Outcome};
pub use hearing::{Told, heard};
pub use member::{Direction, Progress, Stage};
pub use plan::{Gates, Limits, Plan, PlannedBox, ReleaseRef, ReturnTime, Wave};
pub use query::{Candidate, Query};
pub use rejection::RolloutRejection;
pub use schedule::{Draft, WaveSize, WaveSpec};
pub use state::{Change, Order, Phase, Rollout, Stopped};
pub use waiting::WaitingOn;
pub use window::Window;
