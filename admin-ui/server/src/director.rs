//! The director: assignments, signed; tokens of applications; the time, signed; records, cosigned.
//!
//! Refuses to sign for a release that the offline keys did not sign, or took back. Invariant: what a stolen director key can
//! do is bounded by the box, not by this file; this file only spares people refusals later.

use axum::http::StatusCode;
use freehold_fleet::Event;
use freehold_fleet::member::{AssignmentHead, TokenRow};
use freehold_trust::dsse::Envelope;
use freehold_trust::sha256;
use freehold_verify::document::{
    AssignedTarget, Assignment, Settings, settings_digest, sign_assignment, sign_settings,
};
use serde_json::json;

use crate::console::Console;
use crate::random;
use crate::refused::Refused;
use crate::repository::ShelfFault;

/// Payload type of the signed time.
pub const TIME_TYPE: &str = "application/vnd.freehold.time.v1+json";
/// Longest life of an assignment in days.
const MOST_DAYS: u32 = 366;

/// An assignment that was made.
#[derive(Debug)]
pub struct Made {
    /// Its head.
    pub head: AssignmentHead,
    /// SHA-256 of the envelope, hex.
    pub sha256: String,
}

/// What a box is to be assigned.
#[derive(Debug, Default)]
pub(crate) struct Assigning<'a> {
    /// Target names of what it is to run.
    pub(crate) names: &'a [String],
    /// What it is to keep as the way back.
    pub(crate) fallback: &'a [String],
    /// What it keeps already, because the assignment before said so: that needs no approval again.
    pub(crate) keeps: &'a [String],
    /// Life in days, when it is not the usual one.
    pub(crate) days: Option<u32>,
    /// Packages of approvals that travel beside it.
    pub(crate) packages: Vec<Vec<u8>>,
}

/// A token that was made.
pub struct MadeToken {
    /// The token, to be shown once.
    pub token: String,
    /// Its row.
    pub row: TokenRow,
}

impl Console {
    /// The targets of an assignment with lengths, digests and hardware, judged as a box would.
    pub(crate) fn judge_targets(&self, names: &[String]) -> Result<Vec<AssignedTarget>, Refused> {
        if names.is_empty() || names.len() > freehold_fleet::assignment::TARGET_LIMIT {
            let message = format!("an assignment with {} targets", names.len());
            return Err(Refused::new(StatusCode::BAD_REQUEST, "console.bad_targets", message));
        }
        let shelf = self.shelf();
        let mut targets = Vec::new();
        for name in names {
            let release = shelf
                .judge(&self.0.dir, name, self.now())
                .map_err(|fault| refused(&fault))?;
            let info = shelf.targets.as_ref().and_then(|targets| targets.target(name).ok());
            targets.push(AssignedTarget {
                name: name.clone(),
                length: info.map_or(0, |info| info.length),
                sha256: release.digest,
                hardware: release.descriptor.hardware.clone(),
            });
        }
        Ok(targets)
    }

    /// The settings of a box: none yet, but signed, so that their absence is.
    pub(crate) fn settings_envelope(&self) -> Vec<u8> {
        let settings = Settings {
            v: 1,
            fleet: self.0.file.fleet.clone(),
            values: serde_json::Map::new(),
        };
        sign_settings(&settings, &self.0.keys.director)
    }

    /// Assigns releases to a box.
    ///
    /// # Errors
    /// 422 with the release's code, 404 for a box that is no member.
    pub async fn assign(&self, box_id: &str, names: &[String], days: Option<u32>, by: &str) -> Result<Made, Refused> {
        self.assign_approved(box_id, names, days, by, Vec::new()).await
    }

    /// Assigns releases to a box, with packages of approvals ([`crate::approvals`]) beside the assignment.
    ///
    /// # Errors
    /// As [`Console::assign`]; 422 with the box's own code when the policy wants approvals and these are not enough.
    pub async fn assign_approved(
        &self,
        box_id: &str,
        names: &[String],
        days: Option<u32>,
        by: &str,
        packages: Vec<Vec<u8>>,
    ) -> Result<Made, Refused> {
        if names.is_empty() {
            // Nothing is a wish of rollouts only: a person takes the box out of the fleet instead.
            self.judge_targets(names)?;
        }
        let wish = Assigning {
            names,
            days,
            packages,
            ..Assigning::default()
        };
        self.assign_judged(box_id, wish, by).await
    }

