//! The facts about a request at a box's gateway.
//!
//! Refuses to hold a token: only what became of it. Invariant: the defaults allow nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model_facts::standing;

standing! {
    /// What became of the API token.
    TokenStanding {
        /// Known and in force.
        Valid = "valid",
        /// Its time is over.
        Expired = "expired",
        /// Somebody withdrew it.
        Withdrawn = "withdrawn",
        /// Nobody gave it out.
        #[default]
        NotKnown = "not_known",
    }
}

standing! {
    /// What the model is doing.
    ModelState {
        /// An engine serves it.
        Running = "running",
        /// None does.
        NotRunning = "not_running",
        /// It is revoked.
        Revoked = "revoked",
        /// The request names no model.
        #[default]
        None = "none",
    }
}

standing! {
    /// Whether the console's verdict is still in force where the fleet demands it.
    LeaseStanding {
        /// It is.
        Held = "held",
        /// It has run out.
        #[default]
        Lost = "lost",
        /// The fleet does not demand it.
        NotDemanded = "not_demanded",
    }
}

/// The facts about one request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GatewayFacts {
    /// What became of the token.
    pub token: TokenStanding,
    /// `models`, `chat`, `embeddings` or `status`.
    pub endpoint: String,
    /// The endpoints that the token is for.
    pub endpoints_allowed: BTreeSet<String>,
    /// The model that is asked for; empty when the endpoint names none.
    pub model: String,
    /// The models that the token is for; `*` stands for all.
    pub models_allowed: BTreeSet<String>,
    /// What the model is doing.
    pub model_state: ModelState,
    /// The verdict lease.
    pub lease: LeaseStanding,
}
