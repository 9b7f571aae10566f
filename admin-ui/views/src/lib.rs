//! The console's pages: view model → HTML, a pure function.
//!
//! Refuses to fetch, decide or remember anything: no I/O, no clock (the time is [`Shell::now`]), no store. A handler parses,
//! authorises, asks the core, fills a model from here and calls its `render()`. Whole pages work without JavaScript.
//! Invariant: every string passes [`text::Careful`], so that markup, control characters, direction overrides and endless
//! labels from a hostile box are shown as what they are.
//!
//! # How a server uses this
//!
//! * Each page is one plain struct with `render(&self) -> String`: [`SignInPage`], [`SecondPage`], [`OnwardPage`],
//!   [`PasswordPage`], [`AccountPage`], [`AccessPage`], [`OverviewPage`], [`BoxesPage`], [`BoxPage`], [`ApprovalsPage`],
//!   [`PlanPage`], [`SecretPage`], [`ModelsPage`], [`ModelPage`], [`ReleasesPage`], [`SticksPage`], [`RecordPage`],
//!   [`ReportsPage`], [`SettingsPage`], [`SearchPage`], [`FailurePage`]. All implement `Default`, so that a handler writes `OverviewPage { shell, needs, ..Default::default() }`.
//! * Every page of a signed-in person holds a [`Shell`]: navigation counts, who is signed in, the CSRF token, the time.
//! * Times are unix seconds (`i64`); templates show them absolute and relative together. Digests are lower-case hex.
//! * Addresses, form fields and the names of live events: [`address`].
//! * Files under [`address::ASSETS`]: [`assets::asset`]. Headers of every page: [`assets::CONTENT_SECURITY_POLICY`].
//!
//! # Live pages
//!
//! `GET /events` is one stream of server-sent events. Each event's *name* says what changed ([`address::event`]); its data is
//! not looked at (send a counter). The page then asks for itself again and swaps the named fragments. A handler may answer
//! such a request (header `HX-Request: true`, `HX-Target: <fragment id>`) with the whole page, or, cheaper, with
//! `render_fragment(id)`. Send at most one event of a name per second.

pub mod access;
pub mod account;
pub mod address;
pub mod advisories;
pub mod approvals;
pub mod assets;
pub mod boxes;
pub mod failure;
pub mod models;
pub mod new_rollout;
pub mod one_box;
pub mod overview;
pub mod plan;
pub mod record;
pub mod releases;
pub mod reports;
pub mod rollout;
pub mod rollouts;
pub mod search;
pub mod secret;
pub mod settings;
pub mod shell;
pub mod sign_in;
pub mod sticks;
pub mod text;

pub use access::AccessPage;
pub use account::AccountPage;
pub use advisories::AdvisoriesPage;
pub use approvals::ApprovalsPage;
pub use boxes::BoxesPage;
pub use failure::FailurePage;
pub use models::{ModelPage, ModelsPage};
pub use new_rollout::NewRolloutPage;
pub use one_box::BoxPage;
pub use overview::OverviewPage;
pub use plan::PlanPage;
pub use record::RecordPage;
pub use releases::ReleasesPage;
pub use reports::ReportsPage;
pub use rollout::RolloutPage;
pub use rollouts::RolloutsPage;
pub use search::SearchPage;
pub use secret::SecretPage;
pub use settings::SettingsPage;
pub use shell::Shell;
pub use sign_in::{OnwardPage, PasswordPage, SecondPage, SignInPage};
pub use sticks::SticksPage;
