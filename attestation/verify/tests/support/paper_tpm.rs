//! A TPM on paper: keys in memory that sign structures written by hand, right ones and wrong ones.
//!
//! Refuses to be mistaken for a TPM: the real one is asked in `software_tpm.rs`. It exists because no real TPM signs the
//! structures that attackers send.

#![allow(dead_code)] // other crates' tests include this file and use their own part

use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::boot::{BootDescription, Manifest, generate};
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::{Bound, Challenge, Checkpoint, Evidence, Expectation, qualifying_data};
use freehold_verify::identity::{AttestationKey, TpmKind};
use freehold_verify::quote::PcrValues;
use freehold_verify::tpm::algorithm;
use freehold_verify::tpm::public::{Attributes, KeyScheme, Public, PublicParameters};
use freehold_verify::tpm::{ClockInfo, PcrSet};

/// When everything here happens.
pub const NOW: i64 = 1_800_000_000;
/// What a policy asks for.
pub const REQUIRED: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13];

/// The attributes of a proper AK.
pub const AK: u32 = Attributes::FIXED_TPM
    | Attributes::FIXED_PARENT
    | Attributes::SENSITIVE_DATA_ORIGIN
    | Attributes::USER_WITH_AUTH
    | Attributes::RESTRICTED
    | Attributes::SIGN;

/// The attributes of a proper TLS key.
pub const TLS: u32 = AK & !Attributes::RESTRICTED;

/// The public area of an ECDSA key.
pub fn ec_public(key: &SigningKey, attributes: u32) -> Public {
    let (x, y) = key.public().ec_point().unwrap();
    Public {
        name_hash: algorithm::SHA256,
        attributes: Attributes(attributes),
        auth_policy: Vec::new(),
        symmetric: None,
        scheme: Some(KeyScheme {
            algorithm: algorithm::ECDSA,
            hash: Some(algorithm::SHA256),
            count: None,
        }),
        parameters: PublicParameters::Ecc {
            curve: algorithm::curve_id(key.public().kind()).unwrap(),
            kdf: None,
            x,
            y,
        },
    }
}

/// A TPMS_ATTEST of a quote, every field at choice.
#[derive(Clone)]
pub struct Statement {
    pub magic: u32,
    pub tag: u16,
    pub extra: Vec<u8>,
    pub clock: ClockInfo,
    pub selections: Vec<(u16, Vec<u8>)>,
    pub digest: Vec<u8>,
}

impl Statement {
    /// What a TPM would say about `pcrs`.
    pub fn over(pcrs: &PcrValues, extra: &[u8]) -> Self {
        let mut bitmap = vec![0_u8; 3];
        let mut values = Vec::new();
        for (index, value) in pcrs.iter() {
            bitmap[usize::from(index / 8)] |= 1 << (index % 8);
            values.extend_from_slice(value.as_bytes());
        }
        Self {
            magic: 0xff54_4347,
            tag: 0x8018,
            extra: extra.to_vec(),
            clock: clock(),
            selections: vec![(algorithm::SHA256, bitmap)],
            digest: sha256(&values).as_bytes().to_vec(),
        }
    }

    pub fn head(&self) -> Vec<u8> {
        let mut out = self.magic.to_be_bytes().to_vec();
        out.extend(self.tag.to_be_bytes());
        sized(&mut out, &[0, 11, 1, 2, 3]);
        sized(&mut out, &self.extra);
        out.extend(self.clock.clock.to_be_bytes());
        out.extend(self.clock.reset_count.to_be_bytes());
        out.extend(self.clock.restart_count.to_be_bytes());
        out.push(u8::from(self.clock.safe));
        out.extend(self.clock.firmware_version.to_be_bytes());
        out
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.head();
        out.extend(u32::try_from(self.selections.len()).unwrap().to_be_bytes());
        for (hash, bitmap) in &self.selections {
            out.extend(hash.to_be_bytes());
            out.push(u8::try_from(bitmap.len()).unwrap());
            out.extend(bitmap);
        }
        sized(&mut out, &self.digest);
        out
    }
}

