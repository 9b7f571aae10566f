//! Bills, advisories and findings, as the verified releases have them.
//!
//! Refuses a set of advisories with a line that cannot be read, and says so instead of going on with less. Invariant: what a box
//! is made of follows from its last verdict, its report and its assignment; a part without a bill is said to have none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use freehold_fleet::{Entry, Fleet, Member};
use freehold_protocol::status::ModelPhase;
use freehold_store::{AcceptanceRow, PendingChange};
use freehold_supply::compose::{About, Part, compose};
use freehold_supply::spdx::to_spdx;
use freehold_supply::{
    Acceptance, Acceptances, Advisories, AdvisoryIndex, Bill, Component, Finding, FindingState, FleetParts, Scope,
    Severity, SupplyRejection, VexBook, findings,
};
use freehold_trust::PublicKey;
use freehold_verify::release::{ReleaseDescriptor, ReleaseKind};
use freehold_verify::{Refusal as _, RefusalReport};
use serde::Serialize;
use serde_json::Value;

use crate::console::Console;
use crate::random;
use crate::refused::Refused;
use crate::repository::Shelf;

/// Longest reason of an acceptance.
const MAX_REASON: usize = 500;
/// Longest acceptance, in days: a year. Whoever still thinks so accepts it again.
const MAX_DAYS: u32 = 366;

/// A release's bill.
#[derive(Debug)]
pub struct ReleaseBill {
    /// As it was signed.
    pub bytes: Vec<u8>,
    /// Read.
    pub bill: Bill,
}

/// What the releases say about what things are made of, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Supply {
    /// Target name of a release → its bill.
    pub bills: BTreeMap<String, ReleaseBill>,
    /// The advisories.
    pub index: AdvisoryIndex,
    /// Statements on exploitability of trusted signers.
    pub vex: VexBook,
    /// Files that could not be read, and why.
    pub faults: Vec<(String, RefusalReport)>,
}

/// Reads a document of the repository that may be large.
pub(crate) type Large<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

impl Supply {
    /// Reads everything out of the verified releases.
    pub(crate) fn read(shelf: &Shelf, document: &Large<'_>) -> Self {
        let mut supply = Self::default();
        let allowed = || shelf.descriptors.iter().filter(|(_, one)| shelf.barred(one).is_none());
        let mut keys = Vec::new();
        for (_, descriptor) in allowed().filter(|(_, one)| one.kind == ReleaseKind::Policy) {
            for file in descriptor.files.iter().filter(|file| file.path.ends_with(".vexkey")) {
                let pem = document(&descriptor.target_of(&file.path)).unwrap_or_default();
                keys.extend(PublicKey::from_spki_pem(&String::from_utf8_lossy(&pem)));
            }
        }
        for (target, descriptor) in &shelf.descriptors {
            if let Some(path) = bill_of(descriptor) {
                supply.take_bill(target, &descriptor.target_of(&path), document);
            }
        }
        // Of each name the newest set counts; names are sources, which stand beside each other.
        let mut newest: BTreeMap<&str, &ReleaseDescriptor> = BTreeMap::new();
        for (_, descriptor) in allowed().filter(|(_, one)| one.kind == ReleaseKind::Advisories) {
            let known = newest.entry(&descriptor.name).or_insert(descriptor);
            if descriptor.counter > known.counter {
                *known = descriptor;
            }
        }
        for descriptor in newest.into_values() {
            for file in &descriptor.files {
                supply.take_advisories(&descriptor.target_of(&file.path), &keys, document);
            }
        }
        supply
    }

    fn fault(&mut self, name: &str, rejection: &SupplyRejection) {
        tracing::error!(file = %name, code = %rejection.code(), error = %rejection, "a file of a release cannot be used");
        self.faults.push((name.to_owned(), rejection.report()));
    }

    fn take_bill(&mut self, target: &str, name: &str, document: &Large<'_>) {
        let Some(bytes) = document(name) else { return };
        match Bill::parse(&bytes) {
            Ok(bill) => drop(self.bills.insert(target.to_owned(), ReleaseBill { bytes, bill })),
            Err(rejection) => self.fault(name, &rejection),
        }
    }

