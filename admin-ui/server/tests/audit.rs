//! The auditor at the console: reports, packages with proofs, reading that is recorded, boxes as witnesses.

#[path = "support/world.rs"]
mod support;

use freehold_audit::{Status, check_report};
use freehold_protocol::report::{RecordCheckpoint, record_origin};
use freehold_protocol::routes;
use freehold_protocol::witness::{SeenRecord, WitnessAsk, WitnessLine, WitnessOffers};
use freehold_record::witness::Seen;
use freehold_record::{Checkpoint, NoteSigner, SignedNote, VerifierKey, cosign, cosignatures, leaf_hash};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::container::{Container, Kind};
use freehold_verify::evidence::EvidencePackage;
use http::{Method, StatusCode};
use support::paper_tpm::PaperBox;
use support::{World, ask, call, challenge, code, evidence, issued, json, now, show};

async fn proven(world: &World, id: &str) -> PaperBox {
    let paper = PaperBox::new(id);
    world.member(&paper).await;
    let dialer = world.at_boxes(Some(issued(world, &paper.tls, &paper.id, now())));
    let nonce = challenge(&dialer).await;
    assert_eq!(show(&dialer, &evidence(&paper, nonce)).await.status, StatusCode::OK);
    paper
}

// promise S-249
#[tokio::test]
async fn h06_an_auditor_gets_a_report_that_holds_and_the_record_tells_of_it() {
    let world = World::new().await;
    let paper = proven(&world, "amber-fox-9d1e").await;
    let (auditor, _) = world.session("auditor", "api").await;
    let (viewer, _) = world.session("viewer", "api").await;
    let make = async |token: &str, body: serde_json::Value| {
        call(&world, token, Method::POST, "/api/v1/reports", Some(body)).await
    };
    assert_eq!(make(&viewer, serde_json::json!({})).await.status, StatusCode::FORBIDDEN);
    let answer = make(&auditor, serde_json::json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", code(&answer));
    let container = Container::parse(&answer.body, Kind::Report).unwrap();
    let key = world.console().record_key();
    let report = check_report(&container.entries().collect(), Some(&key)).unwrap();
    assert_eq!(
        (report.boxes.len(), report.boxes[0].box_id.as_str()),
        (1, paper.id.as_str())
    );
    assert!(report.boxes[0].told.is_some(), "the verdict's entry is proven");
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.control.id != "si-7" || finding.status != Status::Satisfied)
    );
    assert!(report.document.made_by.contains("auditor"));

    // About one box, about a model that nobody knows, about both.
    let one = make(&auditor, serde_json::json!({"box": paper.id})).await;
    assert_eq!(one.status, StatusCode::OK);
    assert_eq!(
        make(&auditor, serde_json::json!({"box": "no-such-box"})).await.status,
        StatusCode::NOT_FOUND
    );
    let unknown = serde_json::json!({"model": "0".repeat(64)});
    assert_eq!(code(&make(&auditor, unknown).await), "console.not_found");
    let both = serde_json::json!({"box": paper.id, "model": "0".repeat(64)});
    assert_eq!(code(&make(&auditor, both).await), "console.unreadable");

    let entries = call(&world, &auditor, Method::GET, "/api/v1/record/entries?limit=200", None).await;
    let said = String::from_utf8_lossy(&entries.body).into_owned();
    assert!(said.contains("report.made"), "{said}");
    // That somebody read it is told, too: in the next reading.
    let again = call(&world, &auditor, Method::GET, "/api/v1/record/entries?limit=200", None).await;
    assert!(String::from_utf8_lossy(&again.body).contains("record.read"));
}

