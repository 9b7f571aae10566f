//! Findings over the fleet, and where a package is.
//!
//! Refuses to accept without a reason and an end. Invariant: filled from the same functions as the API.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{Html, Response};
use freehold_supply::finding::STALE;
use freehold_supply::{FindingState, Scope};
use freehold_views::advisories::{FindingRow, PlaceRow};
use freehold_views::{AdvisoriesPage, address};
use serde::Deserialize;

use super::see;
use super::shell::fault;
use crate::console::Console;
use crate::people::action::Action;
use crate::people::guard::SafeForm;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::supply::{FleetFinding, Wanted};

/// Findings and places shown: what is worse stands first, and the API has the rest.
const SHOWN: usize = 100;

/// What was asked for.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default)]
    package: String,
}

/// `GET /releases/advisories`.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Html<String> {
    let shelf = console.shelf();
    let supply = &shelf.supply;
    let mut found = console.fleet_findings(&console.fleet_of(&visitor));
    let stale = found
        .iter()
        .position(|one| one.finding.advisory == STALE)
        .map(|place| found.remove(place).finding.summary)
        .unwrap_or_default();
    let parts = console.fleet_parts(&console.fleet_of(&visitor));
    let without: BTreeSet<String> = parts
        .boxes()
        .values()
        .flatten()
        .filter(|name| !supply.bills.contains_key(*name))
        .cloned()
        .collect();
    let places = if asked.package.is_empty() {
        Vec::new()
    } else {
        parts.places(&asked.package)
    };
    let page = AdvisoriesPage {
        shell: console.shell(Some(&visitor), address::ADVISORIES),
        faults: supply
            .faults
            .iter()
            .map(|(file, report)| {
                let mut shown = fault(report, Some(shelf.read_at));
                shown.message = format!("{file}: {}", shown.message);
                shown
            })
            .collect(),
        known: supply.index.len(),
        modified: (!supply.index.is_empty()).then(|| supply.index.modified()),
        stale,
        without_bill: without.into_iter().take(SHOWN).collect(),
        total: found.len(),
        rows: found.iter().take(SHOWN).map(row).collect(),
        places: places
            .into_iter()
            .take(SHOWN)
            .map(|place| PlaceRow {
                box_id: place.box_id,
                part: place.part,
                component: place.component,
            })
            .collect(),
        package: asked.package,
        may_accept: console.permits(&visitor, Action::AcceptFindings),
        publish_command:
            "freehold release publish publisher --kind advisories --file osv.jsonl --name osv --release-version DATE"
                .to_owned(),
    };
    Html(page.render())
}

fn row(one: &FleetFinding) -> FindingRow {
    let finding = &one.finding;
    let purl = finding.component.as_ref();
    FindingRow {
        advisory: finding.advisory.clone(),
        aliases: finding.aliases.iter().take(3).cloned().collect(),
        summary: finding.summary.clone(),
        severity: finding.severity.word().to_owned(),
        package: purl.map(|purl| purl.package().to_string()).unwrap_or_default(),
        version: purl.map(|purl| purl.version.clone()).unwrap_or_default(),
        fixed: finding.fixed.iter().take(3).cloned().collect(),
        boxes: one.boxes.len(),
        state: match &finding.state {
            FindingState::Open { reopened: None } => "open".to_owned(),
            FindingState::Open { reopened: Some(why) } => format!("open again: {why}"),
            FindingState::Accepted { by, reason, .. } => format!("accepted by {by}: {reason}"),
            FindingState::NotAffected { why, .. } => format!("not affected: {why}"),
        },
        open: finding.state.is_open(),
    }
}

/// `POST /releases/advisories`.
///
/// # Errors
/// 404 when nothing is open, 422 without a reason or an end.
pub async fn accept(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let wanted = Wanted {
        advisory: form.need("advisory")?.to_owned(),
        package: form.need("package")?.to_owned(),
        scope: Scope::Fleet,
        reason: form.need("reason")?.to_owned(),
        days: form
            .need("days")?
            .parse()
            .map_err(|_| Refused::unreadable("the days are no number".to_owned()))?,
    };
    console.accept_finding(wanted, &visitor.account.name).await?;
    Ok(see(address::ADVISORIES))
}
