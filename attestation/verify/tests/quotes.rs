//! Quotes, right and wrong: cases A01 to A21 of the trust catalogue. Each refusal is asserted by its code.

#[path = "support/paper_tpm.rs"]
mod paper_tpm;

use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::Refusal as _;
use freehold_verify::boot::PcrOutcome;
use freehold_verify::evidence::{BootShown, Challenge, Evidence, Shown, answer, verify_evidence};
use freehold_verify::identity::AttestationKey;
use freehold_verify::quote::{ClockStep, PcrValues, QuoteExpectation, verify_quote};
use freehold_verify::tpm::public::{Attributes, KeyScheme, Public, PublicParameters};
use freehold_verify::tpm::{Attest, ClockInfo, PcrSet, algorithm};
use paper_tpm::{AK, NOW, PaperBox, Statement, clock, ec_public, ecdsa_signature, numbers, sign, sized};

/// The code of a refusal, or `accepted`.
fn code(box_: &PaperBox, evidence: &Evidence) -> &'static str {
    code_of(box_, &evidence.encode())
}

fn code_of(box_: &PaperBox, bytes: &[u8]) -> &'static str {
    match verify_evidence(bytes, &box_.expectation(), NOW + 1) {
        Ok(_) => "accepted",
        Err(rejection) => rejection.code(),
    }
}

fn changed(box_: &PaperBox, change: impl FnOnce(&mut Statement)) -> &'static str {
    code(box_, &box_.evidence_with(box_.bound(), box_.pcrs(), change))
}

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
fn a01_wrong_magic_is_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    assert_eq!(changed(&box_, |s| s.magic = 0xff54_4348), "quote.magic");
    assert_eq!(changed(&box_, |s| s.magic = 0), "quote.magic");
}

#[test]
fn a02_other_attestations_are_no_quotes() {
    let box_ = PaperBox::new("amber-fox-1");
    for tag in [0x8014, 0x8015, 0x8016, 0x8019, 0x801a, 0x801c, 0x8099_u16] {
        assert_eq!(changed(&box_, |s| s.tag = tag), "quote.kind", "{tag:#x}");
    }
    let mut evidence = box_.evidence();
    let mut certify = Statement {
        tag: 0x8017,
        ..Statement::over(&box_.pcrs(), b"")
    }
    .head();
    sized(&mut certify, &[0, 11]);
    sized(&mut certify, &[0, 11]);
    evidence.signature = sign(&box_.key, &certify);
    evidence.attest = certify;
    assert_eq!(code(&box_, &evidence), "quote.kind");
}

#[test]
fn a03_claimed_outside_quoted_is_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let mut more: Vec<_> = box_.pcrs().iter().collect();
    more.push((14, Sha256Digest::default()));
    let evidence = Evidence {
        pcrs: PcrValues::of(more).unwrap(),
        ..box_.evidence()
    };
    assert_eq!(code(&box_, &evidence), "quote.values");
    let fewer: Vec<_> = box_.pcrs().iter().skip(1).collect();
    let evidence = Evidence {
        pcrs: PcrValues::of(fewer).unwrap(),
        ..box_.evidence()
    };
    assert_eq!(code(&box_, &evidence), "quote.values");
    let mut other: Vec<_> = box_.pcrs().iter().collect();
    other[4].1 = Sha256Digest::from_bytes([7; 32]);
    let evidence = Evidence {
        pcrs: PcrValues::of(other).unwrap(),
        ..box_.evidence()
    };
    assert_eq!(code(&box_, &evidence), "quote.digest");
}

#[test]
fn a04_smaller_selection_is_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let fewer = PcrValues::of(box_.pcrs().iter().filter(|(pcr, _)| *pcr != 7).collect()).unwrap();
    assert_eq!(
        code(&box_, &box_.evidence_with(box_.bound(), fewer, |_| ())),
        "quote.selection"
    );
}

