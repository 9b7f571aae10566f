//! What every request that reaches an engine goes through, in this order: supervisor, token, scope, quota, body, fields.
//!
//! Refuses at the first step that fails, the cheap ones first; a body is read only for a known token with quota left.
//! Invariant: whoever passes has an entry that will be in the record.

use crate::body;
use crate::entry::Entry;
use crate::quota::Place;
use crate::refusal::{GatewayRejection, Style};
use crate::router::{Gateway, RequestId};
use crate::seats::{Busy, Seat};
use crate::served::Served;
use crate::token;
use axum::body::Body;
use freehold_protocol::local::{ApiToken, Route, Scope};
use hyper::{HeaderMap, Request, Response};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Instant;
use time::OffsetDateTime;

/// What a running request holds: its token's place, and its connection's seat.
#[derive(Debug)]
pub struct Hold {
    _place: Place,
    _busy: Option<Busy>,
}

/// A request that may be worked on.
pub struct Admitted<T> {
    /// Its fields.
    pub fields: T,
    /// Its id.
    pub id: Arc<str>,
    /// Who asks.
    pub token: Arc<ApiToken>,
    /// What is served now.
    pub served: Arc<Served>,
    /// Its entry in the record.
    pub entry: Entry,
    /// What it holds.
    pub hold: Hold,
}

/// A token that may use `scope`, and what is served; for routes without an engine.
pub async fn known(
    gateway: &Gateway,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<(Arc<Served>, Arc<ApiToken>), GatewayRejection> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let served = gateway.link.served().await;
    // Also while the supervisor is away, a caller without a token learns nothing but that.
    let last = served.clone().unwrap_or_else(|_| gateway.link.last_served());
    if last.serving.is_some() {
        let token = token::authenticate(&last, headers, now)?;
        token::require(&token, scope)?;
        return Ok((served?, token));
    }
    Err(served.err().unwrap_or(GatewayRejection::SupervisorAway))
}

/// Admits a request to an engine, or refuses it.
pub async fn admit<T: DeserializeOwned>(
    gateway: &Gateway,
    request: Request<Body>,
    scope: Scope,
    route: Route,
) -> Result<Admitted<T>, GatewayRejection> {
    let (parts, body) = request.into_parts();
    let (served, token) = known(gateway, &parts.headers, scope).await?;
    served.open()?;
    let place = gateway.quotas.take(&token, Instant::now())?;
    let busy = parts.extensions.get::<Seat>().map(Seat::busy);
    let id = parts
        .extensions
        .get::<RequestId>()
        .map_or_else(|| "".into(), |id| Arc::clone(&id.0));
    let mut entry = Entry::begin(gateway.link.clone(), id.to_string(), &token.id, route);
    let bytes = body::read(body).await;
    if let Ok(bytes) = &bytes {
        entry.asked(bytes);
    }
    match bytes.and_then(|bytes| body::parse(&bytes)) {
        Ok(fields) => Ok(Admitted {
            fields,
            id,
            token,
            served,
            entry,
            hold: Hold {
                _place: place,
                _busy: busy,
            },
        }),
        Err(rejection) => {
            entry.refused(&rejection);
            Err(rejection)
        }
    }
}

/// An answer or a refusal, in the caller's protocol.
pub fn answer(result: Result<Response<Body>, GatewayRejection>, style: Style) -> Response<Body> {
    result.unwrap_or_else(|rejection| {
        tracing::debug!(code = rejection.code(), "refused");
        rejection.response(style)
    })
}
