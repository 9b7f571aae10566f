//! The table of the people's door: every route, what it needs, what it does.
//!
//! Refuses a route outside of this table. Invariant: the golden matrix in the tests is made from it, so a route that nobody
//! listed there fails the test.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use freehold_views::address;

use super::action::Action;
use super::guard::{self, Access, Gate};
use super::session::Door;
use crate::api::{
    account, boxes, change, events, fleet, openapi, plans, record, releases, reports, rollouts, stick, supply,
};
use crate::console::Console;
use crate::{outer, pages};

/// One route.
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// What it needs.
    pub gate: Gate,
    /// What it does, one line.
    pub says: &'static str,
    handler: MethodRouter<Console>,
}

fn route<H, T>(
    door: Door,
    method: &'static str,
    path: &'static str,
    access: Access,
    says: &'static str,
    handler: H,
) -> Route
where
    H: Handler<T, Console>,
    T: 'static,
{
    let filter = match method {
        "POST" => MethodFilter::POST,
        "DELETE" => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    Route {
        method,
        path,
        gate: Gate { door, access },
        says,
        handler: on(filter, handler),
    }
}

/// Every route of the API.
fn api() -> Vec<Route> {
    use Access::{Anyone, May, SignedIn};
    use Action as A;
    macro_rules! api {
        ($($method:literal $path:literal $access:expr, $says:literal => $handler:expr;)*) => {
            vec![$(route(Door::Api, $method, $path, $access, $says, $handler)),*]
        };
    }
    api! {
        "GET" "/api/v1/openapi.json" Anyone, "This description." => openapi::document;
        "POST" "/api/v1/session" Anyone, "Sign in." => account::sign_in;
        "GET" "/api/v1/session" SignedIn, "Who am I?" => account::who;
        "DELETE" "/api/v1/session" SignedIn, "Sign out." => account::sign_out;
        "POST" "/api/v1/account/password" SignedIn, "Change one's own password." => account::password;
        "GET" "/api/v1/fleet" May(A::Look), "The fleet as a whole." => fleet::show;
        "GET" "/api/v1/pairing" May(A::Look), "What a box needs to know its console." => fleet::pairing;
        "GET" "/api/v1/boxes" May(A::Look), "The boxes." => boxes::list;
        "GET" "/api/v1/boxes/{id}" May(A::Look), "One box." => boxes::one;
        "GET" "/api/v1/boxes/{id}/assignment" May(A::Look), "Its signed assignment." => boxes::assignment;
        "GET" "/api/v1/boxes/{id}/verdicts" May(A::Look), "Its verdicts, newest first." => boxes::verdicts;
        "GET" "/api/v1/boxes/{id}/tokens" May(A::Look), "Tokens of its applications." => boxes::list_tokens;
        "GET" "/api/v1/boxes/{id}/evidence" May(A::ReadEvidence), "An evidence package." => boxes::evidence;
        "POST" "/api/v1/boxes/{id}/approve" May(A::DecideEnrolment), "Approve what waits." => change::approve;
        "POST" "/api/v1/boxes/{id}/refuse" May(A::DecideEnrolment), "Refuse what waits." => change::refuse;
        "POST" "/api/v1/boxes/{id}/remove" May(A::RemoveBox), "Take it out of the fleet." => change::remove;
        "POST" "/api/v1/boxes/{id}/attest" May(A::Attest), "Ask it for evidence." => change::attest;
        "POST" "/api/v1/boxes/{id}/assign" May(A::Assign), "Assign releases." => change::assign;
        "POST" "/api/v1/boxes/{id}/lease" May(A::Assign), "Withdraw or grant its verdict lease." => change::lease;
        "POST" "/api/v1/boxes/{id}/tokens" May(A::ManageTokens), "Make a token for an application." => change::make_token;
        "DELETE" "/api/v1/boxes/{id}/tokens/{token}" May(A::ManageTokens), "Withdraw a token." => change::withdraw_token;
        "GET" "/api/v1/boxes/{id}/sbom" May(A::Look), "What it runs now, as a bill of materials." => supply::sbom;
        "GET" "/api/v1/boxes/{id}/findings" May(A::Look), "What is known to be wrong with it." => supply::findings;
        "GET" "/api/v1/advisories" May(A::Look), "The findings of the fleet." => supply::fleet;
        "GET" "/api/v1/components" May(A::Look), "Which boxes have a package." => supply::components;
        "POST" "/api/v1/acceptances" May(A::AcceptFindings), "Accept a finding for a while." => supply::accept;
        "GET" "/api/v1/plans" May(A::Look), "The plans, newest first." => plans::list;
        "GET" "/api/v1/plans/{id}" May(A::Look), "A plan, with what approvers sign." => plans::one;
        "POST" "/api/v1/boxes/{id}/plans" May(A::Assign), "Propose an assignment as a plan." => plans::propose;
        "POST" "/api/v1/plans/{id}/approvals" May(A::Look), "Approve a plan with a passkey's assertion." => plans::approve;
        "POST" "/api/v1/plans/{id}/confirm" May(A::Look), "Confirm a plan by its digest." => plans::confirm;
        "GET" "/api/v1/models" May(A::Look), "The models." => releases::models;
        "GET" "/api/v1/releases" May(A::Look), "The releases." => releases::releases;
        "POST" "/api/v1/repository" May(A::ImportReleases), "Take in what the publisher exported." => releases::upload;
        "GET" "/api/v1/bundles" May(A::Look), "Bundles for sticks, and who is back." => stick::list;
        "POST" "/api/v1/bundles" May(A::Assign), "Make a bundle for boxes without a network." => stick::make;
        "GET" "/api/v1/bundles/{number}/parts/{part}" May(A::Assign), "A part of a bundle." => stick::part;
        "POST" "/api/v1/returns" May(A::Assign), "Take in what came back on a stick." => stick::take;
        "GET" "/api/v1/record/checkpoint" May(A::ReadRecord), "The record's signed head." => record::checkpoint;
        "GET" "/api/v1/record/entries" May(A::ReadRecord), "Entries of the record." => record::entries;
        "GET" "/api/v1/record/proof/{index}" May(A::ReadRecord), "An entry and the proof that it is there." => record::proof;
        "GET" "/api/v1/record/tile/{*path}" May(A::ReadRecord), "A tile of the record." => record::tile;
        "POST" "/api/v1/reports" May(A::ExportRecord), "Make an auditor's report." => reports::make;
        "GET" "/api/v1/accounts" May(A::ReadSettings), "The accounts." => account::list;
        "POST" "/api/v1/accounts" May(A::ManageAccounts), "Make an account." => account::make;
        "POST" "/api/v1/accounts/{name}/role" May(A::ManageAccounts), "Change an account's role." => account::role;
        "POST" "/api/v1/accounts/{name}/sites" May(A::ManageAccounts), "Change an account's sites." => account::sites;
        "POST" "/api/v1/accounts/{name}/disable" May(A::ManageAccounts), "Switch an account off." => account::disable;
        "POST" "/api/v1/accounts/{name}/enable" May(A::ManageAccounts), "Switch an account on." => account::enable;
        "POST" "/api/v1/accounts/{name}/reset" May(A::ManageAccounts), "A new one-time password; second factors are gone." => account::reset;
        "DELETE" "/api/v1/accounts/{name}" May(A::ManageAccounts), "Remove an account." => account::remove;
        "GET" "/api/v1/rollouts" May(A::Look), "The rollouts." => rollouts::list;
        "POST" "/api/v1/rollouts" May(A::Assign), "Propose a rollout." => rollouts::propose;
        "POST" "/api/v1/rollouts/plan" May(A::Assign), "The plan that a wish would make; nothing is kept." => rollouts::preview;
        "GET" "/api/v1/rollouts/{id}" May(A::Look), "One rollout." => rollouts::show;
        "POST" "/api/v1/rollouts/{id}/approve" May(A::Look), "Approve its plan, which somebody else proposed." => rollouts::approve;
        "POST" "/api/v1/rollouts/{id}/approvals" May(A::Look), "Approve it with a passkey's assertion." => rollouts::approve_with_passkey;
        "POST" "/api/v1/rollouts/{id}/start" May(A::Assign), "Begin it." => rollouts::start;
        "POST" "/api/v1/rollouts/{id}/pause" May(A::Assign), "Begin nothing more for now." => rollouts::pause;
        "POST" "/api/v1/rollouts/{id}/resume" May(A::Assign), "Go on." => rollouts::resume;
        "POST" "/api/v1/rollouts/{id}/abort" May(A::Assign), "Begin nothing more; boxes stay as they are." => rollouts::abort;
        "POST" "/api/v1/rollouts/{id}/rollback" May(A::Assign), "Send every box back that has the release." => rollouts::rollback;
        "POST" "/api/v1/rollouts/{id}/waves/{wave}/allow" May(A::Assign), "Let a wave begin that waits for a person." => rollouts::allow;
        "GET" "/api/v1/accounts/{name}/tokens" May(A::Look), "Tokens of an account for this API." => account::tokens;
        "POST" "/api/v1/accounts/{name}/tokens" May(A::Look), "Make a token for this API." => account::make_token;
        "DELETE" "/api/v1/accounts/{name}/tokens/{token}" May(A::Look), "Withdraw such a token." => account::withdraw_token;
        "GET" "/api/v1/sessions" May(A::Look), "Sessions: one's own, or all." => account::sessions;
        "DELETE" "/api/v1/sessions/{id}" May(A::Look), "End a session." => account::end_session;
        "GET" "/api/v1/alarms" May(A::Look), "What people have to hear of." => account::alarms;
        "POST" "/api/v1/alarms/{id}/settle" May(A::ManageAccounts), "Settle an alarm." => account::settle_alarm;
        "GET" "/api/v1/events" May(A::Look), "What changes, as server-sent events." => events::stream;
    }
}

/// Every route of the pages.
fn shown() -> Vec<Route> {
    use Access::{Anyone, May, SignedIn};
    use Action as A;
    macro_rules! pages {
        ($($method:literal $path:expr, $access:expr, $says:literal => $handler:expr;)*) => {
            vec![$(route(Door::Page, $method, $path, $access, $says, $handler)),*]
        };
    }
    pages! {
        "GET" address::SIGN_IN, Anyone, "The sign-in page." => pages::sign_in::show;
        "POST" address::SIGN_IN, Anyone, "Sign in." => pages::sign_in::enter;
        "POST" address::SECOND, Anyone, "The second step of signing in." => pages::sign_in::second;
        "GET" address::OUTSIDE, Anyone, "To the identity provider." => pages::outside::leave;
        "GET" address::OUTSIDE_BACK, Anyone, "Back from the identity provider." => pages::outside::back;
        "GET" "/assets/{name}", Anyone, "Style sheet and scripts." => pages::asset;
        "POST" address::SIGN_OUT, SignedIn, "Sign out." => pages::sign_in::leave;
        "GET" address::PASSWORD, SignedIn, "The password page." => pages::sign_in::password;
        "POST" address::PASSWORD, SignedIn, "Change one's own password." => pages::sign_in::change_password;
        "GET" address::ACCOUNT, May(A::Look), "One's own account." => pages::account::show;
        "POST" address::PASSKEY_ADD, May(A::Look), "Register a passkey." => pages::account::add_passkey;
        "POST" address::PASSKEY_REMOVE, May(A::Look), "Remove a passkey." => pages::account::remove_passkey;
        "POST" address::CODES_BEGIN, May(A::Look), "Begin with an authenticator app." => pages::account::begin_codes;
        "POST" address::CODES_CONFIRM, May(A::Look), "Confirm an authenticator app." => pages::account::confirm_codes;
        "POST" address::CODES_REMOVE, May(A::Look), "End with authenticator apps." => pages::account::remove_codes;
        "POST" address::RECOVERY, May(A::Look), "New recovery codes." => pages::account::recovery;
        "GET" address::ACCESS, May(A::Look), "Who may do what." => pages::access::show;
        "POST" address::ACCESS_PROPOSE, May(A::ManageAccounts), "Propose a change of an account." => pages::access::propose;
        "POST" address::ACCESS_TOKEN, May(A::Look), "Make a token for the API." => pages::access::make_token;
        "POST" address::ACCESS_TOKEN_WITHDRAW, May(A::Look), "Withdraw such a token." => pages::access::withdraw_token;
        "POST" address::ACCESS_SETTLE, May(A::ManageAccounts), "Settle an alarm." => pages::access::settle;
        "GET" address::OVERVIEW, May(A::Look), "The overview." => pages::overview::show;
        "GET" address::BOXES, May(A::Look), "The boxes." => pages::boxes::list;
        "GET" "/boxes/{id}", May(A::Look), "One box." => pages::one_box::summary;
        "GET" "/boxes/{id}/{tab}", May(A::Look), "A part of one box." => pages::one_box::tab;
        "POST" "/boxes/{id}/propose", May(A::Look), "Propose a change." => pages::plans::propose;
        "GET" "/plans/{id}", May(A::Look), "A plan." => pages::plans::show;
        "POST" "/plans/{id}/confirm", May(A::Look), "Confirm a plan." => pages::plans::confirm;
        "POST" "/plans/{id}/approve", May(A::Look), "Approve a plan with a passkey." => pages::plans::approve;
        "POST" "/plans/{id}/withdraw", May(A::Look), "Withdraw a plan." => pages::plans::withdraw;
        "GET" address::APPROVALS, May(A::Look), "What waits for a person." => pages::approvals::show;
        "GET" address::ROLLOUTS, May(A::Look), "The rollouts." => pages::rollouts::list;
        "GET" address::NEW_ROLLOUT, May(A::Assign), "A new rollout." => pages::rollouts::new;
        "POST" address::NEW_ROLLOUT, May(A::Assign), "Propose a rollout." => pages::rollouts::propose;
        "GET" "/rollouts/{id}", May(A::Look), "One rollout." => pages::rollouts::one;
        "POST" "/rollouts/{id}/command", May(A::Look), "Approve, start or steer it." => pages::rollouts::command;
        "GET" address::MODELS, May(A::Look), "The models." => pages::models::list;
        "GET" "/models/{name}/{version}", May(A::Look), "One model." => pages::models::one;
        "GET" address::RELEASES, May(A::Look), "The releases." => pages::releases::show;
        "GET" address::ADVISORIES, May(A::Look), "The findings of the fleet." => pages::advisories::show;
        "POST" address::ADVISORIES, May(A::AcceptFindings), "Accept a finding for a while." => pages::advisories::accept;
        "GET" address::STICKS, May(A::Look), "Bundles for sticks, and who is back." => pages::sticks::show;
        "POST" address::STICKS_MAKE, May(A::Assign), "Make a bundle." => pages::sticks::make;
        "POST" address::STICKS_TAKE, May(A::Assign), "Take returns in." => pages::sticks::take;
        "GET" "/sticks/{number}/{part}", May(A::Assign), "A part of a bundle." => pages::sticks::part;
        "GET" address::RECORD, May(A::ReadRecord), "The record." => pages::record::show;
        "GET" address::RECORD_CHECKPOINT, May(A::ReadRecord), "The record's signed head." => record::checkpoint;
        "GET" address::REPORTS, May(A::ExportRecord), "The reports." => pages::reports::show;
        "POST" address::REPORTS_MAKE, May(A::ExportRecord), "Make an auditor's report." => pages::reports::make;
        "GET" address::SETTINGS, May(A::ReadSettings), "The settings." => pages::settings::show;
        "POST" address::SESSION_END, SignedIn, "End a session." => pages::settings::end_session;
        "GET" address::PAIRING, May(A::Look), "The pairing document." => fleet::pairing;
        "GET" address::SEARCH, May(A::Look), "Search." => pages::search::show;
        "GET" address::EVENTS, May(A::Look), "What changes, as server-sent events." => events::stream;
    }
}

/// Every route.
#[must_use]
pub fn table() -> Vec<Route> {
    let mut all = api();
    all.extend(shown());
    all
}

/// The router of the people's door.
pub fn router(console: Console) -> Router {
    let mut router = Router::new();
    for route in table() {
        let guard = from_fn_with_state((console.clone(), route.gate, route.path), guard::pass);
        let mut handler = route.handler.layer(guard);
        if route.gate.door == Door::Page {
            handler = handler.layer(from_fn_with_state(console.clone(), pages::frame));
        }
        if matches!(route.path, "/api/v1/repository" | address::STICKS_TAKE) {
            // The handler counts by itself and writes to the disk as it reads.
            handler = handler.layer(DefaultBodyLimit::disable());
        }
        router = router.route(route.path, handler);
    }
    let missing = axum::routing::any(pages::nothing_here).layer(from_fn_with_state(console.clone(), pages::frame));
    router
        .fallback_service(missing.with_state(console.clone()))
        .layer(from_fn(outer::wrap))
        .with_state(console)
}
