//! Who may do what: accounts, sessions, tokens, alarms.
//!
//! Refuses to change an account without a plan. Invariant: who does not manage accounts sees their own only, and who may read
//! settings sees who there is.

use axum::Extension;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Response};
use freehold_decide::{ConsoleFacts, PolicySet};
use freehold_store::AccountRow;
use freehold_views::access::{AccountLine, Alarm, TokenLine};
use freehold_views::{AccessPage, SecretPage, address};

use super::plans::propose_plan;
use super::see;
use super::settings::session_line;
use crate::console::Console;
use crate::people::action::{Action, ROLES};
use crate::people::guard::SafeForm;
use crate::people::proposal::{AccountProposal, kind_words, sites_words};
use crate::people::session::Visitor;
use crate::plan::Proposal;
use crate::refused::Refused;

/// `GET /access`.
///
/// # Errors
/// 500.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Refused> {
    let inside = |error: freehold_store::StoreFault| Refused::inside(&error);
    let me = &visitor.account.name;
    let may_manage = console.permits(&visitor, Action::ManageAccounts);
    let may_read = may_manage || console.permits(&visitor, Action::ReadSettings);
    let accounts = console.0.store.accounts().await.map_err(inside)?;
    let tokens = console.0.store.api_tokens().await.map_err(inside)?;
    let sessions = console.sessions_for(&visitor).await?;
    let page = AccessPage {
        shell: console.shell(Some(&visitor), address::ACCESS),
        alarms: console
            .alarms()
            .into_iter()
            .map(|alarm| Alarm {
                id: alarm.id,
                about: alarm.about,
                text: alarm.detail,
                at: alarm.at,
            })
            .collect(),
        accounts: accounts
            .into_iter()
            .filter(|account| may_read || account.name == *me)
            .map(account_line)
            .collect(),
        sessions: sessions
            .into_iter()
            .map(|session| session_line(session, &visitor))
            .collect(),
        tokens: tokens
            .into_iter()
            .filter(|row| may_manage || row.account == *me)
            .map(|row| TokenLine {
                id: row.id,
                account: row.account,
                name: row.name,
                actions: row.actions.lines().collect::<Vec<_>>().join(", "),
                made: row.made_at,
                until: row.expires,
            })
            .collect(),
        roles: roles(&console),
        actions: Action::ALL
            .iter()
            .filter(|action| !action.takes_a_person())
            .map(|action| action.word().to_owned())
            .collect(),
        sites: console.fleet_of(&visitor).seen_sites(),
        may_manage,
        outside: console.outside_name(),
    };
    Ok(Html(page.render()))
}

fn account_line(account: AccountRow) -> AccountLine {
    let mut factors = Vec::new();
    if account.totp.is_some() {
        factors.push("app");
    }
    if account.passkeys > 0 {
        factors.push("passkey");
    }
    if account.kind == "outside" {
        factors.push("identity provider");
    }
    let sites: Vec<String> = account.sites().map(str::to_owned).collect();
    AccountLine {
        sites: sites_words(&sites),
        kind: kind_words(&account.kind).to_owned(),
        factors: factors.join(", "),
        disabled: account.disabled,
        one_time_password: account.must_change,
        made: account.made_at,
        name: account.name,
        role: account.role,
    }
}

/// What each role may do, by asking policy: the table cannot differ from the rules.
fn roles(console: &Console) -> Vec<(String, String)> {
    let policies = console.0.authority.people();
    let may = |role: &str, action: Action| {
        let facts = ConsoleFacts {
            role: role.to_owned(),
            action: action.word().to_owned(),
            account: freehold_decide::Account::Active,
            session: freehold_decide::Session::Fresh,
            proposer: freehold_decide::Proposer::Other,
            ..ConsoleFacts::default()
        };
        policies.is_some_and(|policies: &PolicySet| policies.use_console(&facts).is_allowed())
    };
    ROLES
        .iter()
        .map(|role| {
            let actions: Vec<&str> = Action::ALL
                .iter()
                .filter(|action| may(role, **action))
                .map(|action| action.word())
                .collect();
            ((*role).to_owned(), actions.join(", ").replace('_', " "))
        })
        .collect()
}

/// `POST /access/propose`.
///
/// # Errors
/// 400, 404, 409.
pub async fn propose(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let sites = || form.all("sites").map(str::to_owned).collect::<Vec<_>>();
    let role = || form.need("role").map(str::to_owned);
    let proposal = match form.need("change")? {
        "make" => AccountProposal::Make {
            role: role()?,
            sites: sites(),
            kind: form.need("kind")?.to_owned(),
        },
        "change" => AccountProposal::Change {
            role: role()?,
            sites: sites(),
            before: (String::new(), Vec::new()),
            changed_at: 0,
        },
        "disable" => AccountProposal::Switch {
            disabled: true,
            changed_at: 0,
        },
        "enable" => AccountProposal::Switch {
            disabled: false,
            changed_at: 0,
        },
        "reset" => AccountProposal::Reset { changed_at: 0 },
        "remove" => AccountProposal::Remove { changed_at: 0 },
        _ => return Err(Refused::unreadable("there is no such change")),
    };
    let wish = Proposal::Account {
        name: form.need("name")?.trim().to_owned(),
        proposal,
    };
    let plan = propose_plan(&console, &wish, &visitor.account.name).await?;
    Ok(see(&address::plan(&plan.id)))
}

/// `POST /access/tokens`.
///
/// # Errors
/// 400, 403, 404.
pub async fn make_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let name = form.need("account")?;
    console.own_or_manages(&visitor, name).await?;
    let account = console.known_account(name).await?;
    let actions: Vec<String> = form.all("actions").map(str::to_owned).collect();
    let days = form.need("days")?.trim().parse();
    let days = days.map_err(|_| Refused::unreadable("`days` is a number"))?;
    let made = console
        .make_api_token(&visitor, &account, form.need("name")?, &actions, days)
        .await?;
    let page = SecretPage {
        shell: console.shell(Some(&visitor), address::ACCESS),
        title: format!("Token for \"{}\"", made.row.name),
        secret: made.token,
        facts: vec![
            ("account".to_owned(), made.row.account),
            ("id".to_owned(), made.row.id),
            ("may".to_owned(), made.row.actions.replace('\n', ", ")),
        ],
        command: "curl -H 'Authorization: Bearer …' …/api/v1/boxes".to_owned(),
        back_href: address::ACCESS.to_owned(),
        back: "Back to access".to_owned(),
    };
    Ok(Html(page.render()).into_response())
}

/// `POST /access/tokens/withdraw`.
///
/// # Errors
/// 403, 404.
pub async fn withdraw_token(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let account = form.need("account")?;
    console.own_or_manages(&visitor, account).await?;
    console
        .withdraw_api_token(&visitor, account, form.need("token")?)
        .await?;
    Ok(see(address::ACCESS))
}

/// `POST /access/alarms/settle`.
///
/// # Errors
/// 404.
pub async fn settle(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    console.settle_alarm(form.need("alarm")?, &visitor.account.name).await?;
    Ok(see(address::ACCESS))
}