/// A TPM2B.
pub fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

/// Clock of a TPM in its seventh boot.
pub const fn clock() -> ClockInfo {
    ClockInfo {
        clock: 123_456,
        reset_count: 7,
        restart_count: 2,
        safe: true,
        firmware_version: 0x2019_1023,
    }
}

/// r and s of a DER signature.
pub fn numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let r_len = usize::from(der[3]);
    (der[4..4 + r_len].to_vec(), der[6 + r_len..].to_vec())
}

/// A TPMT_SIGNATURE (ECDSA, SHA-256) from r and s.
pub fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(algorithm::ECDSA.to_be_bytes());
    out.extend(algorithm::SHA256.to_be_bytes());
    sized(&mut out, r);
    sized(&mut out, s);
    out
}

/// Signs as a TPM does.
pub fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let (r, s) = numbers(&key.sign(message));
    ecdsa_signature(&r, &s)
}

/// A box on paper, with everything its console knows about it.
pub struct PaperBox {
    pub id: String,
    pub key: SigningKey,
    pub tls: SigningKey,
    pub ak: AttestationKey,
    pub log: Vec<u8>,
    pub manifests: Vec<Manifest>,
    pub challenge: Challenge,
}

impl PaperBox {
    pub fn new(id: &str) -> Self {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let ak = AttestationKey::from_public(&ec_public(&key, AK).to_bytes()).unwrap();
        let (log, manifest) = generate(&BootDescription::demonstration("freehold", "1.0.0"));
        Self {
            id: id.to_owned(),
            key,
            tls: SigningKey::generate(KeyKind::P256).unwrap(),
            ak,
            log,
            manifests: vec![manifest],
            challenge: Challenge::issue(*sha256(id.as_bytes()).as_bytes(), NOW),
        }
    }

    /// The PCRs that its log leads to.
    pub fn pcrs(&self) -> PcrValues {
        let replay = EventLog::parse(&self.log).unwrap().replay_sha256();
        PcrValues::of(REQUIRED.iter().map(|pcr| (*pcr, replay[usize::from(*pcr)])).collect()).unwrap()
    }

    pub fn bound(&self) -> Bound {
        Bound {
            nonce: self.challenge.nonce,
            box_id: self.id.clone(),
            tls: self.tls.public().fingerprint(),
            checkpoint: Some(Checkpoint {
                origin: format!("freehold/{}", self.id),
                size: 300,
                root: sha256(b"root"),
            }),
            models: vec![Sha256Digest::from_bytes([1; 32]), Sha256Digest::from_bytes([2; 32])],
            supervisor: "0.1.0".to_owned(),
            boot: Evidence::boot_claim("freehold", "1.0.0", &self.log),
        }
    }

    /// Evidence whose quote is made by `change` from the right statement.
    pub fn evidence_with(&self, bound: Bound, pcrs: PcrValues, change: impl FnOnce(&mut Statement)) -> Evidence {
        let mut statement = Statement::over(&pcrs, qualifying_data(&bound).as_bytes());
        change(&mut statement);
        let attest = statement.bytes();
        let signature = sign(&self.key, &attest);
        Evidence {
            bound,
            attest,
            signature,
            pcrs,
            boot_log: self.log.clone(),
            runtime_log: Vec::new(),
        }
    }

    pub fn evidence(&self) -> Evidence {
        self.evidence_with(self.bound(), self.pcrs(), |_| ())
    }

    pub fn expectation(&self) -> Expectation<'_> {
        Expectation {
            box_id: &self.id,
            challenge: &self.challenge,
            ak: &self.ak,
            tpm: TpmKind::Software,
            tls: self.tls.public().fingerprint(),
            selection: PcrSet::of(&REQUIRED),
            manifests: &self.manifests,
            previous: None,
            volume: None,
        }
    }
}
