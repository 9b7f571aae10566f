//! What a refusal code means, in words for a person: one Fluent file, compiled in.
//!
//! Refuses to invent: a code without an entry has no explanation (`None`), and a law of the repository fails for it.
//! Invariant: one code, one entry; codes never change meaning.

use std::sync::OnceLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use unic_langid::LanguageIdentifier;

const ENGLISH: &str = include_str!("en.ftl");

/// What a person is told about one refusal code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What happened, one sentence.
    pub what: String,
    /// What follows from it for the people who use the box.
    pub means: String,
    /// The next step.
    pub next: String,
}

fn bundle() -> &'static FluentBundle<FluentResource> {
    static BUNDLE: OnceLock<FluentBundle<FluentResource>> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        // A syntax error loses one entry, never all; the law test names the lost one.
        let resource = match FluentResource::try_new(ENGLISH.to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        let mut bundle = FluentBundle::new_concurrent(vec![LanguageIdentifier::default()]);
        bundle.set_use_isolating(false);
        let _ = bundle.add_resource(resource);
        bundle
    })
}

/// Explains `code` (for example `release.rollback`), or `None` when the code is not known to this version.
#[must_use]
pub fn explain(code: &str) -> Option<Explanation> {
    let bundle = bundle();
    let key = code.replace('.', "-");
    let message = bundle.get_message(&key)?;
    let args = FluentArgs::new();
    let mut errors = Vec::new();
    let mut say = |pattern| bundle.format_pattern(pattern, Some(&args), &mut errors).into_owned();
    Some(Explanation {
        what: say(message.value()?),
        means: say(message.get_attribute("means")?.value()),
        next: say(message.get_attribute("do")?.value()),
    })
}

/// The codes that have an entry, in the order of the file.
pub fn codes() -> impl Iterator<Item = String> {
    ENGLISH.lines().filter_map(|line| {
        let (key, _) = line.split_once(" = ")?;
        key.starts_with(|c: char| c.is_ascii_lowercase())
            .then(|| key.replacen('-', ".", 1))
    })
}

/// Syntax errors of the compiled-in file; a test holds this empty.
#[must_use]
pub fn syntax_errors() -> Vec<String> {
    match FluentResource::try_new(ENGLISH.to_owned()) {
        Ok(_) => Vec::new(),
        Err((_, errors)) => errors.iter().map(ToString::to_string).collect(),
    }
}
