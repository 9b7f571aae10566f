//! The table of boxes: filter, sort, cut to a page.
//!
//! Refuses to sort what it does not show. Invariant: the summary is about all that match, the rows are one page of them.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Html;
use freehold_fleet::{Fleet, Member, TpmKind};
use freehold_protocol::status::{ModelPhase, VerdictWord};
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
    let fleet = console.fleet();
    let mut rows: Vec<Row> = fleet
        .boxes()
        .values()
        .filter(|member| member.is_approved())
        .map(|member| row(&fleet, member, now))
        .collect();
    let total = rows.len();
    let mut models: Vec<String> = rows
        .iter()
        .map(|row| row.model.clone())
        .filter(|model| !model.is_empty())
        .collect();
    models.sort();
    models.dedup();
    rows.retain(|row| matches(row, &filter));
    sort(&mut rows, &filter);
    let mut verdicts = VerdictCounts::default();
    for row in &rows {
        verdicts.add(row.verdict);
    }
    let matched = rows.len();
    let oldest_proof = rows.iter().filter_map(|row| row.last_proof).min();
    let per_page = usize::try_from(ROWS_PER_PAGE).unwrap_or(usize::MAX);
    let skip = usize::try_from(filter.page.saturating_sub(1))
        .unwrap_or(0)
        .saturating_mul(per_page);
    let page = BoxesPage {
        shell,
        filter,
        sites: vec![fleet.site.clone()],
        models,
        rows: rows.into_iter().skip(skip).take(per_page).collect(),
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

/// One line of the table.
#[must_use]
pub fn row(fleet: &Fleet, member: &Member, now: i64) -> Row {
    let view = fleet.verdict_of(member, now);
    let first = view.stored.and_then(|verdict| verdict.refusals.first());
    let because = view.stored.and_then(|verdict| verdict.because.first());
    let reason = match (first, because) {
        (Some(first), _) => first.message.clone(),
        (None, Some(_)) if view.word == VerdictWord::Unknown => "no fresh proof".to_owned(),
        (None, Some(because)) => because.clone(),
        (None, None) => "has not proven itself yet".to_owned(),
    };
    let report = member.report.as_ref();
    let shown = report.and_then(|report| {
        let serving = report.models.iter().find(|model| model.phase == ModelPhase::Serving);
        serving.or_else(|| report.models.first())
    });
    Row {
        verdict: view.word,
        simulated: member.ek_trust.kind() == TpmKind::Software,
        id: member.box_id.clone(),
        label: member.label.clone(),
        site: member.site.clone(),
        reason,
        code: first.map(|first| first.code.clone()),
        model: shown
            .map(|model| format!("{} {}", model.name, model.version))
            .unwrap_or_default(),
        model_state: match (shown, report) {
            (Some(model), _) if model.phase == ModelPhase::Serving => String::new(),
            (_, Some(report)) => report.doing.clone(),
            _ => String::new(),
        },
        tokens_per_s: None,
        last_proof: member.last_good.as_ref().map(|verdict| verdict.at),
        last_heard: member.report_at,
    }
}

fn matches(row: &Row, filter: &Filter) -> bool {
    let wanted = filter.q.trim().to_lowercase();
    let texts = [&row.id, &row.label, &row.reason, row.code.as_ref().unwrap_or(&row.id)];
    filter.verdict.is_none_or(|verdict| verdict == row.verdict)
        && (filter.site.is_empty() || filter.site == row.site)
        && (filter.model.is_empty() || filter.model == row.model)
        && (wanted.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&wanted)))
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

fn sort(rows: &mut [Row], filter: &Filter) {
    rows.sort_by(|a, b| {
        let order = match filter.sort {
            Sort::Verdict => gravity(a.verdict).cmp(&gravity(b.verdict)),
            Sort::Id => a.id.cmp(&b.id),
            Sort::Label => a.label.cmp(&b.label),
            Sort::Site => a.site.cmp(&b.site),
            Sort::Model => a.model.cmp(&b.model),
            Sort::Speed => a.tokens_per_s.unwrap_or(0.0).total_cmp(&b.tokens_per_s.unwrap_or(0.0)),
            Sort::Proof => a.last_proof.cmp(&b.last_proof),
        };
        let order = if filter.descending { order.reverse() } else { order };
        order.then_with(|| a.id.cmp(&b.id))
    });
}
