//! Attestation keys that are none: cases A14 to A16, and keys and quotes of real TPMs that others recorded.

use crate::paper_tpm::{AK, PaperBox, ec_public};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::Refusal as _;
use freehold_verify::identity::AttestationKey;
use freehold_verify::quote::{PcrValues, QuoteExpectation, verify_quote};
use freehold_verify::tpm::public::{Attributes, KeyScheme, Public, PublicParameters};
use freehold_verify::tpm::{Attest, PcrSet, algorithm};

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
