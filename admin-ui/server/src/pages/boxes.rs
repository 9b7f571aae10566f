//! The table of boxes: filter, sort, cut to a page.
//!
//! Refuses to sort what it does not show. Invariant: the summary is about all that match, the rows are one page of them.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Html;
use freehold_fleet::{Fleet, Member, TpmKind, VerdictView};
use freehold_protocol::status::{ModelPhase, ModelState, VerdictWord};
use freehold_verify::RefusalReport;
use freehold_views::boxes::{Filter, ROWS_PER_PAGE, Row, Sort, verdict_from_slug};
use freehold_views::overview::VerdictCounts;
use freehold_views::{BoxesPage, address};
use serde::Deserialize;

use super::fragment;
use crate::console::Console;
use crate::people::session::Visitor;

/// The query of the address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    verdict: String,
    site: String,
    model: String,
    sort: String,
    dir: String,
    page: Option<u32>,
}

/// `GET /boxes`.
pub async fn list(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
    uri: Uri,
    headers: HeaderMap,
) -> Html<String> {
    let path = uri.path_and_query().map_or(address::BOXES, |path| path.as_str());
    let shell = console.shell(Some(&visitor), path);
    let filter = Filter {
        verdict: verdict_from_slug(&asked.verdict),
        sort: Sort::from_slug(&asked.sort),
        descending: asked.dir == "down",
        page: asked.page.unwrap_or(1).max(1),
        q: asked.q,
        site: asked.site,
        model: asked.model,
    };
    let now = shell.now;
    let fleet = console.fleet_of(&visitor);
    let lines: Vec<Line<'_>> = fleet
        .boxes()
        .values()
        .filter(|member| member.is_approved())
        .map(|member| Line::of(&fleet, member, now))
        .collect();
    let total = lines.len();
    let models: BTreeSet<(&str, &str)> = lines.iter().filter_map(|line| line.model).collect();
    let models = models
        .into_iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let wanted = filter.q.trim().to_lowercase();
    let mut lines: Vec<Line<'_>> = lines
        .into_iter()
        .filter(|line| line.matches(&filter, &wanted))
        .collect();
    lines.sort_by(|a, b| a.compare(b, &filter));
    let mut verdicts = VerdictCounts::default();
    for line in &lines {
        verdicts.add(line.view.word);
    }
    let matched = lines.len();
    let oldest_proof = lines.iter().filter_map(Line::last_proof).min();
    let per_page = usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX);
    let skip = usize::try_from(filter.page.saturating_sub(1))
        .unwrap_or(0)
        .saturating_mul(per_page);
    let rows = lines.iter().skip(skip).take(per_page).map(Line::row).collect();
    let page = BoxesPage {
        shell,
        filter,
        sites: fleet.seen_sites(),
        models,
        rows,
        total: u32::try_from(total).unwrap_or(u32::MAX),
        matched: u32::try_from(matched).unwrap_or(u32::MAX),
        verdicts,
        tokens_per_s: None,
        oldest_proof,
        pair_command: "freehold box pair".to_owned(),
    };
    drop(fleet);
    Html(match fragment(&headers) {
        Some(id) => page.render_fragment(id),
        None => page.render(),
    })
}

/// One line of the table, borrowed from the fleet: text is made for the lines of the page only.
struct Line<'a> {
    member: &'a Member,
    view: VerdictView<'a>,
    shown: Option<&'a ModelState>,
    model: Option<(&'a str, &'a str)>,
}

impl<'a> Line<'a> {
    fn of(fleet: &Fleet, member: &'a Member, now: i64) -> Self {
        let shown = member.report.as_ref().and_then(|report| {
            let serving = report.models.iter().find(|model| model.phase == ModelPhase::Serving);
            serving.or_else(|| report.models.first())
        });
        Self {
            member,
            view: fleet.verdict_of(member, now),
            shown,
            model: shown.map(|model| (model.name.as_str(), model.version.as_str())),
        }
    }

