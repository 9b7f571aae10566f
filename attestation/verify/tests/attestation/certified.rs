//! TLS keys that the AK vouches for, and those that it does not.

use crate::paper_tpm::{AK, Statement, TLS, ec_public, sign, sized};
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::Refusal as _;
use freehold_verify::identity::{AttestationKey, verify_certified_key};
use freehold_verify::quote::PcrValues;
use freehold_verify::tpm::public::{Attributes, Public};

/// An AK and a TLS key on paper, and what TPM2_Certify would say about the TLS key.
pub(crate) struct Certified {
    pub(crate) ak_key: SigningKey,
    pub(crate) ak: AttestationKey,
    pub(crate) tls_key: SigningKey,
}

impl Certified {
    pub(crate) fn new() -> Self {
        let ak_key = SigningKey::generate(KeyKind::P256).unwrap();
        let ak = AttestationKey::from_public(&ec_public(&ak_key, AK).to_bytes()).unwrap();
        Self {
            ak_key,
            ak,
            tls_key: SigningKey::generate(KeyKind::P256).unwrap(),
        }
    }

    pub(crate) fn certify(
        &self,
        public: &Public,
        challenge: &[u8],
        change: impl FnOnce(&mut Statement),
    ) -> (Vec<u8>, Vec<u8>) {
        let mut statement = Statement::over(&PcrValues::default(), challenge);
        statement.tag = 0x8017;
        change(&mut statement);
        let mut attest = statement.head();
        sized(&mut attest, &public.name().unwrap());
        sized(&mut attest, &[0, 11, 1]);
        let signature = sign(&self.ak_key, &attest);
        (attest, signature)
    }

    pub(crate) fn code(&self, public: &Public, change: impl FnOnce(&mut Statement)) -> &'static str {
        let (attest, signature) = self.certify(public, &[3; 32], change);
        self.code_of(public, &attest, &signature)
    }

    pub(crate) fn code_of(&self, public: &Public, attest: &[u8], signature: &[u8]) -> &'static str {
        verify_certified_key(
            attest,
            signature,
            &public.to_bytes(),
            &self.ak,
            self.tls_key.public(),
            &[3; 32],
        )
        .err()
        .map_or("accepted", |e| e.code())
    }
}

#[test]
fn tls_keys_that_the_ak_does_not_vouch_for_are_refused() {
    let c = Certified::new();
    let good = ec_public(&c.tls_key, TLS);
    assert_eq!(c.code(&good, |_| ()), "accepted");
    assert_eq!(
        c.code(
            &Public {
                scheme: None,
                ..good.clone()
            },
            |_| ()
        ),
        "accepted"
    );
    assert_eq!(c.code(&good, |s| s.extra = vec![4; 32]), "identity.challenge");
    assert_eq!(c.code(&good, |s| s.extra = vec![3; 31]), "identity.challenge");
    assert_eq!(c.code(&good, |s| s.magic = 1), "identity.certify");
    assert_eq!(c.code(&good, |s| s.tag = 0x8018), "identity.certify");
    for attributes in [
        TLS & !Attributes::FIXED_TPM,
        TLS & !Attributes::SENSITIVE_DATA_ORIGIN,
        TLS & !Attributes::SIGN,
        TLS & !Attributes::FIXED_PARENT,
        TLS | Attributes::DECRYPT,
        TLS | Attributes::RESTRICTED,
        TLS | Attributes::ENCRYPTED_DUPLICATION,
    ] {
        assert_eq!(
            c.code(&ec_public(&c.tls_key, attributes), |_| ()),
            "identity.tls_attributes",
            "{attributes:#x}"
        );
    }
    let p384 = SigningKey::generate(KeyKind::P384).unwrap();
    assert_eq!(c.code(&ec_public(&p384, TLS), |_| ()), "identity.tls_attributes");
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    assert_eq!(c.code(&ec_public(&other, TLS), |_| ()), "identity.tls_mismatch");
    // Certified is one description of the key, shown another: another policy, so another Name.
    let (attest, signature) = c.certify(&good, &[3; 32], |_| ());
    let other_name = Public {
        auth_policy: vec![1; 32],
        ..good.clone()
    };
    assert_eq!(c.code_of(&other_name, &attest, &signature), "identity.name");
    for at in 0..attest.len() {
        let mut bad = attest.clone();
        bad[at] ^= 1;
        assert_ne!(c.code_of(&good, &bad, &signature), "accepted", "byte {at}");
        assert_ne!(c.code_of(&good, &attest[..at], &signature), "accepted", "cut at {at}");
    }
}