#[tokio::test]
async fn a_package_of_evidence_comes_with_the_proof_that_the_record_tells_of_it() {
    let world = World::new().await;
    let paper = proven(&world, "amber-fox-9d1e").await;
    let (auditor, _) = world.session("auditor", "api").await;
    let path = format!("/api/v1/boxes/{}/evidence", paper.id);
    let package = EvidencePackage::parse(&call(&world, &auditor, Method::GET, &path, None).await.body).unwrap();
    let inclusion = package.inclusion.clone().unwrap();
    let key = world.console().record_key();
    let (index, entry) = freehold_audit::check_inclusion(&package, &inclusion, Some(&key)).unwrap();
    assert_eq!(entry.text("about"), Some(paper.id.as_str()));
    let proof = call(
        &world,
        &auditor,
        Method::GET,
        &format!("/api/v1/record/proof/{index}"),
        None,
    )
    .await;
    assert_eq!(json(&proof)["entry"], inclusion.entry.as_str());
    let beyond = call(&world, &auditor, Method::GET, "/api/v1/record/proof/99999", None).await;
    assert_eq!(beyond.status, StatusCode::NOT_FOUND);
    // An entry about something else does not stand for it.
    let mut other = package.clone();
    other.box_id = "coral-owl-2".into();
    let refused = freehold_audit::check_inclusion(&other, &inclusion, Some(&key)).unwrap_err();
    assert_eq!(freehold_verify::Refusal::code(&refused), "report.inclusion");
}

struct Head {
    note: String,
    root: Sha256Digest,
}

/// A head of `count` entries of a box's own record.
fn head(id: &str, count: u64) -> Head {
    let mut frontier = freehold_record::Frontier::new();
    (0..count).for_each(|n| frontier.push(leaf_hash(&n.to_be_bytes())));
    let signer = NoteSigner::new(&record_origin(id), support::record_key(id)).unwrap();
    let note = Checkpoint::new(&record_origin(id), count, frontier.root())
        .sign(&signer)
        .unwrap();
    Head {
        note: note.to_string(),
        root: frontier.root(),
    }
}

