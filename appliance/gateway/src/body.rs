//! A request's body: read with a limit and a time, then parsed into one route's fields.
//!
//! Refuses a body above the limit before it is read where its length is announced, and unknown fields by name. Invariant: at
//! most [`MAX_BODY_BYTES`] of one request are ever in memory.

use crate::refusal::GatewayRejection;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bounds the memory one request takes: a body of 10 GB is refused after its head. A long conversation is below 1 MB.
pub const MAX_BODY_BYTES: usize = 4 << 20;

/// Bounds how long a client may hold its place with a body that trickles.
pub const MAX_BODY_TIME: Duration = Duration::from_secs(20);

/// A field's name is shown, so it is cut: it is the client's own text.
const MAX_FIELD_NAME: usize = 64;

/// Reads the body whole.
pub async fn read(body: Body) -> Result<Vec<u8>, GatewayRejection> {
    let too_large = GatewayRejection::BodyTooLarge { limit: MAX_BODY_BYTES };
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large);
    }
    let reading = async move {
        let mut body = body;
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| GatewayRejection::BodyIncomplete)?;
            if let Some(data) = frame.data_ref() {
                if bytes.len().saturating_add(data.len()) > MAX_BODY_BYTES {
                    return Err(too_large);
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes)
    };
    tokio::time::timeout(MAX_BODY_TIME, reading)
        .await
        .unwrap_or(Err(GatewayRejection::BodyIncomplete))
}

/// Parses a body into the fields of a route.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, GatewayRejection> {
    serde_json::from_slice(bytes).map_err(|error| match unknown_field(&error) {
        Some(field) => GatewayRejection::UnknownField { field },
        None => GatewayRejection::Malformed {
            line: error.line(),
            column: error.column(),
        },
    })
}

/// serde says "unknown field `NAME`, expected …" (serde, `de::Error::unknown_field`).
fn unknown_field(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let name = text
        .strip_prefix("unknown field `")?
        .split("`, expected")
        .next()?
        .split("`, there are no fields")
        .next()?;
    Some(
        name.chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .take(MAX_FIELD_NAME)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        #[allow(dead_code)]
        model: String,
    }

    #[test]
    fn an_unknown_field_is_named_and_cut() {
        let refused = parse::<Fields>(br#"{"model":"m","tool\u0007s":[]}"#).unwrap_err();
        assert_eq!(
            refused,
            GatewayRejection::UnknownField {
                field: "tool?s".to_owned()
            }
        );
        assert_eq!(refused.code(), "gateway.unknown_field");
        let long = format!(r#"{{"{}":1}}"#, "x".repeat(500));
        assert!(
            matches!(parse::<Fields>(long.as_bytes()), Err(GatewayRejection::UnknownField { field }) if field.len() == 64)
        );
    }

    #[test]
    fn a_malformed_body_is_placed_and_not_quoted() {
        let refused = parse::<Fields>(br#"{"model": 7secret"#).unwrap_err();
        assert_eq!(refused.code(), "gateway.malformed");
        assert!(!refused.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused() {
        let announced = read(Body::from(vec![b'x'; MAX_BODY_BYTES + 1])).await.unwrap_err();
        assert_eq!(announced.code(), "gateway.body_too_large");
        let pieces = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 1 << 20])));
        let endless = read(Body::from_stream(pieces)).await.unwrap_err();
        assert_eq!(endless.code(), "gateway.body_too_large");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_a_refusal(bytes: Vec<u8>) {
            let _ = parse::<crate::openai::chat::ChatRequest>(&bytes);
            let _ = parse::<crate::ollama::chat::ChatRequest>(&bytes);
            let _ = parse::<crate::ollama::generate::GenerateRequest>(&bytes);
        }
    }
}
