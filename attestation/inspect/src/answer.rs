//! Answers: yes, no with a code, could not tell; as text for people and as JSON.
//!
//! Refuses to print raw control characters of what it inspects. Invariant: text and JSON say the same, and the exit code
//! follows from the answer alone.

use std::process::ExitCode;

use freehold_verify::RefusalReport;
use serde_json::{Map, Value, json};

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Could not tell.
    CouldNotTell,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    ending: Ending,
    lines: Vec<String>,
    data: Map<String, Value>,
}

impl Answer {
    /// An answer whose text begins with `line`.
    pub fn new(ending: Ending, line: impl Into<String>) -> Self {
        Self {
            ending,
            lines: vec![line.into()],
            data: Map::new(),
        }
    }

    /// No, for a reason.
    pub fn refused(report: &RefusalReport) -> Self {
        Self::new(
            Ending::No,
            format!("■ refused  {} ({})", visible(&report.message), report.code),
        )
        .reason(report)
    }

    /// Could not tell, because of an error.
    pub fn could_not_tell(error: &anyhow::Error) -> Self {
        let chain: Vec<String> = error.chain().map(|part| visible(&part.to_string())).collect();
        Self::new(Ending::CouldNotTell, format!("○ could not tell  {}", chain.join(": ")))
            .with("error", chain.join(": "))
    }

    /// Adds a line of text.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Adds a field of JSON.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the refusal to the JSON, and what it means to the text.
    pub fn reason(mut self, report: &RefusalReport) -> Self {
        if let (Some(expected), Some(found)) = (&report.expected, &report.found) {
            self = self
                .line(format!("  expected  {}", visible(expected)))
                .line(format!("  found     {}", visible(found)));
        }
        if let Some(said) = freehold_explain::explain(&report.code) {
            self = self
                .line(format!("  means     {}", said.means))
                .line(format!("  do        {}", said.next));
        }
        self.with("refused", json!(report))
    }

    /// Prints it and gives the exit code.
    pub fn show(mut self, as_json: bool) -> ExitCode {
        use std::io::Write as _;
        let (word, code) = match self.ending {
            Ending::Yes => ("yes", 0),
            Ending::No => ("no", 1),
            Ending::CouldNotTell => ("could_not_tell", 2),
        };
        let text = if as_json {
            self.data.insert("answer".to_owned(), word.into());
            Value::Object(self.data).to_string()
        } else {
            self.lines.join("\n")
        };
        // A closed pipe is the reader's business; the exit code still says the answer.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
        ExitCode::from(code)
    }
}

/// Text from outside with what could steer a terminal made visible.
pub fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let hidden =
                c.is_control() || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff);
            if hidden {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
