//! The TLS configurations of the four kinds of connection.
//!
//! Refuses TLS 1.2, early data, key logs, and, where client certificates count, resumption: each connection of a box proves
//! its key again. Invariant: the clock is the caller's.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};

use crate::client_check::AnyHolder;
use crate::clock::Clock;
use crate::fault::ChannelFault;
use crate::holder::Holder;
use crate::identity::TlsIdentity;
use crate::pin::{Dates, ServerPin};
use crate::provider::provider;
use crate::server_check::PinnedServer;

/// Whether a client must show a certificate to complete the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Without one the handshake fails.
    Required,
    /// Without one the handshake completes and the routes see no [`crate::PeerIdentity`].
    Optional,
}

/// The application protocols offered (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, then HTTP/1.1.
    Http2And1,
}

impl Protocols {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2And1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// A client that accepts the server named by `pin` and shows `identity`, when it has one.
///
/// # Errors
/// When the TLS library refuses the configuration.
pub fn client_config(
    pin: ServerPin,
    dates: Dates,
    identity: Option<Arc<TlsIdentity>>,
    protocols: Protocols,
    clock: &Clock,
) -> Result<Arc<ClientConfig>, ChannelFault> {
    let provider = provider();
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| ChannelFault::Tls { what: "client", source })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedServer {
            pin,
            dates,
            holder: Holder(provider),
        }));
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.alpn();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The console's port for boxes: any holder of a key gets in; routes look at its [`crate::PeerIdentity`].
///
/// # Errors
/// When the TLS library refuses the configuration.
pub fn boxes_server_config(
    identity: Arc<TlsIdentity>,
    wanted: ClientCertificates,
    protocols: Protocols,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, ChannelFault> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_details(provider.clone(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| ChannelFault::Tls {
            what: "boxes port",
            source,
        })?
        .with_client_cert_verifier(Arc::new(AnyHolder {
            wanted,
            holder: Holder(provider),
        }))
        .with_cert_resolver(identity);
    config.alpn_protocols = protocols.alpn();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A port for people and programs that sign in above TLS: the console's pages, a gateway's API.
///
/// # Errors
/// When the TLS library refuses the configuration.
pub fn people_server_config(
    identity: Arc<TlsIdentity>,
    protocols: Protocols,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, ChannelFault> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|source| ChannelFault::Tls {
            what: "people port",
            source,
        })?
        .with_no_client_auth()
        .with_cert_resolver(identity);
    config.alpn_protocols = protocols.alpn();
    Ok(Arc::new(config))
}

/// The name or address to dial, without port, for the check against the certificate.
///
/// # Errors
/// When `host` is neither a DNS name nor an IP address.
pub fn server_name(host: &str) -> Result<ServerName<'static>, ChannelFault> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| ChannelFault::Name {
        name: host.chars().take(80).flat_map(char::escape_debug).collect(),
    })
}