    fn take_advisories(&mut self, name: &str, keys: &[PublicKey], document: &Large<'_>) {
        let taken = if name.ends_with(".jsonl") {
            let bytes = document(name).unwrap_or_default();
            Advisories::parse(&bytes).map(|set| drop(self.index.add(set)))
        } else if name.ends_with(".openvex.json") {
            self.vex.add(&document(name).unwrap_or_default(), keys).map(drop)
        } else {
            return;
        };
        if let Err(rejection) = taken {
            self.fault(name, &rejection);
        }
    }
}

/// The file of a release that is its bill.
fn bill_of(descriptor: &ReleaseDescriptor) -> Option<String> {
    match &descriptor.bom {
        Some(file) => Some(file.path.clone()),
        None => {
            let mut bills = descriptor.files.iter().filter(|file| file.path.ends_with(".cdx.json"));
            bills.next().map(|file| file.path.clone())
        }
    }
}

/// One part of a box.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoxPart {
    /// The target name of its release; for what no release names, what it says it is.
    pub name: String,
    /// CycloneDX type.
    pub kind: &'static str,
    /// Its version.
    pub version: String,
}

/// What a box runs now, as far as it has shown.
#[must_use]
pub fn parts_of(shelf: &Shelf, member: &Member) -> Vec<BoxPart> {
    let target =
        |kind: ReleaseKind, name: &str, version: &str| format!("{}/{name}/{version}/release.json", kind.folder());
    let mut parts = BTreeSet::new();
    let claims = member.verdict.as_ref().map_or(&Value::Null, |verdict| &verdict.claims);
    let said = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let (release, version) = (said("release"), said("version"));
    parts.insert(BoxPart {
        name: if release.is_empty() {
            "operating system, not shown".to_owned()
        } else {
            target(ReleaseKind::Os, release, version)
        },
        kind: "operating-system",
        version: version.to_owned(),
    });
    for model in member.report.iter().flat_map(|report| &report.models) {
        if matches!(
            model.phase,
            ModelPhase::Admitted | ModelPhase::Starting | ModelPhase::Serving
        ) {
            parts.insert(BoxPart {
                name: target(ReleaseKind::Model, &model.name, &model.version),
                kind: "machine-learning-model",
                version: model.version.clone(),
            });
        }
    }
    for name in member.assignment.iter().flat_map(|head| &head.targets) {
        if let Some(descriptor) = shelf
            .descriptors
            .get(name)
            .filter(|one| one.kind == ReleaseKind::Engine)
        {
            parts.insert(BoxPart {
                name: name.clone(),
                kind: "application",
                version: descriptor.version.clone(),
            });
        }
    }
    parts.into_iter().collect()
}

/// A finding over the fleet.
#[derive(Debug, Clone, Serialize)]
pub struct FleetFinding {
    /// The finding, as it stands where it stands worst.
    #[serde(flatten)]
    pub finding: Finding,
    /// The boxes that have it.
    pub boxes: Vec<String>,
}

/// What somebody wants to accept.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The advisory.
    pub advisory: String,
    /// The package, with or without a version.
    pub package: String,
    /// Where.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// For how many days.
    pub days: u32,
}

impl Console {
    /// The bill of what a box runs now: CycloneDX 1.6, or SPDX 2.3.
    ///
    /// # Errors
    /// 404; 422 when a bill of a release cannot be read.
    pub fn box_bill(&self, id: &str, spdx: bool) -> Result<Vec<u8>, Refused> {
        let shelf = self.shelf();
        let (parts, label, site) = {
            let fleet = self.fleet();
            let member = fleet.member(id).ok_or_else(|| Refused::not_found("box"))?;
            (parts_of(&shelf, member), member.label.clone(), member.site.clone())
        };
        let named: Vec<Part<'_>> = parts
            .iter()
            .map(|part| Part {
                name: &part.name,
                kind: part.kind,
                version: &part.version,
                bill: shelf.supply.bills.get(&part.name).map(|bill| bill.bytes.as_slice()),
            })
            .collect();
        let about = About {
            box_id: id,
            label: if label.is_empty() { id } else { &label },
            site: &site,
            at: self.now(),
        };
        let bytes = compose(&about, &named).map_err(|rejection| Refused::of(&rejection))?;
        if !spdx {
            return Ok(bytes);
        }
        let bill = Bill::parse(&bytes).map_err(|rejection| Refused::of(&rejection))?;
        to_spdx(&bill, about.at).map_err(|rejection| Refused::of(&rejection))
    }

