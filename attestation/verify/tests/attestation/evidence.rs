//! Evidence as a whole: challenge, binding, clock, one form: cases A07, A09, A10, A17, A18, A21.

use crate::paper_tpm::{NOW, PaperBox, clock};
use crate::quotes::code;
use freehold_verify::Refusal as _;
use freehold_verify::boot::PcrOutcome;
use freehold_verify::evidence::{BootShown, Challenge, Evidence, Shown, answer, verify_evidence};
use freehold_verify::identity::AttestationKey;
use freehold_verify::quote::ClockStep;
use freehold_verify::tpm::public::Public;
use freehold_verify::tpm::{Attest, ClockInfo};

#[test]
fn right_evidence_is_accepted_and_says_what_it_shows() {
    let box_ = PaperBox::new("amber-fox-1");
    let claims = verify_evidence(&box_.evidence().encode(), &box_.expectation(), NOW + 1).unwrap();
    assert_eq!(claims.reasons, []);
    assert_eq!(claims.boot, BootShown::Simulated);
    assert_eq!((claims.secure_boot, claims.development_keys), (Shown::Yes, Shown::Yes));
    assert!(claims.pcrs.iter().all(|pcr| pcr.outcome == PcrOutcome::Matches));
    assert_eq!(claims.step, ClockStep::First);
    let json = serde_json::to_value(claims.get()).unwrap();
    assert_eq!(json["boot"], "simulated");
    assert_eq!(json["tpm"], "software");
    assert_eq!(json["pcrs"][0]["outcome"]["is"], "matches");
}

#[test]
fn a07_only_the_quoted_bank_is_used() {
    // A log with a second, SHA-1, bank that tells a nicer story: the verdict comes from the SHA-256 bank alone.
    let mut box_ = PaperBox::new("amber-fox-1");
    let mut two = Vec::new();
    let log = freehold_verify::event_log::EventLog::parse(&box_.log).unwrap();
    for event in log.events() {
        two.extend(u32::from(event.pcr).to_le_bytes());
        two.extend(event.kind.0.to_le_bytes());
        if event.index == 0 {
            let mut spec = event.data[..24].to_vec();
            spec.extend([2, 0, 0, 0, 4, 0, 20, 0, 11, 0, 32, 0, 0]);
            two.extend([0; 20]);
            two.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
            two.extend(spec);
            continue;
        }
        two.extend([2, 0, 0, 0, 4, 0]);
        two.extend([0xaa; 20]);
        two.extend([11, 0]);
        two.extend(event.sha256().unwrap());
        two.extend(u32::try_from(event.data.len()).unwrap().to_le_bytes());
        two.extend(event.data);
    }
    box_.log = two;
    let claims = verify_evidence(&box_.evidence().encode(), &box_.expectation(), NOW).unwrap();
    assert_eq!(claims.boot, BootShown::Simulated);
}

#[test]
fn a09_an_older_challenge_is_refused_after_a_newer() {
    let first = Challenge::issue([1; 32], NOW);
    let mut outstanding = Some(first.clone());
    assert_eq!(
        answer(&mut outstanding, &[3; 32], NOW).unwrap_err().code(),
        "quote.nonce"
    );
    assert!(outstanding.is_some(), "a wrong answer does not use up the challenge");
    outstanding = Some(Challenge::issue([2; 32], NOW + 1));
    assert_eq!(
        answer(&mut outstanding, &first.nonce, NOW + 2).unwrap_err().code(),
        "quote.nonce"
    );
    answer(&mut outstanding, &[2; 32], NOW + 2).unwrap();
    assert_eq!(
        answer(&mut outstanding, &[2; 32], NOW + 2).unwrap_err().code(),
        "quote.nonce",
        "used up"
    );
    for (now, expected) in [
        (NOW + 121, "quote.nonce_expired"),
        (NOW - 1, "quote.nonce_expired"),
        (NOW - 315_360_000, "quote.nonce_expired"),
    ] {
        let mut outstanding = Some(first.clone());
        assert_eq!(
            answer(&mut outstanding, &first.nonce, now).unwrap_err().code(),
            expected
        );
        assert!(outstanding.is_none(), "an expired challenge is used up");
    }
    let box_ = PaperBox::new("amber-fox-1");
    let late = verify_evidence(&box_.evidence().encode(), &box_.expectation(), NOW + 121).unwrap_err();
    assert_eq!(late.code(), "quote.nonce_expired");
}

