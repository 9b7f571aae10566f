//! Handshakes over loopback: who gets in, who does not, and what the routes see. Case B07 (the channel's part).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use freehold_channel::{
    ClientCertificates, Clock, Dates, FleetAuthority, FleetRoot, IssuedBy, PeerIdentity, Protocols, RemoteKey,
    ServerPin, Standing, TlsIdentity, boxes_server_config, client_config, people_server_config, pin_rejected_in,
    self_signed_box, self_signed_server, server_name,
};
use freehold_trust::digest::sha256;
use rcgen::{KeyPair, PublicKeyData, SigningKey as _};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ServerConfig};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const NOW: i64 = 1_795_000_000;
const HOUR: i64 = 3600;

fn at(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).unwrap()
}

/// A key "in a TPM": a local key behind the callback, counted.
fn remote_key() -> (RemoteKey, Arc<std::sync::Mutex<usize>>) {
    let key = freehold_trust::SigningKey::generate(freehold_trust::key::KeyKind::P256).unwrap();
    let spki = key.public().spki_der().to_vec();
    let calls = Arc::new(std::sync::Mutex::new(0));
    let seen = calls.clone();
    let remote = RemoteKey::new(&spki, move |message| {
        *seen.lock().unwrap() += 1;
        Ok(key.sign(message))
    })
    .unwrap();
    (remote, calls)
}

struct Served {
    address: SocketAddr,
    peers: tokio::sync::mpsc::UnboundedReceiver<Option<PeerIdentity>>,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(config: Arc<ServerConfig>, fleet: FleetRoot) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, peers) = tokio::sync::mpsc::unbounded_channel();
    let acceptor = TlsAcceptor::from(config);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(stream).await else {
                continue;
            };
            let chain = tls.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
            let _ = send.send(PeerIdentity::from_certificates(&chain, &fleet));
            let _ = tls.write_all(b"hello").await;
            let _ = tls.shutdown().await;
        }
    });
    Served { address, peers, task }
}

async fn dial(address: SocketAddr, config: Arc<ClientConfig>, host: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut tls = TlsConnector::from(config)
        .connect(server_name(host).unwrap(), stream)
        .await?;
    let mut text = String::new();
    tls.read_to_string(&mut text).await?;
    Ok(text)
}

struct World {
    authority: FleetAuthority,
    root: FleetRoot,
    clock: Clock,
    hands: Arc<AtomicI64>,
}

fn world() -> World {
    let authority = FleetAuthority::generate("clinic", at(NOW)).unwrap();
    let root = FleetRoot::new(authority.certificate()).unwrap();
    let hands = Arc::new(AtomicI64::new(NOW));
    let moved = hands.clone();
    World {
        authority,
        root,
        clock: Clock::new(move || moved.load(Ordering::SeqCst)),
        hands,
    }
}

impl World {
    fn pin(&self) -> ServerPin {
        ServerPin::FleetAuthority(self.authority.fingerprint())
    }

    async fn boxes_port(&self, wanted: ClientCertificates) -> Served {
        let made = self
            .authority
            .issue_server(
                &["127.0.0.1".to_owned(), "localhost".to_owned()],
                at(NOW),
                Duration::from_secs(30 * 24 * 3600),
            )
            .unwrap();
        let identity = TlsIdentity::of_server(&made).unwrap();
        serve(
            boxes_server_config(identity, wanted, Protocols::Http1, &self.clock).unwrap(),
            self.root.clone(),
        )
        .await
    }