    /// What every approved box of a fleet, or of the part of it that somebody sees, is made of.
    #[must_use]
    pub fn fleet_parts(&self, fleet: &Fleet) -> FleetParts {
        let shelf = self.shelf();
        let mut parts = FleetParts::default();
        for (name, bill) in &shelf.supply.bills {
            parts.set_part(name, bill.bill.components.clone());
        }
        for member in fleet.boxes().values().filter(|member| member.is_approved()) {
            let names = parts_of(&shelf, member).into_iter().map(|part| part.name).collect();
            parts.set_box(&member.box_id, names);
        }
        parts
    }

    fn accepted(&self) -> Acceptances {
        let kept = self.0.accepted.read().unwrap_or_else(PoisonError::into_inner);
        Acceptances::new(kept.clone())
    }

    /// The findings of one box, worst first.
    ///
    /// # Errors
    /// 404.
    pub fn box_findings(&self, id: &str) -> Result<Vec<Finding>, Refused> {
        let shelf = self.shelf();
        let parts = {
            let fleet = self.fleet();
            let member = fleet.member(id).ok_or_else(|| Refused::not_found("box"))?;
            parts_of(&shelf, member)
        };
        let accepted = self.accepted();
        Ok(self.findings_of(&shelf, &parts, id, &accepted))
    }

    fn findings_of(&self, shelf: &Shelf, parts: &[BoxPart], id: &str, accepted: &Acceptances) -> Vec<Finding> {
        let supply = &shelf.supply;
        let named: Vec<(&str, &[Component])> = parts
            .iter()
            .filter_map(|part| {
                let bill = supply.bills.get(&part.name)?;
                Some((part.name.as_str(), bill.bill.components.as_slice()))
            })
            .collect();
        findings(&named, Some(id), &supply.index, &supply.vex, accepted, self.now())
    }

    /// The findings of a fleet, or of the part of it that somebody sees, worst first. Boxes of the same parts are looked at
    /// once, but for acceptances of one box.
    #[must_use]
    pub fn fleet_findings(&self, fleet: &Fleet) -> Vec<FleetFinding> {
        let shelf = self.shelf();
        let accepted = self.accepted();
        let mut alike: BTreeMap<Vec<BoxPart>, Vec<String>> = BTreeMap::new();
        for member in fleet.boxes().values().filter(|member| member.is_approved()) {
            alike
                .entry(parts_of(&shelf, member))
                .or_default()
                .push(member.box_id.clone());
        }
        let apart: BTreeSet<String> = {
            let kept = self.0.accepted.read().unwrap_or_else(PoisonError::into_inner);
            let boxes = kept.iter().filter_map(|one| match &one.scope {
                Scope::Box(id) => Some(id.clone()),
                _ => None,
            });
            boxes.collect()
        };
        let mut all: BTreeMap<(String, String), FleetFinding> = BTreeMap::new();
        let mut add = |found: Vec<Finding>, boxes: &[String]| {
            for finding in found {
                let component = finding.component.as_ref().map(ToString::to_string).unwrap_or_default();
                let key = (finding.advisory.clone(), component);
                let known = all.entry(key).or_insert_with(|| FleetFinding {
                    finding: finding.clone(),
                    boxes: Vec::new(),
                });
                if finding.component.is_some() {
                    known.boxes.extend(boxes.iter().cloned());
                }
                if finding.state.is_open() && !known.finding.state.is_open() {
                    known.finding = finding;
                }
            }
        };
        for (parts, boxes) in &alike {
            let (own, shared): (Vec<String>, Vec<String>) = boxes.iter().cloned().partition(|id| apart.contains(id));
            if let Some(first) = shared.first() {
                add(self.findings_of(&shelf, parts, first, &accepted), &shared);
            }
            for id in own {
                add(
                    self.findings_of(&shelf, parts, &id, &accepted),
                    std::slice::from_ref(&id),
                );
            }
        }
        if alike.is_empty() {
            add(self.findings_of(&shelf, &[], "", &accepted), &[]);
        }
        let mut list: Vec<FleetFinding> = all.into_values().collect();
        list.sort_by(|left, right| {
            let open = |one: &FleetFinding| one.finding.state.is_open();
            open(right)
                .cmp(&open(left))
                .then_with(|| right.finding.severity.cmp(&left.finding.severity))
                .then_with(|| left.finding.advisory.cmp(&right.finding.advisory))
        });
        list
    }