#[test]
fn a05_odd_selections_have_defined_results() {
    let box_ = PaperBox::new("amber-fox-1");
    let right = vec![0xff, 0x38, 0];
    let sha256 = algorithm::SHA256;
    for (selections, expected) in [
        (vec![(sha256, right.clone())], "accepted"),
        (vec![(sha256, vec![0xff, 0x38, 0, 0])], "accepted"),
        (vec![(sha256, vec![0xff, 0x38])], "accepted"),
        (vec![(sha256, vec![0xff, 0x38, 0, 1])], "quote.selection"),
        (vec![(sha256, vec![0xff, 0x38, 0, 0, 0])], "quote.malformed"),
        (vec![(sha256, vec![0xff])], "quote.selection"),
        (vec![(sha256, vec![])], "quote.selection"),
        (vec![(sha256, vec![0, 0, 0])], "quote.selection"),
        (vec![], "quote.selection"),
        (
            vec![(sha256, right.clone()), (sha256, right.clone())],
            "quote.selection",
        ),
        (
            vec![(sha256, right.clone()), (algorithm::SHA1, right.clone())],
            "quote.selection",
        ),
        (
            vec![(algorithm::SHA1, right.clone()), (sha256, right.clone())],
            "quote.selection",
        ),
        (vec![(0x9999, right.clone())], "quote.bank"),
        (vec![(sha256, right.clone()); 17], "quote.malformed"),
    ] {
        let shown = format!("{selections:?}");
        assert_eq!(changed(&box_, |s| s.selections = selections), expected, "{shown}");
    }
}

