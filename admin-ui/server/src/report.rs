//! The auditor's report: one file of what the fleet has shown, signed with the record's key.
//!
//! Refuses to give out a report that its own checker would refuse, and to give one out before the record tells of it. Invariant:
//! nothing in it needs this console to be believed; there is no prompt in a record, and none in a report.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use freehold_audit::{
    AuditRejection, BoxLine, BoxMaterial, Deed, Document, Material, ModelLine, RecordPlace, Scope, make,
};
use freehold_fleet::Member;
use freehold_record::{Checkpoint, EntryView, Frontier, SignedNote, TlogProof, VerifierKey};
use freehold_record_files::{RecordFault, Recorder};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::container::{Kind, write};
use freehold_verify::evidence::{Evidence, EvidencePackage, Inclusion, NamedAssignment, NamedModel};
use freehold_verify::release::ReleaseKind;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// The period of a report that names none, seconds: a month.
pub const PERIOD: i64 = 31 * 86_400;
/// Most entries of the record in one report: bounds its memory. A longer period is refused, by name.
const ENTRIES: u64 = 4_000_000;
/// Entries that are looked through for the one that tells of a verdict.
const LOOKED_THROUGH: u64 = 50_000;
/// Evidence older than this shows nothing: a day, since an auditor does not come every quarter of an hour.
const MAX_AGE: i64 = 86_400;

/// A report on its way out.
#[derive(Debug)]
pub struct Made {
    /// The container's bytes.
    pub bytes: Vec<u8>,
    /// A name for the file.
    pub name: String,
}

/// The piece of the record that goes into a report.
#[derive(Default)]
struct Piece {
    note: Vec<u8>,
    size: u64,
    first: u64,
    before: Vec<Sha256Digest>,
    entries: Vec<Vec<u8>>,
}

impl Console {
    /// The key that this console's record verifies with.
    #[must_use]
    pub fn record_key(&self) -> VerifierKey {
        self.0.book.recorder().verifier().clone()
    }

