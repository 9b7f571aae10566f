//! What the supervisor last said is served, ready to be looked up.
//!
//! Refuses an older configuration than the last. Invariant: an engine that keeps its socket keeps its connections, whatever
//! else changes.

use crate::refusal::GatewayRejection;
use crate::token::may_use;
use freehold_engine::LlamaServer;
use freehold_protocol::local::{ApiToken, Config, EngineDoor, ServedModel, Serving};
use std::collections::HashMap;
use std::sync::Arc;

/// One generation of what is served.
#[derive(Debug, Default)]
pub struct Served {
    /// Of the configuration.
    pub generation: u64,
    /// Whether anything is served; `None` before the first configuration.
    pub serving: Option<Serving>,
    /// Known tokens.
    pub tokens: Vec<Arc<ApiToken>>,
    /// In the supervisor's order.
    pub models: Vec<Arc<ServedModel>>,
    engines: HashMap<String, LlamaServer>,
}

impl Served {
    /// Takes a new configuration; engines that stay keep their connections.
    pub fn next(&self, config: Config) -> Option<Self> {
        if self.serving.is_some() && config.generation < self.generation {
            return None;
        }
        let mut engines = HashMap::new();
        let doors = config
            .models
            .iter()
            .flat_map(|model| [Some(&model.engine), model.embeddings.as_ref()]);
        for door in doors.flatten() {
            if let EngineDoor::Ready { socket } = door {
                let engine = self
                    .engines
                    .get(socket)
                    .cloned()
                    .unwrap_or_else(|| LlamaServer::new(socket));
                engines.insert(socket.clone(), engine);
            }
        }
        Some(Self {
            generation: config.generation,
            serving: Some(config.serving),
            tokens: config.tokens.into_iter().map(Arc::new).collect(),
            models: config.models.into_iter().map(Arc::new).collect(),
            engines,
        })
    }

    /// Refuses when nothing is served.
    pub fn open(&self) -> Result<(), GatewayRejection> {
        match &self.serving {
            Some(Serving::Open) => Ok(()),
            Some(Serving::Closed { code }) => Err(GatewayRejection::Closed {
                code: code.clone(),
                retry_after: 30,
            }),
            None => Err(GatewayRejection::SupervisorAway),
        }
    }

    /// The model of that name, if the token may use it; Ollama's clients add `:latest`.
    pub fn model(&self, token: &ApiToken, name: &str) -> Result<Arc<ServedModel>, GatewayRejection> {
        let bare = name.strip_suffix(":latest").unwrap_or(name);
        self.models
            .iter()
            .find(|model| (model.name == name || model.name == bare) && may_use(token, &model.name))
            .cloned()
            .ok_or(GatewayRejection::ModelUnknown)
    }

    /// The models that the token may use.
    pub fn models_for<'a>(&'a self, token: &'a ApiToken) -> impl Iterator<Item = &'a ServedModel> {
        self.models
            .iter()
            .map(AsRef::as_ref)
            .filter(|model| may_use(token, &model.name))
    }

    /// The engine behind a door.
    pub fn engine(&self, door: &EngineDoor) -> Result<LlamaServer, GatewayRejection> {
        match door {
            EngineDoor::Ready { socket } => Ok(self
                .engines
                .get(socket)
                .cloned()
                .unwrap_or_else(|| LlamaServer::new(socket))),
            EngineDoor::Away { code, retry_after } => Err(GatewayRejection::Closed {
                code: code.clone(),
                retry_after: *retry_after,
            }),
        }
    }
}
