//! `freehold release show`.

use std::path::Path;

use freehold_sign::files::read_bounded;
use freehold_sign::repository::Publisher;
use freehold_verify::release::unverified_expiry;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::root_fingerprint;
use crate::answer::Fault;
use crate::arguments::Setting;
use crate::model::unknown;

fn date(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| seconds.to_string())
}

pub fn run(dir: &Path, setting: &Setting) -> Result<(), Fault> {
    let publisher = Publisher::open(dir)?;
    let published = publisher.published()?;
    let (root_version, root) = publisher.root()?;
    let mut expiries = vec![("root", root_version, expiry(&root)?)];
    for (role, version) in [("targets", published.version), ("snapshot", published.snapshot)] {
        let bytes = read_bounded(&dir.join(format!("metadata/{version}.{role}.json")), 32 * 1024 * 1024)?;
        expiries.push((role, version, expiry(&bytes)?));
    }
    let fingerprint = root_fingerprint(dir)?;
    if setting.json {
        let roles: Vec<_> = expiries
            .iter()
            .map(|(role, version, until)| json!({ "role": role, "version": version, "expires": until }))
            .collect();
        let releases: Vec<_> = published
            .releases
            .iter()
            .map(|(target, release)| {
                json!({ "target": target, "kind": release.kind, "counter": release.counter, "root": release.root, "licence": release.licence })
            })
            .collect();
        let document = json!({
            "root_fingerprint": fingerprint, "metadata": roles, "releases": releases, "revocations": published.revocations,
        });
        println!("{document}");
        return Ok(());
    }
    println!("root fingerprint {fingerprint}");
    for (role, version, until) in expiries {
        println!("{role:<9} version {version}, valid until {}", date(until));
    }
    println!();
    for (target, release) in &published.releases {
        println!("{target}  counter {}", release.counter);
        if let Some(root) = release.root {
            println!(
                "    model {root}, licence {}",
                release.licence.as_deref().unwrap_or("not stated")
            );
        }
    }
    let list = &published.revocations;
    println!("\nrevocation list {}", list.counter);
    for model in &list.models {
        println!("    model   {model}");
    }
    for signer in &list.signers {
        println!("    signer  {}", crate::answer::visible(signer));
    }
    for release in &list.releases {
        println!("    release {}", crate::answer::visible(release));
    }
    for (line, floor) in &list.floors {
        println!("    floor   {} from counter {floor}", crate::answer::visible(line));
    }
    Ok(())
}

fn expiry(bytes: &[u8]) -> Result<i64, Fault> {
    unverified_expiry(bytes).map_err(|error| unknown(&error, ""))
}
