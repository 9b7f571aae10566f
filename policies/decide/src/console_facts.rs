//! The facts about a person's request to the console.
//!
//! Refuses to know routes: several routes may need one action. Invariant: the defaults allow nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model_facts::standing;

standing! {
    /// How the account stands.
    Account {
        /// In use.
        Active = "active",
        /// Switched off.
        #[default]
        Disabled = "disabled",
    }
}

standing! {
    /// How the session stands.
    Session {
        /// In force, and begun after the last change of role or password.
        Fresh = "fresh",
        /// Begun before it, or too old.
        Stale = "stale",
        /// There is none.
        #[default]
        None = "none",
    }
}

standing! {
    /// Who proposed what is to be decided about.
    Proposer {
        /// Somebody else.
        Other = "other",
        /// The same person.
        Oneself = "self",
        /// There is no proposal.
        #[default]
        None = "none",
    }
}

/// The facts about one request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConsoleFacts {
    /// `viewer`, `auditor`, `operator`, `approver` or `administrator`.
    pub role: String,
    /// The action that the route needs, one word.
    pub action: String,
    /// How the account stands.
    pub account: Account,
    /// How the session stands.
    pub session: Session,
    /// The site of what the route is about; empty for the whole fleet.
    pub site: String,
    /// The sites that the account is for; `*` stands for all.
    pub sites: BTreeSet<String>,
    /// Who proposed what is to be decided about.
    pub proposer: Proposer,
}
