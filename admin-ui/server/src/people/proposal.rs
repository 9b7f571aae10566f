//! Changes of accounts as plans: shown, then confirmed by digest.
//!
//! Refuses a confirmation when the account has changed since. Invariant: what is done is what the plan says, by the same
//! functions that the API calls.

use freehold_views::plan::Line;
use freehold_views::{SecretPage, address};
use serde::{Deserialize, Serialize};

use super::account::AccountWish;
use super::session::Visitor;
use crate::console::Console;
use crate::plan::Proposal;
use crate::refused::Refused;

/// What is proposed about an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum AccountProposal {
    /// A new one.
    Make {
        /// Its role.
        role: String,
        /// Its sites.
        sites: Vec<String>,
        /// Its kind.
        kind: String,
    },
    /// Another role, other sites.
    Change {
        /// The role.
        role: String,
        /// The sites.
        sites: Vec<String>,
        /// What they were.
        before: (String, Vec<String>),
        /// When the account changed last: another change since makes the plan outdated.
        changed_at: i64,
    },
    /// Switched off or on.
    Switch {
        /// Whether it is off afterwards.
        disabled: bool,
        /// When the account changed last.
        changed_at: i64,
    },
    /// A new one-time password, and no second factor.
    Reset {
        /// When the account changed last.
        changed_at: i64,
    },
    /// Gone.
    Remove {
        /// When the account changed last.
        changed_at: i64,
    },
}

/// What a plan's page says.
pub struct Told {
    /// Before and after.
    pub lines: Vec<Line>,
    /// What follows.
    pub consequences: Vec<String>,
    /// How it is undone.
    pub undo: &'static str,
    /// The word on the button.
    pub verb: &'static str,
    /// Whether it takes something away.
    pub grave: bool,
}

impl AccountProposal {
    /// One line.
    #[must_use]
    pub fn title(&self, name: &str) -> String {
        match self {
            Self::Make { role, .. } => format!("Make the account {name} ({role})"),
            Self::Change { role, .. } => format!("Change the account {name} ({role})"),
            Self::Switch { disabled: true, .. } => format!("Switch the account {name} off"),
            Self::Switch { .. } => format!("Switch the account {name} on"),
            Self::Reset { .. } => format!("Give {name} a new one-time password"),
            Self::Remove { .. } => format!("Remove the account {name}"),
        }
    }

