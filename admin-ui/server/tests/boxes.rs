//! The boxes' door over real TLS: who may call what (B07), nonces (A08 to A10), faults that never end in trust (A21).

#[path = "support/world.rs"]
mod support;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use freehold_protocol::report::VerdictAnswer;
use freehold_protocol::routes::{self, BOX_ROUTES};
use freehold_protocol::status::VerdictWord;
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::milestone::{Milestone, MilestoneKind};
use http::{Method, StatusCode};
use support::paper_tpm::PaperBox;
use support::{World, ask, call, challenge, code, evidence, evidence_measuring, issued, json, now, self_signed, show};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn b07_each_route_of_the_boxes_door_knows_its_callers() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let stranger = SigningKey::generate(KeyKind::P256).unwrap();
    let old = now() - time::Duration::days(3);
    let callers = [
        ("no certificate", None),
        ("foreign key", Some(self_signed(&stranger, DAY))),
        (
            "foreign key, fleet certificate",
            Some(issued(&world, &stranger, "amber-fox-9d1e", now())),
        ),
        ("own certificate", Some(self_signed(&paper.tls, DAY))),
        ("expired certificate", Some(issued(&world, &paper.tls, &paper.id, old))),
        (
            "current certificate",
            Some(issued(&world, &paper.tls, &paper.id, now())),
        ),
    ];
    let mut said = String::new();
    for (method, path, caller) in BOX_ROUTES {
        let _ = writeln!(said, "{method} {path} ({caller:?})");
        for (name, identity) in &callers {
            let path = if path.ends_with('/') {
                format!("{path}none")
            } else {
                (*path).to_owned()
            };
            let dialer = world.at_boxes(identity.clone());
            let answer = ask(&dialer, method.parse().unwrap(), &path, &[], "").await;
            let gate = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            let heard = if gate {
                format!("{} {}", answer.status.as_u16(), code(&answer))
            } else {
                "enters".to_owned()
            };
            let _ = writeln!(said, "    {name:<32}{heard}");
        }
    }
    golden("box_routes.golden", &said);
}

/// Compares with a golden file; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, said: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, said).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        said, expected,
        "hint: UPDATE_GOLDEN=1 writes {name}; read the difference first"
    );
}

#[tokio::test]
async fn b07_a_box_is_nobody_on_the_peoples_door_and_a_person_nobody_on_the_boxes() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let identity = issued(&world, &paper.tls, &paper.id, now());
    let url = format!("https://{}", world.running.people);
    let dialer = freehold_dial::Dialer::new(&url, world.tls(Some(identity))).unwrap();
    assert_eq!(
        code(&ask(&dialer, Method::GET, "/api/v1/boxes", &[], "").await),
        "console.not_signed_in"
    );
    let (token, _) = world.session("administrator", "api").await;
    let bearer = format!("Bearer {token}");
    let answer = ask(
        &world.at_boxes(None),
        Method::POST,
        routes::CHALLENGE,
        &[("authorization", &bearer)],
        "",
    )
    .await;
    assert_eq!(code(&answer), "console.no_certificate");
    let stranger = self_signed(&SigningKey::generate(KeyKind::P256).unwrap(), DAY);
    let answer = ask(
        &world.at_boxes(Some(stranger)),
        Method::POST,
        routes::CHALLENGE,
        &[],
        "",
    )
    .await;
    assert_eq!(code(&answer), "console.unknown_key");
}

