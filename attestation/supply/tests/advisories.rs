//! Advisories, statements on exploitability, findings: cases H04 and H05.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;

use freehold_supply::finding::{STALE, STALE_SECONDS, worst};
use freehold_supply::vex::{VALID_SECONDS, VEX_TYPE};
use freehold_supply::{
    Acceptance, Advisories, AdvisoryIndex, Component, Finding, FindingState, Purl, Scope, Severity, VexBook, findings,
};
use freehold_supply::{Acceptances, FleetMatches, FleetParts};
use freehold_trust::dsse::Envelope;
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::Refusal as _;
use serde_json::{Value, json};

/// 2026-11-21, noon.
const NOW: i64 = 1_795_262_400;

fn record(id: &str, ecosystem: &str, name: &str, events: &Value) -> Value {
    json!({
        "schema_version": "1.7.0", "id": id, "modified": "2026-11-20T00:00:00Z", "summary": "something is wrong",
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" }],
        "affected": [{ "package": { "ecosystem": ecosystem, "name": name },
                       "ranges": [{ "type": if ecosystem == "crates.io" { "SEMVER" } else { "ECOSYSTEM" }, "events": events }] }],
    })
}

fn set(records: &[Value]) -> Advisories {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    Advisories::parse(lines.join("\n").as_bytes()).unwrap()
}

fn code(text: &str) -> &'static str {
    Advisories::parse(text.as_bytes())
        .err()
        .map_or("accepted", |fault| fault.code())
}

fn component(purl: &str) -> Component {
    let purl: Purl = purl.parse().unwrap();
    Component {
        kind: "library".to_owned(),
        name: purl.name.clone(),
        version: purl.version.clone(),
        purl: Some(purl),
        licences: Vec::new(),
        sha256: None,
        source: None,
    }
}

fn matched(index: &AdvisoryIndex, purl: &str) -> Vec<String> {
    index
        .matches(&component(purl))
        .iter()
        .map(|one| one.advisory.id.clone())
        .collect()
}

#[test]
fn h04_ranges_are_kept_at_every_edge() {
    let cases: [(&str, Value, &[&str], &[&str]); 8] = [
        (
            "before everything",
            json!([{"introduced": "0"}]),
            &["0.0.1", "99.0.0"],
            &[],
        ),
        (
            "fixed",
            json!([{"introduced": "0"}, {"fixed": "1.2.0"}]),
            &["1.1.9", "1.2.0-rc.1"],
            &["1.2.0", "1.2.1"],
        ),
        (
            "last affected",
            json!([{"introduced": "1.0.0"}, {"last_affected": "1.5.0"}]),
            &["1.0.0", "1.5.0"],
            &["0.9.9", "1.5.1"],
        ),
        (
            "out of order",
            json!([{"fixed": "1.2.0"}, {"introduced": "1.0.0"}]),
            &["1.0.0", "1.1.0"],
            &["0.9.0", "1.2.0"],
        ),
        (
            "twice",
            json!([{"introduced": "1.0.0"}, {"fixed": "1.1.0"}, {"introduced": "2.0.0"}, {"fixed": "2.2.0"}]),
            &["1.0.5", "2.1.0"],
            &["1.1.0", "1.9.0", "2.2.0"],
        ),
        (
            "limit",
            json!([{"introduced": "1.0.0"}, {"limit": "3.0.0"}]),
            &["1.0.0", "2.9.9"],
            &["3.0.0", "4.0.0", "0.1.0"],
        ),
        (
            "no limit at all",
            json!([{"introduced": "1.0.0"}, {"limit": "*"}]),
            &["1.0.0", "9.0.0"],
            &["0.9.0"],
        ),
        (
            "never fixed",
            json!([{"introduced": "1.0.0-alpha"}]),
            &["1.0.0-alpha", "1.0.0"],
            &["0.9.9"],
        ),
    ];
    for (what, events, inside, outside) in cases {
        let index = AdvisoryIndex::new(set(&[record("A-1", "crates.io", "thing", &events)]));
        for version in inside {
            assert_eq!(
                matched(&index, &format!("pkg:cargo/thing@{version}")),
                ["A-1"],
                "{what}: {version}"
            );
        }
        for version in outside {
            assert!(
                matched(&index, &format!("pkg:cargo/thing@{version}")).is_empty(),
                "{what}: {version}"
            );
        }
    }
    // A version that nobody can compare is in: nobody can say that it is not.
    let index = AdvisoryIndex::new(set(&[record(
        "A-1",
        "crates.io",
        "thing",
        &json!([{"introduced": "0"}, {"fixed": "1.0.0"}]),
    )]));
    assert_eq!(matched(&index, "pkg:cargo/thing@git-abc"), ["A-1"]);
    // The same name elsewhere is another package.
    assert!(matched(&index, "pkg:deb/debian/thing@0.1?distro=trixie").is_empty());
    assert!(matched(&index, "pkg:generic/thing@0.1").is_empty());
}

