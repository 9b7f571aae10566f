//! One request's entry in the record, while it grows.
//!
//! Refuses to hold a word of what was said: it commits to it under a salt of its own. Invariant: an entry is sent exactly once, also when the client goes away.

use crate::link::Link;
use crate::refusal::GatewayRejection;
use freehold_engine::Usage;
use freehold_protocol::local::{Commitments, Outcome, RequestEntry, Route};
use freehold_record::{Commitment, commitment};
use freehold_trust::Sha256Digest;
use std::time::Instant;
use time::OffsetDateTime;

/// A request that is being worked on. Dropped before it was finished, it is recorded as abandoned.
pub struct Entry {
    link: Link,
    began: Instant,
    entry: Option<RequestEntry>,
    said: Option<Said>,
}

/// What was said, as far as it can be committed to.
struct Said {
    salt: [u8; 32],
    prompt: Sha256Digest,
    reply: Commitment,
}

impl Entry {
    /// Begins at the arrival of the request.
    pub fn begin(link: Link, request: String, token: &str, route: Route) -> Self {
        let now = OffsetDateTime::now_utc();
        let began = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        let entry = RequestEntry {
            request,
            token: Some(token.to_owned()),
            route,
            model: None,
            began,
            first_token_ms: None,
            total_ms: 0,
            prompt_tokens: 0,
            answer_tokens: 0,
            outcome: Outcome::Abandoned,
            commitments: None,
        };
        Self {
            link,
            began: Instant::now(),
            entry: Some(entry),
            said: None,
        }
    }

    /// The body has come: from here on the entry commits to it, and to the answer.
    pub fn asked(&mut self, body: &[u8]) {
        let mut salt = [0; 32];
        // Without a salt there is no commitment: one without would be a fingerprint of what was said.
        if freehold_channel::provider().secure_random.fill(&mut salt).is_ok() {
            self.said = Some(Said {
                prompt: commitment(&salt, body),
                reply: Commitment::begin(&salt),
                salt,
            });
        }
    }

    /// The model was found.
    pub fn model(&mut self, digest: Sha256Digest) {
        if let Some(entry) = &mut self.entry {
            entry.model = Some(digest);
        }
    }

    /// A piece of the answer is on its way; for the time only the first one counts.
    pub fn token_made(&mut self, text: &str) {
        if let Some(said) = &mut self.said {
            said.reply.update(text.as_bytes());
        }
        if let Some(entry) = &mut self.entry
            && entry.first_token_ms.is_none()
        {
            entry.first_token_ms = Some(milliseconds(self.began));
        }
    }

    /// The time since the request arrived.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Records an answer; `Ok` only when the entry is durable.
    pub async fn answered(mut self, usage: Usage) -> Result<(), GatewayRejection> {
        let Some(mut entry) = self.entry.take() else {
            return Ok(());
        };
        entry.prompt_tokens = usage.prompt_tokens;
        entry.answer_tokens = usage.answer_tokens;
        entry.outcome = Outcome::Answered;
        entry.total_ms = self.elapsed();
        entry.commitments = self.commitments();
        self.link.record(entry).await
    }

    /// Records a refusal, without waiting for it: nothing was given away that would need it.
    pub fn refused(mut self, rejection: &GatewayRejection) {
        if let Some(mut entry) = self.entry.take() {
            entry.outcome = Outcome::Refused {
                code: rejection.code().to_owned(),
            };
            entry.total_ms = self.elapsed();
            entry.commitments = self.commitments();
            self.link.send(entry);
        }
    }

    fn commitments(&mut self) -> Option<Box<Commitments>> {
        let said = self.said.take()?;
        Some(Box::new(Commitments {
            salt: said.salt.iter().map(|byte| format!("{byte:02x}")).collect(),
            prompt: said.prompt,
            reply: said.reply.finish(),
        }))
    }

    fn elapsed(&self) -> u32 {
        milliseconds(self.began)
    }
}

fn milliseconds(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.total_ms = self.elapsed();
            entry.commitments = self.commitments();
            self.link.send(entry);
        }
    }
}
