//! What can be asked of an engine, in fields of our own.
//!
//! Refuses pass-through: there is no map of extra fields. Invariant: what is not here is never sent to an engine.

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// The person or application.
    User,
    /// The model, earlier in the conversation.
    Assistant,
}

impl Role {
    /// The word that both protocols use.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation. No `Debug`: conversations do not belong in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// What was said.
    pub content: String,
}

/// What the answer must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// How the answer is drawn. `None` leaves the engine's own default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// Most tokens of the answer.
    pub max_tokens: Option<u32>,
    /// 0 takes the likeliest token each time.
    pub temperature: Option<f32>,
    /// Nucleus, 0 to 1.
    pub top_p: Option<f32>,
    /// The k likeliest only; 0 means all.
    pub top_k: Option<u32>,
    /// Least probability relative to the likeliest, 0 to 1.
    pub min_p: Option<f32>,
    /// Makes drawing repeatable.
    pub seed: Option<u32>,
    /// Ends the answer where one of these appears.
    pub stop: Vec<String>,
    /// Against tokens that appeared at all.
    pub presence_penalty: Option<f32>,
    /// Against tokens by how often they appeared.
    pub frequency_penalty: Option<f32>,
    /// llama.cpp's own penalty; 1 means none.
    pub repeat_penalty: Option<f32>,
    /// The answer's form.
    pub format: Format,
}

/// A conversation to be continued.
#[derive(Clone)]
pub struct Chat {
    /// In order; the last one is answered.
    pub messages: Vec<Message>,
    /// How the answer is drawn.
    pub sampling: Sampling,
}

/// A text to be continued as it stands, without the model's conversation template.
#[derive(Clone)]
pub struct Completion {
    /// The text.
    pub prompt: String,
    /// How the answer is drawn.
    pub sampling: Sampling,
}

/// Texts to be turned into vectors.
#[derive(Clone)]
pub struct Embed {
    /// One vector each.
    pub texts: Vec<String>,
}