#[test]
fn a10_ten_thousand_challenges_differ() {
    // The nonce is an argument: what is shown is that nothing of its 256 bits is lost or fixed on the way to the binding.
    let box_ = PaperBox::new("amber-fox-1");
    let mut seen = std::collections::BTreeSet::new();
    for number in 0_u32..10_000 {
        let nonce = *freehold_trust::sha256(&number.to_be_bytes()).as_bytes();
        let challenge = Challenge::issue(nonce, NOW);
        assert_eq!(challenge.nonce.len() * 8, 256);
        let mut bound = box_.bound();
        bound.nonce = challenge.nonce;
        assert!(seen.insert(freehold_verify::evidence::qualifying_data(&bound)));
    }
}

#[test]
fn a17_counters_that_run_backwards_are_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let evidence = box_.evidence().encode();
    let now = clock();
    let verdict = |previous: ClockInfo| {
        let mut expectation = box_.expectation();
        expectation.previous = Some(previous);
        verify_evidence(&evidence, &expectation, NOW)
            .map(|claims| (claims.step, claims.firmware_changed))
            .map_err(|e| e.code())
    };
    assert_eq!(verdict(now), Ok((ClockStep::SameBoot, false)));
    assert_eq!(
        verdict(ClockInfo {
            clock: now.clock - 5,
            ..now
        }),
        Ok((ClockStep::SameBoot, false))
    );
    assert_eq!(
        verdict(ClockInfo {
            restart_count: 1,
            ..now
        }),
        Ok((ClockStep::Resumed, false))
    );
    assert_eq!(
        verdict(ClockInfo {
            reset_count: 6,
            clock: now.clock + 99,
            ..now
        }),
        Ok((ClockStep::Rebooted, false))
    );
    assert_eq!(
        verdict(ClockInfo {
            firmware_version: 1,
            ..now
        }),
        Ok((ClockStep::SameBoot, true))
    );
    assert_eq!(verdict(ClockInfo { reset_count: 8, ..now }), Err("quote.clock"));
    assert_eq!(
        verdict(ClockInfo {
            restart_count: 3,
            ..now
        }),
        Err("quote.clock")
    );
    assert_eq!(
        verdict(ClockInfo {
            clock: now.clock + 1,
            ..now
        }),
        Err("quote.clock")
    );
    let unsafe_clock = box_
        .evidence_with(box_.bound(), box_.pcrs(), |s| s.clock.safe = false)
        .encode();
    let claims = verify_evidence(&unsafe_clock, &box_.expectation(), NOW).unwrap();
    assert!(!claims.clock.safe, "surfaced for the policy");
}

#[test]
fn a18_relayed_quote_is_refused() {
    let clean = PaperBox::new("clean-box-b");
    let mut dirty = PaperBox::new("dirty-box-a");
    // A relays the console's challenge to B and hands B's answer on, as B's and as its own.
    let mut asked = PaperBox::new("clean-box-b");
    asked.challenge = dirty.challenge.clone();
    let relayed = asked.evidence();
    assert_eq!(code(&dirty, &relayed), "evidence.other_box");
    let mut bound = relayed.bound.clone();
    bound.box_id.clone_from(&dirty.id);
    assert_eq!(
        code(
            &dirty,
            &Evidence {
                bound: bound.clone(),
                ..relayed.clone()
            }
        ),
        "evidence.tls"
    );
    bound.tls = dirty.tls.public().fingerprint();
    assert_eq!(
        code(
            &dirty,
            &Evidence {
                bound: bound.clone(),
                ..relayed.clone()
            }
        ),
        "quote.signature"
    );
    // Even B's own AK, for the dirty box's facts, is not the enrolled one.
    let signed = asked.evidence_with(bound, asked.pcrs(), |_| ());
    assert_eq!(code(&dirty, &signed), "quote.signature");
    // B itself, asked over A's TLS session.
    dirty.id.clone_from(&clean.id);
    let mut expectation = asked.expectation();
    let session = dirty.tls.public().fingerprint();
    expectation.tls = session;
    assert_eq!(
        verify_evidence(&relayed.encode(), &expectation, NOW)
            .unwrap_err()
            .code(),
        "evidence.tls"
    );
    // The log of another boot beside a right quote.
    let mut other_log = asked.evidence();
    other_log.boot_log.pop();
    assert_eq!(code(&asked, &other_log), "evidence.log_digest");
}

