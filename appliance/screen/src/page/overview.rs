//! The first page: state and reason, what to do, then what is there.
//!
//! Refuses to say "trusted" for anything but the console's verdict. Invariant: from top to bottom it answers what is wrong,
//! what is going on, what is there.

use freehold_explain::explain;
use freehold_protocol::screen::{Stage, View};
use freehold_protocol::status::{ModelPhase, VerdictWord};

use super::{BODY, named};
use crate::frame::{COLUMNS, Row};
use crate::text;

/// Models that are listed; a box with more says how many.
const MODELS: usize = 4;

pub(crate) fn overview(view: &View) -> Vec<Row> {
    let mut rows = Vec::with_capacity(BODY);
    let (why, next) = state(view);
    rows.push(Row::strong(format!(
        "{} {}",
        text::shape(view.verdict),
        view.verdict.word()
    )));
    rows.extend(named("    Why", &why, 2));
    rows.extend(named("    Do", &next, 2));
    rows.push(Row::empty());
    rows.extend(named("Console", &console(view), 2));
    rows.extend(named("Address", &addresses(view), 1));
    let serving = view.gateway.as_ref().map_or_else(
        || "nothing yet: the gateway does not listen".to_owned(),
        |door| door.url.clone(),
    );
    rows.extend(named("Serving", &serving, 1));
    rows.extend(named("TPM", &tpm(view), 1));
    if !view.doing.is_empty() {
        rows.extend(named("Now", &view.doing, 1));
    }
    let room = view.disk.map_or_else(
        || "could not tell".to_owned(),
        |room| format!("{} free of {}", text::size(room.free), text::size(room.total)),
    );
    let record = format!("record {} entries", text::number(view.record));
    rows.push(Row::light(text::ends(
        &format!("{:<10}{room}", "Disk"),
        &record,
        COLUMNS,
    )));
    rows.push(Row::empty());
    rows.extend(models(view));
    refused(view, &mut rows);
    rows.truncate(BODY);
    rows
}

/// Why the box is as it is, and what to do: first what keeps it from its console, then the verdict.
fn state(view: &View) -> (String, String) {
    let say = |why: &str, next: &str| (why.to_owned(), next.to_owned());
    match view.stage {
        Stage::Unpaired => {
            return say(
                "This box knows no console yet.",
                "Press I when a stick with pairing.json is in, or N to type the settings.",
            );
        }
        Stage::Offered => {
            return say(
                "A console was named. It is not ours before somebody compared its fingerprint.",
                "Press F and compare with the console's Settings page; then press C.",
            );
        }
        Stage::Waiting => {
            return say(
                "The box has proved its keys to the console and waits for approval.",
                "Press F, compare with the console's Approvals page, and approve it there.",
            );
        }
        Stage::SentAway => {
            return say(
                "The console sent this box away.",
                "Ask the people of the console. If it was a mistake, they take it back there.",
            );
        }
        Stage::Member => {}
    }
    let because = view.because.join(" ");
    let of_code = |code: &str| explain(code).map(|explained| explained.next);
    // The verdict's own reason begins with its code where the console gave one.
    let code = (view.because.iter())
        .filter_map(|line| line.split_once(':').map(|(code, _)| code.trim_matches('`')))
        .find_map(of_code);
    match view.verdict {
        VerdictWord::Trusted => (
            or(because, "Everything that policy asks for was shown."),
            "Nothing.".to_owned(),
        ),
        VerdictWord::TrustedSimulated => (
            or(because, "Everything was shown, but the TPM is software."),
            "Nothing. Not for real work: a software TPM proves nothing about a machine.".to_owned(),
        ),
        VerdictWord::Attention | VerdictWord::Refused => (
            or(because, "The console gave no reason."),
            code.unwrap_or_else(|| "Look at this box on the console: it names the first difference.".to_owned()),
        ),
        VerdictWord::Unknown => {
            let cause = [view.tpm.as_str(), view.console.state.as_str()]
                .into_iter()
                .filter(|code| !matches!(*code, "" | "ok"))
                .find_map(|code| explain(code).map(|explained| (code, explained)));
            match cause {
                Some((code, explained)) => (format!("{code}: {}", explained.what), explained.next),
                None => (
                    or(because, "The console has not seen evidence since the start."),
                    code.unwrap_or_else(|| "Wait: the box shows its evidence by itself.".to_owned()),
                ),
            }
        }
    }
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

fn console(view: &View) -> String {
    if view.console.address.is_empty() {
        return "none known".to_owned();
    }
    let state = match view.console.state.as_str() {
        "ok" => "reached".to_owned(),
        "" => "not tried yet".to_owned(),
        code => explain(code).map_or_else(|| code.to_owned(), |explained| format!("{code}: {}", explained.what)),
    };
    format!("{}, {state}", view.console.address)
}

fn addresses(view: &View) -> String {
    if view.addresses.is_empty() {
        "none: no network, or DHCP has not answered".to_owned()
    } else {
        view.addresses.join(", ")
    }
}

fn tpm(view: &View) -> String {
    let tpm = match view.tpm.as_str() {
        "ok" => "answers".to_owned(),
        "" => "not looked at yet".to_owned(),
        code => explain(code).map_or_else(|| code.to_owned(), |explained| format!("{code}: {}", explained.what)),
    };
    if view.boot.is_empty() {
        tpm
    } else {
        format!("{tpm}; boot {}", view.boot)
    }
}

fn models(view: &View) -> Vec<Row> {
    if view.models.is_empty() {
        return named("Models", "none: nothing was assigned to this box yet", 1);
    }
    let left_out = view.models.len().saturating_sub(MODELS);
    let shown = if left_out == 0 { MODELS } else { MODELS - 1 };
    let mut rows = Vec::new();
    for (number, model) in view.models.iter().take(shown).enumerate() {
        let far = match (&model.progress, &model.reason) {
            (Some(progress), _) if model.phase == ModelPhase::Fetching => format!(" {} %", progress.percent()),
            (_, Some(reason)) => format!(": {reason}"),
            _ => String::new(),
        };
        let name = if number == 0 { "Models" } else { "" };
        let line = format!("{} {}, {}{far}", model.name, model.version, text::phase(model.phase));
        rows.extend(named(name, &line, 1));
    }
    if left_out > 0 {
        rows.extend(named("", &format!("and {} more", left_out + 1), 1));
    }
    rows
}

fn refused(view: &View, rows: &mut Vec<Row>) {
    let Some(last) = view.refusals.last() else { return };
    rows.push(Row::empty());
    let count = view.refusals.len();
    let title = if count == 1 {
        "Refused".to_owned()
    } else {
        format!("Refused {count} things; R shows them. The last:")
    };
    let what = explain(&last.code).map_or_else(|| last.message.clone(), |explained| explained.what);
    if count == 1 {
        rows.extend(named(&title, &format!("{}: {what}", last.code), 2));
    } else {
        rows.push(Row::light(title));
        rows.extend(named("", &format!("{}: {what}", last.code), 2));
    }
}
