//! Every reason for which the gateway says no, with its code, its HTTP status, and its form in either protocol.
//!
//! Refuses to quote what a client or an engine said, beyond the name of a field. Invariant: a client always gets JSON with a
//! stable code, in the error form of the protocol that it spoke.

use axum::body::Body;
use freehold_engine::EngineError;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use thiserror::Error;

/// Whose error form is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `{"error": {"message", "type", "param", "code"}}`
    OpenAi,
    /// `{"error": "…"}`, with the code beside it.
    Ollama,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GatewayRejection {
    /// No token, or none that this box knows.
    #[error("no valid API token")]
    Token,
    /// The token's time is over.
    #[error("the API token has expired")]
    TokenExpired,
    /// The token may not do this.
    #[error("the API token may not use `{scope}`")]
    Scope {
        /// What it would need.
        scope: &'static str,
    },
    /// The token has asked too much.
    #[error("the API token's quota is used up ({what})")]
    Quota {
        /// Which part of the quota.
        what: &'static str,
        /// Seconds.
        retry_after: u32,
    },
    /// No such route.
    #[error("no such route")]
    Route,
    /// The route takes another method.
    #[error("the route does not take this method")]
    Method,
    /// The body is larger than any request needs.
    #[error("the body has more than {limit} bytes")]
    BodyTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The body came too slowly, or not whole.
    #[error("the body did not arrive")]
    BodyIncomplete,
    /// Not the JSON of a request.
    #[error("the body is not a request of this route (line {line}, column {column})")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A field that this gateway does not know.
    #[error("unknown field `{field}`")]
    UnknownField {
        /// Its name, cut and cleaned.
        field: String,
    },
    /// A field whose value is not taken.
    #[error("field `{field}`: {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is taken.
        expected: &'static str,
    },
    /// No model of that name for this token.
    #[error("no model of that name")]
    ModelUnknown,
    /// The model makes no embeddings.
    #[error("the model's release declares no embeddings")]
    NoEmbeddings,
    /// The supervisor is not there: nothing could be recorded.
    #[error("the box's supervisor is away")]
    SupervisorAway,
    /// The supervisor said that nothing, or not this model, is served now.
    #[error("not served now")]
    Closed {
        /// The supervisor's code.
        code: String,
        /// Seconds.
        retry_after: u32,
    },
    /// The answer took too long.
    #[error("the answer took longer than {seconds} seconds")]
    Timeout {
        /// The limit.
        seconds: u64,
    },
    /// The entry in the record is not durable.
    #[error("the request could not be recorded")]
    NotDurable {
        /// `record.not_durable`, or what the supervisor said.
        code: String,
    },
    /// The engine gave no answer.
    #[error("{0}")]
    Engine(EngineError),
}

impl From<EngineError> for GatewayRejection {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl GatewayRejection {
    /// Every code of this enum (an engine's own are with the engine).
    pub const CODES: &[&str] = &[
        "gateway.token",
        "gateway.token_expired",
        "gateway.scope",
        "gateway.quota",
        "gateway.route",
        "gateway.method",
        "gateway.body_too_large",
        "gateway.body_incomplete",
        "gateway.malformed",
        "gateway.unknown_field",
        "gateway.field",
        "model.unknown",
        "model.no_embeddings",
        "gateway.supervisor_away",
        "gateway.timeout",
        "record.not_durable",
    ];

    /// The stable code.
    pub fn code(&self) -> &str {
        match self {
            Self::Token => "gateway.token",
            Self::TokenExpired => "gateway.token_expired",
            Self::Scope { .. } => "gateway.scope",
            Self::Quota { .. } => "gateway.quota",
            Self::Route => "gateway.route",
            Self::Method => "gateway.method",
            Self::BodyTooLarge { .. } => "gateway.body_too_large",
            Self::BodyIncomplete => "gateway.body_incomplete",
            Self::Malformed { .. } => "gateway.malformed",
            Self::UnknownField { .. } => "gateway.unknown_field",
            Self::Field { .. } => "gateway.field",
            Self::ModelUnknown => "model.unknown",
            Self::NoEmbeddings => "model.no_embeddings",
            Self::SupervisorAway => "gateway.supervisor_away",
            Self::Timeout { .. } => "gateway.timeout",
            Self::Closed { code, .. } | Self::NotDurable { code } => code,
            Self::Engine(error) => error.code(),
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Token | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::Scope { .. } => StatusCode::FORBIDDEN,
            Self::Quota { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Route | Self::ModelUnknown | Self::NoEmbeddings => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyIncomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed { .. } | Self::UnknownField { .. } | Self::Field { .. } => StatusCode::BAD_REQUEST,
            Self::SupervisorAway | Self::Closed { .. } | Self::NotDurable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Engine(error) => match error {
                EngineError::Missing { .. } | EngineError::Starting | EngineError::Busy { .. } => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                EngineError::ContextExceeded | EngineError::Unsupported { .. } => StatusCode::BAD_REQUEST,
                EngineError::Refused { status } if (400..500).contains(status) => StatusCode::BAD_REQUEST,
                _ => StatusCode::BAD_GATEWAY,
            },
        }
    }

    /// Seconds after which asking again makes sense.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Quota { retry_after, .. } | Self::Closed { retry_after, .. } => Some(*retry_after),
            Self::SupervisorAway | Self::NotDurable { .. } => Some(5),
            Self::Engine(EngineError::Missing { .. }) => Some(5),
            Self::Engine(EngineError::Starting | EngineError::Busy { .. }) => Some(2),
            _ => None,
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Token => Some("send `Authorization: Bearer …` with a token of this box"),
            Self::UnknownField { .. } => Some("leave the field out; docs/gateway.md lists the fields that are taken"),
            Self::ModelUnknown => Some("GET /v1/models lists the models of this box"),
            Self::SupervisorAway | Self::Closed { .. } | Self::NotDurable { .. } => {
                Some("ask again later, or ask the box's operator")
            }
            Self::Engine(EngineError::Missing { .. } | EngineError::Starting | EngineError::Busy { .. }) => {
                Some("ask again in a few seconds")
            }
            Self::Engine(EngineError::ContextExceeded) => {
                Some("send a shorter conversation, or a smaller `max_tokens`")
            }
            _ => None,
        }
    }

