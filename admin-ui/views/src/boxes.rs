//! The table of boxes: filter, sort, one line each, a summary row.
//!
//! Refuses to show a verdict by colour alone. Invariant: the address says the whole query, so that it can be copied.

use askama::Template;
use freehold_protocol::status::VerdictWord;
use serde::{Deserialize, Serialize};

use crate::overview::VerdictCounts;
use crate::shell::Shell;

/// Rows of one page; keeps a page under 60 KB.
pub const ROWS_PER_PAGE: u32 = 60;

/// `GET /boxes`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BoxesPage {
    /// The frame.
    pub shell: Shell,
    /// The query as it was understood.
    pub filter: Filter,
    /// Sites to choose from.
    pub sites: Vec<String>,
    /// Models (`name version`) to choose from.
    pub models: Vec<String>,
    /// The rows of this page, sorted; at most [`ROWS_PER_PAGE`].
    pub rows: Vec<Row>,
    /// Boxes of the fleet.
    pub total: u32,
    /// Boxes that match the filter.
    pub matched: u32,
    /// Verdicts of all that match.
    pub verdicts: VerdictCounts,
    /// Sum of tokens per second over all that match, when any reports it.
    pub tokens_per_s: Option<f64>,
    /// Oldest proof of all that match, unix seconds.
    pub oldest_proof: Option<i64>,
    /// The command that pairs a box, shown when the fleet is empty.
    pub pair_command: String,
}

/// The query of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Text in id, label, reason or code.
    pub q: String,
    /// One verdict only.
    pub verdict: Option<VerdictWord>,
    /// One site only; empty for all.
    pub site: String,
    /// One model only; empty for all.
    pub model: String,
    /// The column.
    pub sort: Sort,
    /// Largest, worst or latest first.
    pub descending: bool,
    /// From 1; 0 is read as 1.
    pub page: u32,
}

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Worst verdict first.
    #[default]
    Verdict,
    /// Id.
    Id,
    /// Label.
    Label,
    /// Site.
    Site,
    /// Model.
    Model,
    /// Tokens per second.
    Speed,
    /// Age of the last proof.
    Proof,
}

/// One box.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// Its verdict.
    pub verdict: VerdictWord,
    /// Its TPM is software.
    pub simulated: bool,
    /// Its identifier, `amber-fox-9d1e`.
    pub id: String,
    /// The name people gave it; from outside.
    pub label: String,
    /// Its site.
    pub site: String,
    /// The reason of the verdict, one line.
    pub reason: String,
    /// The refusal code, when there is one.
    pub code: Option<String>,
    /// The model it serves, `name version`; empty when none.
    pub model: String,
    /// What the model is doing when it is not serving, for example `fetching 41 %`.
    pub model_state: String,
    /// Tokens per second over the last minute, when it reports it.
    pub tokens_per_s: Option<f64>,
    /// Time of the last accepted proof, unix seconds.
    pub last_proof: Option<i64>,
    /// Time it was last heard, unix seconds.
    pub last_heard: Option<i64>,
}

#[derive(Template)]
#[template(path = "boxes.html")]
struct Whole<'a> {
    m: &'a BoxesPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "boxes.html", block = "live")]
struct Live<'a> {
    m: &'a BoxesPage,
    shell: &'a Shell,
}

