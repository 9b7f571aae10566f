//! One box: why, what it means, what to do; its claims, boot, models, hardware, record.
//!
//! Refuses to hide that a TPM is software. Invariant: a refused box shows its reason before anything else, on every tab.

mod boot;
mod hardware;
mod identity;
mod parts;

use askama::Template;
use freehold_protocol::status::{ModelPhase, VerdictWord};
use serde::{Deserialize, Serialize};

pub use boot::{Agreement, Boot, BootEvent, Pcr};
pub use hardware::{Hardware, HardwareGroup, HardwareRow};
pub use identity::{Identity, Tpm};
pub use parts::{Actions, AssignOption, Assignment, BoxModel, Door, Lease, LeaseState, RecordHead, Token};

use crate::record::Entry;
use crate::shell::{Fault, Shell, Standing};

/// `GET /boxes/ID` and its tabs. A handler may leave empty what [`BoxPage::tab`] does not show.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BoxPage {
    /// The frame.
    pub shell: Shell,
    /// Which part is shown.
    pub tab: Tab,
    /// Its identifier.
    pub id: String,
    /// The name people gave it; from outside.
    pub label: String,
    /// Its site.
    pub site: String,
    /// Where it stands in its life.
    pub membership: Membership,
    /// Its verdict.
    pub verdict: VerdictWord,
    /// Since when this verdict, unix seconds.
    pub since: Option<i64>,
    /// The verdict's sentences, the deciding policy's first.
    pub because: Vec<String>,
    /// Names of the policies that decided.
    pub policies: Vec<String>,
    /// Faults, the gravest first.
    pub faults: Vec<Fault>,
    /// What the box itself refused, newest first, each marked as standing or past.
    pub refused_there: Vec<Fault>,
    /// What the box says it is doing or waits for.
    pub doing: String,
    /// Time of the last accepted proof, unix seconds.
    pub last_proof: Option<i64>,
    /// Time it was last heard, unix seconds.
    pub last_heard: Option<i64>,
    /// Program version of the box.
    pub version: String,
    /// How the boot was measured: `measured` by firmware, or `simulated` by replaying a log.
    pub boot_kind: BootKind,
    /// Identity and keys.
    pub identity: Identity,
    /// Facts shown and checked.
    pub claims: Vec<Claim>,
    /// PCR by PCR, event by event.
    pub boot: Option<Boot>,
    /// Models on the box.
    pub models: Vec<BoxModel>,
    /// The assignment that the console signed for it.
    pub assignment: Option<Assignment>,
    /// The verdict lease, where this fleet has to do with leases.
    pub lease: Option<Lease>,
    /// Where applications reach it, `https://ADDRESS:PORT`, and the fingerprint of that door's key (hex).
    pub gateway: Option<Door>,
    /// API tokens of its applications.
    pub tokens: Vec<Token>,
    /// What was found in it.
    pub hardware: Option<Hardware>,
    /// The end of what the console's record says about it, newest first.
    pub entries: Vec<Entry>,
    /// The box's own record as the console last saw and cosigned it.
    pub record_head: Option<RecordHead>,
    /// What this person may do here.
    pub actions: Actions,
}

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tab {
    /// Why, means, do; claims; identity; actions.
    #[default]
    Summary,
    /// PCRs and events.
    Boot,
    /// Models, assignment, tokens.
    Models,
    /// Inventory.
    Hardware,
    /// Record.
    Record,
}

impl Tab {
    /// All, in the order shown.
    pub const ALL: [Self; 5] = [Self::Summary, Self::Boot, Self::Models, Self::Hardware, Self::Record];

    /// The last segment of the address; empty for the summary.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Summary => "",
            Self::Boot => "boot",
            Self::Models => "models",
            Self::Hardware => "hardware",
            Self::Record => "record",
        }
    }

    /// The word on the tab.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Summary => "Claims",
            Self::Boot => "Boot",
            Self::Models => "Models",
            Self::Hardware => "Hardware",
            Self::Record => "Record",
        }
    }

    /// Reads the last segment of the address.
    #[must_use]
    pub fn from_slug(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tab| tab.slug() == text)
    }
}

/// Where a box stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Membership {
    /// It proved its keys; a person has to compare the fingerprint and approve.
    #[default]
    WaitingForApproval,
    /// A member of the fleet.
    Approved,
    /// A person refused it.
    Refused,
    /// It was a member and was taken out.
    Retired,
}

/// How the boot was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootKind {
    /// The console cannot tell.
    #[default]
    Unknown,
    /// By firmware, boot loader and kernel.
    Measured,
    /// A log was replayed into a software TPM by a process.
    Simulated,
}

