//! `summary.json`: what the tour saw, for scripts.

use serde::Serialize;

/// The whole summary.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Where a browser on this machine reaches the console.
    pub console_url: String,
    /// The boxes.
    pub boxes: Vec<BoxLine>,
    /// The model that answered.
    pub model: ModelLine,
    /// The answer.
    pub chat: ChatLine,
    /// What was refused.
    pub refusals: Vec<RefusalLine>,
    /// The rollout of the second version.
    pub rollout: RolloutLine,
    /// The records.
    pub audit: AuditLine,
    /// Frames that left the demonstration's networks.
    pub frames_left: u64,
    /// Durations.
    pub seconds: Seconds,
}

/// One box.
#[derive(Debug, Default, Serialize)]
pub struct BoxLine {
    /// Identifier.
    pub id: String,
    /// Verdict word.
    pub verdict: String,
    /// `software` or `hardware`, as derived from the EK's root.
    pub tpm: String,
    /// `simulated` or `measured`.
    pub boot: String,
}

/// The model.
#[derive(Debug, Default, Serialize)]
pub struct ModelLine {
    /// Name and version.
    pub name: String,
    /// Root digest, hex.
    pub digest: String,
    /// Fingerprint of the signer, hex.
    pub signer: String,
}

/// One chat.
#[derive(Debug, Default, Serialize)]
pub struct ChatLine {
    /// The question.
    pub prompt: String,
    /// The answer.
    pub reply: String,
    /// Tokens in the answer.
    pub tokens: u64,
    /// Milliseconds to the first token, from the client's side.
    pub ttft_ms: f64,
    /// Tokens a second after the first.
    pub tokens_per_s: f64,
}

/// One refusal.
#[derive(Debug, Default, Serialize)]
pub struct RefusalLine {
    /// What was tried.
    pub case: String,
    /// The code it was refused with.
    pub code: String,
}

/// The rollout.
#[derive(Debug, Default, Serialize)]
pub struct RolloutLine {
    /// How it ended: `done`, `rolled_back`, …
    pub state: String,
    /// How many waves it had.
    pub waves: u64,
    /// Labels of boxes that went back.
    pub rolled_back: Vec<String>,
    /// Labels of boxes that were brought along by stick.
    pub by_stick: Vec<String>,
}

/// The records of console and boxes together.
#[derive(Debug, Default, Serialize)]
pub struct AuditLine {
    /// Entries in all records.
    pub entries: u64,
    /// Root of the console's record, hex.
    pub root: String,
    /// Whether `freehold-inspect` verified every record.
    pub verified: bool,
    /// Acknowledged entries that were not found again.
    pub lost: u64,
}

/// Durations in seconds.
#[derive(Debug, Default, Serialize)]
pub struct Seconds {
    /// Keys, console, processes.
    pub setup: f64,
    /// All boxes enrolled and approved.
    pub enrol: f64,
    /// All boxes with a verdict.
    pub attest: f64,
    /// The model assigned and serving.
    pub admit: f64,
    /// To the first token.
    pub first_token: f64,
    /// All acts.
    pub total: f64,
}