    /// What its plan says.
    #[must_use]
    pub fn told(&self) -> Told {
        let line = |what: &str, before: &str, after: &str| Line {
            what: what.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        let (lines, says, undo, verb, grave) = match self {
            Self::Make { role, sites, kind } => (
                vec![
                    line("kind", "", kind_words(kind)),
                    line("role", "", role),
                    line("sites", "", &sites_words(sites)),
                ],
                match kind.as_str() {
                    "machine" => "It signs in nowhere; its tokens do what they list.",
                    "outside" => "It signs in at the identity provider by this name; the first sign-in binds it.",
                    "break_glass" => {
                        "Its password is shown once: it belongs into a sealed envelope. Using it raises an alarm."
                    }
                    _ => "Its one-time password is shown once, and has to be changed at the first sign-in.",
                },
                "Remove the account.",
                "Make the account",
                false,
            ),
            Self::Change {
                role, sites, before, ..
            } => (
                vec![
                    line("role", &before.0, role),
                    line("sites", &sites_words(&before.1), &sites_words(sites)),
                ],
                "Every session of the account ends now.",
                "Change it back.",
                "Change the account",
                false,
            ),
            Self::Switch { disabled: true, .. } => (
                vec![line("account", "on", "off")],
                "Every session and token of the account ends now. What it did stays in the record.",
                "Switch it on again; its tokens have to be made anew.",
                "Switch it off",
                true,
            ),
            Self::Switch { .. } => (
                vec![line("account", "off", "on")],
                "It may sign in again.",
                "Switch it off.",
                "Switch it on",
                false,
            ),
            Self::Reset { .. } => (
                vec![
                    line("password", "its own", "a one-time password"),
                    line("second factors", "as they are", ""),
                ],
                "Every session of the account ends now. Make sure who asks for it.",
                "The person sets up password and second factor anew.",
                "Reset the account",
                true,
            ),
            Self::Remove { .. } => (
                vec![line("account", "there", "")],
                "Its sessions, tokens and passkeys are gone. What it did stays in the record.",
                "Make a new account; passkeys have to be registered anew.",
                "Remove the account",
                true,
            ),
        };
        Told {
            lines,
            consequences: vec![says.to_owned()],
            undo,
            verb,
            grave,
        }
    }
}

/// A kind of account in words.
#[must_use]
pub fn kind_words(kind: &str) -> &str {
    match kind {
        "machine" => "machine",
        "outside" => "person, signs in at the identity provider",
        "break_glass" => "break-glass",
        _ => "person",
    }
}

/// Sites in words.
#[must_use]
pub fn sites_words(sites: &[String]) -> String {
    if sites.iter().any(|site| site == "*") {
        "every site".to_owned()
    } else {
        sites.join(", ")
    }
}

impl Console {
    /// The proposal about an account as it would be made now.
    ///
    /// # Errors
    /// 400, 404, 409 when an account of that name is there already.
    pub(crate) async fn renewed_account(&self, name: &str, wish: &AccountProposal) -> Result<AccountProposal, Refused> {
        if let AccountProposal::Make { role, sites, kind } = wish {
            let checked = AccountWish {
                name: name.to_owned(),
                role: role.clone(),
                sites: sites.clone(),
                kind: kind.clone(),
            };
            self.check_wish(&checked)?;
            let there = self
                .0
                .store
                .account(name)
                .await
                .map_err(|error| Refused::inside(&error))?;
            if there.is_some() {
                let message = "there is an account of this name";
                return Err(Refused::new(
                    axum::http::StatusCode::CONFLICT,
                    "console.conflict",
                    message,
                ));
            }
            return Ok(wish.clone());
        }
        let account = self.known_account(name).await?;
        let changed_at = account.changed_at;
        Ok(match wish {
            AccountProposal::Change { role, sites, .. } => {
                super::account::check_role(role)?;
                self.check_sites(sites)?;
                AccountProposal::Change {
                    role: role.clone(),
                    sites: sites.clone(),
                    before: (account.role.clone(), account.sites().map(str::to_owned).collect()),
                    changed_at,
                }
            }
            AccountProposal::Switch { disabled, .. } => AccountProposal::Switch {
                disabled: *disabled,
                changed_at,
            },
            AccountProposal::Reset { .. } => AccountProposal::Reset { changed_at },
            AccountProposal::Remove { .. } | AccountProposal::Make { .. } => AccountProposal::Remove { changed_at },
        })
    }

    /// Does what a confirmed plan about an account says; a password is shown once.
    ///
    /// # Errors
    /// As the functions of the API.
    pub(crate) async fn carry_out_account(
        &self,
        visitor: &Visitor,
        name: &str,
        proposal: &AccountProposal,
        by: &str,
    ) -> Result<Option<SecretPage>, Refused> {
        let password = match proposal {
            AccountProposal::Make { role, sites, kind } => {
                let wish = AccountWish {
                    name: name.to_owned(),
                    role: role.clone(),
                    sites: sites.clone(),
                    kind: kind.clone(),
                };
                let password = self.make_account(&wish, by).await?;
                matches!(kind.as_str(), "person" | "break_glass").then_some(password)
            }
            AccountProposal::Change {
                role, sites, before, ..
            } => {
                let role = (*role != before.0).then_some(role.as_str());
                let sites = (*sites != before.1).then_some(sites.as_slice());
                self.change_access(name, role, sites, by).await?;
                None
            }
            AccountProposal::Switch { disabled, .. } => {
                self.disable_account(name, *disabled, by).await?;
                None
            }
            AccountProposal::Reset { .. } => Some(self.reset_account(name, by).await?),
            AccountProposal::Remove { .. } => {
                self.remove_account(name, by).await?;
                None
            }
        };
        Ok(password.map(|password| SecretPage {
            shell: self.shell(Some(visitor), address::ACCESS),
            title: format!("Password of {name}"),
            secret: password,
            facts: vec![("account".to_owned(), name.to_owned())],
            command: format!("freehold console login --user {name} …"),
            back_href: address::ACCESS.to_owned(),
            back: "Back to access".to_owned(),
        }))
    }
}

/// The account that a proposal is about.
#[must_use]
pub fn account_of(proposal: &Proposal) -> Option<(&str, &AccountProposal)> {
    match proposal {
        Proposal::Account { name, proposal } => Some((name, proposal)),
        _ => None,
    }
}
