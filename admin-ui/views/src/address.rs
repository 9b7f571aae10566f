//! Every address of the people's port, the fields of its forms, and the names of live events, for server and pages alike.
//!
//! Refuses nothing and decides nothing: who may call an address is the server's matrix. Every `POST` form carries the field
//! `csrf` ([`crate::Shell::csrf`]); every `POST` answers with 303 to an address that can be sent to a colleague.

/// `GET`: [`crate::OverviewPage`].
pub const OVERVIEW: &str = "/";
/// `GET`: [`crate::SignInPage`]. `POST` fields: `name`, `password`, `next` (a path of this console).
pub const SIGN_IN: &str = "/sign-in";
/// `GET`: nothing by itself. `POST` fields: `ticket`, `next`, and `code` or a passkey's `credential`, `authenticator_data`,
/// `client_data`, `signature`.
pub const SECOND: &str = "/sign-in/second";
/// `GET`: to the identity provider; query `next`.
pub const OUTSIDE: &str = "/sign-in/outside";
/// `GET`: back from the identity provider; query `code`, `state`, or `error`.
pub const OUTSIDE_BACK: &str = "/sign-in/outside/back";
/// `POST`: ends the session; answers 303 to [`SIGN_IN`].
pub const SIGN_OUT: &str = "/sign-out";
/// `GET`: [`crate::PasswordPage`]. `POST` fields: `current`, `new`, `again`.
pub const PASSWORD: &str = "/password";
/// `GET`: [`crate::AccountPage`].
pub const ACCOUNT: &str = "/account";
/// `POST` fields: `name`, `purpose` (`approval`, `sign_in`), `password`, and what the passkey answered: `client_data`,
/// `attestation`.
pub const PASSKEY_ADD: &str = "/account/passkeys";
/// `POST` field: `password`: shows a new secret for an authenticator app.
pub const CODES_BEGIN: &str = "/account/codes/begin";
/// `POST` field: `code`: the first one of the new secret; answers with recovery codes, once.
pub const CODES_CONFIRM: &str = "/account/codes/confirm";
/// `POST` field: `password`: no codes any more.
pub const CODES_REMOVE: &str = "/account/codes/remove";
/// `POST` field: `password`: new recovery codes, shown once.
pub const RECOVERY: &str = "/account/recovery";
/// `GET`: [`crate::AccessPage`].
pub const ACCESS: &str = "/access";
/// `POST` fields: `change` (`make`, `change`, `disable`, `enable`, `reset`, `remove`), `name`, and for the first two `role`,
/// `sites` (one for each), `kind`.
pub const ACCESS_PROPOSE: &str = "/access/propose";
/// `POST` fields: `account`, `name`, `actions` (one for each), `days`: a token, shown once.
pub const ACCESS_TOKEN: &str = "/access/tokens";
/// `POST` fields: `account`, `token`.
pub const ACCESS_TOKEN_WITHDRAW: &str = "/access/tokens/withdraw";
/// `POST` field: `alarm`.
pub const ACCESS_SETTLE: &str = "/access/alarms/settle";
/// `POST` fields: `credential`, and for one that signs in `password`.
pub const PASSKEY_REMOVE: &str = "/account/passkeys/remove";
/// `GET`: [`crate::BoxesPage`]; query: `q`, `verdict`, `site`, `model`, `sort`, `dir` (`up`, `down`), `page` (from 1).
pub const BOXES: &str = "/boxes";
/// `GET`: [`crate::ApprovalsPage`].
pub const APPROVALS: &str = "/approvals";
/// `GET`: [`crate::ModelsPage`].
pub const MODELS: &str = "/models";
/// `GET`: [`crate::ReleasesPage`].
pub const RELEASES: &str = "/releases";
/// `GET`: [`crate::AdvisoriesPage`]; query: `package`. `POST` fields: `advisory`, `package`, `reason`, `days`: accepts a finding.
pub const ADVISORIES: &str = "/releases/advisories";
/// `GET`: [`crate::SticksPage`].
pub const STICKS: &str = "/sticks";
/// `POST` fields: `for` (`all`, `none` or a box), `size` (bytes of a part, or empty), `days`. Answers 303 to [`STICKS`].
pub const STICKS_MAKE: &str = "/sticks/make";
/// `POST`, `multipart/form-data`: `csrf` first, then `file` as often as there are files. Answers 303 to [`STICKS`].
pub const STICKS_TAKE: &str = "/sticks/take";
/// `GET`: [`crate::RolloutsPage`].
pub const ROLLOUTS: &str = "/rollouts";
/// `GET`: [`crate::NewRolloutPage`]. `POST` fields: those of the form; answers 303 to [`rollout`].
pub const NEW_ROLLOUT: &str = "/rollouts/new";
/// `GET`: [`crate::RecordPage`]; query: `q`, `kind`, `before` (entry index; entries below it are shown).
pub const RECORD: &str = "/record";
/// `GET`: the last checkpoint as the signed note, `text/plain`.
pub const RECORD_CHECKPOINT: &str = "/record/checkpoint";
/// `GET`: [`crate::ReportsPage`].
pub const REPORTS: &str = "/reports";
/// `POST` fields: `days`, `box`, `model` (empty for all). Answers with the file.
pub const REPORTS_MAKE: &str = "/reports/make";
/// `GET`: [`crate::SettingsPage`].
pub const SETTINGS: &str = "/settings";
/// `POST` field: `session` (its id). Ends that session.
pub const SESSION_END: &str = "/settings/sessions/end";
/// `GET`: the pairing document (`freehold_protocol::enrol::Pairing` as JSON), `application/json`; query: `site`.
pub const PAIRING: &str = "/settings/pairing.json";
/// `GET`: [`crate::SearchPage`]; query: `q`. One exact hit may answer 303 to it.
pub const SEARCH: &str = "/search";
/// `GET`: server-sent events, see the crate's documentation.
pub const EVENTS: &str = "/events";
/// `GET`, followed by a file name of [`crate::assets::asset`].
pub const ASSETS: &str = "/assets/";

