//! What the box asks its console, over one pinned TLS connection or by a stick.
//!
//! Refuses answers of another form or size than the protocol's. Invariant: the server was known by the fleet CA's
//! fingerprint before a byte was sent, and our side proved its TPM's key; a stick was signed by the director.

use std::sync::Arc;

use bytes::Bytes;
use freehold_channel::{Dates, Protocols, ServerPin, client_config};
use freehold_dial::{Answer, DialError, Dialer};
use freehold_protocol::V1;
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolChallenge, EnrolStatus, Pairing};
use freehold_protocol::report::{
    BoxReport, Challenge, ChallengeRequest, RecordCheckpoint, RecordCosignature, ReportAnswer, VerdictAnswer,
};
use freehold_protocol::routes;
use freehold_protocol::witness::{WitnessAsk, WitnessOffers};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::BoxClock;
use crate::fault::Fault;
use crate::identity::{Identity, Unsigned};
use crate::pairing::digest_of;
use crate::stick::ImportRejection;
use crate::stick::courier::Courier;

/// Bounds an answer that is a message.
const MAX_MESSAGE: usize = 1 << 20;

/// What a console that lacks something answers.
const NOT_FOUND: &str = "console.not_found";

/// A console's refusal as it travels.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    message: String,
    #[serde(default)]
    expected: Option<String>,
    #[serde(default)]
    found: Option<String>,
}

/// The console.
#[derive(Debug)]
pub(crate) struct Console(Way);

/// How it is reached.
#[derive(Debug)]
enum Way {
    Wire(Box<Wire>),
    Stick(Arc<Courier>),
}

/// A connection.
#[derive(Debug)]
struct Wire {
    dialer: Dialer,
    unsigned: Unsigned,
}

impl Console {
    /// A console that is not connected yet.
    pub(crate) fn new(pairing: &Pairing, identity: &Identity, clock: &BoxClock) -> Result<Self, Fault> {
        // A box whose clock nobody has confirmed cannot judge dates; the pin holds all the same, and the console's first
        // signed time ends that.
        let dates = if clock.is_signed() {
            Dates::Enforced
        } else {
            Dates::ForTimeOnly
        };
        let pin = ServerPin::FleetAuthority(digest_of(&pairing.fleet_ca)?);
        let config = client_config(
            pin,
            dates,
            Some(identity.handshake.clone()),
            Protocols::Http1,
            &clock.for_tls(),
        )?;
        Ok(Self(Way::Wire(Box::new(Wire {
            dialer: Dialer::new(&pairing.console, config).map_err(|error| away(&error))?,
            unsigned: identity.unsigned.clone(),
        }))))
    }

    /// A console that speaks by a stick.
    pub(crate) fn by_stick(courier: Arc<Courier>) -> Self {
        Self(Way::Stick(courier))
    }

    /// The connection; what needs one waits for the next stick where there is none.
    fn wire(&self) -> Result<&Wire, Fault> {
        match &self.0 {
            Way::Wire(wire) => Ok(wire),
            Way::Stick(_) => Err(ImportRejection::AnswerLater.into()),
        }
    }

    /// Bytes at `path`; `None` when there are none.
    pub(crate) async fn get(&self, path: &str, limit: usize) -> Result<Option<Bytes>, Fault> {
        match &self.0 {
            Way::Stick(courier) => courier.get(path, limit),
            Way::Wire(wire) => wire.get(path, limit).await,
        }
    }

    /// The bytes `start..end` of a target's file.
    pub(crate) async fn range(&self, target: &str, start: u64, end: u64) -> Result<Bytes, Fault> {
        match &self.0 {
            Way::Stick(courier) => courier.range(target, start, end),
            Way::Wire(wire) => wire.range(target, start, end).await,
        }
    }

    pub(crate) async fn enrol_begin(&self, message: &EnrolBegin) -> Result<EnrolChallenge, Fault> {
        match &self.0 {
            Way::Stick(courier) => courier.enrol_begin(message),
            Way::Wire(wire) => wire.post(routes::ENROL_BEGIN, message).await,
        }
    }

    pub(crate) async fn enrol_activate(&self, message: &EnrolActivate) -> Result<EnrolStatus, Fault> {
        match &self.0 {
            Way::Stick(courier) => Ok(courier.enrol_activate(message)),
            Way::Wire(wire) => wire.post(routes::ENROL_ACTIVATE, message).await,
        }
    }

    pub(crate) async fn enrol_status(&self) -> Result<EnrolStatus, Fault> {
        let path = routes::ENROL_STATUS;
        match &self.0 {
            Way::Stick(courier) => Ok(courier.enrol_status()),
            Way::Wire(wire) => read(path, &wire.ask(Method::GET, path, "", Bytes::new(), MAX_MESSAGE).await?),
        }
    }