    /// Makes a report about `scope` from `from` to now.
    ///
    /// # Errors
    /// 404 for an unknown box or model, 422 when the period has more entries than a report takes, 503 when the record cannot tell
    /// of it.
    pub(crate) async fn report(&self, scope: Scope, from: Option<i64>, by: &Visitor) -> Result<Made, Refused> {
        let at = self.now();
        let from = from.unwrap_or_else(|| at.saturating_sub(PERIOD));
        let recorder = self.0.book.recorder().clone();
        let piece = tokio::task::spawn_blocking(move || piece(&recorder, from))
            .await
            .map_err(|error| Refused::inside(&error))?
            .map_err(|error| Refused::inside(&error))?
            .ok_or_else(|| {
                let message = format!("the period has more than {ENTRIES} entries");
                Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "console.too_large", message)
            })?;
        let models = self.model_lines(&scope, &piece);
        let members = self.members_in(&scope)?;
        if matches!(scope, Scope::Model { .. }) && models.is_empty() {
            return Err(Refused::not_found("model"));
        }
        let told = told(&piece);
        let mut boxes = BTreeMap::new();
        let mut lines = Vec::new();
        for member in &members {
            let (line, material) = self.one_box_of_report(member, &models, &told, &piece).await?;
            lines.push(line);
            boxes.insert(member.box_id.clone(), material);
        }
        let document = Document {
            v: 1,
            fleet: self.0.file.fleet.clone(),
            name: self.0.file.name.clone(),
            scope: scope.clone(),
            from,
            at,
            made_by: by.account.name.clone(),
            max_age: MAX_AGE,
            record: RecordPlace {
                origin: self.0.book.recorder().verifier().name().to_owned(),
                key: self.0.book.verifier(),
                first: piece.first,
                before: piece.before.clone(),
            },
            boxes: lines,
            models,
        };
        let material = Material {
            document,
            checkpoint: piece.note,
            entries: piece.entries,
            boxes,
        };
        let console = self.clone();
        let bytes = tokio::task::spawn_blocking(move || console.written(&material))
            .await
            .map_err(|error| Refused::inside(&error))?
            .map_err(|rejection| Refused::of(&rejection))?;
        let entry = self
            .entry("report.made", &by.account.name)
            .fact("sha256", sha256(&bytes).to_hex())
            .fact("scope", scope.words());
        self.record(entry).await?;
        let what = match &scope {
            Scope::Fleet {} => "fleet".to_owned(),
            Scope::Box { id } => id.clone(),
            Scope::Model { digest } => digest.to_hex().chars().take(12).collect(),
        };
        Ok(Made {
            bytes,
            name: format!("freehold-report-{what}-{at}.fhz"),
        })
    }

    fn written(&self, material: &Material) -> Result<Vec<u8>, AuditRejection> {
        let files = make(material, |text| self.0.book.sign(text))?;
        let set = files
            .get("manifest")
            .map(|manifest| sha256(manifest))
            .unwrap_or_default();
        write(Kind::Report, set, &files).map_err(AuditRejection::Container)
    }

    fn members_in(&self, scope: &Scope) -> Result<Vec<Member>, Refused> {
        let fleet = self.fleet();
        let known = fleet.boxes().values().filter(|member| member.is_approved());
        match scope {
            Scope::Box { id } => {
                let member = fleet.member(id).ok_or_else(|| Refused::not_found("box"))?;
                Ok(vec![member.clone()])
            }
            Scope::Fleet {} => Ok(known.cloned().collect()),
            Scope::Model { digest } => {
                let hex = digest.to_hex();
                let runs = |member: &&Member| {
                    member
                        .report
                        .iter()
                        .flat_map(|report| &report.models)
                        .any(|model| model.digest == hex)
                };
                Ok(known.filter(runs).cloned().collect())
            }
        }
    }

    fn model_lines(&self, scope: &Scope, piece: &Piece) -> Vec<ModelLine> {
        let shelf = self.shelf();
        let mut lines: Vec<ModelLine> = shelf
            .descriptors
            .iter()
            .filter(|(_, descriptor)| descriptor.kind == ReleaseKind::Model)
            .filter_map(|(target, descriptor)| {
                let digest = descriptor.root?;
                if matches!(scope, Scope::Model { digest: wanted } if *wanted != digest) {
                    return None;
                }
                let card = shelf.cards.get(target);
                Some(ModelLine {
                    digest,
                    name: descriptor.name.clone(),
                    version: descriptor.version.clone(),
                    target: target.clone(),
                    signer: card.map(|card| card.signer.clone()).unwrap_or_default(),
                    signer_key: card.map(|card| card.fingerprint.clone()).unwrap_or_default(),
                    licence: descriptor.licence.clone().unwrap_or_else(|| "not stated".to_owned()),
                    revoked: shelf.barred(descriptor) == Some("release.revoked"),
                    life: life(target, piece),
                })
            })
            .collect();
        lines.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        lines
    }

    async fn one_box_of_report(
        &self,
        member: &Member,
        models: &[ModelLine],
        told: &BTreeMap<(String, String), u64>,
        piece: &Piece,
    ) -> Result<(BoxLine, BoxMaterial), Refused> {
        let mut line = BoxLine {
            box_id: member.box_id.clone(),
            label: member.label.clone(),
            site: member.site.clone(),
            verdict: None,
            inventory: member.inventory.is_some(),
        };
        let mut material = BoxMaterial {
            inventory: member
                .inventory
                .as_ref()
                .and_then(|known| serde_json::to_vec(known).ok()),
            ..BoxMaterial::default()
        };
        let found = self
            .0
            .store
            .evidence_of(&member.box_id, None)
            .await
            .map_err(|error| Refused::inside(&error))?;
        // What could not be read when it came has no package: the box has shown nothing, and the report says so.
        let Some(mut package) = found.and_then(|bytes| EvidencePackage::parse(&bytes).ok()) else {
            return Ok((line, material));
        };
        self.name_in(&mut package, models);
        line.verdict = package
            .verdict
            .get("word")
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned);
        let digest = sha256(&package.evidence).to_hex();
        if let Some(index) = told.get(&(member.box_id.clone(), digest)) {
            material.told = self.proof_of(*index, piece)?;
        }
        material.package = serde_json::to_vec(&package).ok();
        Ok((line, material))
    }

    /// Names and signers of what runs, and the assignment, in the package of a box.
    pub(crate) fn name_in(&self, package: &mut EvidencePackage, models: &[ModelLine]) {
        let running = Evidence::decode(&package.evidence)
            .map(|evidence| evidence.bound.models)
            .unwrap_or_default();
        package.models = running
            .iter()
            .filter_map(|digest| models.iter().find(|model| model.digest == *digest))
            .map(|model| NamedModel {
                digest: model.digest,
                name: model.name.clone(),
                version: model.version.clone(),
                signer: model.signer.clone(),
            })
            .collect();
        let fleet = self.fleet();
        let assignment = fleet
            .member(&package.box_id)
            .and_then(|member| member.assignment.as_ref());
        package.assignment = assignment.map(|head| NamedAssignment {
            counter: head.counter,
            targets: head.targets.clone(),
            by: head.by.clone(),
            approved_by: Vec::new(),
        });
    }

    fn proof_of(&self, index: u64, piece: &Piece) -> Result<Option<(Vec<u8>, TlogProof)>, Refused> {
        let at = usize::try_from(index.saturating_sub(piece.first)).unwrap_or(usize::MAX);
        let Some(entry) = piece.entries.get(at) else {
            return Ok(None);
        };
        let path = self
            .0
            .book
            .reader()
            .inclusion(index, piece.size)
            .map_err(|error| Refused::inside(&error))?;
        let checkpoint = SignedNote::parse(&piece.note).map_err(|error| Refused::inside(&error))?;
        let proof = TlogProof {
            extra: None,
            index,
            path,
            checkpoint,
        };
        Ok(Some((entry.clone(), proof)))
    }

    /// An evidence package as an auditor gets it: with names, the assignment, and the proof that the record tells of its verdict.
    pub(crate) async fn package_to_give(&self, box_id: &str, sha256: Option<&str>) -> Result<Vec<u8>, Refused> {
        let bytes = self.evidence_package(box_id, sha256).await?;
        // What could not be read when it came goes out as it is.
        let Ok(mut package) = EvidencePackage::parse(&bytes) else {
            return Ok(bytes);
        };
        let nothing = Piece::default();
        self.name_in(&mut package, &self.model_lines(&Scope::Fleet {}, &nothing));
        let digest = freehold_trust::sha256(&package.evidence).to_hex();
        let (console, about) = (self.clone(), box_id.to_owned());
        let proven = tokio::task::spawn_blocking(move || console.prove_verdict(&about, &digest))
            .await
            .map_err(|error| Refused::inside(&error))?
            .map_err(|error| Refused::inside(&error))?;
        package.inclusion = proven.map(|(entry, proof)| Inclusion {
            entry: String::from_utf8_lossy(&entry).into_owned(),
            proof: proof.to_string(),
            key: self.0.book.verifier(),
        });
        serde_json::to_vec(&package).map_err(|error| Refused::inside(&error))
    }

    /// The entry that tells of the verdict over this evidence, looked for among the newest.
    fn prove_verdict(&self, box_id: &str, evidence: &str) -> Result<Option<(Vec<u8>, TlogProof)>, RecordFault> {
        let recorder = self.0.book.recorder();
        let size = recorder.head().size;
        let start = size.saturating_sub(LOOKED_THROUGH);
        let tells = |bytes: &[u8]| {
            EntryView::parse(bytes).is_ok_and(|view| {
                view.what == "verdict.reached"
                    && view.text("about") == Some(box_id)
                    && view.text("evidence") == Some(evidence)
            })
        };
        let found = recorder.entries(start, size)?;
        match found.iter().rev().find(|(_, bytes)| tells(bytes)) {
            Some((index, _)) => self.prove_entry(*index).map(Some),
            None => Ok(None),
        }
    }

    /// The proof that an entry is in this console's record, with the entry itself.
    pub(crate) fn prove_entry(&self, index: u64) -> Result<(Vec<u8>, TlogProof), RecordFault> {
        let recorder = self.0.book.recorder();
        recorder.publish()?;
        let (note, checkpoint) = recorder.reader().checkpoint()?;
        let path = recorder.reader().inclusion(index, checkpoint.size)?;
        let entry = recorder
            .reader()
            .entries(index, index.saturating_add(1), checkpoint.size)?
            .into_iter()
            .next()
            .unwrap_or_default();
        let proof = TlogProof {
            extra: None,
            index,
            path,
            checkpoint: SignedNote::parse(&note)?,
        };
        Ok((entry, proof))
    }
}