    /// Accepts a finding for a while; the record says who and why.
    ///
    /// # Errors
    /// 422 without a reason, for too long, or for something that is not open; 503 when the record is not durable.
    pub async fn accept_finding(&self, wanted: Wanted, by: &str) -> Result<Acceptance, Refused> {
        let bad = |what: &str| {
            Refused::new(
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                "console.unreadable",
                what.to_owned(),
            )
        };
        let reason = wanted.reason.trim();
        if reason.is_empty() || reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(bad("an acceptance needs a reason, one line of at most 500 bytes"));
        }
        if wanted.days == 0 || wanted.days > MAX_DAYS {
            return Err(bad("an acceptance lasts for 1 to 366 days"));
        }
        let package = wanted
            .package
            .parse::<freehold_supply::Purl>()
            .map_err(|_| bad("the package is no package URL"))?
            .package()
            .to_string();
        let fits = |one: &&FleetFinding| {
            let of = one.finding.component.as_ref().map(|purl| purl.package().to_string());
            one.finding.advisory == wanted.advisory && of.as_deref() == Some(package.as_str())
        };
        let found = self.fleet_findings(&self.fleet());
        let open = found
            .iter()
            .filter(fits)
            .find(|one| matches!(one.finding.state, FindingState::Open { .. }))
            .ok_or_else(|| Refused::not_found("open finding"))?;
        let now = self.now();
        let acceptance = Acceptance {
            advisory: wanted.advisory,
            package,
            scope: wanted.scope,
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: now,
            until: now.saturating_add(i64::from(wanted.days).saturating_mul(86_400)),
            severity: open.finding.severity,
        };
        let row = AcceptanceRow {
            id: random::hex::<8>().map_err(|error| Refused::inside(&error))?,
            at: now,
            until: acceptance.until,
            document: serde_json::to_string(&acceptance).map_err(|error| Refused::inside(&error))?,
        };
        let entry = self.accepted_entry(&acceptance);
        self.pending_change(vec![PendingChange::Accepted(row)], vec![entry])
            .await?;
        self.0
            .accepted
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(acceptance.clone());
        Ok(acceptance)
    }

    fn accepted_entry(&self, acceptance: &Acceptance) -> Entry {
        self.entry("finding.accepted", &acceptance.by)
            .about(&acceptance.advisory)
            .fact("package", acceptance.package.clone())
            .fact("reason", acceptance.reason.clone())
            .fact("until", acceptance.until)
            .fact("severity", acceptance.severity.word())
    }
}

/// The acceptances of a database; one that cannot be read accepts nothing.
#[must_use]
pub fn acceptances(rows: Vec<AcceptanceRow>) -> Vec<Acceptance> {
    rows.iter()
        .filter_map(|row| serde_json::from_str(&row.document).ok())
        .collect()
}

/// The worst open finding of a list, and how many are open.
#[must_use]
pub fn summary(list: &[FleetFinding]) -> (Severity, usize) {
    let open = list.iter().filter(|one| one.finding.state.is_open());
    let worst = open.clone().map(|one| one.finding.severity).max();
    (worst.unwrap_or(Severity::None), open.count())
}

/// The shelf's part, shared by everything that asks.
pub type Shared = Arc<Supply>;
