//! How a verb ends: yes, no with a code, or could not tell with a hint.
//!
//! Refuses to mix the two: a refusal carries a stable code and exits with 1, everything else exits with 2.

use std::process::ExitCode;

use freehold_dial::DialError;
use serde::{Deserialize, Serialize};

/// A refusal as the console's API and the gateway say it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Refused {
    /// Stable code.
    pub code: String,
    /// One line.
    pub message: String,
    /// What would have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// Why a verb did not end with yes.
#[derive(Debug)]
pub enum Fault {
    /// No, and why.
    Refused(Refused),
    /// Could not tell.
    Unknown {
        /// What happened, lower case.
        message: String,
        /// The next step.
        hint: String,
    },
}

impl Fault {
    /// "Could not tell", with the next step.
    pub fn could_not_tell(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unknown {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Prints the fault and gives the exit code.
    pub fn show(&self, json: bool) -> ExitCode {
        match self {
            Self::Refused(refused) => {
                if json {
                    println!("{}", serde_json::json!({"refused": refused}));
                } else {
                    eprintln!("refused: {} ({})", visible(&refused.message), visible(&refused.code));
                    if let (Some(expected), Some(found)) = (&refused.expected, &refused.found) {
                        eprintln!("  expected {}\n  found    {}", visible(expected), visible(found));
                    }
                    if let Some(said) = freehold_explain::explain(&refused.code) {
                        eprintln!("  means: {}\n  do:    {}", said.means, said.next);
                    }
                }
                ExitCode::from(1)
            }
            Self::Unknown { message, hint } => {
                if json {
                    println!("{}", serde_json::json!({"error": message, "hint": hint}));
                } else {
                    eprintln!("error: {}", visible(message));
                    if !hint.is_empty() {
                        eprintln!("hint: {hint}");
                    }
                }
                ExitCode::from(2)
            }
        }
    }
}

/// Text from outside with control characters made visible, so that it cannot steer the terminal.
pub fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        let hint = match &error {
            DialError::Address { .. } => "give an IP address and a port; names are not looked up",
            DialError::Connect { .. } | DialError::Slow { .. } | DialError::Broken { .. } => {
                "is it running and reachable from here? what runs on the boxes goes on meanwhile"
            }
            DialError::Pin { .. } => "compare the fingerprint on the console's own machine before you sign in anew",
            DialError::TooLong { .. } | DialError::Request(_) => "",
        };
        Self::could_not_tell(with_sources(&error), hint)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::could_not_tell(error.to_string(), "")
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::could_not_tell(
            format!("an answer could not be read: {error}"),
            "are both programs of the same version?",
        )
    }
}

impl From<freehold_channel::ChannelFault> for Fault {
    fn from(error: freehold_channel::ChannelFault) -> Self {
        Self::could_not_tell(with_sources(&error), "")
    }
}
