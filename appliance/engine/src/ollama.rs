//! The adapter for Ollama servers, by ollama-rs: for a machine that has one already, and for asking another box.
//!
//! Refuses addresses that are not on this machine: plain HTTP is for the loopback only. Invariant: an answer is complete or an
//! error, although the library's streams end the same way in both cases.

use crate::answer::{AnswerPart, AnswerStream, Embeddings, Finish, Usage};
use crate::ask::{Chat, Completion, Embed, Format, Role, Sampling};
use crate::engine::{Engine, Health};
use crate::error::EngineError;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use ollama_rs::Ollama;
use ollama_rs::error::OllamaError;
use ollama_rs::generation::chat::request::ChatMessageRequest;
use ollama_rs::generation::chat::{ChatMessage, ChatMessageResponse, MessageRole};
use ollama_rs::generation::completion::request::GenerationRequest;
use ollama_rs::generation::embeddings::request::GenerateEmbeddingsRequest;
use ollama_rs::generation::parameters::FormatType;
use ollama_rs::models::ModelOptions;
use std::net::SocketAddr;

/// An Ollama server and one of its models.
#[derive(Debug, Clone)]
pub struct OllamaServer {
    client: Ollama,
    model: String,
}

impl OllamaServer {
    /// The server at a loopback address; `token` is sent as a bearer token where there is one.
    pub fn new(address: SocketAddr, model: &str, token: Option<&str>) -> Result<Self, EngineError> {
        if !address.ip().is_loopback() {
            return Err(EngineError::Unsupported {
                what: "an Ollama server that is not on this machine",
            });
        }
        let mut client = Ollama::try_new(format!("http://{address}"))
            .map_err(|_| EngineError::Unsupported { what: "this address" })?;
        if let Some(token) = token {
            let value = format!("Bearer {token}")
                .parse()
                .map_err(|_| EngineError::Unsupported { what: "this token" })?;
            let mut headers = hyper::HeaderMap::new();
            headers.insert(hyper::header::AUTHORIZATION, value);
            client.set_headers(Some(headers));
        }
        Ok(Self {
            client,
            model: model.to_owned(),
        })
    }

    async fn stream(&self, ask: Chat) -> Result<AnswerStream, EngineError> {
        let message = |one: crate::ask::Message| {
            let role = match one.role {
                Role::System => MessageRole::System,
                Role::User => MessageRole::User,
                Role::Assistant => MessageRole::Assistant,
            };
            ChatMessage::new(role, one.content)
        };
        let mut request = ChatMessageRequest::new(self.model.clone(), ask.messages.into_iter().map(message).collect());
        if ask.sampling.format == Format::Json {
            request = request.format(FormatType::Json);
        }
        request = request.options(options(&ask.sampling)?);
        let responses = self
            .client
            .send_chat_messages_stream(request)
            .await
            .map_err(|error| failed(&error))?;
        let parts = responses
            .map(|response| response.map_err(|()| broken("the connection ended")))
            .flat_map(|response| {
                stream::iter(match response {
                    Ok(response) => parts(response),
                    Err(error) => vec![Err(error)],
                })
            });
        Ok(Box::pin(until_end(parts)))
    }

    async fn continue_text(&self, ask: Completion) -> Result<AnswerStream, EngineError> {
        // Not the library's stream: it drops lines that the network cut in two.
        let request = GenerationRequest::new(self.model.clone(), ask.prompt)
            .raw(true)
            .options(options(&ask.sampling)?);
        let response = self.client.generate(request).await.map_err(|error| failed(&error))?;
        let count = |number: Option<u64>| u32::try_from(number.unwrap_or(0)).unwrap_or(u32::MAX);
        let usage = Usage {
            prompt_tokens: count(response.prompt_eval_count),
            answer_tokens: count(response.eval_count),
        };
        let end = AnswerPart::End {
            finish: finish(&ask.sampling, usage),
            usage,
        };
        let text = (!response.response.is_empty()).then_some(Ok(AnswerPart::Text(response.response)));
        Ok(Box::pin(stream::iter(text.into_iter().chain([Ok(end)]))))
    }
}

impl Engine for OllamaServer {
    fn kind(&self) -> &'static str {
        "ollama"
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, EngineError>> {
        Box::pin(async move {
            let models = self.client.list_local_models().await.map_err(|error| failed(&error))?;
            let same = |name: &str| name == self.model || name.strip_suffix(":latest") == Some(self.model.as_str());
            if models.iter().any(|model| same(&model.name)) {
                Ok(Health::Ready)
            } else {
                Err(EngineError::Missing {
                    reason: "it does not have the model".to_owned(),
                })
            }
        })
    }

