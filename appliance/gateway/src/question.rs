//! A question to a model, whosever protocol it came in: looked up, recorded, asked; then answered whole or piece by piece.
//!
//! Refuses in one order for all: unknown model, absent engine, fields, engine. Invariant: a question that is refused here has
//! an entry that says so, and one that is not has a stream of answer parts.

use crate::entry::Entry;
use crate::refusal::GatewayRejection;
use crate::stream::{self, Voice};
use crate::work::{Admitted, Hold};
use axum::body::Body;
use freehold_engine::{Answer, AnswerStream, Chat, Completion, Engine as _};
use hyper::Response;
use tokio::time::Instant;

/// What an engine is asked. Without `Debug`, as the questions themselves: what somebody asks is in no log.
pub enum Question {
    /// A conversation.
    Chat(Chat),
    /// A text to go on with, as it stands.
    Completion(Completion),
}

/// The fields of a route that asks a model.
pub trait Asked {
    /// The model's name as the client wrote it.
    fn model(&self) -> &str;
    /// Whether the answer is wanted piece by piece.
    fn streamed(&self) -> bool;
    /// The question itself.
    ///
    /// # Errors
    /// A field whose value is not taken, by name.
    fn into_question(self) -> Result<Question, GatewayRejection>;
}

/// A question that an engine has begun to answer.
pub struct Begun {
    /// The model's own name.
    pub model: String,
    parts: AnswerStream,
    entry: Entry,
    deadline: Instant,
    hold: Hold,
}

/// Asks the engine of the model that is meant.
///
/// # Errors
/// A refusal, which is in the entry then.
pub async fn begin<T: Asked>(admitted: Admitted<T>) -> Result<Begun, GatewayRejection> {
    let Admitted {
        fields,
        token,
        served,
        mut entry,
        hold,
        ..
    } = admitted;
    let deadline = stream::deadline();
    let asking = async {
        let model = served.model(&token, fields.model())?;
        entry.model(model.digest);
        let engine = served.engine(&model.engine)?;
        let parts = match fields.into_question()? {
            Question::Chat(chat) => stream::within(deadline, engine.chat(chat)).await?,
            Question::Completion(text) => stream::within(deadline, engine.complete(text)).await?,
        };
        Ok((model.name.clone(), parts))
    };
    match asking.await {
        Ok((model, parts)) => Ok(Begun {
            model,
            parts,
            entry,
            deadline,
            hold,
        }),
        Err(rejection) => {
            entry.refused(&rejection);
            Err(rejection)
        }
    }
}

impl Begun {
    /// The answer as a stream of pieces.
    pub fn piece_by_piece<V: Voice>(self, voice: V) -> Response<Body> {
        stream::piece_by_piece(voice, self.parts, self.entry, self.deadline, self.hold)
    }

    /// The answer in one piece, once its entry is durable.
    ///
    /// # Errors
    /// What the engine or the record refuses.
    pub async fn whole(self) -> Result<Answer, GatewayRejection> {
        let _hold = self.hold;
        stream::whole(self.parts, self.entry, self.deadline).await
    }
}
