//! What others are told: the models in status and reports, what the gateway serves, the head of the record.
//!
//! Refuses to call a model served whose engine does not answer. Invariant: what is told of models is made from the
//! store and the engines as they are now.

use std::collections::BTreeMap;

use freehold_execute::Admitted;
use freehold_plan::{EngineState, Plan, Purpose, RunPermission, Step};
use freehold_protocol::local::{Config, EngineDoor, ServedModel, Serving, VERSION};
use freehold_protocol::report::RecordCheckpoint;
use freehold_protocol::status::{Fetched, ModelPhase, ModelState};
use freehold_protocol::{Base64, V1};
use freehold_trust::Sha256Digest;

use crate::download::HowFar;
use crate::fault::Fault;
use crate::gateway::Standing;
use crate::supervisor::Supervisor;

/// Seconds after which a client may ask again for a model whose engine is not there.
const RETRY_AFTER: u32 = 5;

fn fetched(far: HowFar) -> Fetched {
    let HowFar { done, total } = far;
    Fetched { done, total }
}

impl Supervisor {
    /// The models as status and reports say them.
    pub(super) fn models(&mut self, made: &Plan) -> Result<(), Fault> {
        let stored = self.store.stored()?;
        let engines = self.engines.observe();
        let running = |root: &Sha256Digest| {
            engines
                .iter()
                .find(|engine| engine.root == *root && engine.purpose == Purpose::Chat)
                .map(|engine| engine.state)
        };
        let mut models: Vec<ModelState> = stored
            .values()
            .map(|admitted| {
                let view = self.engines.view(&admitted.root, Purpose::Chat);
                let (phase, reason) = match running(&admitted.root) {
                    None if self.held_back(&admitted.name).is_some() => {
                        (ModelPhase::Stopped, self.held_back(&admitted.name).map(str::to_owned))
                    }
                    Some(EngineState::Running | EngineState::Checking) => (ModelPhase::Serving, None),
                    Some(EngineState::Starting) => (ModelPhase::Starting, None),
                    Some(EngineState::Resting) => (ModelPhase::Stopped, view.reason),
                    None => (ModelPhase::Admitted, view.reason),
                };
                ModelState {
                    name: admitted.name.clone(),
                    version: admitted.version.clone(),
                    digest: admitted.root.to_hex(),
                    signer: admitted.signer.clone(),
                    phase,
                    reason,
                    memory_bound: view.memory_bound.to_owned(),
                    progress: None,
                }
            })
            .collect();
        for wanted in self
            .aim
            .desired
            .models
            .values()
            .filter(|wanted| !stored.contains_key(&wanted.release))
        {
            let failed = self.pursuit.failed.get(&wanted.release);
            let progress = self.downloads.how_far(&wanted.release).map(fetched);
            let planned = made
                .steps
                .iter()
                .any(|step| matches!(step, Step::FetchFile { release, .. } if *release == wanted.release));
            models.push(ModelState {
                name: wanted.name.clone(),
                version: wanted.version.clone(),
                digest: wanted.root.to_hex(),
                signer: String::new(),
                phase: match failed {
                    Some(_) => ModelPhase::Refused,
                    None if planned || progress.is_some() => ModelPhase::Fetching,
                    None => ModelPhase::Verifying,
                },
                reason: failed.map(|report| report.code.clone()),
                memory_bound: String::new(),
                progress,
            });
        }
        for (target, report) in &self.aim.desired.refused {
            let mut parts = target.split('/').skip(1);
            models.push(ModelState {
                name: parts.next().unwrap_or(target).to_owned(),
                version: parts.next().unwrap_or_default().to_owned(),
                digest: String::new(),
                signer: String::new(),
                phase: ModelPhase::Refused,
                reason: Some(report.code.clone()),
                memory_bound: String::new(),
                progress: None,
            });
        }
        self.status.models = models;
        self.status.pursuing = self.pursuit.accepted;
        self.status.achieved = self.pursuit.achieved;
        self.status.policy = self.policy.as_ref().map(|policy| policy.target().to_owned());
        Ok(())
    }

    /// The code of why policy or lease do not let a model run; `None` when they do.
    fn held_back(&self, name: &str) -> Option<&str> {
        match self.runs.get(name) {
            Some(RunPermission::Stop(report)) => Some(&report.code),
            _ => None,
        }
    }

    /// Says how far downloads are, in the status and so in the next report.
    pub(crate) fn how_far(&mut self) {
        for wanted in self.aim.desired.models.values() {
            let Some(far) = self.downloads.how_far(&wanted.release).map(fetched) else {
                continue;
            };
            let folder = wanted.target.rsplit_once('/').map_or("", |(folder, _)| folder);
            let (path, percent) = (self.downloads.at(&wanted.release), far.percent());
            self.status.doing = format!(
                "fetching {folder}/{path} {percent} %, {} of {} bytes",
                far.done, far.total
            );
            let told = (self.status.models.iter_mut())
                .filter(|model| model.phase == ModelPhase::Fetching)
                .find(|model| model.name == wanted.name && model.version == wanted.version);
            if let Some(model) = told {
                model.progress = Some(far);
            }
        }
    }

