//! Milestones in PCR 15: what a quote covers, and what it does not.

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::milestone::{Milestone, MilestoneKind, MilestoneRejection, Milestones, PCR};
use freehold_verify::quote::PcrValues;

const START: [Sha256Digest; 24] = [Sha256Digest::from_bytes([0; 32]); 24];

fn milestones() -> Vec<Milestone> {
    [
        (MilestoneKind::Settings, "typed"),
        (MilestoneKind::Policy, "policies/ward/1.0.0/release.json"),
        (MilestoneKind::Engine, "llama-cpu"),
        (MilestoneKind::Model, "guide 1.0.0"),
        (MilestoneKind::Model, "other 2.0.0"),
    ]
    .map(|(kind, name)| Milestone::new(kind, name, sha256(name.as_bytes())))
    .into()
}

/// A record as systemd-pcrextend writes it.
fn record(pcr: u8, words: &str, digest: Sha256Digest) -> String {
    let record = serde_json::json!({
        "pcr": pcr, "digests": [{ "hashAlg": "sha256", "digest": digest.to_hex() }], "content_type": "systemd",
        "content": { "string": words, "bootId": "0", "timestamp": 1 }
    });
    format!("\u{1e}{record}\n")
}

fn volume() -> String {
    record(PCR, "freehold-data:uuid", sha256(b"the volume's key"))
}

/// The volume, a word of systemd's own, then milestones.
fn log(all: &[Milestone]) -> Vec<String> {
    let mut lines = vec![volume(), record(PCR, "machine-id:1", sha256(b"machine-id:1"))];
    lines.extend(all.iter().map(|one| record(PCR, &one.words(), one.measured())));
    lines
}

fn read(lines: &[String]) -> CanonicalLog {
    CanonicalLog::parse(lines.concat().as_bytes()).unwrap()
}

fn quote_of(lines: &[String]) -> PcrValues {
    let mut pcrs = START;
    read(lines).replay_sha256(&mut pcrs);
    PcrValues::of(vec![(PCR, pcrs[usize::from(PCR)])]).unwrap()
}

// promise S-86
#[test]
fn what_a_quote_does_not_cover_counts_for_nothing() {
    let all = milestones();
    let lines = log(&all);
    let whole = read(&lines);
    for quoted in 0..=all.len() {
        let shown = Milestones::read(&whole, &START, &quote_of(&lines[..quoted + 2])).unwrap();
        assert_eq!(shown.reached, &all[..quoted], "{quoted}");
        assert_eq!(shown.volume, Some(sha256(b"the volume's key")));
        // A model runs by the evidence's word only where it was measured before the quote.
        let models = all
            .iter()
            .enumerate()
            .filter(|(_, one)| one.kind == MilestoneKind::Model);
        for (at, model) in models {
            match shown.names_models(&[model.digest]) {
                Ok(()) => assert!(at < quoted),
                Err(refused) => {
                    assert!(at >= quoted);
                    assert_eq!(refused.code(), "evidence.model_not_measured");
                    assert_eq!(refused.found(), Some(model.digest.to_hex()));
                }
            }
        }
    }
    // A policy of the same digest is no model.
    let shown = Milestones::read(&whole, &START, &quote_of(&lines)).unwrap();
    assert!(shown.names_models(&[all[1].digest]).is_err());
    assert!(shown.names_models(&[]).is_ok());
    // A log of which no beginning gives the quoted value shows nothing; nor does one of a PCR that was not quoted.
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let nothing = Milestones::default();
    assert_eq!(
        Milestones::read(&read(&swapped), &START, &quote_of(&lines)).unwrap(),
        nothing
    );
    let other = PcrValues::of(vec![(11, START[11])]).unwrap();
    assert_eq!(Milestones::read(&whole, &START, &other).unwrap(), nothing);
}

// promise S-143
#[test]
fn a_swapped_data_volume_is_another_box() {
    let lines = log(&milestones());
    let shown = Milestones::read(&read(&lines), &START, &quote_of(&lines)).unwrap();
    let pinned = sha256(b"the volume's key");
    assert_eq!(shown.on_volume(None), Ok(()));
    assert_eq!(shown.on_volume(Some(pinned)), Ok(()));
    let mut other = lines.clone();
    other[0] = record(PCR, "freehold-data:uuid", sha256(b"another key"));
    let shown = Milestones::read(&read(&other), &START, &quote_of(&other)).unwrap();
    let refused = shown.on_volume(Some(pinned)).unwrap_err();
    assert_eq!(refused.code(), "evidence.other_volume");
    assert_eq!(refused.expected(), Some(pinned.to_hex()));
    assert_eq!(refused.found(), Some(sha256(b"another key").to_hex()));
    // None at all is no way around it; nor is a milestone whose words claim to be the volume.
    assert!(Milestones::default().on_volume(Some(pinned)).is_err());
    let late = [lines[1..].to_vec(), vec![volume()]].concat();
    let shown = Milestones::read(&read(&late), &START, &quote_of(&late)).unwrap();
    assert!(shown.on_volume(Some(pinned)).is_err());
}

#[test]
fn a_record_that_was_relabelled_or_is_none_is_refused() {
    let all = milestones();
    let digest = sha256(b"x").to_hex();
    let with = |words: &str, measured: Sha256Digest| {
        let lines = [log(&all), vec![record(PCR, words, measured)]].concat();
        Milestones::read(&read(&lines), &START, &quote_of(&lines)).unwrap_err()
    };
    let relabelled = with(&all[3].words().replace("guide 1", "guide 9"), all[3].measured());
    assert_eq!(relabelled, MilestoneRejection::Content { number: 7 });
    assert_eq!(relabelled.code(), "log.milestone_content");
    for bad in [
        format!("freehold.motor {digest} x"),
        format!("freehold.model {digest}"),
        format!("freehold.model {} x", &digest[1..]),
        format!("freehold.model {digest} x\"y"),
        "freehold.".to_owned(),
    ] {
        assert_eq!(
            with(&bad, sha256(bad.as_bytes())).code(),
            "log.milestone_malformed",
            "{bad}"
        );
    }
    // Longer words than any milestone has are cut when the log is read: they are not what was measured any more.
    let long = format!("freehold.model {digest} {}", "x".repeat(200));
    assert_eq!(with(&long, sha256(long.as_bytes())).code(), "log.milestone_content");
    // Names lose what a log's writer would escape, so that the words in the log are the words that were measured.
    let odd = Milestone::new(MilestoneKind::Model, "a\"b\\c\u{e9}\n", sha256(b"x"));
    assert_eq!(odd.name, "a_b_c__");
    assert_eq!(MilestoneRejection::CODES.len(), 4);
}
