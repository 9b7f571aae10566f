//! `--explain CODE`: what a refusal code means.
//!
//! Refuses to invent. Invariant: the words are those of the console.

use crate::answer::{Answer, Ending, visible};

/// Explains `code`.
pub fn explain(code: &str) -> Answer {
    match freehold_explain::explain(code) {
        Some(said) => Answer::new(Ending::Yes, format!("{code}  {}", said.what))
            .fact("means", said.means.clone())
            .fact("do", said.next.clone())
            .with("code", code)
            .with("what", said.what)
            .with("means", said.means)
            .with("do", said.next),
        None => Answer::new(
            Ending::CouldNotTell,
            format!("○ `{}` is no code that this version knows", visible(code)),
        )
        .with("error", "unknown code"),
    }
}
