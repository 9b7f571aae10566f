//! The fleet as a whole, and the pairing document.
//!
//! Refuses nothing that a viewer may see. Invariant: the pairing document is the same that `run` writes to `pairing.json`.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use freehold_protocol::V1;
use freehold_protocol::enrol::Pairing;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// `GET /api/v1/fleet`.
pub async fn show(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let now = console.now();
    let shelf = console.shelf();
    let fleet = console.fleet_of(&visitor);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for word in ["trusted", "trusted_simulated", "attention", "refused", "unknown"] {
        counts.insert(word.to_owned(), 0);
    }
    let mut waiting = 0u32;
    for member in fleet.boxes().values() {
        waiting = waiting.saturating_add(u32::from(member.waits_for_person()));
        if member.is_approved() {
            let word = serde_json::to_value(fleet.verdict_of(member, now).word).unwrap_or_default();
            let count = counts.entry(word.as_str().unwrap_or("unknown").to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    let addresses = console.0.addresses.get();
    Json(json!({
        "fleet": console.file().fleet,
        "name": console.file().name,
        "site": console.file().site,
        "sites": fleet.seen_sites(),
        "simulated_allowed": console.file().rules.accept_simulated,
        "version": env!("CARGO_PKG_VERSION"),
        "counts": counts,
        "boxes": fleet.boxes().len(),
        "waiting": waiting,
        "director": console.director().fingerprint().to_hex(),
        "fleet_ca": console.0.keys.fleet_ca.fingerprint().to_hex(),
        "tuf_root": shelf.pinned.map(|digest| digest.to_hex()),
        "record_key": console.0.book.verifier(),
        "people_url": addresses.map(|addresses| addresses.people_url.clone()),
        "boxes_url": addresses.map(|addresses| addresses.boxes_url.clone()),
    }))
}

impl Console {
    /// What a box needs to know its console.
    ///
    /// # Errors
    /// 404 for a site that is not served, 409 while no publisher is pinned or the doors are not open.
    pub fn pairing(&self, site: Option<&str>) -> Result<Pairing, Refused> {
        let not_yet = |message: &str| Refused::new(StatusCode::CONFLICT, "console.not_ready", message);
        let site = site.unwrap_or(&self.0.file.site);
        if !self.fleet().serves(site) {
            return Err(Refused::not_found("site"));
        }
        let shelf = self.shelf();
        let root = shelf
            .pinned
            .ok_or_else(|| not_yet("no publisher is pinned yet: import a repository first"))?;
        let addresses = self
            .0
            .addresses
            .get()
            .ok_or_else(|| not_yet("the doors are not open yet"))?;
        Ok(Pairing {
            v: V1,
            fleet: self.0.file.fleet.clone(),
            site: site.to_owned(),
            console: addresses.boxes_url.clone(),
            fleet_ca: self.0.keys.fleet_ca.fingerprint().to_hex(),
            tuf_root: root.to_hex(),
            director: self.director().fingerprint().to_hex(),
        })
    }
}

impl Console {
    /// Writes `pairing.json` for people who carry it to boxes; what cannot be written now is still answered by the API.
    pub(crate) fn write_pairing(&self) {
        let Ok(pairing) = self.pairing(None) else { return };
        let bytes = serde_json::to_vec_pretty(&pairing).unwrap_or_default();
        if let Err(error) = self.0.dir.replace("pairing.json", &bytes) {
            tracing::warn!(%error, "pairing.json was not written");
        }
    }
}

/// For a box at which site; the console's own when it is not said.
#[derive(Debug, Deserialize)]
pub struct AtSite {
    site: Option<String>,
}

/// `GET /api/v1/pairing`.
///
/// # Errors
/// 404 for a site that the console does not serve, 409.
pub async fn pairing(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<AtSite>,
) -> Result<Json<Pairing>, Refused> {
    let site = asked.site.as_deref();
    if !console.sees(&visitor, site.unwrap_or(&console.file().site)) {
        return Err(Refused::not_found("site"));
    }
    console.pairing(site).map(Json)
}
