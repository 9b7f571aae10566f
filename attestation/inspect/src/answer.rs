//! Answers: yes, no with a code, could not tell; as text for people, as JSON, and as a page to print.
//!
//! Refuses to print raw control characters of what it inspects. Invariant: text, page and JSON say the same, and the exit code
//! follows from the answer alone.

use std::io::Write as _;
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

impl Ending {
    /// One word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::CouldNotTell => "could_not_tell",
        }
    }
}

/// What stands beside a row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Nobody can tell.
    Unknown,
    /// Nothing to say.
    Plain,
}

impl Mark {
    /// Its shape.
    pub const fn symbol(self) -> char {
        match self {
            Self::Good => '●',
            Self::Bad => '■',
            Self::Unknown => '○',
            Self::Plain => ' ',
        }
    }
}

/// A row: a mark and its cells.
pub type Row = (Mark, Vec<String>);

/// A table.
#[derive(Debug)]
pub struct Table {
    /// What it is about.
    pub title: &'static str,
    /// The columns.
    pub heads: &'static [&'static str],
    /// The rows.
    pub rows: Vec<Row>,
}

/// A part of an answer.
#[derive(Debug)]
pub enum Part {
    /// A name and what is so.
    Fact(&'static str, String),
    /// A sentence.
    Line(String),
    /// Rows.
    Table(Table),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    ending: Ending,
    head: String,
    parts: Vec<Part>,
    data: Map<String, Value>,
}

impl Answer {
    /// An answer whose text begins with `head`.
    pub fn new(ending: Ending, head: impl Into<String>) -> Self {
        Self {
            ending,
            head: head.into(),
            parts: Vec::new(),
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

    /// How it ended.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// The first line.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// What follows it.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Adds a line of text.
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.parts.push(Part::Line(line.into()));
        self
    }

    /// Adds a named fact.
    pub fn fact(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.parts.push(Part::Fact(name, text.into()));
        self
    }

    /// Adds a table, when it has rows.
    pub fn table(mut self, title: &'static str, heads: &'static [&'static str], rows: Vec<Row>) -> Self {
        if !rows.is_empty() {
            self.parts.push(Part::Table(Table { title, heads, rows }));
        }
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
            self = self.fact("expected", visible(expected)).fact("found", visible(found));
        }
        if let Some(said) = freehold_explain::explain(&report.code) {
            self = self.fact("means", said.means).fact("do", said.next);
        }
        self.with("refused", json!(report))
    }

    /// The text for a terminal.
    fn text(&self) -> String {
        let mut text = self.head.clone();
        for part in &self.parts {
            text.push('\n');
            match part {
                Part::Line(line) => text.push_str(line),
                Part::Fact(name, said) => text.push_str(&format!("  {name:<9} {said}")),
                Part::Table(table) => text.push_str(&columns(table)),
            }
        }
        text
    }

    /// Prints it and gives the exit code.
    pub fn show(mut self, as_json: bool) -> ExitCode {
        let code = match self.ending {
            Ending::Yes => 0,
            Ending::No => 1,
            Ending::CouldNotTell => 2,
        };
        let text = if as_json {
            self.data.insert("answer".to_owned(), self.ending.word().into());
            Value::Object(self.data).to_string()
        } else {
            self.text()
        };
        // A closed pipe is the reader's business; the exit code still says the answer.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
        ExitCode::from(code)
    }
}

/// A table in columns as wide as their widest cells.
fn columns(table: &Table) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for (_, cells) in &table.rows {
        for (at, cell) in cells.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let lines: Vec<String> = table
        .rows
        .iter()
        .map(|(mark, cells)| {
            let mut line = format!("  {} ", mark.symbol());
            for (cell, width) in cells.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(
                    ' ',
                    width.saturating_sub(cell.chars().count()).saturating_add(2),
                ));
            }
            line.trim_end().to_owned()
        })
        .collect();
    lines.join("\n")
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
