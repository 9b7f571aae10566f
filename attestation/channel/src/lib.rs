//! Who is at the other end of a connection? TLS 1.3 configurations for boxes, consoles and gateways.
//!
//! Refuses public certificate authorities, TLS 1.2, resumption with client certificates, and names as identities: a server is
//! known by the SHA-256 of its fleet CA's certificate or of its own key (SPKI), a box by its key. Refuses to read a clock or
//! to open a socket: the time and the sockets are the caller's. The one invariant: a handshake that completes proves that the
//! peer holds the private key of the certificate that it showed; what that key may do is decided by each route.

mod authority;
mod client_check;
mod clock;
mod config;
mod fault;
mod holder;
mod identity;
mod leaf;
mod peer;
mod pin;
mod provider;
mod remote_key;
mod server_check;

pub use authority::{BOX_CERTIFICATE_LIFETIME, FleetAuthority, ServerCertificate, self_signed_box, self_signed_server};
pub use clock::Clock;
pub use config::{
    ClientCertificates, Protocols, boxes_server_config, client_config, people_server_config, server_name,
};
pub use fault::{CODES, ChannelFault, PinRejected, pin_rejected_in};
pub use identity::TlsIdentity;
pub use peer::{FleetRoot, IssuedBy, PeerIdentity, Standing};
pub use pin::{Dates, ServerPin};
pub use provider::{install_provider, provider};
pub use remote_key::{RemoteKey, RemoteSignFailed, der_signature};
