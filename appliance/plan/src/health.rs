//! The health check of a model release: its own questions, with the answers that they must get.
//!
//! Refuses a self-test that it cannot read: a release that brings a broken one is not confirmed. Invariant: the file is one of
//! the model's signed files, so what is asked and expected is the publisher's word, and asking it again gives the same.

use freehold_verify::Refusal;
use serde::{Deserialize, Serialize};

/// Largest self-test that is read: bounds what a release can make a box hold.
pub const MAX_SELF_TEST: usize = 64 << 10;
/// Most questions: bounds how long a start takes.
const MAX_QUESTIONS: usize = 64;
/// Most tokens of one answer, for the same reason.
const MAX_TOKENS: u32 = 1024;

/// Why a release is not confirmed on this box.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthRejection {
    /// The self-test cannot be read.
    #[error("the self-test of `{name}` cannot be read: {detail}")]
    Malformed {
        /// The model.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// Too few answers were as expected.
    #[error("`{name}` answered {right} of {total} questions as expected")]
    Answers {
        /// The model.
        name: String,
        /// How many were as expected.
        right: u32,
        /// How many were asked.
        total: u32,
        /// How many have to be.
        least: u32,
    },
    /// Its engine did not start.
    #[error("the engine of `{name}` did not start in {tries} tries: {last}")]
    Engine {
        /// The model.
        name: String,
        /// How often it was tried.
        tries: u32,
        /// The last failure's code.
        last: String,
    },
}

impl HealthRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &["health.self_test", "health.answers", "health.engine"];
}

impl Refusal for HealthRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "health.self_test",
            Self::Answers { .. } => "health.answers",
            Self::Engine { .. } => "health.engine",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Answers { least, .. } => Some(least.to_string()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Malformed { detail, .. } => Some(detail.clone()),
            Self::Answers { right, .. } => Some(right.to_string()),
            Self::Engine { last, .. } => Some(last.clone()),
        }
    }
}

/// One question and what its answer must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What is asked, in a conversation of its own.
    pub prompt: String,
    /// The whole answer, but for white space at its ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Or: what must stand somewhere in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// A self-test, asked at temperature 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Version of this form, 1.
    pub v: u32,
    /// Most tokens of one answer.
    pub max_tokens: u32,
    /// Answers that must be as expected, in percent of all; the box goes back below it.
    #[serde(default = "all")]
    pub right_percent: u8,
    /// The questions.
    pub questions: Vec<Question>,
}

const fn all() -> u8 {
    100
}

impl Question {
    /// Whether `answer` is as expected.
    #[must_use]
    pub fn holds(&self, answer: &str) -> bool {
        let whole = (self.answer.as_ref()).is_none_or(|wanted| wanted.trim() == answer.trim());
        let part = (self.contains.as_ref()).is_none_or(|wanted| answer.contains(wanted.as_str()));
        whole && part
    }
}

impl SelfTest {
    /// Reads the self-test of the model `name`.
    ///
    /// # Errors
    /// [`HealthRejection::Malformed`]: too large, not of this form, no question, one that expects nothing.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, HealthRejection> {
        let wrong = |detail: &str| HealthRejection::Malformed {
            name: name.to_owned(),
            detail: detail.to_owned(),
        };
        if bytes.len() > MAX_SELF_TEST {
            return Err(wrong("it is too large"));
        }
        // The parser's own words may quote what was read; place and kind are enough.
        let test: Self = serde_json::from_slice(bytes)
            .map_err(|error| wrong(&format!("{:?} in line {}", error.classify(), error.line())))?;
        if test.v != 1 {
            return Err(wrong("its version is not 1"));
        }
        if !(1..=MAX_QUESTIONS).contains(&test.questions.len()) {
            return Err(wrong("it has no questions, or too many"));
        }
        if !(1..=MAX_TOKENS).contains(&test.max_tokens) || test.right_percent > 100 {
            return Err(wrong("a number is out of bounds"));
        }
        if (test.questions.iter()).any(|one| one.prompt.is_empty() || (one.answer.is_none() && one.contains.is_none()))
        {
            return Err(wrong("a question asks or expects nothing"));
        }
        Ok(test)
    }

    /// How many answers have to be as expected.
    #[must_use]
    pub fn least(&self) -> u32 {
        let all = u32::try_from(self.questions.len()).unwrap_or(u32::MAX);
        all.saturating_mul(u32::from(self.right_percent)).div_ceil(100)
    }

    /// Whether `right` answers are enough.
    ///
    /// # Errors
    /// [`HealthRejection::Answers`].
    pub fn judge(&self, name: &str, right: u32) -> Result<(), HealthRejection> {
        let least = self.least();
        if right >= least {
            return Ok(());
        }
        Err(HealthRejection::Answers {
            name: name.to_owned(),
            right,
            total: u32::try_from(self.questions.len()).unwrap_or(u32::MAX),
            least,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(bytes: &[u8]) -> &'static str {
        SelfTest::parse("guide", bytes).map_or_else(|rejection| rejection.code(), |_| "read")
    }

    #[test]
    fn a_self_test_says_what_has_to_be_right() {
        let text = br#"{"v":1,"max_tokens":40,"right_percent":60,"questions":[
            {"prompt":"a","answer":" yes "},{"prompt":"b","contains":"no"},{"prompt":"c","answer":"x"}]}"#;
        let test = SelfTest::parse("guide", text).unwrap();
        assert!(test.questions[0].holds("yes\n") && !test.questions[0].holds("yes, but"));
        assert!(test.questions[1].holds("certainly not") && !test.questions[1].holds("yes"));
        assert_eq!(test.least(), 2);
        assert!(test.judge("guide", 2).is_ok());
        let rejection = test.judge("guide", 1).unwrap_err();
        assert_eq!(rejection.code(), "health.answers");
        assert_eq!(
            (rejection.expected().unwrap(), rejection.found().unwrap()),
            ("2".into(), "1".into())
        );
    }

    #[test]
    fn an_engine_that_does_not_start_is_named_with_its_last_fault() {
        let rejection = HealthRejection::Engine {
            name: "guide".to_owned(),
            tries: 3,
            last: "engine.start".to_owned(),
        };
        assert_eq!(rejection.code(), "health.engine");
        assert_eq!(rejection.found().as_deref(), Some("engine.start"));
    }

    #[test]
    fn a_self_test_that_cannot_be_read_confirms_nothing() {
        for wrong in [
            &b"{"[..],
            br#"{"v":2,"max_tokens":4,"questions":[{"prompt":"a","answer":"b"}]}"#,
            br#"{"v":1,"max_tokens":4,"questions":[]}"#,
            br#"{"v":1,"max_tokens":0,"questions":[{"prompt":"a","answer":"b"}]}"#,
            br#"{"v":1,"max_tokens":4,"right_percent":101,"questions":[{"prompt":"a","answer":"b"}]}"#,
            br#"{"v":1,"max_tokens":4,"questions":[{"prompt":"a"}]}"#,
            br#"{"v":1,"max_tokens":4,"questions":[{"prompt":"a","answer":"b","more":1}]}"#,
        ] {
            assert_eq!(code(wrong), "health.self_test", "{}", String::from_utf8_lossy(wrong));
        }
        assert_eq!(code(&vec![b' '; MAX_SELF_TEST + 1]), "health.self_test");
    }
}