/// Everything from the first entry of the period to the signed head; nothing when it is too long.
fn piece(recorder: &Recorder, from: i64) -> Result<Option<Piece>, RecordFault> {
    recorder.publish()?;
    let reader = recorder.reader();
    let (note, Checkpoint { size, .. }) = reader.checkpoint()?;
    let mut first = size;
    let mut newest_first: Vec<Vec<u8>> = Vec::new();
    // Backwards, bundle by bundle, to the first one that begins before the period.
    'back: while first > 0 {
        let start = first.saturating_sub(1) / 256 * 256;
        for entry in reader.entries(start, first, size)?.into_iter().rev() {
            if at_of(&entry).is_some_and(|at| at < from) {
                break 'back;
            }
            newest_first.push(entry);
            first = first.saturating_sub(1);
        }
        if size.saturating_sub(first) > ENTRIES {
            return Ok(None);
        }
    }
    newest_first.reverse();
    let before = Frontier::read(first, &reader.tree(size))?.roots().to_vec();
    Ok(Some(Piece {
        note,
        size,
        first,
        before,
        entries: newest_first,
    }))
}

fn at_of(entry: &[u8]) -> Option<i64> {
    let view = EntryView::parse(entry).ok()?;
    OffsetDateTime::parse(&view.at, &Rfc3339)
        .ok()
        .map(OffsetDateTime::unix_timestamp)
}

