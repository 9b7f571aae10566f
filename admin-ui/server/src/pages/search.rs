//! Search: a box, a model, a digest, a refusal code.
//!
//! Refuses to guess. Invariant: the list is bounded.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::Uri;
use axum::response::Html;
use freehold_verify::release::ReleaseKind;
use freehold_views::one_box::Tab;
use freehold_views::search::Hit;
use freehold_views::{SearchPage, address};
use serde::Deserialize;

use crate::console::Console;
use crate::people::session::Visitor;

/// Most hits.
const HITS: usize = 50;

/// The query of the address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
}

/// `GET /search`.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
    uri: Uri,
) -> Html<String> {
    let path = uri.path_and_query().map_or(address::SEARCH, |path| path.as_str());
    let mut shell = console.shell(Some(&visitor), path);
    let wanted = asked.q.trim().to_lowercase();
    shell.query = asked.q;
    let hits = if wanted.is_empty() {
        Vec::new()
    } else {
        hits(&console, &visitor, &wanted, shell.now)
    };
    Html(SearchPage { shell, hits }.render())
}

fn hits(console: &Console, visitor: &Visitor, wanted: &str, now: i64) -> Vec<Hit> {
    let shelf = console.shelf();
    let fleet = console.fleet_of(visitor);
    let has = |text: &str| text.to_lowercase().contains(wanted);
    let mut hits = Vec::new();
    for member in fleet.boxes().values() {
        let row = super::boxes::row(&fleet, member, now);
        let keys = member
            .shown_keys()
            .map(|keys| [keys.fingerprint.as_str(), keys.tls_spki.as_str()]);
        let by_key = has(&member.ek) || keys.is_some_and(|keys| keys.iter().any(|key| has(key)));
        let by_code = row.code.as_deref().is_some_and(has);
        if has(&row.id) || has(&row.label) || by_key || by_code {
            hits.push(Hit {
                kind: if by_key { "key" } else { "box" }.to_owned(),
                verdict: Some(row.verdict),
                title: row.id.clone(),
                detail: if by_code {
                    row.code.unwrap_or_default()
                } else {
                    format!("{} · {}", row.label, row.reason)
                },
                href: address::one_box(&row.id, Tab::Summary),
            });
        }
    }
    for (target, descriptor) in &shelf.descriptors {
        let digest = descriptor.root.map(|root| root.to_hex()).unwrap_or_default();
        if has(target) || has(&digest) {
            let model = descriptor.kind == ReleaseKind::Model;
            hits.push(Hit {
                kind: if model { "model" } else { "release" }.to_owned(),
                verdict: None,
                title: format!("{} {}", descriptor.name, descriptor.version),
                detail: target.clone(),
                href: if model {
                    address::model(&descriptor.name, &descriptor.version)
                } else {
                    address::RELEASES.to_owned()
                },
            });
        }
    }
    hits.truncate(HITS);
    hits
}
