//! Who is calling: the key of the TLS session, looked up in the fleet.
//!
//! Refuses to guess from addresses, headers or names. Invariant: a route that wants a member gets a box identifier from here
//! or is not entered.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use freehold_channel::{PeerIdentity, Standing};
use freehold_protocol::routes::Caller;

use crate::console::Console;
use crate::refused::Refused;

/// The approved box at the other end.
#[derive(Debug, Clone)]
pub struct Member(pub String);

/// The key at the other end, whoever it belongs to.
#[derive(Debug, Clone)]
pub struct Key(pub PeerIdentity);

/// Lets a request through when its caller is the one that the route is for.
///
/// # Errors
/// 401 without a certificate; 403 for a key that is not a member's, and for a certificate that is not current where the route
/// wants one.
pub async fn enforce(
    State((console, wanted)): State<(Console, Caller)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let Some(peer) = request.extensions().get::<PeerIdentity>().cloned() else {
        return Err(Refused::new(
            StatusCode::UNAUTHORIZED,
            "console.no_certificate",
            "the connection shows no certificate",
        ));
    };
    if wanted != Caller::Anyone {
        let spki = peer.spki.to_string();
        let member = console
            .fleet()
            .approved_by_key(&spki)
            .map(|member| member.box_id.clone());
        let Some(box_id) = member else {
            let message = format!("the key `{spki}` is not one of an approved box");
            return Err(Refused::new(StatusCode::FORBIDDEN, "console.unknown_key", message));
        };
        let standing = peer.standing(console.now());
        // A certificate that somebody else issued says nothing; one of ours that ran out may still attest and renew.
        if wanted == Caller::CurrentCertificate && standing != Standing::Current {
            let code = standing.code().unwrap_or("channel.certificate_not_issued");
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                code,
                "the route needs a current certificate of the fleet",
            ));
        }
        request.extensions_mut().insert(Member(box_id));
    }
    request.extensions_mut().insert(Key(peer));
    Ok(next.run(request).await)
}