// promise S-147
#[tokio::test]
async fn a_swapped_data_volume_is_refused_with_its_own_code_and_changes_no_pin() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    let record = |digest: freehold_trust::Sha256Digest, words: &str| {
        let record = serde_json::json!({
            "pcr": 15, "digests": [{ "hashAlg": "sha256", "digest": digest.to_hex() }], "content_type": "systemd",
            "content": { "string": words }
        });
        format!("\u{1e}{record}\n")
    };
    let volume = |key: &[u8]| record(freehold_trust::sha256(key), "freehold-data:uuid");
    let model = Milestone::new(MilestoneKind::Model, "guide 1.0.0", freehold_trust::sha256(b"guide"));
    let ours = volume(b"ours");
    let measured = format!("{ours}{}", record(model.measured(), &model.words()));
    let shown = async |runtime: &str| {
        let evidence = evidence_measuring(&paper, challenge(&dialer).await, runtime.as_bytes());
        let answer = show(&dialer, &evidence).await;
        let answer: VerdictAnswer = serde_json::from_slice(&answer.body).unwrap();
        let codes: Vec<String> = answer.refusals.into_iter().map(|report| report.code).collect();
        (answer.verdict, codes)
    };
    let trusted = (VerdictWord::TrustedSimulated, Vec::new());
    assert_eq!(shown(&ours).await, trusted);
    assert_eq!(shown(&measured).await, trusted);
    for other in [
        volume(b"another"),
        String::new(),
        format!("{}{ours}", volume(b"another")),
    ] {
        let (verdict, codes) = shown(&other).await;
        assert_eq!(verdict, VerdictWord::Refused, "{other}");
        assert_eq!(
            codes.first().map(String::as_str),
            Some("evidence.other_volume"),
            "{other}"
        );
    }
    assert_eq!(shown(&measured).await, trusted);
    // The page says what was measured.
    let (token, _) = world.session("administrator", "api").await;
    let answer = call(&world, &token, Method::GET, "/api/v1/boxes/amber-fox-9d1e", None).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("guide 1.0.0"), "{text}");
}

#[tokio::test]
async fn a_box_proves_itself_and_gets_a_certificate_of_one_day() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    let nonce = challenge(&dialer).await;
    let answer = show(&dialer, &evidence(&paper, nonce)).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let verdict: VerdictAnswer = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        verdict.verdict,
        VerdictWord::TrustedSimulated,
        "{:?} {:?}",
        verdict.because,
        verdict.refusals
    );
    assert!(verdict.certificate.is_some());
    assert!(verdict.time.is_some());

    let (token, _) = world.session("auditor", "api").await;
    let shown = json(&call(&world, &token, Method::GET, "/api/v1/boxes/amber-fox-9d1e", None).await);
    assert_eq!(shown["verdict"], "trusted_simulated");
    assert_eq!(shown["tpm"], "software");
    assert_eq!(shown["boot"], "simulated");
    assert!(shown["claims"]["pcrs"].as_array().is_some_and(|pcrs| !pcrs.is_empty()));
    let package = call(
        &world,
        &token,
        Method::GET,
        "/api/v1/boxes/amber-fox-9d1e/evidence",
        None,
    )
    .await;
    assert_eq!(json(&package)["box"], "amber-fox-9d1e");
}

#[tokio::test]
async fn a08_a09_replayed_superseded_and_foreign_nonces_over_the_wire() {
    let world = World::new().await;
    let (one, two) = (PaperBox::new("amber-fox-9d1e"), PaperBox::new("blue-owl-0001"));
    world.member(&one).await;
    world.member(&two).await;
    let at_one = world.at_boxes(Some(self_signed(&one.tls, DAY)));
    let at_two = world.at_boxes(Some(self_signed(&two.tls, DAY)));
    let first = challenge(&at_one).await;
    let second = challenge(&at_one).await;
    assert_ne!(first, second);
    assert_eq!(
        code(&show(&at_one, &evidence(&one, first)).await),
        "quote.nonce_superseded"
    );
    let good = evidence(&one, second);
    assert_eq!(code(&show(&at_one, &good).await), "200");
    assert_eq!(code(&show(&at_one, &good).await), "quote.nonce_used", "a replay");
    let theirs = challenge(&at_two).await;
    assert_eq!(
        code(&show(&at_one, &evidence(&one, theirs)).await),
        "quote.nonce_other_box"
    );
    let mut one_bit = challenge(&at_one).await;
    one_bit[0] ^= 1;
    assert_eq!(code(&show(&at_one, &evidence(&one, one_bit)).await), "quote.nonce");
    assert_eq!(
        code(&ask(&at_one, Method::POST, routes::EVIDENCE, &[], "not evidence").await),
        "evidence.malformed"
    );
    // None of that took the verdict away, and none of it gave one.
    assert_eq!(
        code(&show(&at_two, &evidence(&one, theirs)).await),
        "200",
        "the nonce is right, the rest is judged"
    );
    let (token, _) = world.session("viewer", "api").await;
    let seen = json(&call(&world, &token, Method::GET, "/api/v1/boxes/blue-owl-0001", None).await);
    assert_eq!(seen["verdict"], "refused");
    assert_eq!(seen["refusals"][0]["code"], "evidence.other_box");
}

