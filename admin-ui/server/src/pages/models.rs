//! Models: the list and one of them.
//!
//! Refuses to show what the offline keys did not sign. Invariant: "this model" is its digest.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Html;
use freehold_fleet::Fleet;
use freehold_protocol::status::ModelPhase;
use freehold_verify::release::{ReleaseDescriptor, ReleaseKind};
use freehold_views::models::{ModelFile, ModelRow, Place};
use freehold_views::{ModelPage, ModelsPage, address};

use super::shell::{fault, fingerprint};
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::repository::Shelf;

/// Places shown on one model's page.
const PLACES: usize = 200;

fn row(shelf: &Shelf, fleet: &Fleet, target: &str, descriptor: &ReleaseDescriptor) -> ModelRow {
    let digest = descriptor.root.map(|root| root.to_hex()).unwrap_or_default();
    let card = shelf.cards.get(target);
    let reported = || {
        let models = fleet
            .boxes()
            .values()
            .flat_map(|member| member.report.iter().flat_map(|report| &report.models));
        models.filter(|model| model.name == descriptor.name && model.version == descriptor.version)
    };
    let count =
        |phase: ModelPhase| u32::try_from(reported().filter(|model| model.phase == phase).count()).unwrap_or(u32::MAX);
    let assigned = fleet
        .boxes()
        .values()
        .filter(|member| {
            member
                .assignment
                .as_ref()
                .is_some_and(|head| head.targets.iter().any(|name| name == target))
        })
        .count();
    ModelRow {
        name: descriptor.name.clone(),
        version: descriptor.version.clone(),
        signer: card.map(|card| card.signer.clone()).unwrap_or_default(),
        // What this console verified comes first; what a box verified stands where the console has no key to do it.
        signer_fingerprint: card
            .map(|card| card.fingerprint.clone())
            .filter(|fingerprint| !fingerprint.is_empty())
            .or_else(|| Some(reported().find(|model| model.digest == digest)?.signer.clone()))
            .unwrap_or_default(),
        licence: descriptor.licence.clone().unwrap_or_default(),
        bytes: descriptor
            .files
            .iter()
            .map(|file| file.length)
            .fold(0, u64::saturating_add),
        released: None,
        revoked: shelf
            .barred(descriptor)
            .map(|code| freehold_explain::explain(code).map_or_else(|| code.to_owned(), |said| said.what)),
        serving: count(ModelPhase::Serving),
        assigned: u32::try_from(assigned).unwrap_or(u32::MAX),
        refused: count(ModelPhase::Refused),
        digest,
    }
}

/// `GET /models`.
pub async fn list(State(console): State<Console>, Extension(visitor): Extension<Visitor>) -> Html<String> {
    let shell = console.shell(Some(&visitor), address::MODELS);
    let shelf = console.shelf();
    let page = {
        let fleet = console.fleet_of(&visitor);
        let models = shelf
            .descriptors
            .iter()
            .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Model);
        let mut models: Vec<_> = models.collect();
        models.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name).then(b.counter.cmp(&a.counter)));
        ModelsPage {
            shell,
            rows: models
                .into_iter()
                .map(|(target, descriptor)| row(&shelf, &fleet, target, descriptor))
                .collect(),
            publish_command: "freehold release publish".to_owned(),
        }
    };
    Html(page.render())
}

/// `GET /models/{name}/{version}`.
///
/// # Errors
/// 404.
pub async fn one(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Html<String>, Refused> {
    let shell = console.shell(Some(&visitor), &address::model(&name, &version));
    let now = shell.now;
    let shelf = console.shelf();
    let found = shelf.descriptors.iter().find(|(_, descriptor)| {
        descriptor.kind == ReleaseKind::Model && descriptor.name == name && descriptor.version == version
    });
    let (target, descriptor) = found.ok_or_else(|| Refused::not_found("model"))?;
    let page = {
        let fleet = console.fleet_of(&visitor);
        let row = row(&shelf, &fleet, target, descriptor);
        let places = fleet.boxes().values().filter_map(|member| {
            let model = member
                .report
                .iter()
                .flat_map(|report| &report.models)
                .find(|model| model.name == name && model.version == version);
            let assigned = member
                .assignment
                .as_ref()
                .is_some_and(|head| head.targets.iter().any(|name| name == target));
            (model.is_some() || assigned).then(|| Place {
                box_id: member.box_id.clone(),
                label: member.label.clone(),
                site: member.site.clone(),
                verdict: fleet.verdict_of(member, now).word,
                phase: model.map(|model| model.phase),
                reason: model.and_then(|model| model.reason.clone()).unwrap_or_default(),
            })
        });
        let mut fingerprints = vec![fingerprint("model (root digest of its signature)", &row.digest)];
        let card = shelf.cards.get(target).cloned().unwrap_or_default();
        if !row.signer_fingerprint.is_empty() {
            let of = if card.fingerprint.is_empty() {
                "signer's key, as boxes verified it"
            } else {
                "signer's key, as this console verified it"
            };
            fingerprints.push(fingerprint(of, &row.signer_fingerprint));
        }
        ModelPage {
            shell,
            faults: card.faults.iter().map(|report| fault(report, None)).collect(),
            fingerprints,
            signature_kind: "OpenSSF Model Signing".to_owned(),
            files: descriptor
                .files
                .iter()
                .map(|file| ModelFile {
                    path: file.path.clone(),
                    bytes: file.length,
                    sha256: file.sha256.to_hex(),
                })
                .collect(),
            bom: card.facts,
            bom_digest: descriptor
                .bom
                .as_ref()
                .map(|file| file.sha256.to_hex())
                .unwrap_or_default(),
            hardware: descriptor.hardware.clone(),
            embeddings: descriptor.embeddings,
            places: places.take(PLACES).collect(),
            verify_command: format!("freehold-inspect model {name}/ --bundle model.sig --key signer.pem"),
            row,
        }
    };
    Ok(Html(page.render()))
}