    pub(crate) async fn challenge(&self) -> Result<Challenge, Fault> {
        self.wire()?.post(routes::CHALLENGE, &ChallengeRequest { v: V1 }).await
    }

    pub(crate) async fn evidence(&self, evidence: Vec<u8>) -> Result<VerdictAnswer, Fault> {
        let kind = "application/vnd.freehold.evidence+cbor";
        let path = routes::EVIDENCE;
        let wire = self.wire()?;
        read(
            path,
            &wire.ask(Method::POST, path, kind, evidence.into(), MAX_MESSAGE).await?,
        )
    }

    pub(crate) async fn report(&self, report: &BoxReport) -> Result<ReportAnswer, Fault> {
        match &self.0 {
            Way::Stick(courier) => courier.report(report),
            Way::Wire(wire) => wire.post(routes::REPORT, report).await,
        }
    }

    pub(crate) async fn witness(&self, ask: &WitnessAsk) -> Result<WitnessOffers, Fault> {
        self.wire()?.post(routes::WITNESS, ask).await
    }

    pub(crate) async fn record(&self, checkpoint: &RecordCheckpoint) -> Result<RecordCosignature, Fault> {
        self.wire()?.post(routes::RECORD, checkpoint).await
    }
}

impl Wire {
    /// Why there was no answer. A handshake that our own TPM did not sign says nothing about the console.
    fn fault(&self, error: &DialError) -> Fault {
        match (error, self.unsigned.take()) {
            (DialError::Connect { .. }, Some(report)) => report.into(),
            _ => away(error),
        }
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: Bytes, limit: usize) -> Result<Answer, Fault> {
        let headers = [("content-type", kind)];
        let headers = if body.is_empty() { &headers[..0] } else { &headers[..] };
        let answer = match self
            .dialer
            .ask(method.clone(), path, headers, body.clone(), limit)
            .await
        {
            // A kept connection that the console closed meanwhile: once more over a new one.
            Err(DialError::Broken { .. }) => self.dialer.ask(method, path, headers, body, limit).await,
            answer => answer,
        }
        .map_err(|error| self.fault(&error))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Err(Fault::of(NOT_FOUND, format!("the console has no `{path}`")));
        }
        Err(match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => Fault::Coded {
                code: problem.code,
                message: problem.message,
                expected: problem.expected,
                found: problem.found,
            },
            Err(_) => Fault::of(
                "console.answer",
                format!("the console answered {} to `{path}`", answer.status),
            ),
        })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, message: &impl Serialize) -> Result<T, Fault> {
        let body = serde_json::to_vec(message).map_err(|error| Fault::of("console.answer", error.to_string()))?;
        read(
            path,
            &self
                .ask(Method::POST, path, "application/json", body.into(), MAX_MESSAGE)
                .await?,
        )
    }

    async fn get(&self, path: &str, limit: usize) -> Result<Option<Bytes>, Fault> {
        match self.ask(Method::GET, path, "", Bytes::new(), limit).await {
            Ok(answer) if answer.status == StatusCode::NO_CONTENT => Ok(None),
            Ok(answer) => Ok(Some(answer.body)),
            Err(fault) if fault.code() == NOT_FOUND => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn range(&self, target: &str, start: u64, end: u64) -> Result<Bytes, Fault> {
        let path = format!("{}{target}", routes::REPOSITORY_TARGETS);
        let wanted = end.saturating_sub(start);
        let limit = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let range = format!("bytes={start}-{}", end.saturating_sub(1));
        let headers = [("range", range.as_str())];
        let ask = || {
            self.dialer
                .ask(Method::GET, &path, &headers, Bytes::new(), limit.max(MAX_MESSAGE))
        };
        let answer = match ask().await {
            Err(DialError::Broken { .. }) => ask().await,
            answer => answer,
        }
        .map_err(|error| self.fault(&error))?;
        if answer.status != StatusCode::PARTIAL_CONTENT || answer.body.len() != limit {
            let message = format!(
                "the console answered {} with {} bytes to a range",
                answer.status,
                answer.body.len()
            );
            return Err(Fault::of("console.answer", message));
        }
        Ok(answer.body)
    }
}

fn read<T: DeserializeOwned>(path: &str, answer: &Answer) -> Result<T, Fault> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Fault::of(
            "console.answer",
            format!("the answer to `{path}` is not of its form: {error}"),
        )
    })
}

/// Pin faults have a code of their own; everything else is a console that is away.
fn away(error: &DialError) -> Fault {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    match error {
        DialError::Pin { source, .. } => Fault::of(source.code(), text),
        DialError::TooLong { .. } => Fault::of("console.answer", text),
        _ => Fault::of("console.away", text),
    }
}