// promise S-241
#[tokio::test]
async fn i03_boxes_cosign_each_others_records_and_the_consoles_through_the_console() {
    let world = World::new().await;
    let (one, other) = (
        proven(&world, "amber-fox-9d1e").await,
        proven(&world, "coral-owl-2b3c").await,
    );
    let at = |paper: &PaperBox| world.at_boxes(Some(issued(&world, &paper.tls, &paper.id, now())));
    let shown = RecordCheckpoint {
        v: freehold_protocol::V1,
        checkpoint: head(&one.id, 5).note,
        old_size: 0,
        proof: Vec::new(),
    };
    let body = serde_json::to_string(&shown).unwrap();
    assert_eq!(
        ask(&at(&one), Method::POST, routes::RECORD, &[], body).await.status,
        StatusCode::OK
    );

    let witness = async |paper: &PaperBox, seen: Vec<SeenRecord>, lines: Vec<WitnessLine>| {
        let body = serde_json::to_string(&WitnessAsk {
            v: freehold_protocol::V1,
            seen,
            lines,
        });
        ask(&at(paper), Method::POST, routes::WITNESS, &[], body.unwrap()).await
    };
    let offers: WitnessOffers = serde_json::from_slice(&witness(&other, Vec::new(), Vec::new()).await.body).unwrap();
    let origins: Vec<&str> = offers.offers.iter().map(|offer| offer.origin.as_str()).collect();
    let console = world.console().record_key();
    assert_eq!(origins, [console.name(), record_origin(&one.id).as_str()]);

    // The other box checks and cosigns both.
    let signer = NoteSigner::new(&record_origin(&other.id), support::record_key(&other.id)).unwrap();
    let mut lines = Vec::new();
    for offer in &offers.offers {
        let key = VerifierKey::parse(&offer.key).unwrap();
        let seen = Seen::default()
            .advance(offer.checkpoint.as_bytes(), &offer.origin, &key, &[])
            .unwrap();
        let mut note = SignedNote::parse(offer.checkpoint.as_bytes()).unwrap();
        cosign(&mut note, &signer, 1_800_000_000);
        lines.push(WitnessLine {
            origin: offer.origin.clone(),
            size: seen.size,
            line: note.to_string().lines().next_back().unwrap().to_owned(),
        });
    }
    // A line that another key made is not taken.
    let thief = NoteSigner::new(
        &record_origin(&other.id),
        SigningKey::generate(KeyKind::Ed25519).unwrap(),
    )
    .unwrap();
    let mut forged = SignedNote::parse(offers.offers[1].checkpoint.as_bytes()).unwrap();
    cosign(&mut forged, &thief, 1_800_000_000);
    let line = WitnessLine {
        line: forged.to_string().lines().next_back().unwrap().to_owned(),
        ..lines[1].clone()
    };
    assert_eq!(code(&witness(&other, Vec::new(), vec![line]).await), "record.quorum");

    let seen: Vec<SeenRecord> = lines
        .iter()
        .map(|line| SeenRecord {
            origin: line.origin.clone(),
            size: line.size,
        })
        .collect();
    assert_eq!(witness(&other, seen.clone(), lines).await.status, StatusCode::OK);
    let back: WitnessOffers = serde_json::from_slice(&witness(&one, Vec::new(), Vec::new()).await.body).unwrap();
    let note = SignedNote::parse(back.yours.unwrap().as_bytes()).unwrap();
    let key = VerifierKey::witness(&record_origin(&other.id), support::record_key(&other.id).public()).unwrap();
    assert_eq!(cosignatures(&note, std::slice::from_ref(&key), 1).unwrap().len(), 1);
    assert_eq!(Checkpoint::parse(note.text()).unwrap().root, head(&one.id, 5).root);
    // The console's own cosigned head lies in a file that an auditor takes along.
    let file = std::fs::read(world.folder.path().join("state/cosigned.note")).unwrap();
    assert_eq!(
        cosignatures(&SignedNote::parse(&file).unwrap(), &[key], 1)
            .unwrap()
            .len(),
        1
    );

    // The record grows: who saw five is offered the step from five, and whoever saw nothing the newest.
    let four = freehold_record::consistency(5, 6, &Leaves(6)).unwrap().unwrap();
    let grown = RecordCheckpoint {
        v: freehold_protocol::V1,
        checkpoint: head(&one.id, 6).note,
        old_size: 5,
        proof: four
            .iter()
            .map(|hash| freehold_protocol::Base64(hash.as_bytes().to_vec()))
            .collect(),
    };
    let body = serde_json::to_string(&grown).unwrap();
    assert_eq!(
        ask(&at(&one), Method::POST, routes::RECORD, &[], body).await.status,
        StatusCode::OK
    );
    let offers: WitnessOffers = serde_json::from_slice(&witness(&other, seen, Vec::new()).await.body).unwrap();
    let step = offers
        .offers
        .iter()
        .find(|offer| offer.origin == record_origin(&one.id))
        .unwrap();
    assert_eq!(step.old_size, 5);
    let mut memory = Seen {
        size: 5,
        root: head(&one.id, 5).root,
    };
    let proof: Vec<Sha256Digest> = step
        .proof
        .iter()
        .map(|hash| Sha256Digest::from_slice(&hash.0).unwrap())
        .collect();
    let key = VerifierKey::parse(&step.key).unwrap();
    memory
        .advance(step.checkpoint.as_bytes(), &step.origin, &key, &proof)
        .unwrap();
    assert_eq!(memory.size, 6);
}

/// The leaves of a box's own record, as [`head`] counts them.
struct Leaves(u64);

impl freehold_record::HashSource for Leaves {
    type Error = std::convert::Infallible;
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        let mut frontier = freehold_record::Frontier::new();
        let start = index << level;
        (start..(start + (1 << level)).min(self.0)).for_each(|n| frontier.push(leaf_hash(&n.to_be_bytes())));
        Ok(frontier.root())
    }
}
