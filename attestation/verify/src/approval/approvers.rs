//! Who may approve, and what needs approval: `approvers.json` of a policy release, signed offline.
//!
//! Refuses one key or passkey under two names, which would let one person count as two. Invariant: a list that cannot be read
//! in full is no list, and the policy that carries it is unusable: fail closed.

use std::collections::BTreeSet;

use freehold_trust::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::json;
use crate::rejection::Refusal;
use crate::release::ReleaseKind;
use crate::text::shown;

/// Longest file: a hundred approvers fit many times.
pub const MAX_APPROVERS: usize = 256 * 1024;
/// Most approvers, and most passkeys of one of them; bounds the work for one approval.
const MAX_NAMES: usize = 200;
const MAX_KEYS: usize = 8;
/// Longest name, site or origin.
const MAX_TEXT: usize = 200;
/// Stands for every site.
const ANYWHERE: &str = "*";

/// The list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list of approvers cannot be used: {detail}")]
pub struct ApproversUnusable {
    /// Why.
    pub detail: String,
}

impl ApproversUnusable {
    /// Every code of this type.
    pub const CODES: &[&str] = &["approval.approvers_unusable"];
}

impl Refusal for ApproversUnusable {
    fn code(&self) -> &'static str {
        "approval.approvers_unusable"
    }
}

/// One passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproverKey {
    /// Credential id, base64url without padding.
    pub credential: String,
    /// Its public key, PEM.
    pub key: PublicKey,
}

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// The name, as on the console.
    pub name: String,
    /// Sites that this person may approve for; `*` stands for all.
    pub sites: BTreeSet<String>,
    /// Passkeys: the second one lies in the safe.
    pub keys: Vec<ApproverKey>,
}

/// What needs approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Releases of this kind.
    pub kind: ReleaseKind,
    /// By how many people beside the proposer.
    pub approvals: u32,
    /// On boxes of these sites; `*` stands for all.
    pub sites: BTreeSet<String>,
}

/// Who may approve what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    /// Major version, 1.
    pub v: u32,
    /// Relying party id of the passkeys: the console's host name.
    pub relying_party: String,
    /// Pages that may ask for them: `https://host:port`.
    pub origins: Vec<String>,
    /// The people.
    pub approvers: Vec<Approver>,
    /// What needs them.
    pub rules: Vec<Rule>,
}

fn at(sites: &BTreeSet<String>, site: &str) -> bool {
    sites.contains(ANYWHERE) || sites.contains(site)
}

impl Approver {
    /// Whether this person may approve for a site.
    #[must_use]
    pub fn is_for(&self, site: &str) -> bool {
        at(&self.sites, site)
    }
}

impl Approvers {
    /// File name within a policy release.
    pub const FILE: &'static str = "approvers.json";

    /// A list without people and rules.
    #[must_use]
    pub fn new(relying_party: &str, origins: Vec<String>) -> Self {
        Self {
            v: 1,
            relying_party: relying_party.to_owned(),
            origins,
            approvers: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`ApproversUnusable`] with the reason.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApproversUnusable> {
        let list: Self = json::typed(bytes, MAX_APPROVERS).map_err(|fault| ApproversUnusable {
            detail: shown(&fault.to_string()),
        })?;
        list.check()?;
        Ok(list)
    }

    /// The file's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Whether every part can be used, and no person counts as two.
    ///
    /// # Errors
    /// [`ApproversUnusable`] with the reason.
    pub fn check(&self) -> Result<(), ApproversUnusable> {
        let no = |detail: String| Err(ApproversUnusable { detail });
        if self.v != 1 {
            return no(format!("version {} is not known here", self.v));
        }
        let fits = |text: &str| !text.is_empty() && text.len() <= MAX_TEXT;
        if !fits(&self.relying_party) || self.origins.is_empty() || self.origins.len() > MAX_KEYS {
            return no("it names no relying party, or no or too many origins".to_owned());
        }
        if self.approvers.len() > MAX_NAMES || self.rules.len() > MAX_NAMES {
            return no("too many approvers or rules".to_owned());
        }
        let (mut names, mut credentials, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for approver in &self.approvers {
            let name = shown(&approver.name);
            if !fits(&approver.name) || !names.insert(&approver.name) {
                return no(format!("`{name}` stands twice, or is no name"));
            }
            if approver.keys.is_empty() || approver.keys.len() > MAX_KEYS {
                return no(format!("`{name}` has no passkey, or more than {MAX_KEYS}"));
            }
            for key in &approver.keys {
                if key.credential.is_empty() || key.credential.len() > 2 * crate::webauthn::MAX_CREDENTIAL {
                    return no(format!("a passkey of `{name}` has no credential id"));
                }
                if !credentials.insert(&key.credential) || !keys.insert(key.key.fingerprint()) {
                    return no(format!("a passkey of `{name}` stands twice"));
                }
            }
        }
        for rule in &self.rules {
            if rule.approvals == 0 || rule.sites.is_empty() {
                return no("a rule without a number or without sites".to_owned());
            }
        }
        Ok(())
    }

    /// How many approvals a release of this kind needs at a site; 0 when none.
    #[must_use]
    pub fn needed(&self, kind: ReleaseKind, site: &str) -> u32 {
        let rules = self
            .rules
            .iter()
            .filter(|rule| rule.kind == kind && at(&rule.sites, site));
        rules.map(|rule| rule.approvals).max().unwrap_or(0)
    }

    /// What leaving this list for another policy needs: as much as the strictest rule.
    #[must_use]
    pub fn needed_to_leave(&self, site: &str) -> u32 {
        let rules = self.rules.iter().filter(|rule| at(&rule.sites, site));
        rules.map(|rule| rule.approvals).max().unwrap_or(0)
    }

    /// Whose passkey that is.
    #[must_use]
    pub fn of_credential(&self, credential: &str) -> Option<(&Approver, &PublicKey)> {
        self.approvers.iter().find_map(|approver| {
            let key = approver.keys.iter().find(|key| key.credential == credential)?;
            Some((approver, &key.key))
        })
    }
}
