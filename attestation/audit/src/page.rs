//! The report for people: one page of HTML with everything in it, made to be printed.
//!
//! Refuses scripts, links to elsewhere, and prompts (there are none in a record). Invariant: text from outside is escaped, and
//! every sentence follows from the same answers as the assessment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::check::{CheckResult, Outcome};
use crate::controls::{Catalogue, Finding, Status};
use crate::oscal::instant;
use crate::world::World;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;color:#1a1d21;background:#fff;max-width:62rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2.2rem;border-bottom:1px solid #d8dbdf;padding-bottom:.3rem}\
p.under{color:#4d5359;margin-top:0}table{border-collapse:collapse;width:100%;font-size:.88rem}th{text-align:left;color:#4d5359;font-weight:600}\
th,td{border-bottom:1px solid #d8dbdf;padding:.3rem .7rem .3rem 0;vertical-align:top;overflow-wrap:anywhere}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.yes{color:#1a7f37}.no{color:#b42318}.unknown{color:#4d5359}\
code{font-size:.82rem;overflow-wrap:anywhere}svg{display:block;margin:.6rem 0}footer{margin-top:3rem;color:#4d5359;font-size:.82rem}\
@media print{body{margin:0;max-width:none}tr,svg{break-inside:avoid}h2{break-after:avoid}}";

/// The longest list that is printed; the archive has all of it.
const ROWS: usize = 500;

/// The page.
pub(crate) fn page(world: &World<'_>, catalogue: &Catalogue, results: &[CheckResult], findings: &[Finding]) -> String {
    let document = world.document;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Report: {name}</title><style>{STYLE}</style></head><body>\n<h1>What the evidence shows about {scope}</h1>\n\
         <p class=\"under\">Fleet {name}. From {from} to {at}. Asked for by {by}.</p>\n",
        name = escaped(&document.name),
        scope = escaped(&document.scope.words()),
        from = instant(document.from),
        at = instant(document.at),
        by = escaped(&document.made_by),
    );
    out.push_str(
        "<p>This page says nothing that the files beside it do not show. Check them on any computer, without a network: \
         <code>freehold-inspect report FILE.fhz --key 'the console's record key'</code>.</p>\n",
    );
    boxes(&mut out, world);
    controls(&mut out, catalogue, findings);
    answers(&mut out, results);
    models(&mut out, world);
    record(&mut out, world);
    out.push_str(
        "<footer>Unknown is not yes: where nothing shows something, this report says so. A simulated TPM or boot shows how things \
         work and proves nothing.</footer>\n</body></html>\n",
    );
    out
}

fn verdict_of(one: &crate::world::BoxSeen<'_>) -> (&'static str, &'static str) {
    match &one.seen {
        None => ("○", "no evidence"),
        Some(Err(_)) => ("■", "refused"),
        Some(Ok(seen)) => (seen.verdict.symbol(), seen.verdict.label()),
    }
}

fn boxes(out: &mut String, world: &World<'_>) {
    out.push_str("<h2>Boxes</h2>\n");
    if world.boxes.is_empty() {
        out.push_str("<p>There is no box in this report.</p>\n");
        return;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &world.boxes {
        *counts.entry(verdict_of(one).1).or_default() += 1;
    }
    bar(out, &counts);
    out.push_str(
        "<table><thead><tr><th></th><th>Box</th><th>Site</th><th>Verdict, reached again</th><th>As of</th><th>Boot</th>\
         <th>Running models</th><th>Told in entry</th></tr></thead><tbody>\n",
    );
    for one in world.boxes.iter().take(ROWS) {
        let (symbol, word) = verdict_of(one);
        let (at, boot, models, told, code) = match &one.seen {
            Some(Ok(seen)) => (
                instant(seen.at),
                match (&seen.claims.release, &seen.claims.version) {
                    (Some(release), Some(version)) => format!("{release} {version}"),
                    _ => "not shown".to_owned(),
                },
                named_models(world, &seen.claims.models),
                seen.told.map(|index| index.to_string()).unwrap_or_default(),
                seen.code.clone().unwrap_or_default(),
            ),
            Some(Err(report)) => (
                String::new(),
                String::new(),
                String::new(),
                String::new(),
                report.code.clone(),
            ),
            None => Default::default(),
        };
        let _ = writeln!(
            out,
            "<tr><td>{symbol}</td><td>{}<br><code>{}</code></td><td>{}</td><td>{word} <code>{}</code></td><td>{at}</td><td>{}</td>\
             <td>{}</td><td class=\"n\">{told}</td></tr>",
            escaped(&one.line.label),
            escaped(&one.line.box_id),
            escaped(&one.line.site),
            escaped(&code),
            escaped(&boot),
            escaped(&models),
        );
    }
    out.push_str("</tbody></table>\n");
    if world.boxes.len() > ROWS {
        let _ = writeln!(
            out,
            "<p>{} more are in the archive.</p>",
            world.boxes.len().saturating_sub(ROWS)
        );
    }
}

fn named_models(world: &World<'_>, digests: &[freehold_trust::Sha256Digest]) -> String {
    let names: Vec<String> = digests
        .iter()
        .map(|digest| {
            world
                .document
                .models
                .iter()
                .find(|model| model.digest == *digest)
                .map_or_else(|| digest.to_hex(), |model| format!("{} {}", model.name, model.version))
        })
        .collect();
    names.join(", ")
}

/// A bar of counts, with words and numbers below it: nothing is said by colour alone.
fn bar(out: &mut String, counts: &BTreeMap<&str, usize>) {
    let total: usize = counts.values().sum();
    let title: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    let title = title.join(", ");
    let _ = write!(
        out,
        "<svg role=\"img\" aria-label=\"{title}\" width=\"100%\" height=\"18\" viewBox=\"0 0 1000 18\" preserveAspectRatio=\"none\">"
    );
    let mut from = 0usize;
    for (word, count) in counts {
        let width = count.saturating_mul(1000) / total.max(1);
        let colour = match *word {
            "trusted" | "satisfied" | "yes" => "#1a7f37",
            "refused" | "not satisfied" | "no" => "#b42318",
            "attention" => "#b7791f",
            "trusted (simulated)" => "#5b8def",
            _ => "#a3a9b0",
        };
        let _ = write!(
            out,
            "<rect x=\"{from}\" y=\"0\" width=\"{width}\" height=\"18\" fill=\"{colour}\" stroke=\"#fff\"/>"
        );
        from = from.saturating_add(width);
    }
    let _ = writeln!(out, "</svg>\n<p>{title}</p>");
}

fn class(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Satisfied => ("yes", "●"),
        Status::NotSatisfied => ("no", "■"),
        Status::Unknown => ("unknown", "○"),
    }
}

fn controls(out: &mut String, catalogue: &Catalogue, findings: &[Finding]) {
    for framework in &catalogue.frameworks {
        let own: Vec<&Finding> = findings
            .iter()
            .filter(|one| one.framework == framework.framework)
            .collect();
        let _ = writeln!(out, "<h2>{}</h2>", escaped(&framework.title));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &own {
            *counts.entry(finding.status.word()).or_default() += 1;
        }
        bar(out, &counts);
        out.push_str("<table><thead><tr><th></th><th>Requirement</th><th>Status</th><th>How, and why not</th></tr></thead><tbody>\n");
        for finding in own {
            let (class, symbol) = class(finding.status);
            let checks: Vec<String> = finding.control.checks.iter().map(|check| check.word()).collect();
            let _ = writeln!(
                out,
                "<tr><td class=\"{class}\">{symbol}</td><td>{}<br><code>{}</code></td><td class=\"{class}\">{}</td><td>{}{}<br>\
                 <code>{}</code></td></tr>",
                escaped(&finding.control.title),
                escaped(&finding.control.id),
                finding.status.word(),
                escaped(&finding.control.says),
                finding
                    .why
                    .as_ref()
                    .map(|why| format!("<br>{}", escaped(why)))
                    .unwrap_or_default(),
                checks.join(" "),
            );
        }
        out.push_str("</tbody></table>\n");
    }
}

fn answers(out: &mut String, results: &[CheckResult]) {
    out.push_str("<h2>The questions behind it</h2>\n<table><thead><tr><th>Question</th><th>yes</th><th>no</th><th>unknown</th><th>First reason</th></tr></thead><tbody>\n");
    for result in results {
        let count = |word: &str| {
            result
                .answers
                .iter()
                .filter(|(_, outcome)| outcome.word() == word)
                .count()
        };
        let reason = result
            .answers
            .iter()
            .find(|(_, outcome)| *outcome != Outcome::Yes)
            .map(|(subject, outcome)| format!("{subject}: {}", outcome.why()))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "<tr><td>{}<br><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escaped(result.check.asks()),
            result.check.word(),
            count("yes"),
            count("no"),
            count("unknown"),
            escaped(&reason),
        );
    }
    out.push_str("</tbody></table>\n");
}

fn models(out: &mut String, world: &World<'_>) {
    for model in world.document.models.iter().take(ROWS) {
        let runs: Vec<&str> = world
            .boxes
            .iter()
            .filter(|one| matches!(&one.seen, Some(Ok(seen)) if seen.claims.models.contains(&model.digest)))
            .map(|one| one.line.label.as_str())
            .take(ROWS)
            .collect();
        let runs = if runs.is_empty() {
            "on no box, as far as their evidence shows".to_owned()
        } else {
            runs.join(", ")
        };
        let signer = if model.signer_key.is_empty() {
            "nobody whose signature counts".to_owned()
        } else {
            format!("{} (key {})", model.signer, model.signer_key)
        };
        let _ = writeln!(
            out,
            "<h2>The life of {} {}</h2>\n<table><tbody><tr><th>Digest</th><td><code>{}</code></td></tr><tr><th>Signed by</th><td>{}</td>\
             </tr><tr><th>Licence</th><td>{}</td></tr><tr><th>Taken back</th><td>{}</td></tr><tr><th>Runs</th><td>{}</td></tr><tr>\
             <th>How often</th><td>Boxes count requests in their own records; this console does not have them.</td></tr></tbody></table>",
            escaped(&model.name),
            escaped(&model.version),
            model.digest,
            escaped(&signer),
            escaped(&model.licence),
            if model.revoked { "yes" } else { "no" },
            escaped(&runs),
        );
        if model.life.is_empty() {
            continue;
        }
        out.push_str("<table><thead><tr><th>When</th><th>Who</th><th>What</th><th>About</th><th>Entry</th></tr></thead><tbody>\n");
        for deed in model.life.iter().take(ROWS) {
            let _ = writeln!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
                escaped(&deed.at),
                escaped(&deed.who),
                escaped(&deed.what),
                escaped(&deed.about),
                deed.entry
            );
        }
        out.push_str("</tbody></table>\n");
    }
}

fn record(out: &mut String, world: &World<'_>) {
    let range = &world.range;
    let _ = writeln!(
        out,
        "<h2>The console's record</h2>\n<p>Entries {} to {} of {} are in this report, all of them: they lead to the signed root \
         <code>{}</code>.</p>",
        range.first,
        range.checkpoint.size.saturating_sub(1),
        escaped(&range.checkpoint.origin),
        range.checkpoint.root,
    );
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for entry in &range.entries {
        *counts
            .entry((entry.what.as_str(), entry.refusal.is_some()))
            .or_default() += 1;
    }
    out.push_str("<table><thead><tr><th>Kind of entry</th><th></th><th>How many</th></tr></thead><tbody>\n");
    for ((what, refused), count) in counts {
        let says = freehold_record::schema::kind(what).map_or("", |kind| kind.says);
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code> {}</td><td>{}</td><td class=\"n\">{count}</td></tr>",
            escaped(what),
            says,
            if refused { "refused" } else { "" }
        );
    }
    out.push_str("</tbody></table>\n");
}

/// Text that cannot become markup.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
