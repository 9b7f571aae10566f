//! One picture: 25 rows of 79 characters, each light, strong or reversed.
//!
//! Refuses colours, so that nothing depends on them, and the 80th column, whose last cell makes some terminals scroll.
//! Invariant: a row is never longer than [`COLUMNS`], whatever was put into it.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};

use crate::text;

/// Columns that are used; the terminal has one more.
pub const COLUMNS: usize = 79;
/// Rows.
pub const ROWS: usize = 25;

/// How a row is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weight {
    /// Plainly.
    #[default]
    Light,
    /// Bold, where a terminal can.
    Strong,
    /// Dark on light, where a terminal can.
    Reversed,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its text, at most [`COLUMNS`] characters.
    pub text: String,
    /// How it is shown.
    pub weight: Weight,
}

impl Row {
    pub(crate) fn light(text: impl AsRef<str>) -> Self {
        Self::of(text.as_ref(), Weight::Light)
    }

    pub(crate) fn strong(text: impl AsRef<str>) -> Self {
        Self::of(text.as_ref(), Weight::Strong)
    }

    pub(crate) fn reversed(text: impl AsRef<str>) -> Self {
        let text = text::cut(text.as_ref(), COLUMNS);
        Self::of(&format!("{text:<COLUMNS$}"), Weight::Reversed)
    }

    pub(crate) fn empty() -> Self {
        Self::default()
    }

    fn of(text: &str, weight: Weight) -> Self {
        Self {
            text: text::cut(text, COLUMNS).trim_end_matches('\0').to_owned(),
            weight,
        }
    }
}

/// A whole picture, and where the cursor stands when something is being typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    rows: Vec<Row>,
    /// Column and row, counted from 0.
    pub cursor: Option<(u16, u16)>,
}

impl Frame {
    pub(crate) fn new(mut rows: Vec<Row>) -> Self {
        rows.resize(ROWS, Row::empty());
        Self { rows, cursor: None }
    }

    /// The rows, exactly [`ROWS`].
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows as text, without space at their ends.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.text.trim_end().to_owned()).collect()
    }

    /// The picture as cells, for a terminal that can place its cursor.
    #[must_use]
    pub fn cells(&self) -> Buffer {
        let size = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
        let mut buffer = Buffer::empty(Rect::new(0, 0, size(COLUMNS), size(ROWS)));
        for (row, at) in self.rows.iter().zip(0..) {
            let style = match row.weight {
                Weight::Light => Style::new(),
                Weight::Strong => Style::new().add_modifier(Modifier::BOLD),
                Weight::Reversed => Style::new().add_modifier(Modifier::REVERSED),
            };
            buffer.set_stringn(0, at, &row.text, COLUMNS, style);
        }
        buffer
    }
}