#[test]
fn h04_debians_advisories_speak_of_source_packages_and_suites() {
    let index = AdvisoryIndex::new(set(&[
        record(
            "DSA-1-1",
            "Debian:13",
            "openssl",
            &json!([{"introduced": "0"}, {"fixed": "3.5.4-1~deb13u2"}]),
        ),
        record(
            "DSA-2-1",
            "Debian:12",
            "openssl",
            &json!([{"introduced": "0"}, {"fixed": "3.0.20-1"}]),
        ),
        record(
            "CVE-3",
            "Debian",
            "openssl",
            &json!([{"introduced": "0"}, {"fixed": "3.6.0-1"}]),
        ),
    ]));
    let mut library = component("pkg:deb/debian/libssl3t64@3.5.4-1~deb13u1?arch=amd64&distro=trixie");
    assert!(index.matches(&library).is_empty(), "its own name is not the source's");
    library.source = Some(("openssl".to_owned(), "3.5.4-1~deb13u1".to_owned()));
    let found: Vec<_> = index
        .matches(&library)
        .iter()
        .map(|one| one.advisory.id.clone())
        .collect();
    assert_eq!(found, ["CVE-3", "DSA-1-1"]);
    let fixed = &index.matches(&library)[1].fixed;
    assert_eq!(fixed, &["3.5.4-1~deb13u2"]);
    library.source = Some(("openssl".to_owned(), "3.5.4-1~deb13u2".to_owned()));
    let found: Vec<_> = index
        .matches(&library)
        .iter()
        .map(|one| one.advisory.id.clone())
        .collect();
    assert_eq!(found, ["CVE-3"]);
}

#[test]
fn h04_withdrawn_advisories_match_nothing_and_later_records_replace_earlier_ones() {
    let events = json!([{"introduced": "0"}]);
    let mut index = AdvisoryIndex::new(set(&[record("A-1", "crates.io", "thing", &events)]));
    assert_eq!(matched(&index, "pkg:cargo/thing@1.0.0"), ["A-1"]);
    let mut withdrawn = record("A-1", "crates.io", "thing", &events);
    withdrawn["modified"] = json!("2026-11-21T00:00:00Z");
    withdrawn["withdrawn"] = json!("2026-11-21T00:00:00Z");
    let changed = index.add(set(&[withdrawn.clone()]));
    assert_eq!(changed, BTreeSet::from([("crates.io".to_owned(), "thing".to_owned())]));
    assert!(matched(&index, "pkg:cargo/thing@1.0.0").is_empty());
    // An older record does not come back, and the same one again changes nothing.
    assert!(
        index
            .add(set(&[record("A-1", "crates.io", "thing", &events)]))
            .is_empty()
    );
    assert!(index.add(set(&[withdrawn])).is_empty());
    assert!(matched(&index, "pkg:cargo/thing@1.0.0").is_empty());
    // A record that moves to another package leaves the first.
    let mut moved = record("A-1", "crates.io", "other", &events);
    moved["modified"] = json!("2026-11-22T00:00:00Z");
    assert_eq!(index.add(set(&[moved])).len(), 2);
    assert!(matched(&index, "pkg:cargo/thing@1.0.0").is_empty());
    assert_eq!(matched(&index, "pkg:cargo/other@1.0.0"), ["A-1"]);
    assert_eq!(index.len(), 1);
}