impl BoxesPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    /// The fragment `live` (summary and table), or the whole page for another name.
    #[must_use]
    pub fn render_fragment(&self, id: &str) -> String {
        match id {
            "live" => self.shell.with_words(&Live {
                m: self,
                shell: &self.shell,
            }),
            _ => self.render(),
        }
    }

    fn pages(&self) -> u32 {
        self.matched.div_ceil(ROWS_PER_PAGE).max(1)
    }

    fn page(&self) -> u32 {
        self.filter.page.clamp(1, self.pages())
    }

    fn headings(&self) -> Vec<Heading> {
        use Sort::{Id, Label, Model, Proof, Site, Speed, Verdict};
        let columns = [
            (Some(Verdict), "Verdict", "c-verdict"),
            (Some(Id), "Box", "c-id"),
            (Some(Label), "Label", "c-label"),
            (Some(Site), "Site", "c-site"),
            (None, "Why", "c-why"),
            (Some(Model), "Model", "c-model"),
            (Some(Speed), "Tokens/s", "c-speed number"),
            (Some(Proof), "Last proof", "c-proof number"),
        ];
        columns
            .into_iter()
            .map(|(sort, title, class)| {
                let here = sort == Some(self.filter.sort);
                let href = sort.map(|sort| {
                    let descending = here && !self.filter.descending;
                    Filter {
                        sort,
                        descending,
                        page: 1,
                        ..self.filter.clone()
                    }
                    .href()
                });
                let order = match (here, self.filter.descending) {
                    (false, _) => "",
                    (true, false) => "ascending",
                    (true, true) => "descending",
                };
                Heading {
                    title,
                    class,
                    href,
                    order,
                }
            })
            .collect()
    }
}

struct Heading {
    title: &'static str,
    class: &'static str,
    href: Option<String>,
    order: &'static str,
}

impl Sort {
    /// The value in the address.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Id => "id",
            Self::Label => "label",
            Self::Site => "site",
            Self::Model => "model",
            Self::Speed => "speed",
            Self::Proof => "proof",
        }
    }

    /// Reads the value in the address; anything else is [`Sort::Verdict`].
    #[must_use]
    pub fn from_slug(text: &str) -> Self {
        [Self::Id, Self::Label, Self::Site, Self::Model, Self::Speed, Self::Proof]
            .into_iter()
            .find(|sort| sort.slug() == text)
            .unwrap_or_default()
    }
}

/// The value of a verdict in an address.
#[must_use]
pub const fn verdict_slug(verdict: VerdictWord) -> &'static str {
    match verdict {
        VerdictWord::Trusted => "trusted",
        VerdictWord::TrustedSimulated => "trusted_simulated",
        VerdictWord::Attention => "attention",
        VerdictWord::Refused => "refused",
        VerdictWord::Unknown => "unknown",
    }
}

/// Reads the value of a verdict in an address.
#[must_use]
pub fn verdict_from_slug(text: &str) -> Option<VerdictWord> {
    VerdictCounts::default()
        .each()
        .into_iter()
        .map(|(word, _)| word)
        .find(|word| verdict_slug(*word) == text)
}

impl Filter {
    /// The address that shows this query.
    #[must_use]
    pub fn href(&self) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for (name, value) in [("q", &self.q), ("site", &self.site), ("model", &self.model)] {
            if !value.is_empty() {
                pairs.push((name, crate::address::segment(value)));
            }
        }
        if let Some(verdict) = self.verdict {
            pairs.push(("verdict", verdict_slug(verdict).to_owned()));
        }
        if self.sort != Sort::default() {
            pairs.push(("sort", self.sort.slug().to_owned()));
        }
        if self.descending {
            pairs.push(("dir", "down".to_owned()));
        }
        if self.page > 1 {
            pairs.push(("page", self.page.to_string()));
        }
        let query = pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&");
        if query.is_empty() {
            crate::address::BOXES.to_owned()
        } else {
            format!("{}?{query}", crate::address::BOXES)
        }
    }

    fn is_verdict(&self, verdict: &VerdictWord) -> bool {
        self.verdict == Some(*verdict)
    }

    fn with_verdict(&self, verdict: &VerdictWord) -> String {
        let verdict = (!self.is_verdict(verdict)).then_some(*verdict);
        Self {
            verdict,
            page: 1,
            ..self.clone()
        }
        .href()
    }

    fn with_page(&self, page: u32) -> String {
        Self { page, ..self.clone() }.href()
    }

    fn is_set(&self) -> bool {
        !self.q.is_empty() || self.verdict.is_some() || !self.site.is_empty() || !self.model.is_empty()
    }
}
