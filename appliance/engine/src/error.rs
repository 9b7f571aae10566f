//! Why an engine gave no answer.
//!
//! Refuses to quote what the engine said: its words may hold the prompt. Invariant: every variant has a stable code.

use thiserror::Error;

/// Why an engine gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EngineError {
    /// Nothing listens at the door.
    #[error("no engine at its socket ({reason})")]
    Missing {
        /// The system's reason.
        reason: String,
    },
    /// It still loads its model.
    #[error("the engine is still loading its model")]
    Starting,
    /// As many requests as it may have are waiting already.
    #[error("the engine has {limit} requests already")]
    Busy {
        /// Requests at once.
        limit: usize,
    },
    /// Prompt and answer do not fit into its context.
    #[error("the conversation has more tokens than the engine's context")]
    ContextExceeded,
    /// It refused the request.
    #[error("the engine refused the request with status {status}")]
    Refused {
        /// Its HTTP status.
        status: u16,
    },
    /// It answered something that is not an answer.
    #[error("the engine's answer is not in the form of one ({what})")]
    AnswerMalformed {
        /// Which part; never its content.
        what: &'static str,
    },
    /// It answered more than is taken.
    #[error("the engine's answer has more than {limit} bytes")]
    AnswerTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It went away before the end.
    #[error("the engine broke off ({reason})")]
    BrokenOff {
        /// The transport's reason.
        reason: String,
    },
    /// This engine does not do that.
    #[error("this engine does not do `{what}`")]
    Unsupported {
        /// What was asked.
        what: &'static str,
    },
}

impl EngineError {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "engine.missing",
        "engine.starting",
        "engine.busy",
        "engine.context_exceeded",
        "engine.refused",
        "engine.answer_malformed",
        "engine.answer_too_large",
        "engine.broken_off",
        "engine.unsupported",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "engine.missing",
            Self::Starting => "engine.starting",
            Self::Busy { .. } => "engine.busy",
            Self::ContextExceeded => "engine.context_exceeded",
            Self::Refused { .. } => "engine.refused",
            Self::AnswerMalformed { .. } => "engine.answer_malformed",
            Self::AnswerTooLarge { .. } => "engine.answer_too_large",
            Self::BrokenOff { .. } => "engine.broken_off",
            Self::Unsupported { .. } => "engine.unsupported",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_code() {
        let text = String::new;
        let all = [
            (EngineError::Missing { reason: text() }, "engine.missing"),
            (EngineError::Starting, "engine.starting"),
            (EngineError::Busy { limit: 1 }, "engine.busy"),
            (EngineError::ContextExceeded, "engine.context_exceeded"),
            (EngineError::Refused { status: 400 }, "engine.refused"),
            (
                EngineError::AnswerMalformed { what: "event" },
                "engine.answer_malformed",
            ),
            (EngineError::AnswerTooLarge { limit: 1 }, "engine.answer_too_large"),
            (EngineError::BrokenOff { reason: text() }, "engine.broken_off"),
            (EngineError::Unsupported { what: "x" }, "engine.unsupported"),
        ];
        let codes: Vec<&str> = all
            .iter()
            .map(|(error, code)| {
                assert_eq!(error.code(), *code);
                *code
            })
            .collect();
        assert_eq!(codes, EngineError::CODES);
    }
}
