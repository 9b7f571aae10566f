//! Settings: the fleet, the keys by fingerprint, the roots, the policies, sessions and accounts.
//!
//! Refuses to show a private key or a secret. Invariant: every key comes with its fingerprint and what it is worth.

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::shell::{Fingerprint, Shell};

/// `GET /settings`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettingsPage {
    /// The frame.
    pub shell: Shell,
    /// Facts of the fleet that were fixed when it was made.
    pub fleet: FleetFacts,
    /// The console's keys.
    pub keys: Vec<Key>,
    /// Roots of EK certificates that the fleet trusts.
    pub roots: Vec<Root>,
    /// Policies in force.
    pub policies: Vec<Policy>,
    /// Open sessions of this person (all sessions for an administrator).
    pub sessions: Vec<Session>,
    /// Accounts.
    pub accounts: Vec<Account>,
    /// The command that pairs a box.
    pub pair_command: String,
    /// This person may end sessions of others.
    pub may_administer: bool,
}

/// Facts of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FleetFacts {
    /// Its identifier.
    pub id: String,
    /// When it was made, unix seconds.
    pub made: Option<i64>,
    /// Whether boxes with software TPMs are taken; fixed when the fleet was made.
    pub accepts_simulated: bool,
    /// Sites.
    pub sites: Vec<String>,
    /// Where people reach the console.
    pub people_address: String,
    /// Where boxes reach the console.
    pub boxes_address: String,
    /// Seconds between proofs that the console asks for.
    pub proof_every_s: Option<u32>,
    /// SHA-256 of the signed settings of boxes, hex: what every assignment names.
    pub settings_digest: String,
}

/// One key of the console.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Key {
    /// Its name: `director`, `timestamp`, `fleet CA`, `record`.
    pub name: String,
    /// What it does, and what it is worth when stolen, one sentence.
    pub worth: String,
    /// Its kind, for example `P-256`.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// It is a development key.
    pub development: bool,
    /// When its certificate ends, unix seconds.
    pub not_after: Option<i64>,
}

/// A root of EK certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Root {
    /// Its name.
    pub name: String,
    /// It is a software root: boxes under it are simulated.
    pub software: bool,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: String,
    /// When it ends, unix seconds.
    pub not_after: Option<i64>,
}

/// One policy in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// Its name, as decisions name it.
    pub name: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// What it says, for a person.
    pub says: String,
    /// The release it came with, or `built in`.
    pub release: String,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Session {
    /// How the person showed who they are.
    pub factor: String,
    /// Public id of the session, never its cookie.
    pub id: String,
    /// Whose.
    pub account: String,
    /// Since, unix seconds.
    pub since: i64,
    /// Last used, unix seconds.
    pub last: i64,
    /// Ends, unix seconds.
    pub until: i64,
    /// From which address.
    pub from: String,
    /// It is the one that asks.
    pub current: bool,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Made, unix seconds.
    pub created: Option<i64>,
    /// Last signed in, unix seconds.
    pub last_sign_in: Option<i64>,
    /// Its one-time password was not yet changed.
    pub one_time_password: bool,
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Whole<'a> {
    m: &'a SettingsPage,
    shell: &'a Shell,
}

impl SettingsPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }
}