#[tokio::test]
async fn a10_ten_thousand_challenges_are_distinct() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let mut seen = HashSet::new();
    // Half of them over the wire would test the wire; the source is the same.
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    for _ in 0..200 {
        assert!(seen.insert(challenge(&dialer).await));
    }
    for _ in 200..10_000 {
        assert!(seen.insert(freehold_console::random::bytes::<32>().unwrap()));
    }
}

#[tokio::test]
async fn a_changed_boot_log_turns_the_box_red_with_the_event_named() {
    let world = World::new().await;
    let mut paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    let nonce = challenge(&dialer).await;
    assert_eq!(code(&show(&dialer, &evidence(&paper, nonce)).await), "200");
    let mut boot = freehold_verify::boot::BootDescription::demonstration("freehold", "1.0.0");
    *boot.loader.first_mut().unwrap() ^= 1;
    paper.log = freehold_verify::boot::generate(&boot).0;
    let nonce = challenge(&dialer).await;
    let answer = show(&dialer, &evidence(&paper, nonce)).await;
    let verdict: VerdictAnswer = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(verdict.verdict, VerdictWord::Refused);
    assert!(verdict.certificate.is_none());
    assert_eq!(verdict.refusals[0].code, "boot.event");
    assert!(
        verdict.refusals[0].message.contains("event"),
        "{}",
        verdict.refusals[0].message
    );
    assert_eq!(
        code(&ask(&dialer, Method::GET, routes::ASSIGNMENT, &[], "").await),
        "channel.certificate_not_issued"
    );
    let current = world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    assert_eq!(
        code(&ask(&current, Method::GET, routes::ASSIGNMENT, &[], "").await),
        "204",
        "nothing is assigned"
    );
}

#[tokio::test]
async fn a21_a_verdict_that_cannot_be_kept_leaves_the_box_unknown() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    let nonce = challenge(&dialer).await;
    assert_eq!(code(&show(&dialer, &evidence(&paper, nonce)).await), "200");
    let word = || {
        let fleet = world.console().fleet();
        fleet
            .verdict_of(fleet.member("amber-fox-9d1e").unwrap(), now().unix_timestamp())
            .word
    };
    assert_eq!(word(), VerdictWord::TrustedSimulated);
    let nonce = challenge(&dialer).await;
    world.console().store().close().await;
    let answer = show(&dialer, &evidence(&paper, nonce)).await;
    assert_eq!(code(&answer), "console.inside");
    assert_eq!(word(), VerdictWord::Unknown);
}

#[tokio::test]
async fn b08_half_open_connections_do_not_stop_others() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let files = freehold_console::listen::raise_file_limit();
    // Both ends are in this process; 10,000 where the machine lets us.
    let count = (files / 4).min(10_000);
    let mut open = Vec::new();
    for _ in 0..count {
        open.push(tokio::net::TcpStream::connect(world.running.boxes).await.unwrap());
    }
    let dialer = world.at_boxes(Some(self_signed(&paper.tls, DAY)));
    let nonce = challenge(&dialer).await;
    assert_eq!(
        code(&show(&dialer, &evidence(&paper, nonce)).await),
        "200",
        "with {} half-open connections",
        open.len()
    );
}

