//! What every request of the people's door passes before its handler.
//!
//! Refuses cookies on the API and bearer tokens on pages, changes sent by another site's page, accounts whose one-time password
//! was not changed, and actions that policy does not allow. Invariant: a handler with an action runs with a [`Visitor`].

use axum::RequestExt as _;
use axum::extract::{FromRequest, RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use freehold_trust::digest::ct_eq;

use super::action::Action;
use super::place::OwnedPlace;
use super::session::{Door, Visitor, token_of};
use crate::body::Form;
use crate::console::Console;
use crate::refused::Refused;

/// What a route wants of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: sign-in, style sheets, the API's description.
    Anyone,
    /// Any account, even one that has to change its password: password, sign-out, who am I.
    SignedIn,
    /// An account that policy allows this action.
    May(Action),
}

/// What the guard knows about a route.
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Pages or API.
    pub door: Door,
    /// Who may enter.
    pub access: Access,
}

fn not_signed_in() -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "console.not_signed_in", "nobody is signed in")
}

/// Whether a browser says that the request comes from a page of this console. Programs send neither header.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
    {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let host = text(header::HOST).map(|host| format!("https://{host}"));
    host.is_some_and(|host| host.eq_ignore_ascii_case(origin))
}

/// Lets a request through, or not.
///
/// # Errors
/// 401, 403; pages are sent to the sign-in page instead of 401.
pub async fn pass(
    State((console, gate, route)): State<(Console, Gate, &'static str)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && gate.door == Door::Page && !from_here(&with_authority(&request)) {
        let entry = console
            .entry("console.request", "stranger")
            .refused("console.other_origin");
        console.record(entry).await?;
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "console.other_origin",
            "the request comes from another site's page",
        ));
    }
    let visitor = match token_of(request.headers(), gate.door) {
        Some(token) => console.visitor(&token, gate.door).await?,
        None => None,
    };
    let action = match gate.access {
        Access::Anyone => None,
        Access::SignedIn if visitor.is_some() => None,
        Access::May(action) if visitor.is_some() => Some(action),
        Access::SignedIn | Access::May(_) => {
            if gate.door == Door::Page && !changes {
                let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
                let to = format!(
                    "{}?next={}",
                    freehold_views::address::SIGN_IN,
                    freehold_views::address::segment(next)
                );
                return Ok(Redirect::to(&to).into_response());
            }
            return Err(not_signed_in());
        }
    };
    if let (Some(action), Some(visitor)) = (action, &visitor) {
        if visitor.account.must_change && visitor.scope.is_none() {
            if gate.door == Door::Page && !changes {
                return Ok(Redirect::to(freehold_views::address::PASSWORD).into_response());
            }
            let message = "the one-time password has to be changed first";
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "console.password_must_change",
                message,
            ));
        }
        match console.places_of_request(route, &mut request).await? {
            Some(places) => console.allow_at_all(visitor, action, &places).await?,
            None => console.allow(visitor, action).await?,
        }
    } else if let Some(visitor) = &visitor
        && visitor.scope.is_some()
        && changes
        && gate.access == Access::SignedIn
    {
        let message = "a token does not change its own account";
        return Err(Refused::new(StatusCode::FORBIDDEN, "console.token_scope", message));
    }
    if let Some(visitor) = visitor {
        request.extensions_mut().insert(visitor);
    }
    Ok(next.run(request).await)
}

impl Console {
    /// Where the thing is that an address is about: a box, a plan, a rollout. `None` for an address that is about no one thing,
    /// and for things that nobody knows: of those the handler says that they are not there.
    ///
    /// The parameter is the handler's own, decoded: an address that is written otherwise is about the same thing.
    async fn places_of_request(&self, route: &str, request: &mut Request) -> Result<Option<Vec<OwnedPlace>>, Refused> {
        let mut parts = route.strip_prefix("/api/v1").unwrap_or(route).split('/').skip(1);
        let (Some(kind), Some("{id}")) = (parts.next(), parts.next()) else {
            return Ok(None);
        };
        let params = request.extract_parts::<RawPathParams>().await;
        let params = params.map_err(|error| Refused::unreadable(error.to_string()))?;
        let id = params.iter().find(|(name, _)| *name == "id").map(|(_, id)| id);
        let id = id.ok_or_else(|| Refused::unreadable("the address names nothing"))?;
        Ok(match kind {
            "boxes" => self.site_of(id).map(|site| vec![Some(site).into()]),
            "plans" => (self.0.plans.get(id)).map(|plan| vec![self.place_of_proposal(&plan.proposal)]),
            "rollouts" => (self.0.rollouts.get(id)).map(|kept| self.places_of_rollout(&kept)),
            _ => None,
        })
    }
}

/// HTTP/2 says the host in `:authority`.
fn with_authority(request: &Request) -> HeaderMap {
    let mut headers = request.headers().clone();
    if let Some(value) = request
        .uri()
        .authority()
        .and_then(|authority| authority.as_str().parse().ok())
    {
        headers.insert(header::HOST, value);
    }
    headers
}

/// A form of a signed-in person's page, with the session's own token in it.
#[derive(Debug)]
pub struct SafeForm(pub Form);

impl<S: Send + Sync> FromRequest<S> for SafeForm {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let csrf = request
            .extensions()
            .get::<Visitor>()
            .map(|visitor| visitor.session.csrf.clone());
        let csrf = csrf.ok_or_else(not_signed_in)?;
        let form = Form::from_request(request, state).await?;
        if !form
            .field("csrf")
            .is_some_and(|field| ct_eq(field.as_bytes(), csrf.as_bytes()))
        {
            let message = "the form does not carry this session's token";
            return Err(Refused::new(StatusCode::FORBIDDEN, "console.csrf", message));
        }
        Ok(Self(form))
    }
}
