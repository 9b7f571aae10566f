//! The settings: the fleet, the keys by fingerprint, accounts and sessions.
//!
//! Refuses to show a secret. Invariant: an administrator sees every session, everybody else their own.

use axum::Extension;
use axum::extract::State;
use axum::response::{Html, Response};
use freehold_fleet::TpmKind;
use freehold_trust::certificate::Certificate;
use freehold_views::settings::{Account, FleetFacts, Key, Root, Session};
use freehold_views::{SettingsPage, address};

use super::see;
use super::shell::{digest, fingerprint};
use crate::console::Console;
use crate::people::action::Action;
use crate::people::guard::SafeForm;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// `GET /settings`.
///
/// # Errors
/// 500.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Refused> {
    let inside = |error: freehold_store::StoreFault| Refused::inside(&error);
    let may_administer = console.permits(&visitor, Action::ManageAccounts);
    let accounts = console.0.store.accounts().await.map_err(inside)?;
    let sessions = console.sessions_for(&visitor).await?;
    let sessions = sessions
        .into_iter()
        .map(|session| session_line(session, &visitor))
        .collect();
    let page = SettingsPage {
        shell: console.shell(Some(&visitor), address::SETTINGS),
        fleet: fleet_facts(&console),
        keys: keys(&console),
        roots: roots(&console),
        policies: console.0.authority.policies(),
        sessions,
        accounts: accounts
            .into_iter()
            .map(|account| Account {
                name: account.name,
                role: account.role,
                created: Some(account.made_at),
                last_sign_in: None,
                one_time_password: account.must_change,
            })
            .collect(),
        pair_command: "freehold box pair".to_owned(),
        may_administer,
    };
    Ok(Html(page.render()))
}

/// A session as pages show it.
pub(crate) fn session_line(session: freehold_store::SessionRow, visitor: &Visitor) -> Session {
    Session {
        factor: session.factor,
        current: session.id == visitor.session.id,
        id: session.id,
        account: session.account,
        since: session.made_at,
        last: session.made_at,
        until: session.expires,
        from: session.address,
    }
}

fn fleet_facts(console: &Console) -> FleetFacts {
    let file = console.file();
    let addresses = console.0.addresses.get();
    FleetFacts {
        id: file.fleet.clone(),
        made: Some(file.made_at),
        accepts_simulated: file.rules.accept_simulated,
        sites: console.fleet().sites().map(str::to_owned).collect(),
        people_address: addresses
            .map(|addresses| addresses.people_url.clone())
            .unwrap_or_default(),
        boxes_address: addresses
            .map(|addresses| addresses.boxes_url.clone())
            .unwrap_or_default(),
        proof_every_s: u32::try_from(file.rules.attest_every).ok(),
        settings_digest: freehold_verify::document::settings_digest(&console.settings_envelope())
            .map(|digest| digest.to_hex())
            .unwrap_or_default(),
    }
}

fn keys(console: &Console) -> Vec<Key> {
    let keys = &console.0.keys;
    let signing = [
        (
            "director",
            &keys.director,
            "Says which signed release a box runs. Stolen: boxes are moved among signed, unrevoked, not older releases, nothing else.",
        ),
        (
            "timestamp",
            &keys.timestamp,
            "Says which repository is the newest. Stolen: an older one may be kept up for as long as boxes accept it.",
        ),
        (
            "record",
            &keys.record,
            "Signs the record's heads. Stolen: a second history could be signed; boxes' cosignatures show it.",
        ),
    ];
    let mut shown: Vec<Key> = signing
        .into_iter()
        .map(|(name, key, worth)| Key {
            name: name.to_owned(),
            worth: worth.to_owned(),
            kind: key.public().kind().to_string(),
            fingerprint: digest("SHA-256 of its SubjectPublicKeyInfo", key.public().fingerprint()),
            development: false,
            not_after: None,
        })
        .collect();
    shown.push(Key {
        name: "fleet CA".to_owned(),
        worth: "Issues TLS certificates. Stolen: TLS only, no identity: boxes are known by their keys.".to_owned(),
        kind: "P-256".to_owned(),
        fingerprint: digest("SHA-256 of its certificate", keys.fleet_ca.fingerprint()),
        development: false,
        not_after: None,
    });
    shown
}

fn roots(console: &Console) -> Vec<Root> {
    let read = |root: &crate::state::EkRoot| {
        let certificate = Certificate::from_pem(&root.pem).ok()?;
        Some(Root {
            name: certificate.subject(),
            software: root.kind == TpmKind::Software,
            fingerprint: fingerprint("", &certificate.fingerprint().to_hex()).hex,
            not_after: Some(certificate.validity().1),
        })
    };
    console.file().ek_roots.iter().filter_map(read).collect()
}

/// `POST /settings/sessions/end`.
///
/// # Errors
/// 403 for somebody else's session without the right, 404.
pub async fn end_session(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    console.end_session(&visitor, form.need("session")?).await?;
    Ok(see(address::ACCESS))
}