#[test]
fn a06_sha1_only_is_a_downgrade() {
    let box_ = PaperBox::new("amber-fox-1");
    assert_eq!(
        changed(&box_, |s| s.selections = vec![(algorithm::SHA1, vec![0xff, 0x38, 0])]),
        "quote.bank"
    );

    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/vectors/quotes/windows_gcp_shielded_vm.json"
    );
    let Ok(text) = std::fs::read(path) else {
        println!("skipped: ../shared/vectors is not here");
        return;
    };
    let vector: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let bytes = |at: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD
            .decode(vector.pointer(at).unwrap().as_str().unwrap())
            .unwrap()
    };
    let public = Public::parse(&bytes("/AK/Public")).unwrap();
    assert_eq!(public.to_bytes(), bytes("/AK/Public"));
    // Its AK signs with SHA-1: refused as such. With the same key under a SHA-256 scheme, the signature's own hash differs.
    assert_eq!(
        AttestationKey::from_public(&bytes("/AK/Public")).unwrap_err().code(),
        "identity.ak_scheme"
    );
    let quote = bytes("/Quote/Quote");
    let parsed = Attest::parse(&quote).unwrap();
    let freehold_verify::tpm::AttestBody::Quote { selections, .. } = &parsed.body else {
        panic!("{parsed:?}")
    };
    assert_eq!(selections[0].hash, algorithm::SHA1);
    let strong = Public {
        scheme: Some(KeyScheme {
            algorithm: algorithm::RSASSA,
            hash: Some(algorithm::SHA256),
            count: None,
        }),
        ..public
    };
    let ak = AttestationKey::from_public(&strong.to_bytes()).unwrap();
    let expectation = QuoteExpectation {
        ak: &ak,
        qualifying_data: b"",
        selection: PcrSet::of(&[0]),
        previous: None,
    };
    let refused = verify_quote(&quote, &bytes("/Quote/Signature"), &PcrValues::default(), &expectation).unwrap_err();
    assert_eq!(refused.code(), "quote.scheme");
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
fn a08_nonces_that_are_not_exact_are_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let other = PaperBox::new("blue-hen-2");
    let right = box_.challenge.nonce;
    let mut one_bit = right;
    one_bit[31] ^= 1;
    let mut padded = right;
    padded[31] = 0;
    for nonce in [one_bit, padded, [0; 32], other.challenge.nonce] {
        let mut bound = box_.bound();
        bound.nonce = nonce;
        assert_eq!(
            code(&box_, &box_.evidence_with(bound, box_.pcrs(), |_| ())),
            "quote.nonce"
        );
    }
    // The right nonce beside a quote about another, a shorter, a longer or no binding.
    let binding = freehold_verify::evidence::qualifying_data(&box_.bound());
    for extra in [
        vec![],
        binding.as_bytes()[..31].to_vec(),
        [binding.as_bytes().as_slice(), &[0]].concat(),
        right.to_vec(),
    ] {
        assert_eq!(changed(&box_, |s| s.extra = extra), "quote.binding");
    }
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
fn a11_every_flipped_byte_is_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let bytes = box_.evidence().encode();
    assert_eq!(code_of(&box_, &bytes), "accepted");
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        assert_ne!(code_of(&box_, &bad), "accepted", "byte {at}");
    }
    // And each byte of the AK's public area: another key, or none.
    let public = box_.ak.public().to_bytes();
    let evidence = box_.evidence().encode();
    for at in 0..public.len() {
        let mut bad = public.clone();
        bad[at] ^= 1;
        let Ok(ak) = AttestationKey::from_public(&bad) else {
            continue;
        };
        assert_ne!(ak.name(), box_.ak.name(), "byte {at}");
        let mut expectation = box_.expectation();
        expectation.ak = &ak;
        // Attributes and policy are not part of the key itself; the Name above tells them apart.
        let same_key = ak.key() == box_.ak.key() && ak.scheme() == box_.ak.scheme();
        assert!(
            same_key || verify_evidence(&evidence, &expectation, NOW).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn a12_signature_algorithms_are_not_confused() {
    let box_ = PaperBox::new("amber-fox-1");
    let good = box_.evidence();
    let (r, s) = numbers(&box_.key.sign(&good.attest));
    let bare = |number: &[u8]| -> Vec<u8> { number.iter().copied().skip_while(|b| *b == 0).collect() };
    let padded = |number: &[u8]| [vec![0; 3], number.to_vec()].concat();
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let with = |signature: Vec<u8>| {
        code(
            &box_,
            &Evidence {
                signature,
                ..good.clone()
            },
        )
    };
    // Numbers with and without leading zeros are one number.
    assert_eq!(with(ecdsa_signature(&bare(&r), &bare(&s))), "accepted");
    assert_eq!(with(ecdsa_signature(&padded(&r), &padded(&s))), "accepted");
    for (r, s) in [
        (&[0_u8; 32][..], &s[..]),
        (&r, &[0; 32]),
        (&order, &s),
        (&r, &order),
        (&[], &s),
        (&[0xff; 33], &s),
    ] {
        assert_eq!(with(ecdsa_signature(r, s)), "quote.signature");
    }
    let mut sha1 = ecdsa_signature(&r, &s);
    sha1[3] = 4;
    assert_eq!(with(sha1), "quote.scheme");
    let mut sha384 = ecdsa_signature(&r, &s);
    sha384[3] = 0x0c;
    assert_eq!(with(sha384), "quote.scheme");
    for scheme in [algorithm::RSASSA, algorithm::RSAPSS] {
        let mut rsa = scheme.to_be_bytes().to_vec();
        rsa.extend(algorithm::SHA256.to_be_bytes());
        sized(&mut rsa, &[1; 256]);
        assert_eq!(with(rsa), "quote.scheme");
    }
    assert_eq!(with(vec![0, 5, 0, 11, 0, 0]), "quote.malformed");
    assert_eq!(with([ecdsa_signature(&r, &s), vec![0]].concat()), "quote.malformed");
    // RSA: a PSS signature under a PSS key is accepted, shown as PKCS#1 it is not.
    let rsa = SigningKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
    let modulus = rsa.public().spki_der();
    let modulus = modulus[modulus.len() - 256 - 5..modulus.len() - 5].to_vec();
    let public = Public {
        scheme: Some(KeyScheme {
            algorithm: algorithm::RSAPSS,
            hash: Some(algorithm::SHA256),
            count: None,
        }),
        parameters: PublicParameters::Rsa {
            bits: 2048,
            exponent: 0,
            modulus,
        },
        ..ec_public(&box_.key, AK)
    };
    let ak = AttestationKey::from_public(&public.to_bytes()).unwrap();
    assert_eq!(ak.key(), rsa.public());
    for (scheme, expected) in [(algorithm::RSAPSS, None), (algorithm::RSASSA, Some("quote.scheme"))] {
        let mut signature = scheme.to_be_bytes().to_vec();
        signature.extend(algorithm::SHA256.to_be_bytes());
        sized(&mut signature, &rsa.sign(&good.attest));
        let mut expectation = box_.expectation();
        expectation.ak = &ak;
        let found = verify_evidence(
            &Evidence {
                signature,
                ..good.clone()
            }
            .encode(),
            &expectation,
            NOW,
        );
        assert_eq!(found.err().map(|e| e.code()), expected);
    }
}

#[test]
fn a13_trailing_bytes_and_every_truncation_are_refused() {
    let box_ = PaperBox::new("amber-fox-1");
    let good = box_.evidence();
    for more in [vec![0], vec![0; 64]] {
        let attest = [good.attest.clone(), more].concat();
        let signature = sign(&box_.key, &attest);
        assert_eq!(
            code(
                &box_,
                &Evidence {
                    attest,
                    signature,
                    ..good.clone()
                }
            ),
            "quote.malformed"
        );
    }
    for length in 0..good.attest.len() {
        let attest = good.attest[..length].to_vec();
        let signature = sign(&box_.key, &attest);
        assert_eq!(
            code(
                &box_,
                &Evidence {
                    attest,
                    signature,
                    ..good.clone()
                }
            ),
            "quote.malformed",
            "{length}"
        );
    }
    for length in 0..good.signature.len() {
        let signature = good.signature[..length].to_vec();
        assert_eq!(
            code(
                &box_,
                &Evidence {
                    signature,
                    ..good.clone()
                }
            ),
            "quote.malformed",
            "{length}"
        );
    }
}

#[test]
fn a14_keys_that_could_sign_anything_are_no_aks() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let refused = |attributes| {
        AttestationKey::from_public(&ec_public(&key, attributes).to_bytes())
            .err()
            .map(|e| e.code())
    };
    assert_eq!(refused(AK), None);
    for missing in [
        Attributes::RESTRICTED,
        Attributes::FIXED_TPM,
        Attributes::FIXED_PARENT,
        Attributes::SENSITIVE_DATA_ORIGIN,
        Attributes::SIGN,
    ] {
        assert_eq!(refused(AK & !missing), Some("identity.ak_attributes"), "{missing:#x}");
    }
    for extra in [
        Attributes::DECRYPT,
        Attributes::X509_SIGN,
        Attributes::ENCRYPTED_DUPLICATION,
    ] {
        assert_eq!(refused(AK | extra), Some("identity.ak_attributes"), "{extra:#x}");
    }
}

#[test]
fn a15_weak_aks_are_refused() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let good = ec_public(&key, AK);
    let refused = |public: Public| AttestationKey::from_public(&public.to_bytes()).unwrap_err().code();
    let rsa = |bits: u16, exponent, fill: u8| PublicParameters::Rsa {
        bits,
        exponent,
        modulus: vec![fill; usize::from(bits / 8)],
    };
    let rsassa = Some(KeyScheme {
        algorithm: algorithm::RSASSA,
        hash: Some(algorithm::SHA256),
        count: None,
    });
    assert_eq!(
        refused(Public {
            parameters: rsa(1024, 0, 0xff),
            scheme: rsassa,
            ..good.clone()
        }),
        "identity.ak_strength"
    );
    assert_eq!(
        refused(Public {
            parameters: rsa(2048, 3, 0xff),
            scheme: rsassa,
            ..good.clone()
        }),
        "identity.ak_strength"
    );
    let declared = PublicParameters::Rsa {
        bits: 4096,
        exponent: 0,
        modulus: vec![0xff; 256],
    };
    assert_eq!(
        refused(Public {
            parameters: declared,
            scheme: rsassa,
            ..good.clone()
        }),
        "identity.ak_strength"
    );
    let PublicParameters::Ecc { x, y, .. } = good.parameters.clone() else {
        unreachable!()
    };
    for curve in [0x0001, 0x0002, 0x0010, 0x0011, 0x0020] {
        let parameters = PublicParameters::Ecc {
            curve,
            kdf: None,
            x: x.clone(),
            y: y.clone(),
        };
        assert_eq!(
            refused(Public {
                parameters,
                ..good.clone()
            }),
            "identity.ak_strength",
            "{curve:#x}"
        );
    }
    let off_curve = PublicParameters::Ecc {
        curve: 3,
        kdf: None,
        x: x.clone(),
        y: x.clone(),
    };
    assert_eq!(
        refused(Public {
            parameters: off_curve,
            ..good.clone()
        }),
        "identity.ak_strength"
    );
    let sha1 = Some(KeyScheme {
        algorithm: algorithm::ECDSA,
        hash: Some(algorithm::SHA1),
        count: None,
    });
    for scheme in [None, sha1, rsassa] {
        assert_eq!(refused(Public { scheme, ..good.clone() }), "identity.ak_scheme");
    }
    assert_eq!(
        refused(Public {
            name_hash: algorithm::SHA1,
            ..good.clone()
        }),
        "identity.ak_scheme"
    );
    assert_eq!(
        AttestationKey::from_public(&good.to_bytes()[1..]).unwrap_err().code(),
        "identity.malformed"
    );
}