    /// What the gateway serves now.
    pub(super) fn tell_gateway(&mut self) -> Result<(), Fault> {
        let stored = self.store.stored()?;
        let door = |admitted: &Admitted, purpose| {
            let view = self.engines.view(&admitted.root, purpose);
            match view.socket {
                Some(socket) => EngineDoor::Ready {
                    socket: socket.display().to_string(),
                },
                None if view.starting => EngineDoor::Away {
                    code: "engine.starting".to_owned(),
                    retry_after: RETRY_AFTER,
                },
                None => {
                    let code = view
                        .reason
                        .as_deref()
                        .and_then(|reason| reason.split_once(": "))
                        .map(|(code, _)| code);
                    let code = code.filter(|code| code.starts_with("engine."));
                    let code = self
                        .held_back(&admitted.name)
                        .or(code)
                        .unwrap_or("engine.missing")
                        .to_owned();
                    EngineDoor::Away {
                        code,
                        retry_after: RETRY_AFTER,
                    }
                }
            }
        };
        // Of two releases of one model, as while one takes the other's place, the newer one that answers is meant.
        let mut served: BTreeMap<&str, &Admitted> = BTreeMap::new();
        // One that is still on trial comes after one that is confirmed.
        let confirmed = self.health.confirmed();
        let order = |admitted: &Admitted| {
            let answers = self.engines.view(&admitted.root, Purpose::Chat).socket.is_some();
            (answers, confirmed.contains(&admitted.release), admitted.counter)
        };
        for admitted in stored.values() {
            let best = served.entry(&admitted.name).or_insert(admitted);
            if order(admitted) > order(best) {
                *best = admitted;
            }
        }
        let models = served
            .into_values()
            .map(|admitted| ServedModel {
                name: admitted.name.clone(),
                digest: admitted.root,
                bytes: admitted.files.iter().map(|file| file.length).sum(),
                context: self.engines.context(),
                admitted: admitted.at,
                engine: door(admitted, Purpose::Chat),
                embeddings: admitted.embeddings.then(|| door(admitted, Purpose::Embeddings)),
            })
            .collect();
        let older = self.counting.trouble.as_ref().map(|report| report.code.clone());
        let serving = match self.chronicle.trouble().or(older) {
            Some(code) => Serving::Closed { code },
            None => Serving::Open,
        };
        self.door.stands(Standing {
            verdict: self.verdict.word().to_owned(),
            policy: self.policy.as_ref().map(|policy| policy.target().to_owned()),
        });
        self.door.serve(Config {
            v: VERSION,
            generation: 0,
            box_id: self.box_id.clone(),
            serving,
            models,
            tokens: self.tokens.clone(),
        });
        Ok(())
    }

    /// Shows the head of the record to the console, whose cosignature ties it down.
    pub(super) async fn show_record(&mut self) -> Result<(), Fault> {
        let Some((message, size)) = self.head_since(self.cosigned).await? else {
            return Ok(());
        };
        let checkpoint = message.checkpoint.clone();
        let answer = match self.console()?.record(&message).await {
            // One of us lost count: begin at what the console saw last, if that is ours at all.
            Err(Fault::Coded {
                code,
                expected: Some(expected),
                ..
            }) if code == "record.old_size" => {
                self.cosigned = expected.parse().unwrap_or(0);
                return Ok(());
            }
            other => other?,
        };
        self.state.put(
            "cosigned.note",
            format!("{checkpoint}{}\n", answer.cosignature.trim_end()).as_bytes(),
        )?;
        self.state.put_json("cosigned.json", &size)?;
        self.cosigned = size;
        Ok(())
    }

    /// The head of the record with the proof from the tree of `old` entries, and its size; `None` when there is nothing new.
    pub(super) async fn head_since(&self, old: u64) -> Result<Option<(RecordCheckpoint, u64)>, Fault> {
        if self.chronicle.head().size <= old {
            return Ok(None);
        }
        let recorder = self.chronicle.recorder().clone();
        let proven = tokio::task::spawn_blocking(move || {
            let (note, proof) = recorder.checkpoint_since(old)?;
            let (_, checkpoint) = recorder.reader().checkpoint()?;
            Ok::<_, freehold_record_files::RecordFault>((note, proof, checkpoint.size))
        })
        .await
        .map_err(|error| Fault::of("record.files", error.to_string()))?;
        let (note, proof, _) = proven?;
        let checkpoint = String::from_utf8_lossy(&note).into_owned();
        let size = freehold_record::SignedNote::parse(&note)
            .and_then(|note| freehold_record::Checkpoint::parse(note.text()))
            .map_err(freehold_record_files::RecordFault::from)?
            .size;
        let proof = proof.iter().map(|hash| Base64(hash.as_bytes().to_vec())).collect();
        let message = RecordCheckpoint {
            v: V1,
            checkpoint,
            old_size: old,
            proof,
        };
        Ok(Some((message, size)))
    }
}
