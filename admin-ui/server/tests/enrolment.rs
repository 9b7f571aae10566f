//! Enrolment over real TLS with a real (software) TPM: answers that are wrong (B04, B10), names and keys that are taken
//! (B05, B06), roots that nobody trusts (B01).

#[path = "support/world.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use freehold_channel::{RemoteKey, RemoteSignFailed, TlsIdentity, der_signature, self_signed_box};
use freehold_collect::{Keys, Limits, Tpm};
use freehold_fleet::TpmKind;
use freehold_harness::{Swtpm, TpmAuthority};
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge, EnrolState, EnrolStatus};
use freehold_protocol::fingerprint::Fingerprint;
use freehold_protocol::{Base64, V1, routes};
use freehold_verify::tpm::Public;
use http::{Method, StatusCode};
use support::{World, ask, call, code, now};

/// A machine with a TPM of its own.
struct Machine {
    tpm: Tpm,
    keys: Keys,
    identity: Arc<TlsIdentity>,
    begin: EnrolBegin,
    _swtpm: Swtpm,
    _folder: tempfile::TempDir,
}

impl Machine {
    fn new(world: &World, authority: &TpmAuthority, box_id: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let swtpm = Swtpm::start_with(folder.path(), authority).unwrap();
        let tpm = Tpm::new(&swtpm.tcti(), None, Limits::default()).unwrap();
        let keys = tpm.keys().unwrap();
        let endorsement = tpm.endorsement(None).unwrap();
        let key = Public::parse(&keys.tls.public).unwrap().public_key().unwrap();
        let signer = tpm.clone();
        let remote = RemoteKey::new(key.spki_der(), move |message: &[u8]| {
            let numbers = signer.sign_tls(message).map_err(|error| RemoteSignFailed {
                reason: error.to_string(),
            })?;
            Ok(der_signature(&numbers.r, &numbers.s))
        })
        .unwrap();
        let own = self_signed_box(&remote, box_id, now(), Duration::from_secs(86_400)).unwrap();
        let chain = authority.intermediate_pem().unwrap();
        let chain = freehold_trust::certificate::Certificate::all_from_pem(&chain).unwrap();
        let begin = EnrolBegin {
            v: V1,
            fleet: world.console().file().fleet.clone(),
            site: "ward-7".to_owned(),
            box_id: box_id.to_owned(),
            label: "on the bench".to_owned(),
            ek_public: Base64(endorsement.public),
            ek_certificate: endorsement.certificate.map(Base64),
            ek_chain: chain
                .iter()
                .map(|certificate| Base64(certificate.der().to_vec()))
                .collect(),
            ak_public: Base64(keys.ak.public.clone()),
            tls_public: Base64(keys.tls.public.clone()),
            record_key: None,
        };
        let identity = TlsIdentity::remote(&remote, vec![own]).unwrap();
        Self {
            tpm,
            keys,
            identity,
            begin,
            _swtpm: swtpm,
            _folder: folder,
        }
    }

    async fn begin(&self, world: &World) -> Result<EnrolChallenge, String> {
        let dialer = world.at_boxes(Some(self.identity.clone()));
        let body = serde_json::to_string(&self.begin).unwrap();
        let answer = ask(&dialer, Method::POST, routes::ENROL_BEGIN, &[], body).await;
        if answer.status == StatusCode::OK {
            Ok(serde_json::from_slice(&answer.body).unwrap())
        } else {
            Err(code(&answer))
        }
    }

    /// What the TPM makes of a challenge.
    fn open(&self, challenge: &EnrolChallenge) -> Vec<u8> {
        let kind = self.tpm.endorsement(None).unwrap().kind;
        self.tpm
            .activate(kind, &challenge.credential.0, &challenge.secret.0)
            .unwrap()
    }

    async fn answer(
        &self,
        world: &World,
        challenge: &EnrolChallenge,
        activated: Vec<u8>,
    ) -> Result<EnrolStatus, String> {
        let nonce: [u8; 32] = challenge.certify_nonce.0.as_slice().try_into().unwrap();
        let certified = self.tpm.certify_tls(nonce).unwrap();
        let message = EnrolActivate {
            v: V1,
            session: challenge.session.clone(),
            activated: Base64(activated.clone()),
            certify_attest: Base64(certified.attest),
            certify_signature: Base64(certified.signature),
        };
        let dialer = world.at_boxes(Some(self.identity.clone()));
        let body = serde_json::to_string(&message).unwrap();
        let answer = ask(&dialer, Method::POST, routes::ENROL_ACTIVATE, &[], body).await;
        if answer.status == StatusCode::OK {
            return Ok(serde_json::from_slice(&answer.body).unwrap());
        }
        // CVE-2023-38201: a refusal must not tell what would have been right.
        let right = self.open(challenge);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains(&hex::encode(&right)));
        assert!(!text.contains(&serde_json::to_string(&Base64(right)).unwrap().replace('"', "")));
        Err(code(&answer))
    }
}

