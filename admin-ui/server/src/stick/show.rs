//! Bundles as people see them: what was made, who is back, who is not yet.
//!
//! Refuses to count a box as back for an older bundle's return. Invariant: "back" says that a return was taken in; how the box is
//! stands beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::console::Console;
use crate::people::action::Action;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// One bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BundleShown {
    /// Its number.
    pub number: i64,
    /// When it was made, Unix seconds.
    pub at: i64,
    /// Until when it may be taken.
    pub not_after: i64,
    /// Who made it.
    pub made_by: String,
    /// SHA-256 of its list, hex.
    pub set: String,
    /// Lengths of its parts.
    pub parts: Vec<u64>,
    /// Its boxes, with what came back.
    pub boxes: Vec<BoxBack>,
    /// How many of them are back.
    pub back: usize,
    /// In words: "3 of 5 back, 2 not yet".
    pub says: String,
}

/// What came back of one box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BoxBack {
    /// The box.
    pub id: String,
    /// When its return was taken in; absent when there is none yet.
    pub at: Option<i64>,
    /// The verdict on the evidence in it.
    pub verdict: Option<String>,
    /// Whether the assignment is achieved.
    pub achieved: bool,
    /// Codes of what was refused in it.
    pub refused: Vec<String>,
}

/// A bundle's document in the database.
#[derive(Debug, Default, Deserialize)]
struct Document {
    boxes: Vec<String>,
    parts: Vec<u64>,
}

/// What came of a return, as it is kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    pub(crate) verdict: Option<String>,
    pub(crate) achieved: bool,
    pub(crate) taken: Vec<String>,
    pub(crate) refused: BTreeMap<String, String>,
    pub(crate) entries: u64,
}

impl Console {
    /// The bundles that a visitor sees, newest first: those whose boxes all stand at the visitor's sites.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bundles_shown(&self, visitor: &Visitor) -> Result<Vec<BundleShown>, Refused> {
        let rows = self.0.store.bundles().await.map_err(|error| Refused::inside(&error))?;
        let oldest = rows.last().map_or(0, |row| row.number);
        let returns = self.0.store.returns_since(oldest).await;
        let returns = returns.map_err(|error| Refused::inside(&error))?;
        let shown = rows.into_iter().filter_map(|row| {
            let document: Document = serde_json::from_str(&row.document).unwrap_or_default();
            let places = self.places_of_boxes(document.boxes.iter().map(String::as_str));
            if !self.permits_at_all(visitor, Action::Look, &places) {
                return None;
            }
            let boxes: Vec<BoxBack> = (document.boxes.iter())
                .map(|box_id| {
                    // The last one that answers this bundle.
                    let last = returns
                        .iter()
                        .rfind(|back| back.number == row.number && back.box_id == *box_id);
                    let outcome: Outcome = last
                        .and_then(|back| serde_json::from_str(&back.document).ok())
                        .unwrap_or_default();
                    BoxBack {
                        id: box_id.clone(),
                        at: last.map(|back| back.at),
                        verdict: outcome.verdict,
                        achieved: outcome.achieved,
                        refused: outcome.refused.into_values().collect(),
                    }
                })
                .collect();
            let back = boxes.iter().filter(|one| one.at.is_some()).count();
            let says = match (back, boxes.len()) {
                (_, 0) => "an invitation".to_owned(),
                (back, all) if back == all => format!("all {all} back"),
                (back, all) => format!("{back} of {all} back, {} not yet", all.saturating_sub(back)),
            };
            Some(BundleShown {
                number: row.number,
                at: row.at,
                not_after: row.not_after,
                made_by: row.made_by,
                set: row.digest,
                parts: document.parts,
                boxes,
                back,
                says,
            })
        });
        Ok(shown.collect())
    }
}
