//! Verbs about advisories: read a set, match a bill offline, ask the console, accept for a while.
//!
//! Refuses to say "nothing found" of a set that cannot be read, and to accept without a reason and a date.

use std::path::PathBuf;

use clap::Subcommand;
use freehold_sign::files::{read_bounded, read_public_key};
use freehold_supply::finding::worst;
use freehold_supply::{Acceptances, AdvisoryIndex, Finding, FindingState, Severity, VexBook, findings};
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused, visible};
use crate::arguments::Setting;
use crate::console::{Console, list, show, text};
use crate::model::{now, refused};
use crate::profile::Profile;
use crate::supply::{read_advisories, read_bill};
use crate::table;

/// Verbs about advisories.
#[derive(Debug, Subcommand)]
pub enum AdvisoriesVerb {
    /// Read a set of advisories (OSV, one record a line): how many, how new. Offline.
    Check {
        /// The set.
        file: PathBuf,
    },
    /// Match a bill against a set, offline; "no" when something above the accepted level is open.
    Match {
        /// The CycloneDX bill.
        bill: PathBuf,
        /// The set of advisories.
        #[arg(long)]
        advisories: PathBuf,
        /// A signed statement on exploitability (OpenVEX in DSSE); may be given more than once.
        #[arg(long, requires = "vex_key")]
        vex: Vec<PathBuf>,
        /// A key whose statements count; may be given more than once.
        #[arg(long)]
        vex_key: Vec<PathBuf>,
        /// The worst level that is accepted: none, low, medium, high or critical.
        #[arg(long, default_value = "none", value_parser = level)]
        accept: Severity,
    },
    /// The findings of the whole fleet, worst first.
    List {
        /// Accepted and harmless ones too.
        #[arg(long)]
        all: bool,
    },
    /// Which boxes have a package: a package URL (version and qualifiers may be left out) or a name.
    Which {
        /// For example `pkg:deb/debian/libssl3t64` or `openssl`.
        package: String,
    },
    /// Accept a finding for a while.
    Accept {
        /// The advisory.
        advisory: String,
        /// The package, as `list` shows it.
        #[arg(long)]
        package: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// For how many days.
        #[arg(long)]
        days: u32,
        /// For one box only.
        #[arg(long, value_name = "BOX", conflicts_with = "release")]
        only_box: Option<String>,
        /// For one release only, by target name.
        #[arg(long, value_name = "TARGET")]
        release: Option<String>,
    },
}

fn level(word: &str) -> Result<Severity, String> {
    Severity::ALL
        .into_iter()
        .find(|one| one.word() == word && *one != Severity::Unknown)
        .ok_or_else(|| "none, low, medium, high or critical".to_owned())
}