async fn bench() -> (World, TpmAuthority, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let authority = TpmAuthority::new(folder.path()).unwrap();
    // The authority's own keys are made with its first TPM.
    let first = tempfile::tempdir().unwrap();
    drop(Swtpm::start_with(first.path(), &authority).unwrap());
    let world = World::trusting(vec![(authority.root_path(), TpmKind::Software)]).await;
    (world, authority, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b04_b10_wrong_answers_leave_nothing_and_the_right_one_waits_for_a_person() {
    let (world, authority, _folder) = bench().await;
    let machine = Machine::new(&world, &authority, "amber-fox-9d1e");
    let first = machine.begin(&world).await.unwrap();
    let mut wrong = machine.open(&first);
    wrong[31] ^= 1;
    assert_eq!(
        machine.answer(&world, &first, wrong).await.unwrap_err(),
        "identity.activation"
    );
    let right = machine.open(&first);
    assert_eq!(
        machine.answer(&world, &first, right.clone()).await.unwrap_err(),
        "enrol.session_unknown",
        "one try"
    );

    let second = machine.begin(&world).await.unwrap();
    assert_eq!(
        machine.answer(&world, &second, right.clone()).await.unwrap_err(),
        "identity.activation",
        "another session's"
    );
    for length in [0, 1, 31] {
        let next = machine.begin(&world).await.unwrap();
        let mut short = machine.open(&next);
        short.truncate(length);
        assert_eq!(
            machine.answer(&world, &next, short).await.unwrap_err(),
            "identity.activation",
            "{length} bytes"
        );
    }
    assert!(
        world.console().fleet().boxes().is_empty(),
        "a failed proof leaves no row"
    );
    let mut stored = freehold_fleet::Fleet::new("f", "ward-7", freehold_fleet::Rules::default(), 0);
    world.console().store().load(&mut stored).await.unwrap();
    assert!(stored.boxes().is_empty());

    let last = machine.begin(&world).await.unwrap();
    let right = machine.open(&last);
    let status = machine.answer(&world, &last, right).await.unwrap();
    assert_eq!(status.state, EnrolState::WaitingForApproval);
    let own = Fingerprint::over(
        &machine.begin.ek_public.0,
        &machine.keys.ak.public,
        &machine.keys.tls.public,
    );
    assert_eq!(
        status.fingerprint.as_deref(),
        Some(own.to_string().as_str()),
        "both screens show the same"
    );

    let (operator, _) = world.session("operator", "api").await;
    let body = serde_json::json!({"fingerprint": own.hex()});
    let approved = call(
        &world,
        &operator,
        Method::POST,
        "/api/v1/boxes/amber-fox-9d1e/approve",
        Some(body),
    )
    .await;
    assert_eq!(approved.status, StatusCode::OK, "{:?}", approved.body);
    let shown = support::json(&approved);
    assert_eq!(
        (&shown["tpm"], &shown["membership"]),
        (&"software".into(), &"approved".into()),
        "derived from the root"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b01_b05_b06_other_roots_other_eks_and_second_names_are_refused() {
    let (world, authority, _folder) = bench().await;
    let world = Arc::new(world);
    let mut machine = Machine::new(&world, &authority, "amber-fox-9d1e");
    let challenge = machine.begin(&world).await.unwrap();
    let right = machine.open(&challenge);
    machine.answer(&world, &challenge, right).await.unwrap();

    let other = Arc::new(Machine::new(&world, &authority, "amber-fox-9d1e"));
    let mut attempts = Vec::new();
    for _ in 0..50 {
        let (world, other) = (world.clone(), other.clone());
        attempts.push(tokio::spawn(async move { other.begin(&world).await.map(|_| ()) }));
    }
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap().unwrap_err(), "enrol.other_ek");
    }
    machine.begin.box_id = "blue-owl-0001".to_owned();
    assert_eq!(machine.begin(&world).await.unwrap_err(), "enrol.same_ek");
    assert_eq!(world.console().fleet().boxes().len(), 1);

    let elsewhere = tempfile::tempdir().unwrap();
    let unknown = TpmAuthority::new(elsewhere.path()).unwrap();
    let first = tempfile::tempdir().unwrap();
    drop(Swtpm::start_with(first.path(), &unknown).unwrap());
    let stranger = Machine::new(&world, &unknown, "calm-elk-0002");
    // swtpm's authorities all have one name: it is the signature that gives the other one away.
    assert_eq!(stranger.begin(&world).await.unwrap_err(), "identity.ek_certificate");
}