    fn chat(&self, ask: Chat) -> BoxFuture<'_, Result<AnswerStream, EngineError>> {
        Box::pin(self.stream(ask))
    }

    fn complete(&self, ask: Completion) -> BoxFuture<'_, Result<AnswerStream, EngineError>> {
        Box::pin(self.continue_text(ask))
    }

    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embeddings, EngineError>> {
        Box::pin(async move {
            let wanted = ask.texts.len();
            let request = GenerateEmbeddingsRequest::new(self.model.clone(), ask.texts.into());
            let made = self
                .client
                .generate_embeddings(request)
                .await
                .map_err(|error| failed(&error))?;
            if made.embeddings.len() != wanted {
                return Err(EngineError::AnswerMalformed { what: "embeddings" });
            }
            // The library does not pass on the count of tokens.
            Ok(Embeddings {
                vectors: made.embeddings,
                usage: Usage::default(),
            })
        })
    }
}

/// The parts of one line of an answer.
fn parts(response: ChatMessageResponse) -> Vec<Result<AnswerPart, EngineError>> {
    let mut parts = Vec::new();
    if !response.message.content.is_empty() {
        parts.push(Ok(AnswerPart::Text(response.message.content)));
    }
    if response.done {
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        parts.push(match response.final_data {
            Some(data) => Ok(AnswerPart::End {
                // The library does not pass on the reason.
                finish: Finish::Stop,
                usage: Usage {
                    prompt_tokens: count(data.prompt_eval_count),
                    answer_tokens: count(data.eval_count),
                },
            }),
            None => Err(EngineError::AnswerMalformed {
                what: "end without a count",
            }),
        });
    }
    parts
}

/// Adds the error that a stream without an end stands for.
fn until_end(
    parts: impl futures::Stream<Item = Result<AnswerPart, EngineError>> + Send + 'static,
) -> impl futures::Stream<Item = Result<AnswerPart, EngineError>> + Send + 'static {
    stream::unfold((Box::pin(parts), false), |(mut parts, ended)| async move {
        if ended {
            return None;
        }
        let part = parts
            .next()
            .await
            .unwrap_or_else(|| Err(broken("the answer has no end")));
        let ended = !matches!(part, Ok(AnswerPart::Text(_)));
        Some((part, (parts, ended)))
    })
}

fn options(sampling: &Sampling) -> Result<ModelOptions, EngineError> {
    if sampling.presence_penalty.is_some() || sampling.frequency_penalty.is_some() {
        return Err(EngineError::Unsupported {
            what: "presence or frequency penalty",
        });
    }
    let mut options = ModelOptions::default();
    if let Some(tokens) = sampling.max_tokens {
        options = options.num_predict(i32::try_from(tokens).unwrap_or(i32::MAX));
    }
    if let Some(temperature) = sampling.temperature {
        options = options.temperature(temperature);
    }
    if let Some(top_p) = sampling.top_p {
        options = options.top_p(top_p);
    }
    if let Some(top_k) = sampling.top_k {
        options = options.top_k(top_k);
    }
    if let Some(min_p) = sampling.min_p {
        options = options.min_p(min_p);
    }
    if let Some(seed) = sampling.seed {
        // The same bits: Ollama's seed has a sign.
        options = options.seed(i32::from_ne_bytes(seed.to_ne_bytes()));
    }
    if let Some(penalty) = sampling.repeat_penalty {
        options = options.repeat_penalty(penalty);
    }
    if !sampling.stop.is_empty() {
        options = options.stop(sampling.stop.clone());
    }
    Ok(options)
}

fn finish(sampling: &Sampling, usage: Usage) -> Finish {
    if sampling.max_tokens == Some(usage.answer_tokens) {
        Finish::Length
    } else {
        Finish::Stop
    }
}

fn broken(reason: &str) -> EngineError {
    EngineError::BrokenOff {
        reason: reason.to_owned(),
    }
}

/// Only the class: the server's words may quote the prompt.
fn failed(error: &OllamaError) -> EngineError {
    match error {
        OllamaError::ReqwestError(error) if error.is_connect() => EngineError::Missing {
            reason: "connection refused".to_owned(),
        },
        OllamaError::ReqwestError(_) => broken("the connection failed"),
        OllamaError::JsonError(_) => EngineError::AnswerMalformed { what: "answer" },
        // The library keeps the body of a refusal and drops its status.
        _ => EngineError::Refused { status: 400 },
    }
}