    fn first(&self) -> Option<&'a RefusalReport> {
        self.view.stored?.refusals.first()
    }

    fn reason(&self) -> &'a str {
        let because = self.view.stored.and_then(|verdict| verdict.because.first());
        match (self.first(), because) {
            (Some(first), _) => &first.message,
            (None, Some(_)) if self.view.word == VerdictWord::Unknown => "no fresh proof",
            (None, Some(because)) => because,
            (None, None) => "has not proven itself yet",
        }
    }

    fn last_proof(&self) -> Option<i64> {
        self.member.last_good.as_ref().map(|verdict| verdict.at)
    }

    fn matches(&self, filter: &Filter, wanted: &str) -> bool {
        let code = self.first().map_or("", |first| first.code.as_str());
        let texts = [&self.member.box_id, &self.member.label, self.reason(), code];
        let of_model = || {
            self.model
                .is_some_and(|(name, version)| filter.model == format!("{name} {version}"))
        };
        filter.verdict.is_none_or(|verdict| verdict == self.view.word)
            && (filter.site.is_empty() || filter.site == self.member.site)
            && (filter.model.is_empty() || of_model())
            && (wanted.is_empty() || texts.iter().any(|text| contains(text, wanted)))
    }

    fn compare(&self, other: &Self, filter: &Filter) -> Ordering {
        let order = match filter.sort {
            Sort::Verdict => gravity(self.view.word).cmp(&gravity(other.view.word)),
            Sort::Id => Ordering::Equal,
            Sort::Label => self.member.label.cmp(&other.member.label),
            Sort::Site => self.member.site.cmp(&other.member.site),
            Sort::Model => self.model.cmp(&other.model),
            // No box reports its speed yet.
            Sort::Speed => Ordering::Equal,
            Sort::Proof => self.last_proof().cmp(&other.last_proof()),
        };
        let order = match filter.sort {
            Sort::Id => self.member.box_id.cmp(&other.member.box_id),
            _ => order,
        };
        let order = if filter.descending { order.reverse() } else { order };
        order.then_with(|| self.member.box_id.cmp(&other.member.box_id))
    }

    fn row(&self) -> Row {
        let report = self.member.report.as_ref();
        Row {
            verdict: self.view.word,
            simulated: self.member.ek_trust.kind() == TpmKind::Software,
            id: self.member.box_id.clone(),
            label: self.member.label.clone(),
            site: self.member.site.clone(),
            reason: self.reason().to_owned(),
            code: self.first().map(|first| first.code.clone()),
            model: self
                .model
                .map(|(name, version)| format!("{name} {version}"))
                .unwrap_or_default(),
            model_state: match (self.shown, report) {
                (Some(model), _) if model.phase == ModelPhase::Serving => String::new(),
                (_, Some(report)) => report.doing.clone(),
                _ => String::new(),
            },
            tokens_per_s: None,
            last_proof: self.last_proof(),
            last_heard: self.member.report_at,
        }
    }
}

/// Whether `text` contains `wanted`, which is in small letters. Most labels and all identifiers are ASCII: those are compared
/// without making a text of each.
fn contains(text: &str, wanted: &str) -> bool {
    if text.is_ascii() {
        let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
        return wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted));
    }
    text.to_lowercase().contains(wanted)
}

/// The line of one box.
#[must_use]
pub fn row(fleet: &Fleet, member: &Member, now: i64) -> Row {
    Line::of(fleet, member, now).row()
}

/// Why a box stands as it does, in one line; used by search.
#[must_use]
pub fn reason(fleet: &Fleet, member: &Member, now: i64) -> String {
    Line::of(fleet, member, now).reason().to_owned()
}

const fn gravity(verdict: VerdictWord) -> u8 {
    match verdict {
        VerdictWord::Refused => 0,
        VerdictWord::Attention => 1,
        VerdictWord::Unknown => 2,
        VerdictWord::TrustedSimulated => 3,
        VerdictWord::Trusted => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn text_is_found_in_any_case() {
        assert!(contains("Rack 3", "rack"));
        assert!(contains("Gerät Ä", "ä"));
        assert!(!contains("Rack", "racks"));
        assert!(contains("anything", ""));
    }
}
