//! What a person may be allowed to do, one word each: the words that policies decide about.
//!
//! Refuses to be a list of routes: several routes may need one action. Invariant: a word, once released, never changes meaning.

/// An action on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// See the fleet, boxes, models and releases.
    Look,
    /// Take evidence packages.
    ReadEvidence,
    /// Read the record.
    ReadRecord,
    /// Take the record away: proofs, exports, reports.
    ExportRecord,
    /// See settings, accounts and sessions.
    ReadSettings,
    /// Approve or refuse an enrolment.
    DecideEnrolment,
    /// Take a box out of the fleet.
    RemoveBox,
    /// Assign releases to a box.
    Assign,
    /// Approve a plan of somebody else.
    DecidePlan,
    /// Ask a box for evidence.
    Attest,
    /// Make and withdraw tokens of applications.
    ManageTokens,
    /// Take in releases of the publisher.
    ImportReleases,
    /// Make, change and remove accounts, end others' sessions.
    ManageAccounts,
    /// Accept what is known to be wrong, for a while.
    AcceptFindings,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 14] = [
        Self::Look,
        Self::ReadEvidence,
        Self::ReadRecord,
        Self::ExportRecord,
        Self::ReadSettings,
        Self::DecideEnrolment,
        Self::RemoveBox,
        Self::Assign,
        Self::DecidePlan,
        Self::Attest,
        Self::ManageTokens,
        Self::ImportReleases,
        Self::ManageAccounts,
        Self::AcceptFindings,
    ];

    /// Whether it is a person's judgement: no token does it, whatever its account may. Whoever has a token could else make the
    /// second person that a plan needs.
    #[must_use]
    pub const fn takes_a_person(self) -> bool {
        matches!(
            self,
            Self::DecideEnrolment | Self::DecidePlan | Self::ManageAccounts | Self::AcceptFindings
        )
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::ReadEvidence => "read_evidence",
            Self::ReadRecord => "read_record",
            Self::ExportRecord => "export_record",
            Self::ReadSettings => "read_settings",
            Self::DecideEnrolment => "decide_enrolment",
            Self::RemoveBox => "remove_box",
            Self::Assign => "assign",
            Self::DecidePlan => "decide_plan",
            Self::Attest => "attest",
            Self::ManageTokens => "manage_tokens",
            Self::ImportReleases => "import_releases",
            Self::ManageAccounts => "manage_accounts",
            Self::AcceptFindings => "accept_findings",
        }
    }
}

/// The roles that an account may have.
pub const ROLES: [&str; 5] = ["viewer", "auditor", "operator", "approver", "administrator"];
