//! The facts about a model that is to be admitted.
//!
//! Refuses optimism: what was not checked speaks against the model (G05). Invariant: who may sign and which licences are fine
//! is not here; that is in the signed policy bundle.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

macro_rules! standing {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// The word of policies.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}
pub(crate) use standing;

standing! {
    /// Whether the console assigned it to this box.
    AssignmentStanding {
        /// A verified assignment names it.
        Assigned = "assigned",
        /// None does.
        #[default]
        None = "none",
    }
}

standing! {
    /// Whether the offline keys released it.
    ReleaseStanding {
        /// Verified release metadata names it.
        Signed = "signed",
        /// None does.
        #[default]
        Unsigned = "unsigned",
    }
}

standing! {
    /// How its version compares with what was installed.
    OrderStanding {
        /// Newer or the same.
        NotOlder = "not_older",
        /// Older.
        Older = "older",
        /// Nobody looked.
        #[default]
        NotKnown = "not_known",
    }
}

standing! {
    /// Whether it, or its signer, is revoked.
    RevocationStanding {
        /// A current list does not name it.
        Clear = "clear",
        /// A list names it.
        Revoked = "revoked",
        /// There is no list.
        #[default]
        NotKnown = "not_known",
    }
}

standing! {
    /// What became of the model's own signature.
    SignatureStanding {
        /// It verified.
        Verified = "verified",
        /// It was refused.
        Refused = "refused",
        /// There is none.
        #[default]
        Absent = "absent",
    }
}

standing! {
    /// How the files compare with the signed list.
    FilesStanding {
        /// Exactly those.
        Match = "match",
        /// Others, more, or fewer.
        Differ = "differ",
        /// Nobody looked.
        #[default]
        NotChecked = "not_checked",
    }
}

standing! {
    /// What the format gate said.
    FormatStanding {
        /// A format for engines, with a sane header.
        Known = "known",
        /// Something else.
        Refused = "refused",
        /// Nobody looked.
        #[default]
        NotChecked = "not_checked",
    }
}

standing! {
    /// How the bill of materials compares with the signed model.
    BomStanding {
        /// It describes these files.
        Matches = "matches",
        /// It describes others, or cannot be read.
        Mismatch = "mismatch",
        /// There is none.
        Missing = "missing",
        /// Nobody looked.
        #[default]
        NotChecked = "not_checked",
    }
}

/// The facts about one model on one box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Whether the console assigned it.
    pub assignment: AssignmentStanding,
    /// Whether the offline keys released it.
    pub release: ReleaseStanding,
    /// How its version compares.
    pub order: OrderStanding,
    /// Whether it is revoked.
    pub revocation: RevocationStanding,
    /// What became of its own signature.
    pub signature: SignatureStanding,
    /// Who signed: fingerprint of the key (hex of SHA-256 of the SPKI) or identity, as `Signer::id` of the verifier says.
    pub signer: String,
    /// How the files compare with the signed list.
    pub files: FilesStanding,
    /// What the format gate said.
    pub format: FormatStanding,
    /// How the bill of materials compares.
    pub bom: BomStanding,
    /// The licence, an SPDX expression; empty when there is none.
    pub licence: String,
    /// Models that it was made from, as its bill of materials names them.
    #[serde(default)]
    pub base_models: BTreeSet<String>,
    /// The engine that will run it, by name; empty when the box does not say.
    #[serde(default)]
    pub engine: String,
    /// What the release was made for, for example `cpu`, `avx2`, `vulkan`.
    pub hardware_needed: BTreeSet<String>,
    /// What the box has.
    pub hardware_present: BTreeSet<String>,
}