    fn client(&self, pin: ServerPin, dates: Dates, identity: Option<Arc<TlsIdentity>>) -> Arc<ClientConfig> {
        client_config(pin, dates, identity, Protocols::Http1, &self.clock).unwrap()
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("within 20 s")
}

#[tokio::test]
async fn b07_box_with_its_own_certificate_is_seen_as_not_issued_and_with_a_fleet_one_as_current() {
    let world = world();
    let mut served = world.boxes_port(ClientCertificates::Required).await;
    let (key, calls) = remote_key();
    let own = self_signed_box(&key, "amber-fox", at(NOW), Duration::from_secs(3600)).unwrap();
    let identity = TlsIdentity::remote(&key, vec![own]).unwrap();
    let config = world.client(world.pin(), Dates::Enforced, Some(identity.clone()));
    let before = *calls.lock().unwrap();
    assert_eq!(
        within(dial(served.address, config.clone(), "127.0.0.1")).await.unwrap(),
        "hello"
    );
    assert_eq!(
        *calls.lock().unwrap(),
        before + 1,
        "the handshake was signed by the remote key"
    );
    let peer = within(served.peers.recv()).await.unwrap().unwrap();
    assert_eq!(peer.spki, key.fingerprint());
    assert_eq!(peer.spki_der, key.spki_der());
    assert_eq!(peer.issued_by, IssuedBy::Itself);
    assert_eq!(peer.standing(NOW), Standing::NotIssued);
    assert_eq!(peer.standing(NOW).code(), Some("channel.certificate_not_issued"));

    let issued = world.authority.issue_box(key.spki_der(), "amber-fox", at(NOW)).unwrap();
    identity.replace(vec![issued]).unwrap();
    within(dial(served.address, config, "localhost")).await.unwrap();
    let peer = within(served.peers.recv()).await.unwrap().unwrap();
    assert_eq!((peer.spki, peer.issued_by), (key.fingerprint(), IssuedBy::Fleet));
    assert_eq!(peer.standing(NOW), Standing::Current);
    served.task.abort();
}

#[tokio::test]
async fn b07_expired_certificate_is_visible_as_data() {
    let world = world();
    let mut served = world.boxes_port(ClientCertificates::Required).await;
    let (key, _) = remote_key();
    let issued = world.authority.issue_box(key.spki_der(), "amber-fox", at(NOW)).unwrap();
    let identity = TlsIdentity::remote(&key, vec![issued]).unwrap();
    let config = world.client(world.pin(), Dates::Enforced, Some(identity));
    world.hands.store(NOW + 25 * HOUR, Ordering::SeqCst);
    within(dial(served.address, config, "127.0.0.1")).await.unwrap();
    let peer = within(served.peers.recv()).await.unwrap().unwrap();
    assert_eq!(peer.issued_by, IssuedBy::Fleet);
    assert_eq!(
        peer.standing(NOW + 25 * HOUR).code(),
        Some("channel.certificate_expired")
    );
    assert_eq!(
        peer.standing(NOW - 25 * HOUR).code(),
        Some("channel.certificate_not_yet_valid")
    );
}

#[tokio::test]
async fn b07_certificate_of_another_fleet_is_other() {
    let world = world();
    let stranger = FleetAuthority::generate("clinic", at(NOW)).unwrap();
    let mut served = world.boxes_port(ClientCertificates::Required).await;
    let (key, _) = remote_key();
    let foreign = stranger.issue_box(key.spki_der(), "amber-fox", at(NOW)).unwrap();
    let identity = TlsIdentity::remote(&key, vec![foreign, stranger.certificate().clone()]).unwrap();
    within(dial(
        served.address,
        world.client(world.pin(), Dates::Enforced, Some(identity)),
        "127.0.0.1",
    ))
    .await
    .unwrap();
    let peer = within(served.peers.recv()).await.unwrap().unwrap();
    assert_eq!(peer.issued_by, IssuedBy::Other, "same fleet name, other key");
    assert_eq!(peer.standing(NOW), Standing::NotIssued);
}

#[tokio::test]
async fn b07_without_a_certificate_the_handshake_fails_where_required() {
    let world = world();
    let served = world.boxes_port(ClientCertificates::Required).await;
    let config = world.client(world.pin(), Dates::Enforced, None);
    assert!(within(dial(served.address, config.clone(), "127.0.0.1")).await.is_err());

    let mut served = world.boxes_port(ClientCertificates::Optional).await;
    within(dial(served.address, config, "127.0.0.1")).await.unwrap();
    assert_eq!(within(served.peers.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn b07_someone_elses_certificate_without_the_key_does_not_get_in() {
    let world = world();
    let mut served = world.boxes_port(ClientCertificates::Required).await;
    let (victim, _) = remote_key();
    let stolen = world
        .authority
        .issue_box(victim.spki_der(), "amber-fox", at(NOW))
        .unwrap();
    // A thief has the certificate, and a key of their own behind the callback.
    let thief = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pretending = RemoteKey::new(victim.spki_der(), move |message| Ok(thief.sign(message).unwrap())).unwrap();
    let identity = TlsIdentity::remote(&pretending, vec![stolen]).unwrap();
    let config = world.client(world.pin(), Dates::Enforced, Some(identity));
    assert!(within(dial(served.address, config, "127.0.0.1")).await.is_err());
    // The next honest connection is the first that the server saw.
    let (honest, _) = remote_key();
    let own = self_signed_box(&honest, "b", at(NOW), Duration::from_secs(60)).unwrap();
    let identity = TlsIdentity::remote(&honest, vec![own]).unwrap();
    within(dial(
        served.address,
        world.client(world.pin(), Dates::Enforced, Some(identity)),
        "127.0.0.1",
    ))
    .await
    .unwrap();
    assert_eq!(
        within(served.peers.recv()).await.unwrap().unwrap().spki,
        honest.fingerprint()
    );
}

fn code_of(result: std::io::Result<String>) -> &'static str {
    let error = result.expect_err("refused");
    pin_rejected_in(&error)
        .unwrap_or_else(|| panic!("no code in {error:?}"))
        .code()
}

#[tokio::test]
async fn server_of_another_fleet_with_another_name_or_time_is_refused_by_code() {
    let world = world();
    let served = world.boxes_port(ClientCertificates::Optional).await;
    let other = FleetAuthority::generate("clinic", at(NOW)).unwrap();
    let wrong = world.client(ServerPin::FleetAuthority(other.fingerprint()), Dates::Enforced, None);
    assert_eq!(
        code_of(within(dial(served.address, wrong, "127.0.0.1")).await),
        "channel.other_authority"
    );

    let right = world.client(world.pin(), Dates::Enforced, None);
    assert_eq!(
        code_of(within(dial(served.address, right.clone(), "elsewhere.example")).await),
        "channel.other_name"
    );

    world.hands.store(NOW + 365 * 24 * HOUR, Ordering::SeqCst);
    assert_eq!(
        code_of(within(dial(served.address, right, "127.0.0.1")).await),
        "channel.server_dates"
    );
    // A box whose clock is ten years off can still ask for the time, under the pinned key.
    world.hands.store(0, Ordering::SeqCst);
    let for_time = world.client(world.pin(), Dates::ForTimeOnly, None);
    assert_eq!(
        within(dial(served.address, for_time, "127.0.0.1")).await.unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn chain_that_shows_the_pinned_authority_but_was_signed_by_another_is_refused() {
    let world = world();
    let other = FleetAuthority::generate("clinic", at(NOW)).unwrap();
    let made = other
        .issue_server(&["127.0.0.1".to_owned()], at(NOW), Duration::from_secs(3600))
        .unwrap();
    let chain: Vec<CertificateDer<'static>> = vec![made.chain[0].clone(), world.authority.certificate().clone()];
    let identity = TlsIdentity::local(made.key_der(), chain).unwrap();
    let config = people_server_config(identity, Protocols::Http2And1, &world.clock).unwrap();
    let served = serve(config, world.root.clone()).await;
    let client = world.client(world.pin(), Dates::Enforced, None);
    assert_eq!(
        code_of(within(dial(served.address, client, "127.0.0.1")).await),
        "channel.server_chain"
    );
}

#[tokio::test]
async fn box_certificate_cannot_be_used_as_a_server() {
    let world = world();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = world
        .authority
        .issue_box(&key.subject_public_key_info(), "127.0.0.1", at(NOW))
        .unwrap();
    let key_der = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = TlsIdentity::local(key_der, vec![leaf, world.authority.certificate().clone()]).unwrap();
    let served = serve(
        people_server_config(identity, Protocols::Http1, &world.clock).unwrap(),
        world.root.clone(),
    )
    .await;
    let client = world.client(world.pin(), Dates::Enforced, None);
    assert_eq!(
        code_of(within(dial(served.address, client, "127.0.0.1")).await),
        "channel.server_chain"
    );
}

#[tokio::test]
async fn gateway_is_known_by_its_key() {
    let world = world();
    let made = self_signed_server(&["127.0.0.1".to_owned()], at(NOW), Duration::from_secs(3600)).unwrap();
    let again = freehold_channel::ServerCertificate::from_pem(&made.chain_pem(), &made.key_pem()).unwrap();
    assert_eq!(again.spki(), made.spki());
    let identity = TlsIdentity::of_server(&again).unwrap();
    let served = serve(
        people_server_config(identity, Protocols::Http1, &world.clock).unwrap(),
        world.root.clone(),
    )
    .await;
    let client = world.client(ServerPin::Key(made.spki()), Dates::Enforced, None);
    assert_eq!(within(dial(served.address, client, "any.name")).await.unwrap(), "hello");
    let other = world.client(ServerPin::Key(sha256(b"another key")), Dates::Enforced, None);
    assert_eq!(
        code_of(within(dial(served.address, other, "127.0.0.1")).await),
        "channel.other_key"
    );
}

#[tokio::test]
async fn tls_12_is_refused() {
    let world = world();
    let served = world.boxes_port(ClientCertificates::Optional).await;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(world.authority.certificate().clone()).unwrap();
    let old = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert!(within(dial(served.address, Arc::new(old), "127.0.0.1")).await.is_err());
}

#[test]
fn authority_survives_its_files_and_refuses_the_key_of_another() {
    let one = FleetAuthority::generate("a", at(NOW)).unwrap();
    let two = FleetAuthority::generate("a", at(NOW)).unwrap();
    let again = FleetAuthority::from_pem(&one.certificate_pem(), &one.key_pem()).unwrap();
    assert_eq!(again.fingerprint(), one.fingerprint());
    assert!(FleetAuthority::from_pem(&one.certificate_pem(), &two.key_pem()).is_err());
    assert!(!format!("{one:?}").contains("PRIVATE"));
    // Certificates of the reloaded authority chain to the same root.
    let (key, _) = remote_key();
    let leaf = again.issue_box(key.spki_der(), "x", at(NOW)).unwrap();
    let peer = PeerIdentity::from_certificates(&[leaf], &FleetRoot::new(one.certificate()).unwrap()).unwrap();
    assert_eq!(peer.issued_by, IssuedBy::Fleet);
}

#[test]
fn identity_refuses_a_certificate_for_another_key() {
    let (one, _) = remote_key();
    let (two, _) = remote_key();
    let of_two = self_signed_box(&two, "x", at(NOW), Duration::from_secs(60)).unwrap();
    assert!(TlsIdentity::remote(&one, vec![of_two]).is_err());
}

#[test]
fn der_signature_pads_and_trims() {
    assert_eq!(
        freehold_channel::der_signature(&[0, 0, 1], &[0x80]),
        [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]
    );
    assert_eq!(freehold_channel::der_signature(&[], &[0]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    assert_eq!(
        freehold_channel::der_signature(&[0xff; 66], &[0x7f; 66]).len(),
        3 + 2 + 67 + 2 + 66
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_as_a_certificate_do_not_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let authority = FleetAuthority::generate("a", at(NOW)).unwrap();
        let root = FleetRoot::new(authority.certificate()).unwrap();
        proptest::prop_assert!(PeerIdentity::from_certificates(&[CertificateDer::from(bytes)], &root).is_none());
    }
}

/// A server that shows bytes that are no certificate, and proves a key all the same.
#[derive(Debug)]
struct Unreadable(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Unreadable {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::test]
async fn a_server_whose_certificate_cannot_be_read_is_refused_by_code() {
    let world = world();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = self_signed_server(&["127.0.0.1".to_owned()], at(NOW), Duration::from_secs(3600)).unwrap();
    let key = provider.key_provider.load_private_key(made.key_der()).unwrap();
    for bytes in [&b"no certificate"[..], &[0x30, 0x82, 0xff, 0xff], &[0; 40_000]] {
        let shown = rustls::sign::CertifiedKey::new(vec![CertificateDer::from(bytes.to_vec())], key.clone());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Unreadable(Arc::new(shown))));
        let served = serve(Arc::new(config), world.root.clone()).await;
        for pin in [world.pin(), ServerPin::Key(made.spki())] {
            let client = world.client(pin, Dates::Enforced, None);
            assert_eq!(
                code_of(within(dial(served.address, client, "127.0.0.1")).await),
                "channel.server_unreadable"
            );
        }
    }
}
