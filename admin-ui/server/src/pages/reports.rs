//! The page of reports: what one is, what it can be about, and the button that makes it.
//!
//! Refuses to keep reports: each is made from what is known now, and the record tells of it. Invariant: whoever may see this page
//! may make a report, and sees no prompt in it.

use axum::Extension;
use axum::extract::State;
use axum::response::{Html, Response};
use freehold_verify::release::ReleaseKind;
use freehold_views::reports::{Made, Subject};
use freehold_views::{ReportsPage, address};

use crate::api::reports::{NewReport, handed};
use crate::console::Console;
use crate::pages::record::entry;
use crate::people::guard::SafeForm;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// Reports that the page lists.
const LISTED: usize = 20;
/// Entries that it looks through for them.
const LOOKED_THROUGH: u64 = 5_000;

/// `GET /reports`.
///
/// # Errors
/// 500 when the record cannot be read.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Refused> {
    let size = console.0.book.recorder().head().size;
    let (_, found) = console
        .entries(Some(size.saturating_sub(LOOKED_THROUGH)), LOOKED_THROUGH)
        .await?;
    let made = found
        .iter()
        .rev()
        .filter_map(|(index, bytes)| entry(*index, bytes))
        .filter(|entry| entry.kind == "report.made")
        .take(LISTED)
        .map(|entry| Made {
            at: entry.at,
            by: entry.actor,
            text: entry.text,
            index: entry.index,
        })
        .collect();
    let boxes = console
        .fleet()
        .boxes()
        .values()
        .filter(|member| member.is_approved())
        .map(|member| Subject {
            value: member.box_id.clone(),
            label: format!("{} ({})", member.label, member.box_id),
        })
        .collect();
    let models = console
        .shelf()
        .descriptors
        .values()
        .filter(|descriptor| descriptor.kind == ReleaseKind::Model)
        .filter_map(|descriptor| {
            Some(Subject {
                value: descriptor.root?.to_hex(),
                label: format!("{} {}", descriptor.name, descriptor.version),
            })
        })
        .collect();
    let page = ReportsPage {
        shell: console.shell(Some(&visitor), address::REPORTS),
        boxes,
        models,
        made,
        verify_command: format!("freehold-inspect report FILE.fhz --key '{}'", console.0.book.verifier()),
    };
    Ok(Html(page.render()))
}

/// `POST /reports/make`: the file.
///
/// # Errors
/// As `Console::report`.
pub async fn make(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let named = |name: &str| form.field(name).map(str::to_owned).filter(|text| !text.is_empty());
    let days: Option<i64> = named("days").and_then(|days| days.parse().ok());
    let wish = NewReport {
        box_id: named("box"),
        model: named("model"),
        from: days.map(|days| console.now().saturating_sub(days.saturating_mul(86_400))),
    };
    Ok(handed(console.report(wish.scope()?, wish.from, &visitor).await?))
}
