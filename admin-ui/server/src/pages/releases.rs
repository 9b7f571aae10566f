//! The repository of signed releases.
//!
//! Refuses to invent what the metadata does not say. Invariant: what is listed was verified when the shelf was made.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::Html;
use freehold_views::releases::{Revocation, Role, Target};
use freehold_views::{ReleasesPage, address};

use super::shell::fault;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::repository::Shelf;

/// `GET /releases`.
pub async fn show(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Html<String> {
    let shell = console.shell(Some(&visitor), address::RELEASES);
    let shelf = console.shelf();
    let page = ReleasesPage {
        shell,
        faults: shelf
            .policy_fault
            .iter()
            .map(|policy| {
                let mut shown = fault(&policy.report, Some(shelf.read_at));
                shown.message = format!(
                    "{}: {}; the policies of this program are in force instead",
                    policy.target, shown.message
                );
                shown
            })
            .collect(),
        roles: roles(&shelf),
        targets: targets(&shelf),
        revocations: shelf
            .revoked()
            .into_iter()
            .map(|what| Revocation {
                what,
                reason: "taken back by the publisher".to_owned(),
                at: None,
            })
            .collect(),
        first_root: shelf.pinned.map(|digest| digest.to_hex()).unwrap_or_default(),
        publish_command: "freehold release publish".to_owned(),
    };
    Html(page.render())
}

fn roles(shelf: &Shelf) -> Vec<Role> {
    let Some(targets) = &shelf.targets else {
        return Vec::new();
    };
    let role = |name: &str, version: u64, custody: &str| Role {
        name: name.to_owned(),
        version,
        expires: shelf.valid_until,
        threshold: 1,
        keys: Vec::new(),
        custody: custody.to_owned(),
    };
    let mut roles = vec![
        role("root", shelf.root_version, "offline"),
        role("targets", targets.version, "offline"),
        role("timestamp", shelf.timestamp_version, "this console"),
    ];
    for shown in &mut roles {
        if let Some((threshold, keys, expires)) = shelf.roles.get(&shown.name) {
            shown.threshold = *threshold;
            shown.keys.clone_from(keys);
            shown.expires = expires.unwrap_or(shelf.valid_until);
        }
    }
    roles
}

fn targets(shelf: &Shelf) -> Vec<Target> {
    let Some(targets) = &shelf.targets else {
        return Vec::new();
    };
    let barred: BTreeMap<&String, bool> = shelf
        .descriptors
        .iter()
        .map(|(name, descriptor)| (name, shelf.barred(descriptor) == Some("release.revoked")))
        .collect();
    targets
        .targets
        .iter()
        .map(|(name, info)| Target {
            name: name.clone(),
            kind: match shelf.descriptors.get(name) {
                Some(descriptor) => descriptor.kind.word().to_owned(),
                None if name.starts_with("boot/") => "os".to_owned(),
                None if name == freehold_verify::release::REVOCATIONS_NAME => "revocations".to_owned(),
                None => String::new(),
            },
            bytes: info.length,
            sha256: info.sha256.to_hex(),
            here: true,
            revoked: barred.get(name).copied().unwrap_or(false),
        })
        .collect()
}
