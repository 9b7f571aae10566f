//! The facts about an admitted model that is to run, or to go on running.
//!
//! Refuses optimism: without a lease that was looked at, the lease is lost. Invariant: which models need one is not here; that
//! is in the signed policy bundle.

use serde::{Deserialize, Serialize};

use crate::model_facts::standing;

standing! {
    /// Whether the box holds a verdict lease that covers the model now.
    HeldStanding {
        /// It does.
        Held = "held",
        /// It does not: none, withdrawn, for another boot or other models, or over.
        #[default]
        Lost = "lost",
    }
}

/// The facts about one model that runs, or is to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunFacts {
    /// The model's name.
    pub model: String,
    /// The verdict lease.
    pub lease: HeldStanding,
}
