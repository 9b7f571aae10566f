//! A stick instead of a network: reading a bundle from a folder, and answering it with a return.
//!
//! Refuses to follow links, to open anything but plain files, and to write anywhere but one file of its own. Invariant: what
//! comes from a stick passes the same functions as what comes over the wire; a stick only takes the place of the connection.

pub(crate) mod courier;
pub(crate) mod door;
pub(crate) mod folder;

use std::path::PathBuf;
use std::sync::Arc;

use freehold_protocol::stick::ImportState;
use freehold_trust::Sha256Digest;
use freehold_verify::stick::BundleExpectation;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::state::State;
use courier::Courier;

/// File of what was taken, in the state folder.
const FILE: &str = "stick.json";
/// Looks at one bundle that change nothing before an import ends as it is: a part is missing, or something was refused.
const PATIENCE: u32 = 3;

/// Why a folder or a wish is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImportRejection {
    /// A link, a device, a pipe.
    #[error("`{0}` is no plain file")]
    NotPlain(String),
    /// No bundle.
    #[error("`{0}` holds no bundle")]
    Empty(String),
    /// More names than any stick of ours.
    #[error("the folder holds more than {0} files")]
    Crowded(usize),
    /// The folder cannot be read.
    #[error("`{path}` cannot be read: {detail}")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        detail: String,
    },
    /// The plan is another one than was shown.
    #[error("the plan is another one than was shown")]
    PlanChanged,
    /// An import is under way.
    #[error("an import is under way")]
    Busy,
    /// The console's answer comes with the next stick.
    #[error("the answer comes with the next stick")]
    AnswerLater,
    /// The bundle has no file of this name.
    #[error("the bundle has no `{0}`")]
    Lacks(String),
}

impl ImportRejection {
    /// Every code of this enum.
    pub(crate) const CODES: &[&str] = &[
        "import.not_plain",
        "import.empty",
        "import.crowded",
        "import.unreadable",
        "import.plan_changed",
        "import.busy",
        "import.answer_later",
        "import.lacks",
    ];
}

impl freehold_verify::Refusal for ImportRejection {
    fn code(&self) -> &'static str {
        let place = match self {
            Self::NotPlain(_) => 0,
            Self::Empty(_) => 1,
            Self::Crowded(_) => 2,
            Self::Unreadable { .. } => 3,
            Self::PlanChanged => 4,
            Self::Busy => 5,
            Self::AnswerLater => 6,
            Self::Lacks(_) => 7,
        };
        Self::CODES.get(place).copied().unwrap_or_default()
    }
}

impl From<ImportRejection> for Fault {
    fn from(rejection: ImportRejection) -> Self {
        Self::refusal(&rejection)
    }
}

/// Whether a fault only means that the console cannot answer yet.
pub(crate) fn is_later(fault: &Fault) -> bool {
    fault.code() == "import.answer_later"
}

/// What was taken from sticks, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) v: u32,
    /// Number of the last bundle; only rises.
    pub(crate) number: u64,
    /// SHA-256 of its list.
    pub(crate) set: Option<Sha256Digest>,
    /// Number of the last return.
    pub(crate) sequence: u64,
    /// The folder of an import that is not at its end: the next start goes on with it.
    pub(crate) under_way: Option<PathBuf>,
}

impl Taken {
    pub(crate) fn open(state: &State) -> Result<Self, Fault> {
        let taken = state.json::<Self>(FILE)?.unwrap_or(Self {
            v: 1,
            ..Self::default()
        });
        if taken.v != 1 {
            return Err(Fault::State {
                path: state.path(FILE),
                detail: format!("version {}", taken.v),
            });
        }
        Ok(taken)
    }

    pub(crate) fn keep(&self, state: &State) -> Result<(), Fault> {
        state.put_json(FILE, self)
    }

    /// What a bundle is compared with.
    pub(crate) fn expectation(&self, fleet: &str, director: Sha256Digest) -> BundleExpectation {
        BundleExpectation {
            fleet: fleet.to_owned(),
            director,
            last: self.set.map(|set| (self.number, set)),
        }
    }
}

/// Everything about sticks that the supervisor holds.
#[derive(Debug, Default)]
pub(crate) struct Sticks {
    pub(crate) taken: Taken,
    /// The import under way.
    pub(crate) courier: Option<Arc<Courier>>,
    /// Looks in a row that changed nothing, and what they saw.
    still: u32,
    seen: Vec<String>,
    /// Downloads from this stick that broke off: a part is missing, or the medium has a fault.
    broken: u32,
    pub(crate) state: ImportState,
    pub(crate) returned: Option<PathBuf>,
}

impl Sticks {
    pub(crate) fn open(state: &State) -> Result<Self, Fault> {
        let taken = Taken::open(state)?;
        Ok(Self {
            state: if taken.under_way.is_some() {
                ImportState::UnderWay
            } else {
                ImportState::None
            },
            taken,
            ..Self::default()
        })
    }

    /// After a look that left `steps` undone, with something `under_way` beside the rounds or not: whether the import has come to its
    /// end, and how.
    pub(crate) fn ended(&mut self, steps: &[String], under_way: bool) -> Option<ImportState> {
        if self.broken > PATIENCE {
            return Some(ImportState::Partly);
        }
        if steps.is_empty() && !under_way {
            return Some(ImportState::Done);
        }
        if under_way || self.seen != steps {
            self.still = 0;
            self.seen = steps.to_vec();
            return None;
        }
        self.still = self.still.saturating_add(1);
        (self.still > PATIENCE).then_some(ImportState::Partly)
    }

    /// Begins with a courier.
    pub(crate) fn begin(&mut self, courier: Arc<Courier>) {
        self.courier = Some(courier);
        self.state = ImportState::UnderWay;
        (self.still, self.broken, self.seen, self.returned) = (0, 0, Vec::new(), None);
    }

    /// A download broke off.
    pub(crate) fn broke_off(&mut self) {
        self.broken = self.broken.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_ends_when_nothing_is_left_or_nothing_changes() {
        let mut sticks = Sticks::default();
        let left = vec!["fetch".to_owned()];
        assert_eq!(sticks.ended(&left, true), None);
        for _ in 0..PATIENCE {
            assert_eq!(sticks.ended(&left, false), None);
        }
        assert_eq!(sticks.ended(&left, false), Some(ImportState::Partly));
        assert_eq!(sticks.ended(&["start".to_owned()], false), None);
        assert_eq!(sticks.ended(&[], false), Some(ImportState::Done));
        // A part that is missing breaks every try off, and every try looks like work.
        for _ in 0..=PATIENCE {
            assert_eq!(sticks.ended(&left, true), None);
            sticks.broke_off();
        }
        assert_eq!(sticks.ended(&left, true), Some(ImportState::Partly));
    }
}
