//! A rollout in characters: its head, its waves as a picture, what went back and why.
//!
//! Refuses control characters from boxes: labels are made visible. Invariant: a function of the API's answer and the time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::console::{list, text};

/// Boxes of a wave that are drawn one by one; more are counted.
const MOST_MARKS: usize = 60;
/// Cells of the bar.
const BAR: u64 = 40;

/// A box's mark: the same shapes as on the console's page.
fn mark(stage: &str) -> char {
    match stage {
        "healthy" => '●',
        "ordered" => '◐',
        "went_back" | "failed" => '■',
        "silent" | "return_ordered" => '▲',
        "returned" => '◀',
        _ => '○',
    }
}

fn name(one: &Value) -> String {
    let label = text(one, "label");
    if label.is_empty() { text(one, "box") } else { label }
}

/// `in 3 h`, `12 s ago`.
fn when(at: i64, now: i64) -> String {
    let distance = now.saturating_sub(at);
    let span = match distance.unsigned_abs() {
        0..2 => return "now".to_owned(),
        s @ 2..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    };
    if distance > 0 {
        format!("{span} ago")
    } else {
        format!("in {span}")
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        0 => "at the start".to_owned(),
        s if s % 86_400 == 0 => format!("{} d after the start", s / 86_400),
        s if s % 3600 == 0 => format!("{} h after the start", s / 3600),
        s if s % 60 == 0 => format!("{} min after the start", s / 60),
        s => format!("{s} s after the start"),
    }
}

