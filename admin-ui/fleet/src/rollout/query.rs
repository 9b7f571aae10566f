//! Which boxes a rollout is for, as a person writes it.
//!
//! Refuses a word that it does not know: a mistyped query must not mean every box. Invariant: a query is asked once, when the
//! plan is made; what runs is the list that came of it.

use freehold_protocol::status::VerdictWord;

use super::rejection::RolloutRejection;

/// Longest query: bounds what a person with an account can make the console compare.
pub const QUERY_LIMIT: usize = 4096;

/// What is known of a box, for a query.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its identifier.
    pub box_id: &'a str,
    /// The name that people gave it.
    pub label: &'a str,
    /// Where it stands.
    pub site: &'a str,
    /// The verdict as it counts now.
    pub verdict: VerdictWord,
    /// Models on it: name and version.
    pub models: &'a [(String, String)],
}

/// A query that was understood: every term has to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    not: bool,
    field: Field,
    /// Values of which one has to fit; `*` stands for any letters.
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Box,
    Label,
    Site,
    Verdict,
    Model,
    Version,
}

impl Query {
    /// Reads a query: `all`, or terms such as `site=north,south`, `label=ward-*`, `model=triage-8b`, `version=2.0`,
    /// `verdict=trusted`, `box=amber-fox-9d1e`; a `-` before a term means not.
    ///
    /// # Errors
    /// [`RolloutRejection::Query`] with the word that is not understood.
    pub fn parse(text: &str) -> Result<Self, RolloutRejection> {
        let wrong = |found: &str| RolloutRejection::Query {
            found: found.chars().take(80).collect(),
        };
        if text.len() > QUERY_LIMIT {
            return Err(wrong("a query longer than 4,096 bytes"));
        }
        let mut terms = Vec::new();
        let mut words = 0_usize;
        for word in text.split_whitespace() {
            words = words.saturating_add(1);
            if word == "all" {
                continue;
            }
            let (not, rest) = match word.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, word),
            };
            let (name, values) = rest.split_once('=').ok_or_else(|| wrong(word))?;
            let field = match name {
                "box" => Field::Box,
                "label" => Field::Label,
                "site" => Field::Site,
                "verdict" => Field::Verdict,
                "model" => Field::Model,
                "version" => Field::Version,
                _ => return Err(wrong(word)),
            };
            let values: Vec<String> = values.split(',').map(str::to_owned).collect();
            if values.iter().any(String::is_empty) {
                return Err(wrong(word));
            }
            terms.push(Term { not, field, values });
        }
        if words == 0 {
            return Err(wrong("an empty query; `all` means every box"));
        }
        Ok(Self(terms))
    }

    /// Whether it means this box.
    #[must_use]
    pub fn means(&self, one: &Candidate<'_>) -> bool {
        self.0.iter().all(|term| term.holds(one) != term.not)
    }
}

impl Term {
    fn holds(&self, one: &Candidate<'_>) -> bool {
        let any = |found: &str| self.values.iter().any(|value| fits(value, found));
        match self.field {
            Field::Box => any(one.box_id),
            Field::Label => any(one.label),
            Field::Site => any(one.site),
            Field::Verdict => any(&one.verdict.word().replace([' ', '(', ')'], "")) || any(one.verdict.word()),
            Field::Model => one.models.iter().any(|(name, _)| any(name)),
            Field::Version => one.models.iter().any(|(_, version)| any(version)),
        }
    }
}

/// Whether `text` is of the form `pattern`, in which `*` stands for any letters. Linear in the text for each star.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = rest.get(place.saturating_add(part.len())..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_verify::Refusal as _;

    #[test]
    fn a_query_means_what_all_its_terms_mean() {
        let models = [("guide".to_owned(), "1.0.0".to_owned())];
        let one = Candidate {
            box_id: "amber-fox-9d1e",
            label: "ward-3",
            site: "north",
            verdict: VerdictWord::TrustedSimulated,
            models: &models,
        };
        let means = |text: &str| Query::parse(text).unwrap().means(&one);
        for yes in [
            "all",
            "site=north",
            "site=south,north label=ward-*",
            "label=*-3",
            "label=w*d*3",
            "box=amber-fox-9d1e",
            "model=guide version=1.*",
            "verdict=trustedsimulated",
            "-site=south",
            "all -label=lab*",
        ] {
            assert!(means(yes), "{yes}");
        }
        for no in [
            "site=south",
            "label=ward",
            "label=ward-3x*",
            "label=w*d*4",
            "-site=north",
            "model=guid",
            "version=2.*",
            "verdict=trusted",
        ] {
            assert!(!means(no), "{no}");
        }
    }

    #[test]
    fn a_query_with_an_unknown_word_is_refused() {
        for wrong in ["", "  ", "north", "sit=north", "site=", "site=a,,b", "-all"] {
            assert_eq!(Query::parse(wrong).unwrap_err().code(), "rollout.query", "{wrong}");
        }
        assert!(Query::parse(&"a".repeat(QUERY_LIMIT + 1)).is_err());
    }
}
