//! Why an operating system is not taken, not kept, or not healthy.
//!
//! Refuses nothing itself. Invariant: [`UpdateRejection::CODES`] lists every code.

use freehold_verify::Refusal;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRejection {
    /// The image would not open the sealed volume.
    #[error("the image has level {level}, and the floor of this box is {floor}")]
    BelowFloor {
        /// The image's level.
        level: u8,
        /// The floor.
        floor: u8,
    },
    /// A file that was fetched is not the signed one any more.
    #[error("`{file}` is not the file that was fetched and verified")]
    Changed {
        /// Which file.
        file: String,
    },
    /// The slot could not be written.
    #[error("the other slot could not be written: {why}")]
    Write {
        /// What systemd said.
        why: String,
    },
    /// The machine did not restart.
    #[error("the machine did not restart: {why}")]
    Restart {
        /// What systemd said.
        why: String,
    },
    /// The floor could not be raised.
    #[error("the floor could not be raised: {why}")]
    Floor {
        /// What systemd said.
        why: String,
    },
    /// The box runs what it ran before.
    #[error("the system {version} was tried and did not show that it works: {why}")]
    WentBack {
        /// The version that was tried.
        version: String,
        /// The last thing that it said of itself.
        why: String,
    },
    /// The sealed volume is not open.
    #[error("the sealed volume is not open")]
    Volume,
    /// The supervisor does not go round.
    #[error("the supervisor does not go round: {why}")]
    Supervisor {
        /// What was seen.
        why: String,
    },
    /// The TPM does not answer.
    #[error("the TPM does not answer: {why}")]
    Tpm {
        /// Its code.
        why: String,
    },
    /// The engine does not start a model.
    #[error("the engine fails its self-test: {why}")]
    Engine {
        /// Its code.
        why: String,
    },
}

impl UpdateRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "update.below_floor",
        "update.changed",
        "update.write",
        "update.restart",
        "update.floor",
        "update.went_back",
        "update.volume",
        "update.supervisor",
        "update.tpm",
        "update.engine",
    ];
}

impl Refusal for UpdateRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::BelowFloor { .. } => "update.below_floor",
            Self::Changed { .. } => "update.changed",
            Self::Write { .. } => "update.write",
            Self::Restart { .. } => "update.restart",
            Self::Floor { .. } => "update.floor",
            Self::WentBack { .. } => "update.went_back",
            Self::Volume => "update.volume",
            Self::Supervisor { .. } => "update.supervisor",
            Self::Tpm { .. } => "update.tpm",
            Self::Engine { .. } => "update.engine",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::BelowFloor { floor, .. } => Some(format!("at least {floor}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::BelowFloor { level, .. } => Some(level.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code_and_the_level_says_what_would_do() {
        let why = || "why".to_owned();
        let all = [
            (UpdateRejection::BelowFloor { level: 1, floor: 2 }, "update.below_floor"),
            (UpdateRejection::Changed { file: why() }, "update.changed"),
            (UpdateRejection::Write { why: why() }, "update.write"),
            (UpdateRejection::Restart { why: why() }, "update.restart"),
            (UpdateRejection::Floor { why: why() }, "update.floor"),
            (
                UpdateRejection::WentBack {
                    version: why(),
                    why: why(),
                },
                "update.went_back",
            ),
            (UpdateRejection::Volume, "update.volume"),
            (UpdateRejection::Supervisor { why: why() }, "update.supervisor"),
            (UpdateRejection::Tpm { why: why() }, "update.tpm"),
            (UpdateRejection::Engine { why: why() }, "update.engine"),
        ];
        assert_eq!(all.len(), UpdateRejection::CODES.len());
        for (rejection, code) in all {
            assert_eq!(rejection.code(), code);
            assert!(UpdateRejection::CODES.contains(&code));
        }
        let low = UpdateRejection::BelowFloor { level: 1, floor: 2 }.report();
        assert_eq!(
            (low.expected.as_deref(), low.found.as_deref()),
            (Some("at least 2"), Some("1"))
        );
    }
}