fn size(bytes: u64) -> String {
    for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] {
        if bytes >= unit {
            let tenths = bytes.checked_div(unit / 10).unwrap_or(0);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

fn versions(one: &Value) -> String {
    let from: Vec<&str> = list(one, "from").iter().filter_map(Value::as_str).collect();
    let arrow = if from.is_empty() {
        String::new()
    } else {
        format!("{} → ", from.join(", "))
    };
    crate::answer::visible(&format!("{} {arrow}{}", text(one, "release"), text(one, "version")))
}

fn head(one: &Value) -> String {
    let because = text(one, "because");
    format!(
        "{}  {}   {}{}{}",
        text(one, "id"),
        versions(one),
        text(one, "word"),
        if because.is_empty() { "" } else { ": " },
        because
    )
}

fn bar(one: &Value) -> String {
    let count = |name: &str| one["counts"][name].as_u64().unwrap_or(0);
    let all = count("all").max(1);
    let cells = |count: u64| count.saturating_mul(BAR).checked_div(all).unwrap_or(0);
    let (good, bad, way) = (cells(count("healthy")), cells(count("failed")), cells(count("ordered")));
    let mut bar = String::new();
    for (cell, times) in [('█', good), ('▒', way), ('x', bad)] {
        bar.extend(std::iter::repeat_n(cell, usize::try_from(times).unwrap_or(0)));
    }
    let width = usize::try_from(BAR).unwrap_or(0);
    let left = width.saturating_sub(bar.chars().count());
    bar.extend(std::iter::repeat_n('·', left));
    let mut tally = format!("{} of {} healthy", count("healthy"), count("all"));
    for (name, word) in [
        ("ordered", "under way"),
        ("failed", "went back or failed"),
        ("waiting", "waiting"),
    ] {
        if count(name) > 0 {
            let _ = write!(tally, ", {} {word}", count(name));
        }
    }
    if count("by_stick") > 0 {
        let _ = write!(
            tally,
            "; by stick: {} of {} back",
            count("by_stick_back"),
            count("by_stick")
        );
    }
    format!("{bar}  {tally}")
}

fn wave(one: &Value, rollout: &Value, now: i64) -> String {
    let boxes = list(one, "boxes");
    let mut marks = String::new();
    if boxes.len() <= MOST_MARKS {
        marks.extend(boxes.iter().map(|one| mark(one["stage"].as_str().unwrap_or_default())));
    } else {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in boxes {
            let count = counts.entry(one["stage"].as_str().unwrap_or_default()).or_default();
            *count = count.saturating_add(1);
        }
        let parts: Vec<String> = counts
            .iter()
            .map(|(stage, count)| format!("{} {count}", mark(stage)))
            .collect();
        marks = parts.join("  ");
    }
    let state = match (one["state"].as_str(), one["begun"].as_i64()) {
        (Some("done"), _) => "done".to_owned(),
        (Some("running"), Some(at)) => format!("began {}", when(at, now)),
        _ => match (
            one["waits"].as_str(),
            one["until"].as_i64(),
            rollout["started"].as_i64(),
        ) {
            (_, _, None) => format!(
                "{}{}, {}",
                span(one["earliest"].as_i64().unwrap_or(0)),
                if one["person"] == true { ", and a person" } else { "" },
                size(one["bytes"].as_u64().unwrap_or(0))
            ),
            (Some(what), Some(at), _) => format!("waits {}, {}", crate::answer::visible(what), when(at, now)),
            (Some(what), None, _) => format!("waits {}", crate::answer::visible(what)),
            _ => "not begun".to_owned(),
        },
    };
    format!(
        "wave {:<2} {:>4} {:<5}  {marks}  {state}",
        one["number"].as_u64().unwrap_or(0),
        boxes.len(),
        if boxes.len() == 1 { "box" } else { "boxes" }
    )
}

/// What went back, one line each.
fn back(one: &Value) -> Vec<String> {
    let boxes = list(one, "waves").iter().flat_map(|wave| list(wave, "boxes"));
    boxes
        .filter(|one| one["code"].is_string())
        .map(|one| {
            let from = text(one, "from");
            let runs = if from.is_empty() {
                String::new()
            } else {
                format!(", runs {from} again")
            };
            let is_back = matches!(one["stage"].as_str(), Some("went_back" | "returned"));
            format!(
                "{} {}  {}: {}{}",
                mark(one["stage"].as_str().unwrap_or_default()),
                name(one),
                text(one, "word"),
                text(one, "code"),
                if is_back { runs } else { String::new() }
            )
        })
        .collect()
}

/// One frame of `watch`.
pub fn live(one: &Value, now: i64) -> String {
    let mut out = format!("{}\n{}\n", head(one), bar(one));
    for part in list(one, "waves") {
        let _ = writeln!(out, "{}", wave(part, one, now));
    }
    for line in back(one).into_iter().take(12) {
        let _ = writeln!(out, "  {line}");
    }
    out
}

/// One line for a log.
pub fn line(one: &Value) -> String {
    let waves: Vec<String> = (list(one, "waves").iter())
        .map(|part| {
            (list(part, "boxes").iter())
                .map(|one| mark(one["stage"].as_str().unwrap_or_default()))
                .take(MOST_MARKS)
                .collect()
        })
        .collect();
    format!("{}  {}  {}", text(one, "word"), waves.join(" | "), bar(one))
}

/// A plan or a rollout, whole.
pub fn whole(one: &Value, now: i64) -> String {
    let mut out = live(one, now);
    let boxes = list(one, "waves").iter().flat_map(|wave| list(wave, "boxes"));
    let waiting: Vec<String> = boxes
        .filter(|one| one["waits"].is_string())
        .map(|one| format!("  {}  waits {}", name(one), text(one, "waits")))
        .collect();
    if one["started"].is_i64() && !waiting.is_empty() {
        let _ = writeln!(out, "\nwaiting\n{}", waiting.join("\n"));
    }
    let (gates, limits) = (&one["gates"], &one["limits"]);
    let _ = writeln!(out, "\nplan");
    let _ = writeln!(out, "  to fetch  {}", size(one["bytes"].as_u64().unwrap_or(0)));
    let _ = writeln!(
        out,
        "  healthy   own health check, {}{} % of golden answers, {} ‰ failed requests at most, {} % of the speed before",
        if gates["verdict"] == true {
            "a verdict after the change, "
        } else {
            ""
        },
        gates["answers_percent"],
        gates["errors_permille"],
        gates["speed_percent"]
    );
    let _ = writeln!(
        out,
        "  limits    {} out of service at once, {} at each site; more than {} failed: everything goes back",
        limits["unavailable"], limits["unavailable_per_site"], one["failure_budget"]
    );
    let _ = writeln!(out, "  deadline  {}", when(one["deadline"].as_i64().unwrap_or(0), now));
    let approvals: Vec<&str> = list(one, "approvals").iter().filter_map(Value::as_str).collect();
    let _ = writeln!(
        out,
        "  approved  {} of {}{}{}",
        approvals.len(),
        one["approvals_needed"],
        if approvals.is_empty() { "" } else { ": " },
        crate::answer::visible(&approvals.join(", "))
    );
    let asked = &one["approval"];
    if asked.is_object() {
        let missing = asked["missing"].as_u64().unwrap_or(0);
        let _ = writeln!(
            out,
            "  passkeys  {}; every box checks them; they count until {}",
            if missing == 0 {
                "all there".to_owned()
            } else {
                format!("{missing} missing")
            },
            when(asked["until"].as_i64().unwrap_or(0), now)
        );
        let _ = writeln!(out, "  signed    {}  {}", text(asked, "words"), text(asked, "sha256"));
    }
    let _ = writeln!(out, "  digest    {}  {}", text(one, "words"), text(one, "digest"));
    let risks = list(one, "risks");
    if !risks.is_empty() {
        let _ = writeln!(out, "\nrisks");
        for risk in risks.iter().filter_map(Value::as_str) {
            let _ = writeln!(out, "  ▲ {}", crate::answer::visible(risk));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one() -> Value {
        let a_box = |name: &str, stage: &str, word: &str, code: Option<&str>| {
            json!({"box": name, "label": "", "stage": stage, "word": word, "code": code, "from": "2.0",
                   "waits": (stage == "waiting").then_some("for wave 2")})
        };
        json!({
            "id": "r-1", "release": "models/triage", "version": "2.1", "from": ["2.0"], "word": "running", "phase": "running",
            "because": "", "started": 1000, "deadline": 90_000, "bytes": 41_000_000_u64, "digest": "00ff", "words": "amber fox",
            "approvals": ["noor"], "approvals_needed": 1, "failure_budget": 1, "risks": ["2 boxes run nothing\u{1b}[31m"],
            "gates": {"verdict": true, "answers_percent": 100, "errors_permille": 10, "speed_percent": 80},
            "limits": {"unavailable": 2, "unavailable_per_site": 1},
            "counts": {"all": 4, "healthy": 1, "ordered": 1, "failed": 1, "waiting": 1, "by_stick": 0, "by_stick_back": 0},
            "waves": [
                {"number": 1, "state": "running", "begun": 1000, "boxes": [
                    a_box("a", "healthy", "healthy", None), a_box("b", "went_back", "went back", Some("health.answers")),
                    a_box("c", "ordered", "ordered", None)]},
                {"number": 2, "state": "waiting", "waits": "for wave 2", "boxes": [a_box("d", "waiting", "waiting", None)]},
            ],
        })
    }

    #[test]
    fn a_frame_says_how_far_it_is_and_who_went_back() {
        let expected = "\
r-1  models/triage 2.0 → 2.1   running
██████████▒▒▒▒▒▒▒▒▒▒xxxxxxxxxx··········  1 of 4 healthy, 1 under way, 1 went back or failed, 1 waiting
wave 1     3 boxes  ●■◐  began 60 s ago
wave 2     1 box    ○  waits for wave 2
  ■ b  went back: health.answers, runs 2.0 again
";
        assert_eq!(live(&one(), 1060), expected);
        assert_eq!(line(&one()).split("  ").nth(1), Some("●■◐ | ○"));
    }

    #[test]
    fn the_whole_names_terms_and_risks_and_obeys_nothing() {
        let text = whole(&one(), 1060);
        for part in [
            "to fetch  41.0 MB",
            "1 of 1: noor",
            "d  waits for wave 2",
            "amber fox  00ff",
            "\\u{1b}[31m",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn missing_passkeys_are_named_with_what_they_sign() {
        let mut one = one();
        assert!(!whole(&one, 1060).contains("passkeys"));
        one["approval"] =
            json!({"needed": 2, "missing": 1, "sha256": "ee11", "words": "basil copper", "until": 90_000});
        let text = whole(&one, 1060);
        for part in ["passkeys  1 missing", "until in 24 h", "signed    basil copper  ee11"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        one["approval"]["missing"] = json!(0);
        assert!(whole(&one, 1060).contains("passkeys  all there"));
    }
}