    /// Every assignment goes through here: releases and approvals judged as a box would, then signed. A fallback that a box
    /// would refuse today is left out: it is a convenience, not a condition.
    ///
    /// # Errors
    /// As [`Console::assign_approved`].
    pub(crate) async fn assign_judged(&self, box_id: &str, wish: Assigning<'_>, by: &str) -> Result<Made, Refused> {
        let Assigning {
            names,
            fallback,
            keeps,
            days,
            mut packages,
        } = wish;
        let console = self.clone();
        let (wished, back) = (names.to_vec(), fallback.to_vec());
        let judged = tokio::task::spawn_blocking(move || {
            let targets = if wished.is_empty() {
                Vec::new()
            } else {
                console.judge_targets(&wished)?
            };
            let fallback = if back.is_empty() {
                Vec::new()
            } else {
                console.judge_targets(&back).unwrap_or_default()
            };
            Ok::<_, Refused>((targets, fallback))
        })
        .await
        .map_err(|error| Refused::inside(&error))?;
        let (targets, fallback) = match judged {
            Ok(judged) => judged,
            Err(refused) => {
                let entry = self
                    .entry("assignment.made", by)
                    .about(box_id)
                    .refused(&refused.report.code);
                self.record(entry.fact("targets", names.to_vec())).await?;
                return Err(refused);
            }
        };
        self.carry_packages(box_id, &targets, keeps, &mut packages).await?;
        if let Err(rejection) = self.judge_approvals(box_id, &targets, keeps, &packages) {
            let refused = Refused::of(&rejection);
            let entry = self.entry("assignment.made", by).about(box_id);
            let entry = entry.refused(&refused.report.code).fact("targets", names.to_vec());
            self.record(entry).await?;
            return Err(refused);
        }
        let now = self.now();
        let approvals = packages.iter().map(|package| sha256(package)).collect();
        self.keep_packages(box_id, packages).await?;
        let life = days.map_or(self.0.file.rules.assignment_ttl, |days| {
            i64::from(days.min(MOST_DAYS)) * 86_400
        });
        let head = AssignmentHead {
            counter: self.fleet().next_counter(box_id),
            targets: names.to_vec(),
            not_after: now.saturating_add(life),
            at: now,
            by: by.to_owned(),
        };
        let document = Assignment {
            v: 1,
            fleet: self.0.file.fleet.clone(),
            site: self.box_site(box_id),
            box_id: box_id.to_owned(),
            counter: head.counter,
            not_after: head.not_after,
            targets,
            fallback,
            settings_digest: settings_digest(&self.settings_envelope()).unwrap_or_default(),
            approvals,
        };
        let envelope = sign_assignment(&document, &self.0.keys.director);
        let sha256 = sha256(&envelope).to_hex();
        self.happen(Event::Assigned {
            box_id: box_id.to_owned(),
            head: head.clone(),
            envelope,
        })
        .await?;
        Ok(Made { head, sha256 })
    }

    /// Makes a token for an application of a box.
    ///
    /// # Errors
    /// 400 for a bad name, 404 for an unknown box.
    pub async fn make_token(
        &self,
        box_id: &str,
        name: &str,
        models: Vec<String>,
        days: Option<u32>,
        by: &str,
    ) -> Result<MadeToken, Refused> {
        let inside = |error: random::NoRandomness| Refused::inside(&error);
        let now = self.now();
        let token = format!("fh_{}", random::hex::<32>().map_err(inside)?);
        let row = TokenRow {
            id: random::hex::<4>().map_err(inside)?,
            name: name.to_owned(),
            sha256: sha256(token.as_bytes()).to_hex(),
            models,
            expires: days.map(|days| now.saturating_add(i64::from(days) * 86_400)),
            made_at: now,
            made_by: by.to_owned(),
        };
        self.happen(Event::TokenMade {
            box_id: box_id.to_owned(),
            token: row.clone(),
        })
        .await?;
        Ok(MadeToken { token, row })
    }

    /// The time over a box's nonce, signed: DSSE of `{v, nonce, at}`.
    #[must_use]
    pub fn signed_time(&self, nonce: &[u8]) -> Vec<u8> {
        let payload = json!({ "v": 1, "nonce": hex::encode(nonce), "at": self.now() });
        let bytes = serde_json::to_vec(&payload).unwrap_or_default();
        Envelope::sign(TIME_TYPE, &bytes, &[&self.0.keys.director]).to_json()
    }
}

/// A fault of the repository as an answer.
#[must_use]
pub fn refused(fault: &ShelfFault) -> Refused {
    match fault {
        ShelfFault::Refused(rejection) => Refused::of(rejection),
        ShelfFault::OtherRoot { expected, found } => {
            let mut refused = Refused::new(StatusCode::UNPROCESSABLE_ENTITY, fault.code(), fault.to_string());
            refused.report.expected = Some(expected.clone());
            refused.report.found = Some(found.clone());
            refused
        }
        ShelfFault::NoRoot { .. } | ShelfFault::Missing(_) => {
            Refused::new(StatusCode::UNPROCESSABLE_ENTITY, fault.code(), fault.to_string())
        }
        ShelfFault::State(_) | ShelfFault::Timestamp(_) => Refused::inside(fault),
    }
}