/// Box and digest of evidence → the last entry that tells of its verdict.
fn told(piece: &Piece) -> BTreeMap<(String, String), u64> {
    (piece.first..)
        .zip(&piece.entries)
        .filter_map(|(index, bytes)| {
            let view = EntryView::parse(bytes)
                .ok()
                .filter(|view| view.what == "verdict.reached")?;
            Some((
                (view.text("about")?.to_owned(), view.text("evidence")?.to_owned()),
                index,
            ))
        })
        .collect()
}

/// What the record tells about one target, oldest first.
fn life(target: &str, piece: &Piece) -> Vec<Deed> {
    let named = |view: &EntryView, field: &str| {
        matches!(view.fields.get(field), Some(freehold_record::Value::List(list))
            if list.contains(&freehold_record::Value::from(target)))
    };
    (piece.first..)
        .zip(&piece.entries)
        .filter_map(|(index, bytes)| {
            let view = EntryView::parse(bytes).ok()?;
            let tells = view.text("target") == Some(target) || named(&view, "targets") || named(&view, "releases");
            let what = match &view.refusal {
                Some(refusal) => format!("{} ({})", view.what, refusal.code),
                None => view.what.clone(),
            };
            tells.then(|| Deed {
                about: view.text("about").unwrap_or_default().to_owned(),
                at: view.at.clone(),
                who: view.who.clone(),
                what,
                entry: index,
            })
        })
        .collect()
}
