//! What supervisor and gateway of one box say to each other over their Unix socket, and how a message becomes a frame.
//!
//! Refuses frames above a limit, unknown versions, and to carry a prompt, an answer or a token in clear: there is no field
//! for one. Invariant: the gateway finishes an answer only after [`ToGateway::Recorded`] for it, which the supervisor sends
//! only when the entry is durable.
//!
//! The conversation: the gateway connects and sends `hello`; the supervisor answers `config` and sends a new one, with a
//! higher generation, whenever something changed; the gateway sends `record` for each request, many at once if it likes;
//! each is answered by `recorded` or `not_recorded` with the same `id`. A frame is four bytes of length, big-endian, then
//! that many bytes of JSON.

use freehold_trust::Sha256Digest;
use freehold_verify::rejection::Refusal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The version of these messages.
pub const VERSION: u32 = 1;

/// Bounds the memory that one side can make the other use: a gateway that was taken over must not exhaust the supervisor.
/// A configuration of 1,000 tokens is below 300 kB.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Bytes of the length before each frame.
pub const HEADER_BYTES: usize = 4;

/// From the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToSupervisor {
    /// The first frame of a connection.
    Hello {
        /// Version of these messages.
        v: u32,
        /// The gateway program's own version, for the log.
        program: String,
    },
    /// One request, to be written into the record.
    Record {
        /// Chosen by the gateway, unique on this connection; comes back in the answer.
        id: u64,
        /// What to write.
        entry: RequestEntry,
    },
}

/// From the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToGateway {
    /// What to serve, whole; replaces what was said before.
    Config(Config),
    /// The entry is durable.
    Recorded {
        /// The gateway's id of it.
        id: u64,
        /// Its place in the box's record.
        index: u64,
    },
    /// The entry could not be made durable.
    NotRecorded {
        /// The gateway's id of it.
        id: u64,
        /// Why, for example `record.not_durable`.
        code: String,
    },
    /// End: stop accepting, finish nothing new, exit.
    Stop {
        /// Why, for the log.
        reason: String,
    },
}

/// All that a gateway knows of its box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of these messages.
    pub v: u32,
    /// Rises with every change; an older one than the last is ignored.
    pub generation: u64,
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Whether requests are served at all.
    pub serving: Serving,
    /// The models that were admitted.
    pub models: Vec<ServedModel>,
    /// The tokens that may ask.
    pub tokens: Vec<ApiToken>,
}

/// Whether the box answers requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Serving {
    /// Yes.
    Open,
    /// No, by policy: a lost verdict lease, a record that is not durable.
    Closed {
        /// The refusal that a client is told.
        code: String,
    },
}

/// One admitted model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedModel {
    /// The name that clients use.
    pub name: String,
    /// SHA-256 that names the model everywhere else.
    pub digest: Sha256Digest,
    /// Bytes of its files.
    pub bytes: u64,
    /// Tokens of context that its engine was started with.
    pub context: u32,
    /// When it was admitted, unix seconds.
    pub admitted: i64,
    /// Where its engine is.
    pub engine: EngineDoor,
    /// Where its embeddings engine is; `None` where the release declares no embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embeddings: Option<EngineDoor>,
}

/// How an engine is reached, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum EngineDoor {
    /// It is ready.
    Ready {
        /// The path of its Unix socket.
        socket: String,
    },
    /// It is not there now.
    Away {
        /// The refusal that a client is told, for example `engine.missing`.
        code: String,
        /// Seconds after which asking again makes sense.
        retry_after: u32,
    },
}

/// One API token as its box keeps it: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiToken {
    /// Stands in the record instead of the token.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// SHA-256 over the token's text. A token has 256 random bits, so a plain hash is enough.
    pub sha256: Sha256Digest,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The models it may use, by name; empty means every model of the box.
    #[serde(default)]
    pub models: Vec<String>,
    /// How much it may ask.
    pub quota: Quota,
    /// Unix seconds after which it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// List models.
    Models,
    /// Chat and generate.
    Chat,
    /// Make embeddings.
    Embeddings,
}

/// How much one token may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Requests at the same time.
    pub concurrent: u32,
    /// Requests in any minute.
    pub per_minute: u32,
}

/// What the record keeps of one request: who, what, when, how much, how it ended; never what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestEntry {
    /// The request's id, also in the answer's `x-request-id`.
    pub request: String,
    /// The token's id; `None` where no known token was shown.
    pub token: Option<String>,
    /// Which surface and route, for example `openai/chat`.
    pub route: Route,
    /// The model's digest; `None` where it was refused before a model was found.
    pub model: Option<Sha256Digest>,
    /// When it arrived, unix milliseconds.
    pub began: i64,
    /// Milliseconds until the first token; `None` where there was none.
    pub first_token_ms: Option<u32>,
    /// Milliseconds in all.
    pub total_ms: u32,
    /// Tokens of the prompt, as the engine counted.
    pub prompt_tokens: u32,
    /// Tokens of the answer, as the engine counted.
    pub answer_tokens: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// What stands in the record for what was said; `None` before a body was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitments: Option<Box<Commitments>>,
}

/// What stands for what was said: HMAC-SHA256 under a salt that is kept apart from the record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitments {
    /// The salt, 64 hex digits. It never stands in the record.
    pub salt: String,
    /// Over the request's body, byte for byte.
    pub prompt: Sha256Digest,
    /// Over the answer's text, as far as it went out.
    pub reply: Sha256Digest,
}

impl std::fmt::Debug for Commitments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commitments")
            .field("prompt", &self.prompt)
            .field("reply", &self.reply)
            .finish_non_exhaustive()
    }
}

