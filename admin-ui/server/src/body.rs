//! Reading what was sent: bounded in bytes and in time, then as JSON with a version.
//!
//! Refuses a declared length above the limit before a byte is read, and a sender who takes too long. Invariant: no handler
//! reads a body in another way.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::refused::Refused;

/// Largest JSON message of people and boxes: a report with an inventory fits many times.
pub const MESSAGE_LIMIT: usize = 1024 * 1024;
/// Longest time that a body may take: bounds a sender of one byte a second.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads at most `limit` bytes.
///
/// # Errors
/// 413 at once for a declared length above the limit, or when more comes; 408 when it takes too long.
pub async fn read(request: Request, limit: usize) -> Result<Bytes, Refused> {
    let declared = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > u64::try_from(limit).unwrap_or(u64::MAX)) {
        return Err(too_large(limit));
    }
    collect(request.into_body(), limit, BODY_TIMEOUT).await
}

async fn collect(body: Body, limit: usize, patience: Duration) -> Result<Bytes, Refused> {
    let collected = tokio::time::timeout(patience, Limited::new(body, limit).collect())
        .await
        .map_err(|_| {
            Refused::new(
                StatusCode::REQUEST_TIMEOUT,
                "console.too_slow",
                "the request's body did not come in time",
            )
        })?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large(limit)),
        Err(error) => Err(Refused::unreadable(format!("the body broke off: {error}"))),
    }
}

fn too_large(limit: usize) -> Refused {
    let mut refused = Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "console.too_large",
        format!("the body is larger than {limit} bytes"),
    );
    refused.report.expected = Some(format!("at most {limit} bytes"));
    refused
}

/// A JSON message.
#[derive(Debug)]
pub struct Told<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Told<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let bytes = read(request, MESSAGE_LIMIT).await?;
        serde_json::from_slice(&bytes)
            .map(Told)
            .map_err(|error| Refused::unreadable(format!("not the message: {error}")))
    }
}

/// A form of a page.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

/// Largest form: a page's fields are short.
const FORM_LIMIT: usize = 64 * 1024;

impl Form {
    /// A field's value; the first when it is there twice.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a field that may be there more than once.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// A field's value, or a refusal that names it.
    ///
    /// # Errors
    /// 400 when it is missing.
    pub fn need(&self, name: &str) -> Result<&str, Refused> {
        self.field(name)
            .ok_or_else(|| Refused::unreadable(format!("the form lacks `{name}`")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Refused::unreadable("a form is `application/x-www-form-urlencoded`"));
        }
        let bytes = read(request, FORM_LIMIT).await?;
        serde_urlencoded::from_bytes(&bytes)
            .map(Self)
            .map_err(|error| Refused::unreadable(format!("not a form: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let refused = collect(silent, 10, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(
            (refused.status, refused.report.code.as_str()),
            (StatusCode::REQUEST_TIMEOUT, "console.too_slow")
        );
    }

    #[tokio::test]
    async fn a_body_without_declared_length_is_cut_off_at_the_limit() {
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 64])));
        let refused = collect(Body::from_stream(endless), 1000, BODY_TIMEOUT)
            .await
            .unwrap_err();
        assert_eq!(
            (refused.status, refused.report.code.as_str()),
            (StatusCode::PAYLOAD_TOO_LARGE, "console.too_large")
        );
    }
}
