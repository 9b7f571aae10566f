//! The measured boot of a box from the claims of its last verdict.
//!
//! Refuses to call anything "as expected" that the claims do not say matches. Invariant: the first event that differs is shown,
//! whatever is left out.

use freehold_views::one_box::{Agreement, Boot, BootEvent, Pcr};
use serde_json::Value;

/// Events shown beyond those that differ.
const EVENTS: usize = 200;

/// The boot part, when the evidence was verified at all.
pub fn boot(claims: &Value) -> Option<Boot> {
    let pcrs: Vec<Pcr> = claims.get("pcrs")?.as_array()?.iter().filter_map(pcr).collect();
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let mismatch = pcrs_with_code(claims, "boot.log_mismatch");
    let events = events(claims);
    let total = claims.pointer("/events/total").and_then(Value::as_u64).unwrap_or(0);
    let shown = u64::try_from(events.len()).unwrap_or(u64::MAX);
    Some(Boot {
        manifest: format!("{} {}", text("release"), text("version")).trim().to_owned(),
        manifest_digest: String::new(),
        booted: None,
        reset_count: count(claims, "/clock/reset_count"),
        restart_count: count(claims, "/clock/restart_count"),
        log_format: "TCG PC Client".to_owned(),
        log_agrees: match (events.is_empty(), mismatch) {
            (true, _) => Agreement::CouldNotTell,
            (false, true) => Agreement::Differs,
            (false, false) => Agreement::Same,
        },
        pcrs,
        events_left_out: u32::try_from(total.saturating_sub(shown)).unwrap_or(u32::MAX),
        events,
    })
}

fn count(claims: &Value, pointer: &str) -> Option<u32> {
    claims
        .pointer(pointer)
        .and_then(Value::as_u64)
        .and_then(|count| u32::try_from(count).ok())
}

fn pcrs_with_code(claims: &Value, code: &str) -> bool {
    let all = claims.get("pcrs").and_then(Value::as_array);
    all.is_some_and(|all| {
        all.iter()
            .any(|pcr| pcr.pointer("/outcome/code").and_then(Value::as_str) == Some(code))
    })
}

fn pcr(claim: &Value) -> Option<Pcr> {
    let index = u8::try_from(claim.get("index")?.as_u64()?).ok()?;
    let value = claim.get("value")?.as_str()?.to_owned();
    let outcome = claim.get("outcome")?;
    let text = |name: &str| outcome.get(name).and_then(Value::as_str).unwrap_or_default();
    let (agreement, expected, fault) = match text("is") {
        "matches" => (Agreement::Same, value.clone(), String::new()),
        "differs" => {
            let event = outcome.get("event").and_then(Value::as_u64);
            let what = text("description");
            let said = match (event, what) {
                (Some(event), what) => format!("event {event}, {}: {what} ({})", text("type"), text("code")),
                (None, "") => text("code").to_owned(),
                (None, what) => format!("{what} ({})", text("code")),
            };
            // A differing event's digests are not PCR values; they stand beside the event.
            let expected = if event.is_some() { "" } else { text("expected") };
            (Agreement::Differs, expected.to_owned(), said)
        }
        _ => (Agreement::NotAsked, String::new(), String::new()),
    };
    Some(Pcr {
        index,
        expected,
        found: value,
        agreement,
        fault,
    })
}

/// A PCR's outcome: which event differs, if any.
fn differing(claims: &Value) -> Vec<(u64, &Value)> {
    let all = claims.get("pcrs").and_then(Value::as_array);
    all.into_iter()
        .flatten()
        .filter_map(|claim| {
            let outcome = claim.get("outcome")?;
            Some((outcome.get("event")?.as_u64()?, outcome))
        })
        .collect()
}

fn covered(claims: &Value, pcr: u64) -> Agreement {
    let all = claims.get("pcrs").and_then(Value::as_array);
    let claim = all
        .into_iter()
        .flatten()
        .find(|claim| claim.get("index").and_then(Value::as_u64) == Some(pcr));
    match claim
        .and_then(|claim| claim.pointer("/outcome/is"))
        .and_then(Value::as_str)
    {
        Some("matches") => Agreement::Same,
        Some("differs") => Agreement::CouldNotTell,
        _ => Agreement::NotAsked,
    }
}

fn events(claims: &Value) -> Vec<BootEvent> {
    let faults = differing(claims);
    let shown = claims.pointer("/events/shown").and_then(Value::as_array);
    let mut plain = 0usize;
    shown
        .into_iter()
        .flatten()
        .filter_map(|event| {
            let number = event.get("number")?.as_u64()?;
            let pcr = event.get("pcr")?.as_u64()?;
            let text =
                |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let fault = faults
                .iter()
                .find(|(index, _)| *index == number)
                .map(|(_, outcome)| *outcome);
            if fault.is_none() {
                plain = plain.saturating_add(1);
                if plain > EVENTS {
                    return None;
                }
            }
            let agreement = match fault.map(|fault| text(fault, "code")).as_deref() {
                Some("boot.event_extra") => Agreement::Extra,
                Some(_) => Agreement::Differs,
                None => covered(claims, pcr),
            };
            let digest = |name: &str| fault.map(|fault| text(fault, name)).filter(|digest| !digest.is_empty());
            Some(BootEvent {
                number: u32::try_from(number).ok()?,
                pcr: u8::try_from(pcr).ok()?,
                kind: text(event, "type"),
                says: text(event, "says"),
                digest: text(event, "digest"),
                agreement,
                expected: digest("expected"),
                found: digest("found"),
            })
        })
        .collect()
}