#[test]
fn a16_names_are_recomputed() {
    let box_ = PaperBox::new("amber-fox-1");
    box_.ak.check_name(box_.ak.name()).unwrap();
    let mut other = box_.ak.name().to_vec();
    other[10] ^= 1;
    assert_eq!(box_.ak.check_name(&other).unwrap_err().code(), "identity.name");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/quotes/keylime");
    let Ok(public) = std::fs::read(format!("{folder}/ak.pub")) else {
        println!("skipped: ../shared/vectors is not here");
        return;
    };
    let public = Public::parse_sized(&public).unwrap();
    assert_eq!(
        public.name().unwrap(),
        std::fs::read(format!("{folder}/ak.name")).unwrap()
    );
}

#[test]
fn keylime_quote_of_a_real_tpm_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/quotes/keylime");
    let Ok(quote) = std::fs::read(format!("{folder}/quote.out")) else {
        println!("skipped: ../shared/vectors is not here");
        return;
    };
    let read = |name: &str| std::fs::read(format!("{folder}/{name}")).unwrap();
    let ak = AttestationKey::from_public(&read("ak.pub")[2..]).unwrap();
    let signature = read("quotesig.out");
    // tpm2-tools writes the selection and the values beside it: three values after the header, PCR 15, 16, 22.
    let values = read("quotepcr.out");
    let digest = |at: usize| Sha256Digest::from_slice(&values[at..at + 32]).unwrap();
    let claimed = PcrValues::of(vec![(15, digest(0x8e)), (16, digest(0xd0)), (22, digest(0x112))]).unwrap();
    let nonce = Attest::parse(&quote).unwrap().extra_data.to_vec();
    let mut expectation = QuoteExpectation {
        ak: &ak,
        qualifying_data: &nonce,
        selection: PcrSet::of(&[15, 16, 22]),
        previous: None,
    };
    let accepted = verify_quote(&quote, &signature, &claimed, &expectation).unwrap();
    assert!(accepted.pcrs.get(16).is_some());
    expectation.selection = PcrSet::of(&[15, 16]);
    assert_eq!(
        verify_quote(&quote, &signature, &claimed, &expectation)
            .unwrap_err()
            .code(),
        "quote.selection"
    );
    for at in 0..quote.len() {
        let mut bad = quote.clone();
        bad[at] ^= 0x10;
        assert!(verify_quote(&bad, &signature, &claimed, &expectation).is_err());
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
fn a20_many_pcrs_are_digested_in_index_order() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let ak = AttestationKey::from_public(&ec_public(&key, AK).to_bytes()).unwrap();
    for count in [1, 8, 9, 16, 24_u8] {
        let pcrs: Vec<_> = (0..count)
            .map(|pcr| (pcr, Sha256Digest::from_bytes([pcr + 1; 32])))
            .collect();
        let values = PcrValues::of(pcrs.clone()).unwrap();
        let statement = Statement::over(&values, b"data");
        let attest = statement.bytes();
        let signature = sign(&key, &attest);
        let expectation = QuoteExpectation {
            ak: &ak,
            qualifying_data: b"data",
            selection: values.set(),
            previous: None,
        };
        verify_quote(&attest, &signature, &values, &expectation).unwrap();
        if count > 1 {
            let mut swapped = pcrs;
            let last = usize::from(count) - 1;
            let (a, b) = (swapped[0].1, swapped[last].1);
            (swapped[0].1, swapped[last].1) = (b, a);
            let refused = verify_quote(&attest, &signature, &PcrValues::of(swapped).unwrap(), &expectation);
            assert_eq!(refused.unwrap_err().code(), "quote.digest");
        }
    }
    assert!(PcrValues::of(vec![(1, Sha256Digest::default()), (0, Sha256Digest::default())]).is_none());
    assert!(PcrValues::of(vec![(0, Sha256Digest::default()), (0, Sha256Digest::default())]).is_none());
    assert!(PcrValues::of(vec![(24, Sha256Digest::default())]).is_none());
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
    assert_eq!(refused(&vec![0; 600_000]), "evidence.too_large");
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
    fn evidence_like(&self, bytes: &[u8]) -> Evidence {
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