/// Names of live events.
pub mod event {
    /// A verdict, a report or the set of boxes changed. Overview and boxes listen.
    pub const FLEET: &str = "fleet";
    /// An enrolment or a plan waits or was decided. Overview and approvals listen.
    pub const APPROVALS: &str = "approvals";
    /// The repository or the set of models changed. Models and releases listen.
    pub const RELEASES: &str = "releases";
    /// An entry was added to the record. The record's page listens.
    pub const RECORD: &str = "record";
    /// The session is over: every page stops listening.
    pub const ENDED: &str = "ended";
    /// A rollout changed. Overview and rollouts listen.
    pub const ROLLOUTS: &str = "rollouts";

    /// Longest part of an id that counts; ids are three short words.
    const LONGEST: usize = 64;

    /// Anything about one box changed; its page listens. Characters other than letters, digits and `-` do not count.
    #[must_use]
    pub fn one_box(id: &str) -> String {
        let id: String = id
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(LONGEST)
            .collect();
        format!("box-{id}")
    }
}

/// `GET`: [`crate::BoxPage`]; `tab` is one of [`crate::one_box::Tab::slug`], the summary has no tab.
#[must_use]
pub fn one_box(id: &str, tab: crate::one_box::Tab) -> String {
    let id = segment(id);
    match tab.slug() {
        "" => format!("/boxes/{id}"),
        slug => format!("/boxes/{id}/{slug}"),
    }
}

/// `POST`: proposes a change of one box. Field `action`: `approve`, `refuse`, `assign`, `token`, `revoke_token`, `retire`,
/// `attest` (asks for fresh evidence; needs no plan). `assign` also has `target` (one of
/// [`crate::one_box::AssignOption::target`]), `token` has `name` and `days`, `revoke_token` has `token`.
/// Answers 303 to [`plan`].
#[must_use]
pub fn propose(id: &str) -> String {
    format!("/boxes/{}/propose", segment(id))
}

/// `GET`: [`crate::PlanPage`].
#[must_use]
pub fn plan(id: &str) -> String {
    format!("/plans/{}", segment(id))
}

/// `POST` field: `digest` (hex of the plan that was shown). Does it, or refuses when the plan has changed since.
#[must_use]
pub fn confirm(id: &str) -> String {
    format!("/plans/{}/confirm", segment(id))
}

/// `POST` fields: `credential`, `authenticator_data`, `client_data`, `signature` (base64url): a passkey's assertion.
#[must_use]
pub fn approve(id: &str) -> String {
    format!("/plans/{}/approve", segment(id))
}

/// `POST`: withdraws the proposal.
#[must_use]
pub fn withdraw(id: &str) -> String {
    format!("/plans/{}/withdraw", segment(id))
}

/// `GET`: a part of a bundle, as a file.
#[must_use]
pub fn stick_part(number: impl std::fmt::Display, part: impl std::fmt::Display) -> String {
    format!("/sticks/{number}/{part}")
}

/// `GET`: [`crate::RolloutPage`].
#[must_use]
pub fn rollout(id: &str) -> String {
    format!("/rollouts/{}", segment(id))
}

/// `POST` fields: `command` (`approve`, `start`, `pause`, `resume`, `abort`, `rollback`, `allow`), `digest` (hex of the plan
/// that was shown), `password` for `approve`, `wave` for `allow`. Answers 303 to [`rollout`].
#[must_use]
pub fn command_rollout(id: &str) -> String {
    format!("/rollouts/{}/command", segment(id))
}

/// `GET`: [`crate::ModelPage`].
#[must_use]
pub fn model(name: &str, version: &str) -> String {
    format!("/models/{}/{}", segment(name), segment(version))
}

/// `GET`: what a refusal code means and where it stands now (the search page).
#[must_use]
pub fn code(code: &str) -> String {
    format!("/search?q={}", segment(code))
}

/// One segment of a path or one value of a query: everything but unreserved characters (RFC 3986, 2.3) is percent-encoded,
/// so that an id from outside cannot become another address.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'~')
            || (byte == b'.' && text != "." && text != "..")
        {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(u32::from(half), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
    out
}