#[tokio::test]
async fn reports_are_taken_once_and_bring_tokens_back() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let (token, _) = world.session("operator", "api").await;
    let body = serde_json::json!({"name": "ward assistant"});
    let made = call(
        &world,
        &token,
        Method::POST,
        "/api/v1/boxes/amber-fox-9d1e/tokens",
        Some(body),
    )
    .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let secret = json(&made)["token"].as_str().unwrap().to_owned();
    let dialer = world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    let report = serde_json::json!({
        "v": 1, "sequence": 1, "at": 5, "version": "0.1.0", "achieved": null, "pursuing": null, "doing": "waiting",
        "refusals": [], "models": [], "gateway": null, "inventory": null,
    });
    for _ in 0..2 {
        let answer = ask(&dialer, Method::POST, routes::REPORT, &[], report.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let said = json(&answer);
        assert_eq!(said["attest"], true, "it has not proven itself yet");
        assert_eq!(
            said["tokens"][0]["sha256"],
            freehold_trust::sha256(secret.as_bytes()).to_hex()
        );
        assert!(
            !String::from_utf8_lossy(&answer.body).contains(&secret),
            "the token itself is nowhere"
        );
    }
    let unknown = report.to_string().replace("\"v\":1", "\"v\":2");
    assert_eq!(
        code(&ask(&dialer, Method::POST, routes::REPORT, &[], unknown).await),
        "console.unreadable"
    );
}