/// One fact that was shown, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Claim {
    /// What is claimed, for example `Secure Boot`.
    pub name: String,
    /// The value, for example `on`.
    pub value: String,
    /// Whether it holds.
    pub holds: Holds,
    /// How the console knows, for example `event 12 of PCR 7`, `EK certificate`.
    pub source: String,
}

/// Whether a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// Nothing showed it either way.
    #[default]
    CouldNotTell,
    /// Shown and as policy asks.
    Yes,
    /// Shown, and not as policy asks.
    No,
    /// Shown; policy asks nothing of it.
    NotAsked,
}

#[derive(Template)]
#[template(path = "box.html")]
struct Whole<'a> {
    m: &'a BoxPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "box.html", block = "live")]
struct Live<'a> {
    m: &'a BoxPage,
    shell: &'a Shell,
}

impl BoxPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    /// The fragment `live` (all but the forms), or the whole page for another name.
    #[must_use]
    pub fn render_fragment(&self, id: &str) -> String {
        match id {
            "live" => self.shell.with_words(&Live {
                m: self,
                shell: &self.shell,
            }),
            _ => self.render(),
        }
    }

    fn heading(&self) -> &'static str {
        match (self.membership, self.verdict) {
            (Membership::WaitingForApproval, _) => "Waits for approval",
            (Membership::Refused, _) => "Not admitted: a person refused it",
            (Membership::Retired, _) => "Retired",
            (_, VerdictWord::Trusted) => "Trusted",
            (_, VerdictWord::TrustedSimulated) => "Trusted (simulated)",
            (_, VerdictWord::Attention) => "Attention",
            (_, VerdictWord::Refused) => "Refused",
            (_, VerdictWord::Unknown) => "Unknown",
        }
    }

    fn tab_href(&self, tab: &Tab) -> String {
        crate::address::one_box(&self.id, *tab)
    }

    fn fault_tone(&self) -> &'static str {
        if self.verdict == VerdictWord::Refused {
            "refused"
        } else {
            "attention"
        }
    }

    fn means(&self) -> &'static str {
        match (self.membership, self.verdict) {
            (Membership::WaitingForApproval, _) => {
                "It has proved that its keys live in one TPM. It gets nothing, and counts for nothing, before a person has approved it."
            }
            (Membership::Refused | Membership::Retired, _) => {
                "It gets nothing from this console and may not join with these keys."
            }
            (_, VerdictWord::Trusted) => "New releases may be installed and models started.",
            (_, VerdictWord::TrustedSimulated) => {
                "It behaves as a trusted box does, but its TPM is software: whoever controls its machine can imitate it."
            }
            (_, VerdictWord::Attention) => "New releases may be installed. Something should be looked at by a person.",
            (_, VerdictWord::Refused) => "Nothing new is installed. Models that run go on until their lease ends.",
            (_, VerdictWord::Unknown) => {
                "Could not tell is not yes: nothing new is installed before it has proved itself."
            }
        }
    }

    fn next_step(&self) -> Option<&'static str> {
        match (self.membership, self.verdict) {
            (Membership::WaitingForApproval, _) => {
                Some("Compare the fingerprint below with the one on the box's own screen, then approve or refuse it.")
            }
            (Membership::Approved, VerdictWord::Unknown) => {
                Some("See that the box runs and reaches this console; it proves itself at its next check-in.")
            }
            _ => None,
        }
    }

    fn standing_refusals(&self) -> usize {
        let stands = |fault: &&Fault| fault.standing == Standing::Current;
        self.refused_there.iter().filter(stands).count()
    }

    fn latest(&self) -> &[Entry] {
        self.entries.get(..self.entries.len().min(5)).unwrap_or_default()
    }

    const fn has_actions(&self) -> bool {
        let a = &self.actions;
        a.attest || a.token || a.retire || !a.assign.is_empty()
    }
}

impl BootKind {
    /// The words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "could not tell",
            Self::Measured => "measured by firmware, boot loader and kernel",
            Self::Simulated => "simulated: a log replayed into a software TPM",
        }
    }
}

impl Holds {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CouldNotTell => "could not tell",
            Self::Yes => "yes",
            Self::No => "no",
            Self::NotAsked => "not asked",
        }
    }

    const fn shape(self) -> &'static str {
        match self {
            Self::CouldNotTell => "○",
            Self::Yes => "●",
            Self::No => "■",
            Self::NotAsked => "·",
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::CouldNotTell | Self::NotAsked => "unknown",
            Self::Yes => "trusted",
            Self::No => "refused",
        }
    }
}
