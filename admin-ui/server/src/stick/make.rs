//! Making a bundle: what these boxes lack, spread over parts, and the director's list of it.
//!
//! Refuses boxes that nobody knows and parts that are too small. Invariant: the list is durable in the database and the record
//! before the bundle can be fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use axum::http::StatusCode;
use freehold_protocol::report::Challenge;
use freehold_protocol::status::ModelPhase;
use freehold_protocol::stick::{METADATA, ROOT, TARGETS, letter_name};
use freehold_protocol::{Base64, V1};
use freehold_store::{BundleRow, Change, StickChallengeRow, StickChange};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::container::{ContentHasher, Draft, Kind};
use freehold_verify::release::{REVOCATIONS_NAME, ReleaseKind};
use freehold_verify::stick::{Bundle, DIRECTOR, Listed, MANIFEST, sign_bundle};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::layout::{Piece, Source, spread};
use crate::appraise::QUOTED_PCRS;
use crate::console::Console;
use crate::random;
use crate::refused::Refused;
use crate::repository::{Shelf, Stamp, timestamp};

/// Longest life of a bundle in days.
const MOST_DAYS: u32 = 92;
/// Bytes that are read at once while hashing.
const BLOCK: usize = 1 << 20;
/// One bundle is made at a time: numbers and timestamps count up.
static MAKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What somebody wants on a stick.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Boxes by identifier; empty for one that only invites boxes that the console does not know yet.
    #[serde(default)]
    pub boxes: Vec<String>,
    /// Most bytes of a part; absent means one part.
    pub part_size: Option<u64>,
    /// Days in which it may be taken; absent means 31.
    pub days: Option<u32>,
}

/// What was gathered: sources on the disk, and files to be written beside them.
#[derive(Default)]
struct Gathered {
    sources: Vec<(Source, Sha256Digest)>,
    small: BTreeMap<String, Vec<u8>>,
}

impl Console {
    /// Makes a bundle.
    ///
    /// # Errors
    /// 404 for an unknown box, 400 for parts that do not work out, 503 when it cannot be kept.
    pub async fn make_bundle(&self, wish: &Wish, by: &str) -> Result<Value, Refused> {
        let _turn = MAKING.lock().await;
        let now = self.now();
        let boxes: Vec<String> = wish
            .boxes
            .iter()
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for box_id in &boxes {
            self.show_held(box_id).await?;
        }
        let number = self.next_number(now).await?;
        let days = wish.days.map_or(self.0.file.rules.stick_max_age, |days| {
            i64::from(days.clamp(1, MOST_DAYS)) * 86_400
        });
        let not_after = now.saturating_add(days);
        let mut gathered = Gathered::default();
        let mut challenges = Vec::new();
        for box_id in &boxes {
            let nonce = random::bytes::<32>().map_err(|error| Refused::inside(&error))?;
            let expires = now.saturating_add(self.0.file.rules.stick_max_age);
            let challenge = Challenge {
                v: V1,
                nonce: Base64(nonce.to_vec()),
                pcrs: QUOTED_PCRS.to_vec(),
                expires,
            };
            let letter = self.letter(box_id, Some(challenge)).await?;
            let bytes = serde_json::to_vec(&letter).map_err(|error| Refused::inside(&error))?;
            gathered.small.insert(letter_name(box_id), bytes);
            challenges.push(StickChallengeRow {
                box_id: box_id.clone(),
                number: i64::try_from(number).unwrap_or(i64::MAX),
                nonce: nonce.to_vec(),
                issued: now,
                expires,
            });
        }
        self.gather_releases(&boxes, not_after, &mut gathered).await?;
        let key = self.returns_key()?;
        let folder = format!("bundles/{number}");
        let bundle = Bundle {
            v: 1,
            fleet: self.0.file.fleet.clone(),
            site: self.0.file.site.clone(),
            number,
            at: now,
            not_after,
            return_key: base64(key.public().spki_der()),
            boxes: boxes.clone(),
            files: gathered.listed(),
        };
        let envelope = sign_bundle(&bundle, &self.0.keys.director);
        let set = sha256(&envelope);
        let console = self.clone();
        let size = wish.part_size.unwrap_or(u64::MAX);
        let lengths = tokio::task::spawn_blocking(move || console.write_bundle(&folder, gathered, envelope, size))
            .await
            .map_err(|error| Refused::inside(&error))??;
        let document = json!({ "boxes": boxes, "parts": lengths, "files": bundle.files.len() });
        let row = BundleRow {
            number: i64::try_from(number).unwrap_or(i64::MAX),
            at: now,
            not_after,
            made_by: by.to_owned(),
            digest: set.to_hex(),
            document: document.to_string(),
        };
        let entry = self
            .entry("bundle.made", by)
            .fact("number", number)
            .fact("set", set.to_hex())
            .fact("boxes", boxes.clone());
        let change = StickChange::Made(row, challenges);
        let seal = self.0.book.append(vec![entry]);
        let done = self.0.store.commit(&[Change::Stick(&change)], seal).await;
        done.map_err(|fault| match fault {
            freehold_store::CommitFault::NotSealed(_) => Refused::not_durable(),
            other => Refused::inside(&other),
        })?;
        Ok(json!({
            "number": number, "set": set.to_hex(), "at": now, "not_after": not_after, "boxes": boxes, "parts": lengths,
            "files": bundle.files.len(),
        }))
    }

