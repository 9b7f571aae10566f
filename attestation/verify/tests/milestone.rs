//! Milestones in PCR 15: what a quote covers, and what it does not.

use freehold_trust::digest::{Sha256Digest, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::milestone::{
    MAX_LOG, Milestone, MilestoneKind, MilestoneRejection, covered, extended, parse_milestones,
};

fn milestones() -> Vec<Milestone> {
    [
        (MilestoneKind::Settings, "settings"),
        (MilestoneKind::Policy, "ward 1.0.0"),
        (MilestoneKind::Engine, "llama-cpu"),
        (MilestoneKind::Model, "guide 1.0.0"),
        (MilestoneKind::Model, "other 2.0.0"),
    ]
    .map(|(kind, name)| Milestone {
        kind,
        name: name.to_owned(),
        digest: sha256(name.as_bytes()),
    })
    .into()
}

fn log(all: &[Milestone]) -> Vec<u8> {
    (0..).zip(all).flat_map(|(number, one)| one.line(number)).collect()
}

fn value(start: Sha256Digest, all: &[Milestone]) -> Sha256Digest {
    all.iter().fold(start, |value, one| extended(value, one.measured()))
}

// promise S-86
#[test]
fn what_a_quote_does_not_cover_counts_for_nothing() {
    let (all, start) = (milestones(), sha256(b"what systemd measured before"));
    let read = parse_milestones(&log(&all)).unwrap();
    assert_eq!(read, all);
    for quoted in 0..=all.len() {
        let divided = covered(&read, start, value(start, &all[..quoted])).unwrap();
        assert_eq!(
            (divided.shown, divided.not_covered),
            (&all[..quoted], &all[quoted..]),
            "{quoted}"
        );
        // A model runs by the evidence's word only where it was measured before the quote.
        for (at, model) in all
            .iter()
            .enumerate()
            .filter(|(_, one)| one.kind == MilestoneKind::Model)
        {
            let named = divided.names_models(&[model.digest]);
            match named {
                Ok(()) => assert!(at < quoted),
                Err(refused) => {
                    assert!(at >= quoted);
                    assert_eq!(refused.code(), "evidence.model_not_measured");
                }
            }
        }
    }
    // A policy of the same digest is no model.
    let divided = covered(&read, start, value(start, &all)).unwrap();
    assert!(divided.names_models(&[all[1].digest]).is_err());
    assert!(divided.names_models(&[]).is_ok());
}

#[test]
fn a_log_that_gives_another_value_is_refused() {
    let (all, start) = (milestones(), sha256(b"start"));
    let quoted = value(start, &all);
    let mut swapped = all.clone();
    swapped.swap(3, 4);
    for other in [&all[1..], &all[..4], &swapped] {
        assert_eq!(
            covered(other, start, quoted).unwrap_err().code(),
            "log.milestone_prefix"
        );
    }
    assert!(covered(&all, sha256(b"another start"), quoted).is_err());
}

#[test]
fn a_record_that_was_relabelled_or_is_none_is_refused() {
    let all = milestones();
    let text = String::from_utf8(log(&all)).unwrap();
    let relabelled = text.replacen("\"guide 1.0.0\"", "\"guide 9.0.0\"", 1);
    assert_eq!(
        parse_milestones(relabelled.as_bytes()).unwrap_err(),
        MilestoneRejection::Content { number: 3 }
    );
    assert_eq!(
        parse_milestones(relabelled.as_bytes()).unwrap_err().code(),
        "log.milestone_content"
    );
    for bad in [
        text.replacen("\"recnum\":1", "\"recnum\":2", 1),
        text.replacen("\"pcr\":15", "\"pcr\":11", 1),
        text.replacen("sha256", "sha1", 1),
        text.replacen("\"kind\":\"engine\"", "\"kind\":\"motor\"", 1),
        text.replacen("{", "{\"more\":1,", 1),
        text.trim_end().to_owned(),
        "\n".to_owned(),
        "x".repeat(MAX_LOG + 1),
    ] {
        assert_eq!(
            parse_milestones(bad.as_bytes()).unwrap_err().code(),
            "log.milestone_malformed"
        );
    }
    assert_eq!(parse_milestones(b"").unwrap(), []);
    assert_eq!(MilestoneRejection::CODES.len(), 4);
}