#[test]
fn h04_hostile_sets_are_refused_whole() {
    let good = record("A-1", "crates.io", "thing", &json!([{"introduced": "0"}])).to_string();
    assert_eq!(code(&format!("{good}\n\n")), "accepted");
    for (what, bad) in [
        ("no json", "{".to_owned()),
        ("no identifier", good.replace("A-1", "")),
        ("a long identifier", good.replace("A-1", &"A".repeat(300))),
        ("no time", good.replace("2026-11-20T00:00:00Z", "yesterday")),
        ("an unknown range", good.replace("SEMVER", "FIRMWARE")),
        ("an unknown event", good.replace("introduced", "invented")),
        ("nothing comes in", good.replace("introduced", "fixed")),
        ("a key twice", good.replacen("{", "{\"id\":\"A-2\",", 1)),
        ("a list of numbers", good.replace("\"something is wrong\"", "[1]")),
        (
            "deep nesting",
            format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        ),
        ("a zip archive", "PK\u{3}\u{4}../../etc/passwd".to_owned()),
        ("a gzip archive", "\u{1f}\u{8b}".to_owned()),
    ] {
        // One bad line refuses the set: a hole must not look like "nothing known".
        assert_eq!(code(&format!("{good}\n{bad}\n")), "supply.advisory", "{what}");
    }
}

#[test]
fn severities_come_from_vectors_words_or_are_unknown() {
    let of = |change: &dyn Fn(&mut Value)| {
        let mut one = record("A-1", "crates.io", "thing", &json!([{"introduced": "0"}]));
        change(&mut one);
        set(&[one]).list[0].severity
    };
    assert_eq!(of(&|_| ()), Severity::High);
    assert_eq!(of(&|one| one["severity"] = json!([])), Severity::Unknown);
    assert_eq!(
        of(&|one| {
            one["severity"] = json!([]);
            one["database_specific"] = json!({ "severity": "MODERATE" });
        }),
        Severity::Medium
    );
    assert_eq!(
        of(&|one| {
            one["severity"] = json!([]);
            one["affected"][0]["ecosystem_specific"] = json!({ "urgency": "unimportant" });
        }),
        Severity::None
    );
    // The worst word counts.
    assert_eq!(
        of(&|one| one["affected"][0]["ecosystem_specific"] = json!({ "urgency": "low" })),
        Severity::High
    );
}

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::P256).unwrap()
}

fn statement(status: &str, product: &str, at: &str) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex/1", "author": "the publisher",
        "timestamp": at, "version": 1,
        "statements": [{
            "vulnerability": { "name": "A-1" }, "products": [{ "@id": product }], "status": status,
            "justification": "vulnerable_code_not_in_execute_path",
        }],
    })
}

fn signed(document: &Value, key: &SigningKey) -> Vec<u8> {
    Envelope::sign(VEX_TYPE, document.to_string().as_bytes(), &[key]).to_json()
}

fn state(vex: &VexBook, now: i64) -> FindingState {
    let index = AdvisoryIndex::new(set(&[record(
        "A-1",
        "crates.io",
        "thing",
        &json!([{"introduced": "0"}]),
    )]));
    let components = [component("pkg:cargo/thing@1.0.0")];
    let list = findings(
        &[("os", &components)],
        Some("box1"),
        &index,
        vex,
        &Acceptances::default(),
        now,
    );
    list.iter().find(|one| one.advisory == "A-1").unwrap().state.clone()
}

