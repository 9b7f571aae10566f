//! `freehold ask BOX "…"`: a question to a model, with the box's key pinned by what the console knows of it.
//!
//! Refuses a gateway whose key is not the one that the box reported under attestation.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use freehold_channel::{Dates, Protocols, ServerPin, client_config};
use freehold_dial::Dialer;
use freehold_trust::digest::Sha256Digest;
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused};
use crate::arguments::Setting;
use crate::boxes;
use crate::console::{Console, clock, list, text};
use crate::profile::Profile;

/// How long a token that was just made may be unknown to the box: two reports of a box that reports every 30 s.
const TOKEN_PATIENCE: Duration = Duration::from_secs(60);

/// Ask a model on a box.
#[derive(Debug, Args)]
pub struct Ask {
    /// Identifier or label of the box.
    r#box: String,
    /// The question.
    prompt: String,
    /// The model; the box's first one when left out.
    #[arg(long)]
    model: Option<String>,
    /// Longest answer, tokens.
    #[arg(long, default_value_t = 200)]
    max_tokens: u32,
    /// 0 gives the same answer each time.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
}

/// What was said and how fast, in the client's measure.
#[derive(Debug, Default, serde::Serialize)]
struct Chat {
    r#box: String,
    model: String,
    prompt: String,
    reply: String,
    tokens: u64,
    ttft_ms: f64,
    tokens_per_s: f64,
}

impl Ask {
    /// Asks, streams, sums up.
    pub async fn run(self, setting: &Setting) -> Result<(), Fault> {
        let mut profile = Profile::load(&setting.profile)?;
        let console = Console::open(&profile)?;
        let one = boxes::find(&console, &self.r#box).await?;
        let id = text(&one, "id");
        let (url, spki) = (text(&one["gateway"], "url"), text(&one["gateway"], "spki"));
        let spki: Sha256Digest = spki.parse().map_err(|_| {
            Fault::could_not_tell(
                format!("box `{}` has not reported a gateway", self.r#box),
                "it may still be starting: freehold box show",
            )
        })?;
        let model = match self.model.clone().or_else(|| first_serving(&one)) {
            Some(model) => model,
            None => {
                return Err(Fault::could_not_tell(
                    format!("box `{}` serves no model", self.r#box),
                    "freehold box assign BOX models/NAME/VERSION/release.json",
                ));
            }
        };
        let mut fresh = false;
        let token = match profile.tokens.get(&id) {
            Some(token) => token.clone(),
            None => {
                let body = json!({"name": "freehold ask", "models": []});
                let made = console
                    .call(Method::POST, &format!("/api/v1/boxes/{id}/tokens"), Some(body))
                    .await?;
                let token = text(&made, "token");
                profile.tokens.insert(id.clone(), token.clone());
                profile.save(&setting.profile)?;
                fresh = true;
                token
            }
        };
        let config = client_config(ServerPin::Key(spki), Dates::Enforced, None, Protocols::Http1, &clock())?;
        let dialer = Dialer::new(&url, config)?;
        let mut chat = Chat {
            r#box: id,
            model,
            prompt: self.prompt.clone(),
            ..Chat::default()
        };
        let began = Instant::now();
        loop {
            match self.stream(&dialer, &token, &mut chat, setting).await {
                // The box learns of a new token with its next report.
                Err(Fault::Refused(refused))
                    if fresh && refused.code == "gateway.token" && began.elapsed() < TOKEN_PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                other => break other?,
            }
        }
        if setting.json {
            println!("{}", serde_json::to_string(&chat)?);
        } else if std::io::stdout().is_terminal() {
            eprintln!(
                "\n{} tokens, first after {:.0} ms, then {:.0} a second",
                chat.tokens, chat.ttft_ms, chat.tokens_per_s
            );
        }
        Ok(())
    }

    async fn stream(&self, dialer: &Dialer, token: &str, chat: &mut Chat, setting: &Setting) -> Result<(), Fault> {
        let body = json!({
            "model": chat.model,
            "messages": [{"role": "user", "content": self.prompt}],
            "stream": true,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        });
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let body = Bytes::from(serde_json::to_vec(&body)?);
        let asked = Instant::now();
        let answer = dialer
            .open(Method::POST, "/v1/chat/completions", &headers, body)
            .await?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut pending = Vec::new();
        let mut first: Option<Instant> = None;
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Fault::could_not_tell(format!("the answer broke off: {error}"), "ask again"))?;
            let Ok(data) = frame.into_data() else { continue };
            pending.extend_from_slice(&data);
            if !status.is_success() {
                continue;
            }
            while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = pending.drain(..end + 2).collect();
                if let Some(piece) = piece_of(&event)? {
                    first.get_or_insert_with(Instant::now);
                    chat.tokens += 1;
                    chat.reply.push_str(&piece);
                    if !setting.json {
                        print!("{}", visible_lines(&piece));
                        std::io::stdout().flush()?;
                    }
                }
            }
        }
        if !status.is_success() {
            return Err(refusal(status, &pending));
        }
        if !setting.json {
            println!();
        }
        if let Some(first) = first {
            chat.ttft_ms = first.duration_since(asked).as_secs_f64() * 1000.0;
            let rest = first.elapsed().as_secs_f64();
            if chat.tokens > 1 && rest > 0.0 {
                #[allow(clippy::cast_precision_loss)] // a count of tokens is far below 2^52
                let after_first = (chat.tokens - 1) as f64;
                chat.tokens_per_s = after_first / rest;
            }
        }
        Ok(())
    }
}

fn first_serving(one: &Value) -> Option<String> {
    list(one, "models")
        .iter()
        .find(|model| model["phase"] == "serving")
        .map(|model| text(model, "name"))
}

/// The text of one server-sent event; an error inside the stream becomes a refusal.
fn piece_of(event: &[u8]) -> Result<Option<String>, Fault> {
    let event = String::from_utf8_lossy(event);
    let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else {
        return Ok(None);
    };
    if data == "[DONE]" {
        return Ok(None);
    }
    let value: Value = serde_json::from_str(data)?;
    if !value["error"].is_null() {
        return Err(Fault::Refused(refused(&value["error"])));
    }
    let piece = value["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    Ok((!piece.is_empty()).then(|| piece.to_owned()))
}

fn refused(error: &Value) -> Refused {
    Refused {
        code: error["code"].as_str().unwrap_or("gateway.unknown").to_owned(),
        message: error["message"].as_str().unwrap_or("refused").to_owned(),
        expected: None,
        found: None,
    }
}

fn refusal(status: http::StatusCode, body: &[u8]) -> Fault {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if !value["error"].is_null() => Fault::Refused(refused(&value["error"])),
        _ => Fault::could_not_tell(format!("the box answered {status}"), "freehold box show BOX"),
    }
}

/// Model output may hold anything: control characters but line breaks and tabs are made visible.
fn visible_lines(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
