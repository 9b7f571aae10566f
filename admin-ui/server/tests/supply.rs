//! Bills, advisories and findings over the wire: what a box runs, what is wrong with it, and accepting that for a while.

#[path = "support/world.rs"]
mod support;

use freehold_sign::repository::{Expiry, OtherPublication, export, publish_other};
use freehold_verify::release::ReleaseKind;
use http::Method;
use serde_json::{Value, json};
use support::paper_tpm::PaperBox;
use support::{World, ask, call, code, now};

const ENGINE: &str = "engines/llama/1.0.0/release.json";

fn bill() -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": { "type": "application", "bom-ref": "engine", "name": "llama", "version": "1.0.0" } },
        "components": [{
            "type": "library", "bom-ref": "zlib", "name": "zlib1g", "version": "1:1.3-1",
            "purl": "pkg:deb/debian/zlib1g@1%3A1.3-1?arch=amd64&distro=trixie",
            "properties": [{ "name": "freehold:source", "value": "zlib 1:1.3-1" }],
        }],
    })
}

fn advisory(modified: &str) -> String {
    json!({
        "id": "DSA-1-1", "modified": modified, "summary": "a fault in the decoder",
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }],
        "affected": [{ "package": { "ecosystem": "Debian:13", "name": "zlib" },
                       "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "1:1.3-2" }] }] }],
    })
    .to_string()
}

