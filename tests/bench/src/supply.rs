//! Matching a fleet against advisories: all of it, and again after a small change.
//!
//! Refuses to let sharing hide the work: once with bills that boxes share, as they do, and once with every box's components looked at
//! one by one.

use std::time::Instant;

use freehold_supply::{Advisories, AdvisoryIndex, Component, FleetMatches, FleetParts, Purl};

use crate::row::Row;

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Boxes.
    pub boxes: usize,
    /// Components of a box.
    pub components: usize,
    /// Advisories.
    pub advisories: usize,
}

/// Packages that advisories are about; a tenth of a Debian suite.
const PACKAGES: usize = 6_000;
/// Different bills in the fleet: versions of systems, engines and models over the years.
const BILLS: usize = 400;

fn line(number: usize, modified: &str) -> String {
    let package = number % PACKAGES;
    let (from, fixed) = (number % 7, 7 + number % 40);
    format!(
        "{{\"id\":\"CVE-{number}\",\"modified\":\"{modified}\",\"severity\":[{{\"type\":\"CVSS_V3\",\"score\":\
         \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H\"}}],\"summary\":\"a fault\",\"affected\":[{{\"package\":{{\"ecosystem\":\
         \"Debian:13\",\"name\":\"package-{package}\"}},\"ranges\":[{{\"type\":\"ECOSYSTEM\",\"events\":[{{\"introduced\":\
         \"1.{from}-1\"}},{{\"fixed\":\"1.{fixed}-1+deb13u{}\"}}]}}]}}]}}\n",
        number % 3
    )
}

fn component(package: usize, version: usize) -> Component {
    let name = format!("package-{}", package % PACKAGES);
    let version = format!("1.{}-1", version % 50);
    let purl: Option<Purl> = format!("pkg:deb/debian/lib{name}@{version}?arch=amd64&distro=trixie")
        .parse()
        .ok();
    Component {
        kind: "library".to_owned(),
        name: format!("lib{name}"),
        version: version.clone(),
        purl,
        licences: Vec::new(),
        sha256: None,
        source: Some((name, version)),
    }
}

/// Measures.
pub fn measure(size: Size) -> anyhow::Result<Vec<Row>> {
    let text: String = (0..size.advisories)
        .map(|number| line(number, "2026-11-20T00:00:00Z"))
        .collect();
    let began = Instant::now();
    let set = Advisories::parse(text.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut index = AdvisoryIndex::new(set);
    let read = began.elapsed().as_secs_f64();

    let mut parts = FleetParts::default();
    let halves = size.components / 2;
    for bill in 0..BILLS {
        // A system and a set of its own share nothing but the shape.
        let components: Vec<Component> = (0..halves).map(|at| component(at * 7 + bill, at + bill)).collect();
        parts.set_part(&format!("part-{bill}"), components);
    }
    for number in 0..size.boxes {
        let (one, two) = (number % BILLS, (number * 13 + 7) % BILLS);
        parts.set_box(
            &format!("box-{number}"),
            vec![format!("part-{one}"), format!("part-{two}")],
        );
    }
    let began = Instant::now();
    let mut matches = FleetMatches::new(&parts, &index);
    let found: usize = matches
        .by_box(&parts)
        .values()
        .map(std::collections::BTreeSet::len)
        .sum();
    let shared = began.elapsed().as_secs_f64();

    // Every box's components, one by one, as if no two boxes were alike.
    let began = Instant::now();
    let mut hits = 0_usize;
    for names in parts.boxes().values() {
        for name in names {
            for one in parts.part(name) {
                hits = hits.saturating_add(index.matches(one).len());
            }
        }
    }
    let apart = began.elapsed().as_secs_f64();

    // A day's advisories and one new bill.
    let news: String = (0..200)
        .map(|number| line(number * 31, "2026-11-21T00:00:00Z"))
        .collect();
    let began = Instant::now();
    let news = Advisories::parse(news.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let changed = index.add(news);
    parts.set_part(
        "part-new",
        (0..halves).map(|at| component(at * 7 + 1, at + 3)).collect::<Vec<_>>(),
    );
    parts.set_box("box-0", vec!["part-new".to_owned()]);
    matches.update(&parts, &index, &changed);
    let again: usize = matches
        .by_box(&parts)
        .values()
        .map(std::collections::BTreeSet::len)
        .sum();
    let update = began.elapsed().as_secs_f64();

    let what = format!(
        "{} boxes × {} components against {} advisories",
        size.boxes, size.components, size.advisories
    );
    let row = |what: String, seconds: f64, said: String, wanted: f64| Row {
        what,
        ours: format!("{seconds:.2} s"),
        peer: said,
        ratio: None,
        wanted: format!("under {wanted} s"),
        holds: Some(seconds < wanted),
    };
    Ok(vec![
        row(
            format!("match {what}, reading the set included"),
            read + shared,
            format!("reading {read:.2} s; {BILLS} different bills; {found} box findings"),
            60.0,
        ),
        row(
            "the same, every box by itself, on one core".to_owned(),
            apart,
            format!("{hits} hits"),
            60.0,
        ),
        row(
            "200 changed advisories and one changed box".to_owned(),
            update,
            format!("{} packages looked at again; {again} box findings", changed.len()),
            2.0,
        ),
    ])
}
