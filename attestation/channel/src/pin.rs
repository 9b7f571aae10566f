//! How a client knows its server: by what it was told once, by stick or screen.
//!
//! Refuses names alone as identity. Invariant: a pin is a SHA-256, so it can be compared by eye.

use freehold_trust::digest::Sha256Digest;

/// What a client accepts at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPin {
    /// The server's chain must lead to the CA certificate with this SHA-256 (of the DER), carry the dialled name or address,
    /// and be within its dates.
    FleetAuthority(Sha256Digest),
    /// The server's key must have this SHA-256 (of the SPKI DER). Name and dates of the certificate say nothing then.
    Key(Sha256Digest),
}

/// Whether a server's certificate dates count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// They do: the rule.
    Enforced,
    /// Only the chain and the name count: for a box that has no time yet and asks the console for it. Nothing else may be
    /// asked over such a connection.
    ForTimeOnly,
}