async fn publish(world: &World, kind: ReleaseKind, name: &str, version: &str, files: &[(&str, String)]) {
    let folder = world.folder.path().join(format!("files-{name}-{version}"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut listed = Vec::new();
    for (file, text) in files {
        std::fs::write(folder.join(file), text).unwrap();
        listed.push(((*file).to_owned(), folder.join(file)));
    }
    let release = OtherPublication {
        kind,
        name,
        version,
        counter: None,
        files: listed,
        licence: None,
        hardware: Vec::new(),
    };
    publish_other(&world.publisher, &release, &Expiry::default(), now().unix_timestamp()).unwrap();
    let out = world.folder.path().join(format!("export-{name}-{version}"));
    export(&world.publisher, &out).unwrap();
    world.console().import(&out, None, "test").await.unwrap();
}

fn today() -> String {
    now()
        .replace_nanosecond(0)
        .unwrap()
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap()
}

async fn get(world: &World, token: &str, path: &str) -> Value {
    let answer = call(world, token, Method::GET, path, None).await;
    assert_eq!(code(&answer), "200", "{path}: {:?}", answer.body);
    support::json(&answer)
}

#[tokio::test]
async fn a_finding_is_found_accepted_with_reason_and_end_and_kept() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let (operator, _) = world.session("operator", "api").await;
    let (administrator, _) = world.session("administrator", "api").await;

    // Nothing has come: that is a finding.
    let fleet = get(&world, &operator, "/api/v1/advisories").await;
    assert_eq!(fleet["findings"][0]["advisory"], "advisories-stale");

    publish(
        &world,
        ReleaseKind::Engine,
        "llama",
        "1.0.0",
        &[("llama.cdx.json", bill().to_string())],
    )
    .await;
    publish(
        &world,
        ReleaseKind::Advisories,
        "osv",
        "1",
        &[("osv.jsonl", advisory(&today()))],
    )
    .await;
    let body = json!({ "targets": [ENGINE] });
    let assigned = call(
        &world,
        &operator,
        Method::POST,
        "/api/v1/boxes/amber-fox-9d1e/assign",
        Some(body),
    )
    .await;
    assert_eq!(code(&assigned), "200", "{:?}", assigned.body);

    // Its bill: the engine with its parts, and a system that nothing shows.
    let bill = get(&world, &operator, "/api/v1/boxes/amber-fox-9d1e/sbom").await;
    assert_eq!(bill["components"][0]["bom-ref"], format!("part:{ENGINE}"));
    assert_eq!(bill["components"][0]["components"][0]["name"], "zlib1g");
    assert_eq!(bill["compositions"][1]["aggregate"], "unknown");
    let spdx = get(&world, &operator, "/api/v1/boxes/amber-fox-9d1e/sbom?form=spdx").await;
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");

    let found = get(&world, &operator, "/api/v1/boxes/amber-fox-9d1e/findings").await;
    let finding = &found["findings"][0];
    assert_eq!(
        (&finding["advisory"], &finding["severity"]),
        (&json!("DSA-1-1"), &json!("critical"))
    );
    assert_eq!(finding["fixed"], json!(["1:1.3-2"]));
    assert_eq!(finding["state"], json!({ "is": "open" }));
    let places = get(&world, &operator, "/api/v1/components?package=zlib").await;
    assert_eq!(places["places"][0]["box"], "amber-fox-9d1e");

    // Accepting: by the right role, with a reason, for something that is open.
    let wish = |reason: &str, days: u32, advisory: &str| json!({ "advisory": advisory, "package": "pkg:deb/debian/zlib1g", "scope": { "of": "fleet" }, "reason": reason, "days": days });
    let accept = async |token: &str, wish: Value| {
        code(&call(&world, token, Method::POST, "/api/v1/acceptances", Some(wish)).await)
    };
    assert_ne!(
        accept(&operator, wish("it is behind the gateway", 30, "DSA-1-1")).await,
        "200"
    );
    assert_eq!(
        accept(&administrator, wish(" ", 30, "DSA-1-1")).await,
        "console.unreadable"
    );
    assert_eq!(
        accept(&administrator, wish("for ever", 4000, "DSA-1-1")).await,
        "console.unreadable"
    );
    assert_eq!(
        accept(&administrator, wish("another", 30, "DSA-2-1")).await,
        "console.not_found"
    );
    assert_eq!(
        accept(&administrator, wish("it is behind the gateway", 30, "DSA-1-1")).await,
        "200"
    );
    let fleet = get(&world, &operator, "/api/v1/advisories").await;
    assert_eq!(fleet["findings"][0]["state"]["is"], "accepted");
    assert_eq!(fleet["findings"][0]["boxes"], json!(["amber-fox-9d1e"]));
    let record = get(&world, &administrator, "/api/v1/record/entries?limit=200").await;
    assert!(
        record.to_string().contains("it is behind the gateway"),
        "the record says why"
    );

    // A console that starts again reads it from the database; an advisory that changed opens it again.
    let kept = freehold_console::supply::acceptances(world.console().store().acceptances().await.unwrap());
    assert_eq!((kept.len(), kept[0].by.is_empty()), (1, false));
    assert_eq!(
        (kept[0].advisory.as_str(), kept[0].package.as_str()),
        ("DSA-1-1", "pkg:deb/debian/zlib1g")
    );
    let later = "2099-01-01T00:00:00Z";
    publish(
        &world,
        ReleaseKind::Advisories,
        "osv",
        "2",
        &[("osv.jsonl", advisory(later))],
    )
    .await;
    let fleet = get(&world, &operator, "/api/v1/advisories").await;
    assert_eq!(
        fleet["findings"][0]["state"],
        json!({ "is": "open", "reopened": "changed" })
    );

    // The page says the same.
    let (page, _) = world.session("viewer", "page").await;
    let cookie = format!("__Host-freehold={page}");
    let answer = ask(
        &world.person(),
        Method::GET,
        "/releases/advisories?package=zlib",
        &[("cookie", &cookie)],
        "",
    )
    .await;
    let html = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        html.contains("DSA-1-1") && html.contains("open again: changed") && html.contains("amber-fox-9d1e"),
        "{html}"
    );
    assert!(!html.contains("Accept in the whole fleet"), "a viewer looks");
}

#[tokio::test]
async fn a_set_with_one_bad_line_is_refused_whole_and_said_so() {
    let world = World::new().await;
    let (viewer, _) = world.session("viewer", "api").await;
    let text = format!("{}\nnot an advisory\n", advisory(&today()));
    publish(&world, ReleaseKind::Advisories, "osv", "1", &[("osv.jsonl", text)]).await;
    let fleet = get(&world, &viewer, "/api/v1/advisories").await;
    assert_eq!(fleet["known"], 0);
    assert_eq!(fleet["faults"][0]["refused"]["code"], "supply.advisory");
    assert_eq!(
        fleet["findings"][0]["advisory"], "advisories-stale",
        "nothing known is not nothing wrong"
    );
}