#[test]
fn h05_only_a_trusted_current_statement_about_this_version_counts() {
    let (trusted, stranger) = (key(), key());
    let keys = [trusted.public().clone()];
    let said = "2026-11-20T00:00:00Z";
    let with = |documents: &[Vec<u8>]| {
        let mut book = VexBook::default();
        for one in documents {
            let _ = book.add(one, &keys);
        }
        book
    };
    let good = signed(&statement("not_affected", "pkg:cargo/thing@1.0.0", said), &trusted);
    assert!(matches!(
        state(&with(std::slice::from_ref(&good)), NOW),
        FindingState::NotAffected { .. }
    ));
    let open = |what: &str, documents: &[Vec<u8>], now: i64| {
        assert!(state(&with(documents), now).is_open(), "{what}");
    };
    let mut book = VexBook::default();
    let foreign = signed(&statement("not_affected", "pkg:cargo/thing@1.0.0", said), &stranger);
    assert_eq!(book.add(&foreign, &keys).unwrap_err().code(), "supply.signature");
    open("a stranger's", &[foreign], NOW);
    open(
        "another version's",
        &[signed(
            &statement("not_affected", "pkg:cargo/thing@1.0.1", said),
            &trusted,
        )],
        NOW,
    );
    open(
        "another package's",
        &[signed(
            &statement("not_affected", "pkg:cargo/thin@1.0.0", said),
            &trusted,
        )],
        NOW,
    );
    open("an old one", std::slice::from_ref(&good), NOW + VALID_SECONDS);
    open(
        "one from the future",
        &[signed(
            &statement("not_affected", "pkg:cargo/thing@1.0.0", "2027-11-20T00:00:00Z"),
            &trusted,
        )],
        NOW,
    );
    let affected = signed(&statement("affected", "pkg:cargo/thing@1.0.0", said), &trusted);
    open(
        "two of one time that contradict",
        &[good.clone(), affected.clone()],
        NOW,
    );
    open("two of one time, the other way round", &[affected, good.clone()], NOW);
    let later = signed(
        &statement("under_investigation", "pkg:cargo/thing", "2026-11-20T12:00:00Z"),
        &trusted,
    );
    open("a later doubt about every version", &[later, good.clone()], NOW);
    // Without a version it speaks of every version.
    let every = signed(&statement("not_affected", "pkg:cargo/thing", said), &trusted);
    assert!(!state(&with(&[every]), NOW).is_open());
    for (what, document) in [
        ("no reason", {
            let mut one = statement("not_affected", "pkg:cargo/thing@1.0.0", said);
            one["statements"][0]["justification"] = json!(" ");
            one
        }),
        (
            "an unknown status",
            statement("harmless", "pkg:cargo/thing@1.0.0", said),
        ),
        ("no package", statement("not_affected", "everything", said)),
        ("another format", {
            let mut one = statement("not_affected", "pkg:cargo/thing@1.0.0", said);
            one["@context"] = json!("https://example.org");
            one
        }),
        ("no time", statement("not_affected", "pkg:cargo/thing@1.0.0", "soon")),
    ] {
        assert_eq!(
            book.add(&signed(&document, &trusted), &keys).unwrap_err().code(),
            "supply.vex",
            "{what}"
        );
    }
    assert_eq!(book.add(b"{}", &keys).unwrap_err().code(), "supply.vex");
    assert!(book.is_empty());
}

fn acceptance(scope: Scope) -> Acceptance {
    Acceptance {
        advisory: "A-1".to_owned(),
        package: "pkg:cargo/thing".to_owned(),
        scope,
        by: "anna".to_owned(),
        reason: "not reachable from the network".to_owned(),
        at: NOW,
        until: NOW + 1000,
        severity: Severity::High,
    }
}

// promise S-262
#[test]
fn an_acceptance_ends_when_it_expires_when_it_gets_worse_and_when_the_advisory_changes() {
    let events = json!([{"introduced": "0"}]);
    let first = record("A-1", "crates.io", "thing", &events);
    let components = [component("pkg:cargo/thing@1.0.0")];
    let judge = |record: &Value, accepted: Acceptance, box_id: &str, now: i64| -> FindingState {
        let index = AdvisoryIndex::new(set(std::slice::from_ref(record)));
        let accepted = Acceptances::new(vec![accepted]);
        let parts = [("models/guide/1/release.json", &components[..])];
        let list = findings(&parts, Some(box_id), &index, &VexBook::default(), &accepted, now);
        list.iter().find(|one| one.advisory == "A-1").unwrap().state.clone()
    };
    let fleet = || acceptance(Scope::Fleet);
    assert!(matches!(
        judge(&first, fleet(), "box1", NOW + 1),
        FindingState::Accepted { .. }
    ));
    assert_eq!(
        judge(&first, fleet(), "box1", NOW + 1000),
        FindingState::Open {
            reopened: Some("expired")
        }
    );
    let mut changed = first.clone();
    changed["modified"] = json!("2026-11-21T13:00:00Z");
    assert_eq!(
        judge(&changed, fleet(), "box1", NOW + 1),
        FindingState::Open {
            reopened: Some("changed")
        }
    );
    let mut worse = first.clone();
    worse["severity"][0]["score"] = json!("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H");
    assert_eq!(
        judge(&worse, fleet(), "box1", NOW + 1),
        FindingState::Open {
            reopened: Some("worse")
        }
    );
    // Somebody else's box, another release, another package: nobody accepted that.
    let mine = || acceptance(Scope::Box("box1".to_owned()));
    assert!(!judge(&first, mine(), "box1", NOW + 1).is_open() && judge(&first, mine(), "box2", NOW + 1).is_open());
    let release = |target: &str| acceptance(Scope::Release(target.to_owned()));
    assert!(!judge(&first, release("models/guide/1/release.json"), "box1", NOW + 1).is_open());
    assert!(judge(&first, release("models/guide/2/release.json"), "box1", NOW + 1).is_open());
    let other = Acceptance {
        package: "pkg:cargo/other".to_owned(),
        ..fleet()
    };
    assert!(judge(&first, other, "box1", NOW + 1).is_open());
}