#[tokio::test]
async fn targets_are_served_in_ranges_and_nothing_else_is() {
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    let get = async |path: &str, range: Option<&str>| {
        let headers: Vec<(&str, &str)> = range.map(|range| ("range", range)).into_iter().collect();
        ask(&dialer, Method::GET, path, &headers, "").await
    };
    let target = format!("{}systems/freehold/1.0.0/manifest.json", routes::REPOSITORY_TARGETS);
    let whole = get(&target, None).await;
    assert_eq!(whole.body, paper.manifests[0].to_json());
    let part = get(&target, Some("bytes=3-7")).await;
    assert_eq!(
        (part.status, &part.body[..]),
        (StatusCode::PARTIAL_CONTENT, &whole.body[3..8])
    );
    assert_eq!(code(&get(&target, Some("bytes=99999999-")).await), "console.bad_range");
    for path in ["timestamp.json", "1.root.json"] {
        assert_eq!(
            code(&get(&format!("{}{path}", routes::REPOSITORY_METADATA), None).await),
            "200",
            "{path}"
        );
    }
    for path in ["../../keys/director.pem", "%2e%2e/%2e%2e/keys/director.pem", "none"] {
        for root in [routes::REPOSITORY_METADATA, routes::REPOSITORY_TARGETS] {
            assert_eq!(
                code(&get(&format!("{root}{path}"), None).await),
                "console.not_found",
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_boxs_record_is_cosigned_as_it_grows_and_not_when_it_shrinks() {
    use freehold_protocol::report::RecordCheckpoint;
    use freehold_record::{Checkpoint, NoteSigner, empty_root, leaf_hash, node_hash};
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    let origin = freehold_protocol::report::record_origin(&paper.id);
    let signer = NoteSigner::new(&origin, support::record_key(&paper.id)).unwrap();
    let (one, two) = (leaf_hash(b"one"), leaf_hash(b"two"));
    let both = node_hash(&one, &two);
    let show = async |size: u64, root, old_size: u64, proof: Vec<freehold_trust::Sha256Digest>| {
        let note = Checkpoint::new(&origin, size, root).sign(&signer).unwrap();
        let message = RecordCheckpoint {
            v: freehold_protocol::V1,
            checkpoint: note.to_string(),
            old_size,
            proof: proof.into_iter().map(|hash| hash.as_bytes().to_vec().into()).collect(),
        };
        ask(
            &dialer,
            Method::POST,
            routes::RECORD,
            &[],
            serde_json::to_string(&message).unwrap(),
        )
        .await
    };
    assert_eq!(code(&show(0, empty_root(), 0, Vec::new()).await), "200");
    let answer = show(1, one, 0, Vec::new()).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let console = format!("freehold/console/{}", world.console().file().fleet);
    assert!(
        json(&answer)["cosignature"]
            .as_str()
            .is_some_and(|line| line.starts_with(&format!("\u{2014} {console} ")))
    );
    assert_eq!(code(&show(2, both, 0, Vec::new()).await), "record.old_size");
    assert_eq!(code(&show(2, both, 1, vec![two]).await), "200");
    assert_eq!(code(&show(1, one, 2, Vec::new()).await), "record.rollback");
}

#[tokio::test]
async fn a_head_that_another_key_signed_is_not_cosigned() {
    use freehold_protocol::report::{RecordCheckpoint, record_origin};
    use freehold_record::{Checkpoint, NoteSigner, leaf_hash};
    let world = World::new().await;
    let paper = PaperBox::new("amber-fox-9d1e");
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    let own = record_origin(&paper.id);
    let show = async |origin: &str, name: &str, key: SigningKey| {
        let signer = NoteSigner::new(name, key).unwrap();
        let note = Checkpoint::new(origin, 1, leaf_hash(b"one")).sign(&signer).unwrap();
        let message = RecordCheckpoint {
            v: freehold_protocol::V1,
            checkpoint: note.to_string(),
            old_size: 0,
            proof: Vec::new(),
        };
        let body = serde_json::to_string(&message).unwrap();
        code(&ask(&dialer, Method::POST, routes::RECORD, &[], body).await)
    };
    let thief = || SigningKey::generate(KeyKind::Ed25519).unwrap();
    let right = || support::record_key(&paper.id);
    assert_eq!(show(&own, &own, thief()).await, "record.unsigned");
    assert_eq!(
        show("freehold.box/blue-owl-0001", &own, right()).await,
        "record.other_origin"
    );
    assert!(world.console().fleet().member(&paper.id).unwrap().cosigned.is_none());
    let (auditor, _) = world.session("auditor", "api").await;
    let entries = call(&world, &auditor, Method::GET, "/api/v1/record/entries?limit=200", None).await;
    assert!(
        String::from_utf8_lossy(&entries.body).contains("record.other_origin"),
        "the refusal is in the record"
    );
    assert_eq!(show(&own, &own, right()).await, "200");

    // A box of the version before has not said a key: its record is kept on the box, and not cosigned.
    let older = PaperBox::new("blue-owl-0001");
    world.member_of_before(&older).await;
    let dialer = world.at_boxes(Some(issued(&world, &older.tls, &older.id, now())));
    let own = record_origin(&older.id);
    let signer = NoteSigner::new(&own, support::record_key(&older.id)).unwrap();
    let note = Checkpoint::new(&own, 1, leaf_hash(b"one")).sign(&signer).unwrap();
    let message = RecordCheckpoint {
        v: freehold_protocol::V1,
        checkpoint: note.to_string(),
        old_size: 0,
        proof: Vec::new(),
    };
    let body = serde_json::to_string(&message).unwrap();
    let answer = ask(&dialer, Method::POST, routes::RECORD, &[], body).await;
    assert_eq!(code(&answer), "record.key_unknown");
}

#[tokio::test]
async fn b05_what_another_process_wrote_is_a_conflict_and_not_two_rows() {
    use freehold_fleet::Effect;
    use freehold_store::{Change, Store};
    let world = World::new().await;
    let (here, there) = (PaperBox::new("amber-fox-9d1e"), PaperBox::new("amber-fox-9d1e"));
    world.member(&here).await;
    let row = world.console().fleet().member("amber-fox-9d1e").cloned().unwrap();
    let other = World::new().await;
    let store = Store::open(&other.folder.path().join("state/console.db"), "ward-7")
        .await
        .unwrap();
    let effect = Effect::BoxSaved(Box::new(row));
    store
        .commit(&[Change::Fleet(&effect)], async { Ok::<(), std::io::Error>(()) })
        .await
        .unwrap();
    // Another EK under the same name: this process's memory knows nothing of the row.
    let refused = other
        .enrol(&there, &freehold_trust::sha256(b"another ek").to_hex())
        .await
        .unwrap_err();
    assert_eq!(refused.report.code, "console.conflict");
    assert!(other.console().fleet().member("amber-fox-9d1e").is_none());
}