    /// Never used before, and never below the time: a restored backup does not use a number twice.
    async fn next_number(&self, now: i64) -> Result<u64, Refused> {
        let last = self.0.store.bundles().await.map_err(|error| Refused::inside(&error))?;
        let last = last.first().map_or(0, |row| row.number);
        Ok(u64::try_from(last.saturating_add(1).max(now)).unwrap_or(0))
    }

    async fn gather_releases(&self, boxes: &[String], until: i64, to: &mut Gathered) -> Result<(), Refused> {
        let pinned = self.shelf().pinned_bytes.clone();
        if !pinned.is_empty() {
            to.small.insert(ROOT.to_owned(), pinned);
        }
        let console = self.clone();
        let stamped = tokio::task::spawn_blocking(move || {
            let stamp = Stamp {
                key: &console.0.keys.timestamp,
                now: console.now(),
            };
            timestamp::for_stick(&console.0.dir, &stamp, until)
        })
        .await
        .map_err(|error| Refused::inside(&error))?;
        let Some(stamped) = stamped.map_err(|fault| crate::director::refused(&fault))? else {
            return Ok(());
        };
        for (file, bytes) in stamped.metadata {
            to.small.insert(format!("{METADATA}{file}"), bytes);
        }
        self.put_shelf(stamped.shelf);
        let shelf = self.shelf();
        for name in self.wanted(&shelf, boxes) {
            let Some(info) = shelf.targets.as_ref().and_then(|targets| targets.target(&name).ok()) else {
                continue;
            };
            let Some((file, length)) = shelf.served(&name) else {
                continue;
            };
            let source = Source {
                name: format!("{TARGETS}{name}"),
                length,
                file: format!("repository/targets/{file}"),
            };
            to.sources.push((source, info.sha256));
        }
        Ok(())
    }

    /// The targets that these boxes need and do not have: every policy and the revocations, and of assigned releases what no
    /// report says is there.
    fn wanted(&self, shelf: &Shelf, boxes: &[String]) -> BTreeSet<String> {
        let policies = format!("{}/", ReleaseKind::Policy.folder());
        let all = shelf.targets.iter().flat_map(|targets| targets.targets.keys());
        let mut wanted: BTreeSet<String> = all.filter(|name| name.starts_with(&policies)).cloned().collect();
        wanted.insert(REVOCATIONS_NAME.to_owned());
        let fleet = self.fleet();
        for member in boxes.iter().filter_map(|box_id| fleet.member(box_id)) {
            let has: BTreeSet<&str> = member
                .report
                .iter()
                .flat_map(|report| &report.models)
                .filter(|model| {
                    matches!(
                        model.phase,
                        ModelPhase::Admitted | ModelPhase::Starting | ModelPhase::Serving | ModelPhase::Stopped
                    )
                })
                .map(|model| model.digest.as_str())
                .collect();
            for name in member.assignment.iter().flat_map(|head| &head.targets) {
                wanted.insert(name.clone());
                let Some(descriptor) = shelf.descriptors.get(name) else {
                    continue;
                };
                let there = descriptor.root.is_some_and(|root| has.contains(root.to_hex().as_str()));
                if !there {
                    wanted.extend(descriptor.all_files().map(|file| descriptor.target_of(&file.path)));
                }
            }
        }
        wanted
    }