// promise S-263
#[test]
fn h04_old_advisories_and_none_at_all_are_a_finding() {
    let list = |index: &AdvisoryIndex, now: i64| -> Vec<Finding> {
        findings(&[], None, index, &VexBook::default(), &Acceptances::default(), now)
    };
    let index = AdvisoryIndex::new(set(&[record(
        "A-1",
        "crates.io",
        "thing",
        &json!([{"introduced": "0"}]),
    )]));
    assert_eq!(list(&index, NOW), []);
    let old = list(&index, index.modified() + STALE_SECONDS + 1);
    assert_eq!((old[0].advisory.as_str(), old[0].severity), (STALE, Severity::Unknown));
    let none = list(&AdvisoryIndex::default(), NOW);
    assert_eq!(none[0].advisory, STALE);
    assert_eq!(
        worst(&none),
        Severity::Unknown,
        "nothing known is worse than anything known"
    );
}

// promise S-261
#[test]
fn a_fleet_is_matched_once_and_again_only_where_something_changed() {
    let events = json!([{"introduced": "0"}, {"fixed": "2.0.0"}]);
    let mut index = AdvisoryIndex::new(set(&[record("A-1", "crates.io", "thing", &events)]));
    let mut parts = FleetParts::default();
    parts.set_part(
        "os/1",
        vec![component("pkg:cargo/thing@1.0.0"), component("pkg:cargo/other@1.0.0")],
    );
    parts.set_part(
        "os/2",
        vec![component("pkg:cargo/thing@2.0.0"), component("pkg:cargo/other@1.0.0")],
    );
    parts.set_box("box1", vec!["os/1".to_owned()]);
    parts.set_box("box2", vec!["os/2".to_owned(), "nobody knows".to_owned()]);
    let mut matches = FleetMatches::new(&parts, &index);
    let seen = |matches: &FleetMatches, parts: &FleetParts| -> Vec<(String, Vec<String>)> {
        let by_box = matches.by_box(parts);
        let list = by_box.into_iter();
        list.map(|(id, found)| (id.to_owned(), found.into_iter().map(str::to_owned).collect()))
            .collect()
    };
    let row = |id: &str, found: &[&str]| {
        (
            id.to_owned(),
            found.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(),
        )
    };
    assert_eq!(seen(&matches, &parts), [row("box1", &["A-1"]), row("box2", &[])]);
    // A new advisory, a changed one, a new part.
    let mut moved = record("A-1", "crates.io", "thing", &json!([{"introduced": "2.0.0"}]));
    moved["modified"] = json!("2026-11-21T00:00:00Z");
    let changed = index.add(set(&[moved, record("B-1", "crates.io", "other", &events)]));
    parts.set_part("os/3", vec![component("pkg:cargo/third@1.0.0")]);
    matches.update(&parts, &index, &changed);
    assert_eq!(
        seen(&matches, &parts),
        [row("box1", &["B-1"]), row("box2", &["A-1", "B-1"])]
    );
    assert_eq!(matches, FleetMatches::new(&parts, &index));
    // Which boxes have it?
    let boxes = |wanted: &str| -> Vec<String> { parts.places(wanted).into_iter().map(|place| place.box_id).collect() };
    assert_eq!(boxes("pkg:cargo/thing"), ["box1", "box2"]);
    assert_eq!(boxes("pkg:cargo/thing@2.0.0"), ["box2"]);
    assert_eq!(boxes("thing"), ["box1", "box2"]);
    assert!(boxes("thin").is_empty() && boxes("pkg:deb/debian/thing").is_empty());
}