#[test]
fn a21_a_fault_inside_verification_leaves_the_box_unknown() {
    // The pure half: there is no value to act on but a `Verified<Claims>`, and a log that cannot be read gives claims that
    // show nothing. (The console keeps "unknown" where it has no claims; its own test holds that.)
    let mut box_ = PaperBox::new("amber-fox-1");
    let pcrs = box_.pcrs();
    for log in [b"garbage".to_vec(), Vec::new(), vec![0xff; 300_000]] {
        box_.log = log;
        let evidence = box_.evidence_with(box_.bound(), pcrs.clone(), |_| ());
        let claims = verify_evidence(&evidence.encode(), &box_.expectation(), NOW).unwrap();
        assert_eq!(claims.boot, BootShown::NotShown);
        assert_eq!(
            (claims.secure_boot, claims.development_keys),
            (Shown::NotShown, Shown::NotShown)
        );
        assert!(claims.pcrs.iter().all(|pcr| pcr.outcome == PcrOutcome::NotCovered));
        assert_eq!(claims.reasons.len(), 1);
    }
    let (log, _) = freehold_verify::boot::generate(&freehold_verify::boot::BootDescription::demonstration(
        "freehold", "1.0.0",
    ));
    box_.log = log;
    let expectation = freehold_verify::evidence::Expectation {
        manifests: &[],
        ..box_.expectation()
    };
    let claims = verify_evidence(&box_.evidence().encode(), &expectation, NOW).unwrap();
    assert_eq!(claims.boot, BootShown::NotShown);
    assert_eq!(claims.reasons[0].code, "boot.unknown_release");
}

#[test]
fn evidence_has_one_form_and_limits() {
    let box_ = PaperBox::new("amber-fox-1");
    let bytes = box_.evidence().encode();
    assert_eq!(Evidence::decode(&bytes).unwrap(), box_.evidence_like(&bytes));
    assert_eq!(Evidence::decode(&bytes).unwrap().encode(), bytes);
    let refused = |bytes: &[u8]| Evidence::decode(bytes).unwrap_err().code();
    assert_eq!(refused(&[]), "evidence.malformed");
    assert_eq!(refused(&[bytes.as_slice(), &[0]].concat()), "evidence.malformed");
    assert_eq!(refused(&vec![0; 800_000]), "evidence.too_large");
    // A log of user space that is not there is left out.
    assert_eq!(
        refused(&[&[0xa7], &bytes[1..], &[0x06, 0x40]].concat()),
        "evidence.not_canonical"
    );
    // The version as two bytes; a map of unknown length; keys out of order; another version.
    assert_eq!(
        refused(&[&[0xa6, 0x00, 0x18, 0x01], &bytes[3..]].concat()),
        "evidence.not_canonical"
    );
    assert_eq!(refused(&[&[0xbf], &bytes[1..]].concat()), "evidence.not_canonical");
    assert_eq!(
        refused(&[&[0xa6, 0x01], &bytes[2..]].concat()),
        "evidence.not_canonical"
    );
    assert_eq!(
        refused(&[&[0xa6, 0x00, 0x02], &bytes[3..]].concat()),
        "evidence.version"
    );
    let mut bound = box_.bound();
    bound.models.reverse();
    assert_eq!(
        code(&box_, &box_.evidence_with(bound, box_.pcrs(), |_| ())),
        "evidence.not_canonical"
    );
}

impl PaperBox {
    /// The right evidence with the signature of `bytes` (ECDSA signatures differ each time).
    pub(crate) fn evidence_like(&self, bytes: &[u8]) -> Evidence {
        Evidence {
            signature: Evidence::decode(bytes).unwrap().signature,
            ..self.evidence()
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn parsers_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = Attest::parse(&bytes);
        let _ = Public::parse(&bytes).map(|public| assert_eq!(public.to_bytes(), bytes));
        let _ = freehold_verify::tpm::TpmSignature::parse(&bytes);
        let _ = AttestationKey::from_public(&bytes);
        let _ = Evidence::decode(&bytes).map(|evidence| assert_eq!(evidence.encode(), bytes));
    }

    #[test]
    fn mutated_structures_never_panic(at in 0_usize..400, value: u8, cut in 0_usize..400) {
        thread_local!(static GOOD: (Vec<u8>, Vec<u8>) = {
            let box_ = PaperBox::new("amber-fox-1");
            (box_.evidence().attest, box_.ak.public().to_bytes())
        });
        GOOD.with(|(attest, public)| {
            let mut bytes = attest.clone();
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            bytes.truncate(cut);
            let _ = Attest::parse(&bytes);
            let mut bytes = public.clone();
            if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            bytes.truncate(cut);
            let _ = Public::parse(&bytes);
            let _ = AttestationKey::from_public(&bytes);
        });
    }
}