/// Runs a verb.
pub fn run(verb: AdvisoriesVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        AdvisoriesVerb::Check { file } => {
            let set = read_advisories(&file)?;
            let withdrawn = set.list.iter().filter(|one| one.withdrawn.is_some()).count();
            let days = now().saturating_sub(set.modified) / 86_400;
            let document = json!({ "advisories": set.list.len(), "withdrawn": withdrawn, "modified": set.modified });
            show(setting, &document, |_| {
                println!(
                    "{} advisories, {withdrawn} of them withdrawn; the newest is {days} days old",
                    set.list.len()
                );
            });
            Ok(())
        }
        AdvisoriesVerb::Match {
            bill,
            advisories,
            vex,
            vex_key,
            accept,
        } => {
            let index = AdvisoryIndex::new(read_advisories(&advisories)?);
            let keys: Result<Vec<_>, _> = vex_key.iter().map(|path| read_public_key(path)).collect();
            let keys = keys?;
            let mut book = VexBook::default();
            for path in &vex {
                book.add(&read_bounded(path, 16 << 20)?, &keys).map_err(refused)?;
            }
            let bill = read_bill(&bill)?;
            let parts = [(bill.about.name.as_str(), bill.components.as_slice())];
            let found = findings(&parts, None, &index, &book, &Acceptances::default(), now());
            if setting.json {
                println!("{}", serde_json::to_string_pretty(&json!({ "findings": found }))?);
            } else {
                table::print(
                    &["", "SEVERITY", "ADVISORY", "PACKAGE", "FIXED", "ABOUT"],
                    &found.iter().map(row).collect::<Vec<_>>(),
                );
            }
            let worst = worst(&found);
            if worst <= accept {
                return Ok(());
            }
            Err(Fault::Refused(Refused {
                code: "policy.engine_advisory".to_owned(),
                message: "an open finding is above the accepted level".to_owned(),
                expected: Some(format!("{} at most", accept.word())),
                found: Some(worst.word().to_owned()),
            }))
        }
        online => crate::arguments::in_runtime(ask(online, setting)),
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let stands = match &finding.state {
        FindingState::Open { reopened: None } => "open".to_owned(),
        FindingState::Open { reopened: Some(why) } => format!("open again: {why}"),
        FindingState::Accepted { by, .. } => format!("accepted by {by}"),
        FindingState::NotAffected { .. } => "not affected".to_owned(),
    };
    vec![
        stands,
        finding.severity.word().to_owned(),
        finding.advisory.clone(),
        finding.component.as_ref().map(ToString::to_string).unwrap_or_default(),
        finding.fixed.join(" "),
        finding.summary.chars().take(60).collect(),
    ]
}

async fn ask(verb: AdvisoriesVerb, setting: &Setting) -> Result<(), Fault> {
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    match verb {
        AdvisoriesVerb::Check { .. } | AdvisoriesVerb::Match { .. } => Ok(()),
        AdvisoriesVerb::List { all } => {
            let found = console.call(Method::GET, "/api/v1/advisories", None).await?;
            show(setting, &found, |found| {
                let rows: Vec<Vec<String>> = list(found, "findings")
                    .iter()
                    .filter(|one| all || one["state"]["is"] == "open")
                    .map(|one| {
                        let boxes = list(one, "boxes").len();
                        let state = match one["state"]["reopened"].as_str() {
                            Some(why) => format!("open again: {why}"),
                            None => text(&one["state"], "is"),
                        };
                        let fixed: Vec<&str> = list(one, "fixed").iter().filter_map(Value::as_str).collect();
                        vec![
                            state,
                            text(one, "severity"),
                            text(one, "advisory"),
                            text(one, "component"),
                            boxes.to_string(),
                            fixed.join(" "),
                        ]
                    })
                    .collect();
                table::print(&["", "SEVERITY", "ADVISORY", "PACKAGE", "BOXES", "FIXED"], &rows);
                println!("{} advisories are known", found["known"]);
            });
            Ok(())
        }
        AdvisoriesVerb::Which { package } => {
            let query: String = package.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let found = console
                .call(Method::GET, &format!("/api/v1/components?package={query}"), None)
                .await?;
            show(setting, &found, |found| {
                let rows: Vec<Vec<String>> = list(found, "places")
                    .iter()
                    .map(|place| vec![text(place, "box"), text(place, "part"), text(place, "component")])
                    .collect();
                table::print(&["BOX", "RELEASE", "PACKAGE"], &rows);
            });
            Ok(())
        }
        AdvisoriesVerb::Accept {
            advisory,
            package,
            reason,
            days,
            only_box,
            release,
        } => {
            let scope = match (only_box, release) {
                (Some(name), _) => json!({ "of": "box", "which": crate::boxes::find(&console, &name).await?["id"] }),
                (None, Some(target)) => json!({ "of": "release", "which": target }),
                (None, None) => json!({ "of": "fleet" }),
            };
            let body =
                json!({ "advisory": advisory, "package": package, "scope": scope, "reason": reason, "days": days });
            let done = console.call(Method::POST, "/api/v1/acceptances", Some(body)).await?;
            show(setting, &done, |done| {
                println!("accepted {} until {}", visible(&advisory), done["until"]);
            });
            Ok(())
        }
    }
}
