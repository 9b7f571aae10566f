//! Quotes, right and wrong: cases A01 to A08, A11 to A13 and A20. Each refusal is asserted by its code.

use crate::paper_tpm::{AK, NOW, PaperBox, Statement, ec_public, ecdsa_signature, numbers, sign, sized};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::Refusal as _;
use freehold_verify::evidence::{Evidence, verify_evidence};
use freehold_verify::identity::AttestationKey;
use freehold_verify::quote::{PcrValues, QuoteExpectation, verify_quote};
use freehold_verify::tpm::public::{KeyScheme, Public, PublicParameters};
use freehold_verify::tpm::{Attest, PcrSet, algorithm};

/// The code of a refusal, or `accepted`.
pub(crate) fn code(box_: &PaperBox, evidence: &Evidence) -> &'static str {
    code_of(box_, &evidence.encode())
}

pub(crate) fn code_of(box_: &PaperBox, bytes: &[u8]) -> &'static str {
    match verify_evidence(bytes, &box_.expectation(), NOW + 1) {
        Ok(_) => "accepted",
        Err(rejection) => rejection.code(),
    }
}

pub(crate) fn changed(box_: &PaperBox, change: impl FnOnce(&mut Statement)) -> &'static str {
    code(box_, &box_.evidence_with(box_.bound(), box_.pcrs(), change))
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
