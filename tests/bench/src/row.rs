//! One line of the table.

use serde::Serialize;

/// A figure beside its peer.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Our figure with its unit.
    pub ours: String,
    /// The peer and its figure.
    pub peer: String,
    /// Ours over the peer's, where that makes sense.
    pub ratio: Option<f64>,
    /// What was wanted.
    pub wanted: String,
    /// Whether it holds; `None` where nothing was wanted.
    pub holds: Option<bool>,
}

impl Row {
    /// A row whose ratio has to reach `at_least`.
    pub fn at_least(what: &str, ours: String, peer: String, ratio: f64, at_least: f64) -> Self {
        Self {
            what: what.to_owned(),
            ours,
            peer,
            ratio: Some((ratio * 1000.0).round() / 1000.0),
            wanted: format!("at least {at_least}"),
            holds: Some(ratio >= at_least),
        }
    }
}
