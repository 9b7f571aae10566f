//! Keys and signatures: what is accepted, what is refused, and that private halves stay private.

use freehold_trust::key::{KeyRejected, SignatureRejected};
use freehold_trust::{HashAlgorithm, KeyKind, PublicKey, Scheme, SigningKey};

const KINDS: [KeyKind; 5] = [
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::Ed25519,
    KeyKind::Rsa { bits: 2048 },
];

#[test]
fn each_kind_signs_and_survives_pem() {
    for kind in KINDS {
        let key = SigningKey::generate(kind).unwrap();
        assert_eq!(key.public().kind(), kind);
        let again = SigningKey::from_pkcs8_pem(&key.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let signature = again.sign(b"message");
        key.public().verify_default(b"message", &signature).unwrap();
        let public = PublicKey::from_spki_pem(&key.public().to_spki_pem()).unwrap();
        assert_eq!(public.fingerprint(), key.public().fingerprint());
        public.verify_default(b"message", &signature).unwrap();
        assert_eq!(
            public.verify_default(b"massage", &signature),
            Err(SignatureRejected::Mismatch)
        );
        for at in 0..signature.len() {
            let mut bad = signature.clone();
            bad[at] ^= 1;
            assert!(public.verify_default(b"message", &bad).is_err(), "{kind} byte {at}");
        }
        let json = serde_json::to_string(&public).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), public);
    }
}

#[test]
fn debug_shows_no_private_key() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let pem = key.to_pkcs8_pem().unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains(&key.public().fingerprint().to_hex()));
    assert!(
        pem.lines()
            .filter(|l| !l.starts_with('-'))
            .all(|line| !shown.contains(line))
    );
}

/// r and s of a DER signature, as they stand there.
fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let r_len = usize::from(der[3]);
    (der[4..4 + r_len].to_vec(), der[6 + r_len..].to_vec())
}

#[test]
fn ecdsa_numbers_are_padded_and_bounded() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let public = key.public();
    // Until a number with a leading zero byte has been seen: one in 128 signatures has one.
    let mut short = false;
    for round in 0_u32..4000 {
        let message = round.to_be_bytes();
        let (r, s) = numbers(&key.sign(&message));
        public
            .verify_ecdsa_numbers(HashAlgorithm::Sha256, &message, &r, &s)
            .unwrap();
        let mut fixed = [0; 64];
        for (number, at) in [(&r, 32), (&s, 64)] {
            let bare: Vec<u8> = number.iter().copied().skip_while(|b| *b == 0).collect();
            fixed[at - bare.len()..at].copy_from_slice(&bare);
            short |= bare.len() < 32;
        }
        public.verify_p256_fixed(&message, &fixed).unwrap();
        if short {
            break;
        }
    }
    assert!(short);
    let (r, s) = numbers(&key.sign(b"m"));
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    for (r, s) in [
        (&vec![0; 32], &s),
        (&r, &vec![0; 32]),
        (&order, &s),
        (&r, &order),
        (&vec![], &s),
        (&vec![255; 33], &s),
    ] {
        assert_eq!(
            public.verify_ecdsa_numbers(HashAlgorithm::Sha256, b"m", r, s),
            Err(SignatureRejected::Mismatch)
        );
    }
}

#[test]
fn schemes_are_not_confused() {
    let rsa = SigningKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
    let signature = rsa.sign(b"m");
    rsa.public()
        .verify(Scheme::RsaPss(HashAlgorithm::Sha256), b"m", &signature)
        .unwrap();
    assert!(
        rsa.public()
            .verify(Scheme::RsaSsa(HashAlgorithm::Sha256), b"m", &signature)
            .is_err()
    );
    assert!(
        rsa.public()
            .verify(Scheme::RsaPss(HashAlgorithm::Sha384), b"m", &signature)
            .is_err()
    );
    for scheme in [
        Scheme::RsaSsa(HashAlgorithm::Sha1),
        Scheme::RsaPss(HashAlgorithm::Sha1),
        Scheme::Ecdsa(HashAlgorithm::Sha256),
        Scheme::Ed25519,
    ] {
        assert!(matches!(
            rsa.public().verify(scheme, b"m", &signature),
            Err(SignatureRejected::Scheme { .. })
        ));
    }
    let ec = SigningKey::generate(KeyKind::P256).unwrap();
    assert!(matches!(
        ec.public()
            .verify(Scheme::Ecdsa(HashAlgorithm::Sha1), b"m", &ec.sign(b"m")),
        Err(SignatureRejected::Scheme { .. })
    ));
    assert!(
        ec.public()
            .verify(Scheme::Ecdsa(HashAlgorithm::Sha384), b"m", &ec.sign(b"m"))
            .is_err()
    );
}

#[test]
fn weak_rsa_and_broken_points_are_refused() {
    let mut modulus = vec![0xff; 128];
    assert_eq!(
        PublicKey::from_rsa(&modulus, 65537),
        Err(KeyRejected::RsaBits { bits: 1024 })
    );
    modulus = vec![0xff; 256];
    assert_eq!(PublicKey::from_rsa(&modulus, 3), Err(KeyRejected::RsaExponent(3)));
    assert_eq!(
        PublicKey::from_rsa(&modulus, 65538),
        Err(KeyRejected::RsaExponent(65538))
    );
    assert!(PublicKey::from_ec_point(KeyKind::P256, &[1; 32], &[1; 32]).is_err());
    assert!(PublicKey::from_ec_point(KeyKind::P256, &[1; 33], &[1; 32]).is_err());
    let key = SigningKey::generate(KeyKind::P384).unwrap();
    let (x, y) = key.public().ec_point().unwrap();
    assert_eq!(&PublicKey::from_ec_point(KeyKind::P384, &x, &y).unwrap(), key.public());
    let mut longer = key.public().spki_der().to_vec();
    longer.push(0);
    assert!(PublicKey::from_spki_der(&longer).is_err());
}

#[test]
fn kdfa_and_aes_match_an_independent_implementation() {
    // Computed with Python's hmac module and OpenSSL's aes-128-cfb.
    let key = freehold_trust::kdf::kdfa(HashAlgorithm::Sha256, &[7; 32], "STORAGE", b"name", b"", 128);
    assert_eq!(key, hex::decode(KDFA).unwrap());
    let mut text = b"a secret of more than one block".to_vec();
    freehold_trust::cipher::aes_cfb128_encrypt(&[7; 16], &mut text).unwrap();
    assert_eq!(hex::encode(&text), AES);
    freehold_trust::cipher::aes_cfb128_decrypt(&[7; 16], &mut text).unwrap();
    assert_eq!(text, b"a secret of more than one block");
}

const KDFA: &str = "bd0ce59922f760cb045dea72a7f4392b";
const AES: &str = "2da3c22c68a3c2587328fe66e52ae3ca93ee0383d7237c79f6798a16230380";
