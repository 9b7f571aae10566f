//! Sticks for people: the bundles, a form to make one, and one to take returns in.
//!
//! Refuses a file form without the session's token in its first field. Invariant: what is done here is done by the API's functions.

use axum::Extension;
use axum::extract::{Multipart, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, Response};
use freehold_protocol::stick::MAX_RETURN;
use freehold_trust::digest::ct_eq;
use freehold_views::sticks::{Back, Bundle, Candidate};
use freehold_views::{SticksPage, address};

use super::see;
use crate::console::Console;
use crate::people::action::Action;
use crate::people::guard::SafeForm;
use crate::people::session::Visitor;
use crate::refused::Refused;
use crate::stick::{BundleShown, Wish};

/// Bundles on the page; the API has more.
const SHOWN: usize = 20;
/// Most files in one form.
const MAX_FILES: usize = 1000;

/// `GET /sticks`.
///
/// # Errors
/// 500.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Refused> {
    let bundles = console.bundles_shown(&visitor).await?;
    let may_change = console.permits(&visitor, Action::Assign);
    let shell = console.shell(Some(&visitor), address::STICKS);
    let candidate = |member: &freehold_fleet::Member| Candidate {
        id: member.box_id.clone(),
        label: member.label.clone(),
    };
    let boxes = console.fleet_of(&visitor).boxes().values().map(candidate).collect();
    let page = SticksPage {
        shell,
        boxes,
        bundles: bundles.into_iter().take(SHOWN).map(bundle).collect(),
        may_change,
    };
    Ok(Html(page.render()))
}

fn bundle(shown: BundleShown) -> Bundle {
    Bundle {
        number: u64::try_from(shown.number).unwrap_or(0),
        at: shown.at,
        until: shown.not_after,
        by: shown.made_by,
        set: shown.set,
        parts: shown.parts,
        says: shown.says,
        boxes: (shown.boxes.into_iter())
            .map(|one| Back {
                id: one.id,
                at: one.at,
                verdict: one.verdict.unwrap_or_default(),
                achieved: one.achieved,
                refused: one.refused,
            })
            .collect(),
    }
}

/// `POST /sticks/make`.
///
/// # Errors
/// As the API.
pub async fn make(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    SafeForm(form): SafeForm,
) -> Result<Response, Refused> {
    let boxes = match form.need("for")? {
        "all" => console.fleet().boxes().keys().cloned().collect(),
        "none" => Vec::new(),
        one => vec![one.to_owned()],
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let wish = Wish {
        boxes,
        part_size: form.field("size").and_then(number),
        days: form
            .field("days")
            .and_then(number)
            .and_then(|days| u32::try_from(days).ok()),
    };
    console.make_bundle(&wish, &visitor.account.name).await?;
    Ok(see(address::STICKS))
}

/// `GET /sticks/{number}/{part}`.
///
/// # Errors
/// 404, 416.
pub async fn part(
    State(console): State<Console>,
    Path((number, part)): Path<(u64, u32)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    console.bundle_part(number, part, &headers).await
}

/// `POST /sticks/take`: the token first, then the files.
///
/// # Errors
/// 403 without the token; the first refusal, when no file was taken in.
pub async fn take(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    mut form: Multipart,
) -> Result<Response, Refused> {
    let broken = |error: axum::extract::multipart::MultipartError| Refused::unreadable(error.to_string());
    let (mut safe, mut taken, mut files, mut first) = (false, 0_usize, 0_usize, None);
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let mut bytes = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            if bytes.len().saturating_add(chunk.len()) > MAX_RETURN {
                return Err(Refused::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "console.too_large",
                    format!("a return has at most {MAX_RETURN} bytes"),
                ));
            }
            bytes.extend_from_slice(&chunk);
        }
        match field.name() {
            Some("csrf") => safe = ct_eq(&bytes, visitor.session.csrf.as_bytes()),
            // Nothing is looked at before the form has shown that it is ours.
            _ if !safe => {
                let message = "the form does not carry this session's token";
                return Err(Refused::new(StatusCode::FORBIDDEN, "console.csrf", message));
            }
            Some("file") if files < MAX_FILES => {
                files = files.saturating_add(1);
                match console.take_return(bytes, &visitor.account.name).await {
                    Ok(_) => taken = taken.saturating_add(1),
                    Err(refused) => {
                        first.get_or_insert(refused);
                    }
                }
            }
            _ => return Err(Refused::unreadable("the form has other fields than the page's")),
        }
    }
    match first {
        Some(refused) if taken == 0 => Err(refused),
        _ => Ok(see(address::STICKS)),
    }
}
