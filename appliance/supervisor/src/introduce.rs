//! Asks a console that somebody named by its fleet CA's fingerprint for the other two keys.
//!
//! Refuses an answer about another fleet CA or another address than the typed ones. Invariant: nothing of the answer is believed
//! here: it is shown, and a person compares all three keys before the console is ours.

use std::time::Duration;

use bytes::Bytes;
use freehold_channel::{
    Dates, Protocols, RemoteKey, RemoteSignFailed, ServerPin, TlsIdentity, client_config, self_signed_box,
};
use freehold_dial::Dialer;
use freehold_protocol::enrol::Pairing;
use freehold_protocol::routes;
use freehold_trust::{KeyKind, SigningKey};
use http::Method;
use time::OffsetDateTime;

use crate::clock::BoxClock;
use crate::fault::Fault;
use crate::screen::ScreenRejection;
use crate::site::NamedConsole;

/// Bounds the answer: seven short fields.
const MAX_ANSWER: usize = 16 * 1024;
/// How long the certificate of this one conversation says that it lives.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Asks, with a key that is thrown away afterwards: the box's own keys are shown only to a console that is ours.
///
/// # Errors
/// `console.away`, `console.answer`, or `screen.other_console`.
pub(crate) async fn introduce(named: &NamedConsole, clock: &BoxClock) -> Result<Pairing, Fault> {
    let answer = |error: String| Fault::of("console.answer", error);
    let key = SigningKey::generate(KeyKind::P256).map_err(|error| answer(error.to_string()))?;
    let spki = key.public().spki_der().to_vec();
    let remote = RemoteKey::new(&spki, move |message| Ok::<_, RemoteSignFailed>(key.sign(message)))?;
    let now = OffsetDateTime::from_unix_timestamp(clock.now()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let own = self_signed_box(&remote, "unpaired", now, LIFETIME)?;
    let identity = TlsIdentity::remote(&remote, vec![own])?;
    // A box that was never told the time cannot judge dates; the pin holds all the same.
    let pin = ServerPin::FleetAuthority(named.fleet_ca);
    let config = client_config(
        pin,
        Dates::ForTimeOnly,
        Some(identity),
        Protocols::Http1,
        &clock.for_tls(),
    )?;
    let dialer = Dialer::new(&named.address, config).map_err(|error| Fault::of("console.away", error.to_string()))?;
    let said = dialer
        .ask(Method::GET, routes::PAIRING, &[], Bytes::new(), MAX_ANSWER)
        .await
        .map_err(|error| Fault::of("console.away", error.to_string()))?;
    if !said.status.is_success() {
        return Err(answer(format!(
            "the console answered {} when it was asked for its keys",
            said.status
        )));
    }
    let pairing: Pairing = serde_json::from_slice(&said.body).map_err(|error| answer(error.to_string()))?;
    let expected = named.fleet_ca.to_hex();
    if pairing.fleet_ca != expected {
        return Err(Fault::refusal(&ScreenRejection::OtherConsole {
            expected,
            found: pairing.fleet_ca,
        }));
    }
    // What was typed is where it was reached; a console behind another address of its own does not change that.
    Ok(Pairing {
        console: named.address.clone(),
        ..pairing
    })
}