/// The surface and route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// `POST /v1/chat/completions`.
    #[serde(rename = "openai/chat")]
    OpenAiChat,
    /// `POST /v1/embeddings`.
    #[serde(rename = "openai/embeddings")]
    OpenAiEmbeddings,
    /// `POST /api/chat`.
    #[serde(rename = "ollama/chat")]
    OllamaChat,
    /// `POST /api/generate`.
    #[serde(rename = "ollama/generate")]
    OllamaGenerate,
    /// `POST /api/embed`.
    #[serde(rename = "ollama/embed")]
    OllamaEmbed,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The whole answer was made.
    Answered,
    /// The client went away before the end.
    Abandoned,
    /// It was refused, or ended early.
    Refused {
        /// The refusal's code.
        code: String,
    },
}

/// Why a frame is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameRejection {
    /// More bytes than [`MAX_FRAME_BYTES`].
    #[error("a frame of {found} bytes")]
    TooLarge {
        /// Bytes announced or made.
        found: usize,
    },
    /// Not the JSON of a message.
    #[error("not a message: {reason}")]
    Malformed {
        /// What the parser said; holds no values.
        reason: String,
    },
    /// A version that is not known.
    #[error("version {found} of the local protocol")]
    Version {
        /// The version found.
        found: u32,
    },
}

impl FrameRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &["gateway.frame_too_large", "gateway.frame", "gateway.version"];
}

impl Refusal for FrameRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "gateway.frame_too_large",
            Self::Malformed { .. } => "gateway.frame",
            Self::Version { .. } => "gateway.version",
        }
    }
    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some(format!("at most {MAX_FRAME_BYTES} bytes")),
            Self::Malformed { .. } => None,
            Self::Version { .. } => Some(VERSION.to_string()),
        }
    }
}

/// Refuses a version that this side does not speak.
pub fn check_version(found: u32) -> Result<(), FrameRejection> {
    if found == VERSION {
        Ok(())
    } else {
        Err(FrameRejection::Version { found })
    }
}

/// One message as a frame, its length first.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameRejection> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, message).map_err(malformed)?;
    let length = frame.len().saturating_sub(HEADER_BYTES);
    match u32::try_from(length) {
        Ok(short) if length <= MAX_FRAME_BYTES => {
            for (place, byte) in frame.iter_mut().zip(short.to_be_bytes()) {
                *place = byte;
            }
            Ok(frame)
        }
        _ => Err(FrameRejection::TooLarge { found: length }),
    }
}

/// The length that a header announces, checked before anything is allocated for it.
pub fn frame_length(header: [u8; HEADER_BYTES]) -> Result<usize, FrameRejection> {
    let found = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if found <= MAX_FRAME_BYTES {
        Ok(found)
    } else {
        Err(FrameRejection::TooLarge { found })
    }
}

/// The message in a frame's bytes, without its length.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, FrameRejection> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(FrameRejection::TooLarge { found: frame.len() });
    }
    serde_json::from_slice(frame).map_err(malformed)
}

/// Only the class and place of the fault: a parser's message may quote the value, and values do not belong in logs.
fn malformed(error: serde_json::Error) -> FrameRejection {
    FrameRejection::Malformed {
        reason: format!("{:?} at column {}", error.classify(), error.column()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::sha256;

    fn config() -> ToGateway {
        ToGateway::Config(Config {
            v: VERSION,
            generation: 3,
            box_id: "box1".to_owned(),
            serving: Serving::Open,
            models: vec![ServedModel {
                name: "guide".to_owned(),
                digest: sha256(b"guide"),
                bytes: 7,
                context: 512,
                admitted: 1,
                engine: EngineDoor::Ready {
                    socket: "/run/freehold/engine-1.sock".to_owned(),
                },
                embeddings: Some(EngineDoor::Away {
                    code: "engine.missing".to_owned(),
                    retry_after: 5,
                }),
            }],
            tokens: vec![ApiToken {
                id: "t1".to_owned(),
                name: "ward 3".to_owned(),
                sha256: sha256(b"secret"),
                scopes: vec![Scope::Chat, Scope::Models],
                models: vec![],
                quota: Quota {
                    concurrent: 4,
                    per_minute: 60,
                },
                not_after: None,
            }],
        })
    }

    #[test]
    fn a_message_survives_its_frame() {
        let frame = encode(&config()).unwrap();
        let (header, body) = frame.split_first_chunk::<HEADER_BYTES>().unwrap();
        assert_eq!(frame_length(*header), Ok(body.len()));
        assert_eq!(decode::<ToGateway>(body), Ok(config()));
        let read = std::str::from_utf8(body).unwrap();
        assert!(
            read.contains(r#""kind":"config""#) && read.contains(r#""box":"box1""#),
            "{read}"
        );
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_before_it_is_read() {
        assert_eq!(frame_length([0xff; 4]).unwrap_err().code(), "gateway.frame_too_large");
        let message = ToGateway::Stop {
            reason: "x".repeat(MAX_FRAME_BYTES),
        };
        assert_eq!(encode(&message).unwrap_err().code(), "gateway.frame_too_large");
    }

    #[test]
    fn a_parser_complaint_never_quotes_the_value() {
        let rejection = decode::<ToSupervisor>(br#"{"kind":"top secret"}"#).unwrap_err();
        assert_eq!(rejection.code(), "gateway.frame");
        assert!(!rejection.to_string().contains("secret"), "{rejection}");
        assert_eq!(check_version(2).unwrap_err().code(), "gateway.version");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_a_refusal(bytes: Vec<u8>) {
            let _ = decode::<ToSupervisor>(&bytes);
            let _ = decode::<ToGateway>(&bytes);
        }
    }
}