    /// OpenAI's class of error.
    fn kind(&self) -> &'static str {
        match self.status().as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// The error as JSON, for a body or for the middle of a stream.
    pub fn to_json(&self, style: Style) -> Vec<u8> {
        let message = match self.hint() {
            Some(hint) => format!("{self}; {hint}"),
            None => self.to_string(),
        };
        let json = match style {
            Style::OpenAi => serde_json::to_vec(&OpenAiError {
                error: OpenAiDetail {
                    message: &message,
                    r#type: self.kind(),
                    param: self.field(),
                    code: self.code(),
                },
            }),
            Style::Ollama => serde_json::to_vec(&OllamaError {
                error: &message,
                code: self.code(),
            }),
        };
        json.unwrap_or_default()
    }

    fn field(&self) -> Option<&str> {
        match self {
            Self::UnknownField { field } => Some(field),
            Self::Field { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The whole answer.
    pub fn response(&self, style: Style) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json(style)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            hyper::header::HeaderValue::from_static("application/json"),
        );
        headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiDetail<'a>,
}

#[derive(Serialize)]
struct OpenAiDetail<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct OllamaError<'a> {
    error: &'a str,
    code: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<(GatewayRejection, &'static str, u16)> {
        let text = || "x".to_owned();
        vec![
            (GatewayRejection::Token, "gateway.token", 401),
            (GatewayRejection::TokenExpired, "gateway.token_expired", 401),
            (GatewayRejection::Scope { scope: "chat" }, "gateway.scope", 403),
            (
                GatewayRejection::Quota {
                    what: "x",
                    retry_after: 1,
                },
                "gateway.quota",
                429,
            ),
            (GatewayRejection::Route, "gateway.route", 404),
            (GatewayRejection::Method, "gateway.method", 405),
            (
                GatewayRejection::BodyTooLarge { limit: 1 },
                "gateway.body_too_large",
                413,
            ),
            (GatewayRejection::BodyIncomplete, "gateway.body_incomplete", 408),
            (
                GatewayRejection::Malformed { line: 1, column: 1 },
                "gateway.malformed",
                400,
            ),
            (
                GatewayRejection::UnknownField { field: text() },
                "gateway.unknown_field",
                400,
            ),
            (
                GatewayRejection::Field {
                    field: "n",
                    expected: "1",
                },
                "gateway.field",
                400,
            ),
            (GatewayRejection::ModelUnknown, "model.unknown", 404),
            (GatewayRejection::NoEmbeddings, "model.no_embeddings", 404),
            (GatewayRejection::SupervisorAway, "gateway.supervisor_away", 503),
            (GatewayRejection::Timeout { seconds: 1 }, "gateway.timeout", 504),
            (
                GatewayRejection::NotDurable {
                    code: "record.not_durable".to_owned(),
                },
                "record.not_durable",
                503,
            ),
        ]
    }

    #[test]
    fn every_refusal_has_its_code_its_status_and_json_in_both_forms() {
        for (rejection, code, status) in all() {
            assert_eq!((rejection.code(), rejection.status().as_u16()), (code, status));
            let openai: serde_json::Value = serde_json::from_slice(&rejection.to_json(Style::OpenAi)).unwrap();
            assert_eq!(openai["error"]["code"], code);
            let ollama: serde_json::Value = serde_json::from_slice(&rejection.to_json(Style::Ollama)).unwrap();
            assert!(ollama["error"].is_string() && ollama["code"] == code);
        }
        let mut codes: Vec<&str> = all().iter().map(|(_, code, _)| *code).collect();
        codes.sort_unstable();
        let mut declared = GatewayRejection::CODES.to_vec();
        declared.sort_unstable();
        assert_eq!(codes, declared);
    }
}