    /// Writes small files, heads and the layout; answers the parts' lengths.
    fn write_bundle(
        &self,
        folder: &str,
        gathered: Gathered,
        envelope: Vec<u8>,
        size: u64,
    ) -> Result<Vec<u64>, Refused> {
        let dir = &self.0.dir;
        let inside = |error: std::io::Error| Refused::inside(&error);
        let set = sha256(&envelope);
        fs::create_dir_all(dir.path(&format!("{folder}/files"))).map_err(inside)?;
        let keep = |at: usize, name: &str, bytes: &[u8]| -> Result<Source, Refused> {
            let file = format!("{folder}/files/{at}");
            dir.replace(&file, bytes).map_err(|fault| Refused::inside(&fault))?;
            Ok(Source {
                name: name.to_owned(),
                length: bytes.len() as u64,
                file,
            })
        };
        let everywhere = [
            keep(0, MANIFEST, &envelope)?,
            keep(1, DIRECTOR, self.0.keys.director.public().spki_der())?,
        ];
        let mut sources: Vec<Source> = gathered.sources.into_iter().map(|(source, _)| source).collect();
        for (at, (name, bytes)) in (2..).zip(&gathered.small) {
            sources.push(keep(at, name, bytes)?);
        }
        let parts = spread(&everywhere, &sources, size)
            .map_err(|fault| Refused::new(StatusCode::BAD_REQUEST, "bundle.part_size", fault.to_string()))?;
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let mut lengths = Vec::new();
        for (number, pieces) in (1..=count).zip(&parts) {
            let head = self.head_of(set, number, count, pieces)?;
            dir.replace(&format!("{folder}/{number}.head"), &head)
                .map_err(|fault| Refused::inside(&fault))?;
            let length = pieces
                .iter()
                .fold(head.len() as u64, |sum, piece| sum.saturating_add(piece.length));
            lengths.push(length);
        }
        let layout = serde_json::to_vec(&parts).map_err(|error| Refused::inside(&error))?;
        dir.replace(&format!("{folder}/layout.json"), &layout)
            .map_err(|fault| Refused::inside(&fault))?;
        Ok(lengths)
    }

    fn head_of(&self, set: Sha256Digest, number: u32, count: u32, pieces: &[Piece]) -> Result<Vec<u8>, Refused> {
        let refused = |fault: freehold_verify::container::ContainerRejection| Refused::of(&fault);
        let mut draft = Draft::new(Kind::Bundle, set, number, count);
        for piece in pieces {
            draft.piece(&piece.name, piece.whole, piece.start, piece.length);
            let digests = hash(&self.0.dir.path(&piece.file), piece).map_err(|error| Refused::inside(&error))?;
            draft.digests(&piece.name, digests).map_err(refused)?;
        }
        draft.to_bytes().map_err(refused)
    }
}

/// The digests of a piece; a file that ends early shows itself as another length.
fn hash(path: &Path, piece: &Piece) -> std::io::Result<freehold_verify::container::Digests> {
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(piece.start))?;
    let mut rest = file.take(piece.length);
    let (mut hasher, mut block) = (ContentHasher::default(), vec![0; BLOCK]);
    loop {
        let count = rest.read(&mut block)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(block.get(..count).unwrap_or_default());
    }
}

impl Gathered {
    fn listed(&self) -> Vec<Listed> {
        let on_disk = self.sources.iter().map(|(source, sha256)| Listed {
            name: source.name.clone(),
            length: source.length,
            sha256: *sha256,
        });
        let small = self.small.iter().map(|(name, bytes)| Listed {
            name: name.clone(),
            length: bytes.len() as u64,
            sha256: sha256(bytes),
        });
        on_disk.chain(small).collect()
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
