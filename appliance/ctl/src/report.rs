//! `freehold report make`: the auditor's file.
//!
//! Refuses to leave half a file: it is written beside its place and moved there. Invariant: what is written is what the console
//! gave out; `freehold-inspect report` says whether it holds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use freehold_trust::sha256;
use http::Method;
use serde_json::json;

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::console::{Console, show};
use crate::profile::Profile;

/// Verbs about reports.
#[derive(Debug, Subcommand)]
pub enum ReportVerb {
    /// Have the console make a signed report, and keep it.
    Make(Make),
}

/// Arguments of `make`.
#[derive(Debug, Args)]
pub struct Make {
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// About one box only.
    #[arg(long = "box", value_name = "ID", conflicts_with = "model")]
    box_id: Option<String>,
    /// About one model only, by its root digest: its life.
    #[arg(long, value_name = "DIGEST")]
    model: Option<String>,
    /// From when on: RFC 3339, or unix seconds; a month back without it.
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    since: Option<i64>,
}

/// Runs a verb.
pub async fn run(verb: ReportVerb, setting: &Setting) -> Result<(), Fault> {
    let ReportVerb::Make(wish) = verb;
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    let body = json!({"box": wish.box_id, "model": wish.model, "from": wish.since});
    let answer = console.large(Method::POST, "/api/v1/reports", Some(body)).await?;
    let half = wish.out.with_extension("part");
    std::fs::write(&half, &answer.body)?;
    std::fs::rename(&half, &wish.out)?;
    let said = json!({"file": wish.out, "bytes": answer.body.len(), "sha256": sha256(&answer.body).to_hex()});
    show(setting, &said, |_| {
        println!("{}  {} bytes", wish.out.display(), answer.body.len());
        println!(
            "check it anywhere, without a network: freehold-inspect report {}",
            wish.out.display()
        );
    });
    Ok(())
}

fn time_of(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map(time::OffsetDateTime::unix_timestamp)
        .map_err(|_| "neither RFC 3339 (2026-11-21T09:14:00Z) nor unix seconds".to_owned())
}
