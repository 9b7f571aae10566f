//! The questions that a release brings, asked of its engine.
//!
//! Refuses questions that cannot be read (`health.malformed`). Invariant: what was asked and answered is not kept.

use std::path::Path;
use std::time::{Duration, Instant};

use freehold_engine::ask::{Chat, Message, Role, Sampling};
use freehold_engine::{Answer, Engine as _, LlamaServer};
use freehold_execute::{Reading, StepFailed};
use freehold_plan::{HealthRejection, MAX_SELF_TEST, SelfTest};
use freehold_verify::Refusal as _;

/// How long one answer may take: a large model on a processor writes a token in a few seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// Bounds what an engine can make us hold of one answer.
const MAX_ANSWER: usize = 64 << 10;

/// The questions that a release brings; its bytes were found to be the admitted ones when its engine was started.
pub(super) fn read_self_test(name: &str, path: &Path) -> Result<SelfTest, StepFailed> {
    let refused = |rejection: HealthRejection| StepFailed::Refused(rejection.report());
    let length = std::fs::metadata(path).map(|file| file.len());
    let read = match length {
        Ok(length) if length > u64::try_from(MAX_SELF_TEST).unwrap_or(u64::MAX) => {
            return Err(refused(HealthRejection::Malformed {
                name: name.to_owned(),
                detail: format!("{length} bytes"),
            }));
        }
        Ok(_) => std::fs::read(path),
        Err(error) => Err(error),
    };
    let bytes = read.map_err(|error| StepFailed::away("store.io", format!("`{}`: {error}", path.display())))?;
    SelfTest::parse(name, &bytes).map_err(refused)
}

/// Asks every question in a conversation of its own; answers how many answers were as expected. What was asked and answered
/// is not kept.
pub(super) async fn ask_all(engine: &LlamaServer, test: &SelfTest) -> (u32, Reading) {
    let (mut right, mut tokens, mut took) = (0_u32, 0_u64, Duration::ZERO);
    for question in &test.questions {
        let chat = Chat {
            messages: vec![Message {
                role: Role::User,
                content: question.prompt.clone(),
            }],
            sampling: Sampling {
                max_tokens: Some(test.max_tokens),
                temperature: Some(0.0),
                ..Sampling::default()
            },
        };
        let begun = Instant::now();
        let answer = tokio::time::timeout(ANSWER_LIMIT, async {
            Answer::collect(engine.chat(chat).await?, MAX_ANSWER).await
        });
        match answer.await {
            Ok(Ok(answer)) => {
                took += begun.elapsed();
                tokens = tokens.saturating_add(answer.usage.answer_tokens.into());
                right = right.saturating_add(u32::from(question.holds(&answer.text)));
            }
            // No answer is a wrong one.
            Ok(Err(error)) => tracing::warn!(code = error.code(), %error, "a question of the self-test got no answer"),
            Err(_) => tracing::warn!("a question of the self-test got no answer in time"),
        }
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let speed = tokens.saturating_mul(1_000_000_000).checked_div(micros);
    let total = u32::try_from(test.questions.len()).unwrap_or(u32::MAX);
    let reading = Reading {
        answers: Some((right, total)),
        speed: speed.filter(|speed| *speed > 0),
    };
    (right, reading)
}
