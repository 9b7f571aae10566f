//! The running console: state, keys, and the one path that every change takes.
//!
//! Refuses to answer before what happened is on disk and in the record. Invariant: decide → record → database → memory →
//! answer, one group of changes at a time; whoever hangs up in the middle changes nothing about that.

mod group;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use axum::http::StatusCode;
use freehold_channel::PeerIdentity;
use freehold_fleet::{Answer, Effect, Entry, Event, Fleet, Outcome, TpmKind};
use freehold_store::{
    AccountChange, AlarmRow, Change, CommitFault, PasskeyChange, PendingChange, RolloutChange, Store,
};
use freehold_trust::certificate::Certificate;
use freehold_trust::{PublicKey, Sha256Digest};
use freehold_verify::identity::Enrolling;
use tokio::sync::oneshot;

use self::group::Waiting;
use crate::book::Book;
use crate::live::{Changed, Live};
use crate::people::authority::Authority;
use crate::people::outside::{Flights, Outside};
use crate::people::passkey::Ceremonies;
use crate::people::second::Tickets;
use crate::people::throttle::Throttle;
use crate::plan::Plans;
use crate::refused::Refused;
use crate::repository::Shelf;
use crate::rollouts::Rollouts;
use crate::state::{ConsoleFile, Keys, StateDir};

/// Addresses by which the outside reaches a running console.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Addresses {
    /// `https://…` of the people's door.
    pub people_url: String,
    /// `https://…` of the boxes' door.
    pub boxes_url: String,
}

/// What a console is made of.
pub struct Parts {
    /// The state folder.
    pub dir: StateDir,
    /// What was fixed when the fleet was made.
    pub file: ConsoleFile,
    /// The keys.
    pub keys: Keys,
    /// The database.
    pub store: Store,
    /// The record.
    pub book: Book,
    /// The releases.
    pub shelf: Shelf,
    /// The fleet as loaded.
    pub fleet: Fleet,
    /// The plans as loaded.
    pub plans: Plans,
    /// The rollouts as loaded.
    pub rollouts: Rollouts,
    /// The failures to sign in as loaded.
    pub throttle: Throttle,
    /// Findings that somebody accepted.
    pub accepted: Vec<freehold_supply::Acceptance>,
    /// The alarms as loaded.
    pub alarms: Vec<AlarmRow>,
    /// The key of second factors' codes.
    pub codes: Vec<u8>,
    /// Where people from outside sign in.
    pub outside: Option<Outside>,
}

pub(crate) struct Inner {
    pub(crate) dir: StateDir,
    pub(crate) file: ConsoleFile,
    pub(crate) keys: Keys,
    pub(crate) store: Store,
    pub(crate) book: Book,
    pub(crate) shelf: RwLock<Arc<Shelf>>,
    pub(crate) live: Live,
    pub(crate) throttle: Throttle,
    pub(crate) plans: Plans,
    pub(crate) accepted: RwLock<Vec<freehold_supply::Acceptance>>,
    pub(crate) rollouts: Rollouts,
    pub(crate) ceremonies: Ceremonies,
    pub(crate) tickets: Tickets,
    pub(crate) flights: Flights,
    pub(crate) outside: Option<Outside>,
    pub(crate) alarms: RwLock<Vec<AlarmRow>>,
    /// What codes of authenticator apps are derived from.
    pub(crate) codes: Vec<u8>,
    pub(crate) addresses: OnceLock<Addresses>,
    /// Bounds the memory of Argon2: each verification takes 19 MiB.
    pub(crate) hashing: tokio::sync::Semaphore,
    /// Bounds verification to the processors there are.
    pub(crate) verifying: tokio::sync::Semaphore,
    pub(crate) authority: Authority,
    pub(crate) desk: crate::witness::Desk,
    roots: Vec<Certificate>,
    software_roots: BTreeSet<Sha256Digest>,
    enrolling: Mutex<HashMap<String, Arc<Enrolling>>>,
    fleet: RwLock<Fleet>,
    waiting: Mutex<VecDeque<Waiting>>,
    turn: tokio::sync::Mutex<()>,
    reports: Mutex<HashMap<String, Effect>>,
}

/// A running console; cheap to clone.
#[derive(Clone)]
pub struct Console(pub(crate) Arc<Inner>);

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Console({})", self.0.file.fleet)
    }
}

impl Console {
    /// Puts a console together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let mut roots = Vec::new();
        let mut software_roots = BTreeSet::new();
        for root in &parts.file.ek_roots {
            // `init` has read them; one that cannot be read any more trusts nothing.
            let Ok(certificate) = Certificate::from_pem(&root.pem) else {
                continue;
            };
            if root.kind == TpmKind::Software {
                software_roots.insert(certificate.fingerprint());
            }
            roots.push(certificate);
        }
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self(Arc::new(Inner {
            dir: parts.dir,
            file: parts.file,
            keys: parts.keys,
            store: parts.store,
            book: parts.book,
            shelf: RwLock::new(Arc::new(parts.shelf)),
            live: Live::default(),
            throttle: parts.throttle,
            plans: parts.plans,
            accepted: RwLock::new(parts.accepted),
            rollouts: parts.rollouts,
            ceremonies: Ceremonies::default(),
            tickets: Tickets::default(),
            flights: Flights::default(),
            outside: parts.outside,
            alarms: RwLock::new(parts.alarms),
            codes: parts.codes,
            addresses: OnceLock::new(),
            hashing: tokio::sync::Semaphore::new(2),
            verifying: tokio::sync::Semaphore::new(processors),
            authority: Authority::default(),
            desk: crate::witness::Desk::default(),
            roots,
            software_roots,
            enrolling: Mutex::new(HashMap::new()),
            fleet: RwLock::new(parts.fleet),
            waiting: Mutex::new(VecDeque::new()),
            turn: tokio::sync::Mutex::new(()),
            reports: Mutex::new(HashMap::new()),
        }))
    }

    /// Now, Unix seconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp()
    }

    /// The fleet, for reading. Not to be held across an await.
    pub fn fleet(&self) -> RwLockReadGuard<'_, Fleet> {
        self.0.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The releases as they are now.
    #[must_use]
    pub fn shelf(&self) -> Arc<Shelf> {
        self.0.shelf.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn put_shelf(&self, shelf: Shelf) {
        *self.0.shelf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shelf);
        self.0.live.tell(Changed::Releases);
    }

    /// The director's public key.
    #[must_use]
    pub fn director(&self) -> &PublicKey {
        self.0.keys.director.public()
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What was fixed when the fleet was made.
    #[must_use]
    pub fn file(&self) -> &ConsoleFile {
        &self.0.file
    }

    /// Roots of endorsement keys, and which of them stand for software.
    pub(crate) fn ek_roots(&self) -> (&[Certificate], &BTreeSet<Sha256Digest>) {
        (&self.0.roots, &self.0.software_roots)
    }

    /// Keeps what an enrolment session must be answered with.
    pub(crate) fn keep_enrolling(&self, session: &str, enrolling: Arc<Enrolling>) {
        let mut kept = self.0.enrolling.lock().unwrap_or_else(PoisonError::into_inner);
        // The fleet may have closed it in the meantime.
        if self.fleet().session(session).is_some() {
            kept.insert(session.to_owned(), enrolling);
        }
    }

    /// What an open enrolment session must be answered with.
    pub(crate) fn enrolling(&self, session: &str) -> Option<Arc<Enrolling>> {
        self.0
            .enrolling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(session)
            .cloned()
    }

    /// Whether a peer's key is one of an approved box.
    #[must_use]
    pub fn knows(&self, peer: &PeerIdentity) -> bool {
        self.fleet().approved_by_key(&peer.spki.to_string()).is_some()
    }

    /// Something happened to the fleet. Answers when everything about it is durable. What happens to different boxes at the
    /// same moment is made durable together: one write of the disk serves all of it.
    ///
    /// # Errors
    /// The fleet's refusal; 409 when somebody else was first; 503 when the record or the database does not work, and then
    /// nothing has changed.
    pub async fn happen(&self, event: Event) -> Result<Answer, Refused> {
        let (answer, told) = oneshot::channel();
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(Waiting { event, answer });
        let console = self.clone();
        // A task of its own: a caller that hangs up must not leave disk and memory apart.
        tokio::spawn(async move { console.serve_waiting().await });
        told.await.unwrap_or_else(|error| Err(Refused::inside(&error)))
    }

    /// Takes what waits, group by group, until nothing does. Whoever comes while another is at it finds its event served.
    async fn serve_waiting(&self) {
        let _turn = self.0.turn.lock().await;
        loop {
            let group = {
                let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                group::take(&mut waiting)
            };
            if group.is_empty() {
                return;
            }
            self.decide(group).await;
        }
    }

    async fn decide(&self, group: Vec<Waiting>) {
        let now = self.now();
        let outcomes: Vec<Outcome> = {
            let fleet = self.fleet();
            group.iter().map(|waiting| fleet.decide(&waiting.event, now)).collect()
        };
        let effects = || outcomes.iter().flat_map(|outcome| &outcome.effects);
        let durable: Vec<Change<'_>> = effects()
            .filter(|effect| effect.is_durable())
            .map(Change::Fleet)
            .collect();
        let entries: Vec<Entry> = effects()
            .filter_map(|effect| match effect {
                Effect::Record(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        match self.commit(&durable, entries).await {
            Ok(()) => {}
            // Nothing was written: each alone finds out whose fault it is.
            Err(CommitFault::Conflict { .. }) if group.len() > 1 => {
                for waiting in group {
                    Box::pin(self.decide(vec![waiting])).await;
                }
                return;
            }
            Err(fault) => {
                let refused = self.not_committed(fault).await;
                for (waiting, outcome) in group.into_iter().zip(outcomes) {
                    // What was refused anyway stays refused, by its own code, unless not even the record took it.
                    let own = outcome
                        .answer
                        .err()
                        .filter(|_| refused.report.code == "record.not_durable");
                    let _ = waiting
                        .answer
                        .send(Err(own.map_or_else(|| refused.clone(), Refused::from)));
                }
                return;
            }
        }
        {
            let mut fleet = self.0.fleet.write().unwrap_or_else(PoisonError::into_inner);
            for effect in outcomes.iter().flat_map(|outcome| &outcome.effects) {
                fleet.apply(effect);
            }
        }
        for (waiting, outcome) in group.into_iter().zip(outcomes) {
            for effect in outcome.effects {
                self.tell(effect);
            }
            let _ = waiting.answer.send(outcome.answer.map_err(Refused::from));
        }
    }

    async fn commit(&self, changes: &[Change<'_>], entries: Vec<Entry>) -> Result<(), CommitFault> {
        if changes.is_empty() && entries.is_empty() {
            return Ok(());
        }
        let seal = self.0.book.append(entries);
        if changes.is_empty() {
            return seal.await.map_err(|fault| CommitFault::NotSealed(fault.into()));
        }
        self.0.store.commit(changes, seal).await
    }

    /// The database said no after the rules had said yes, or one of the two did not work.
    async fn not_committed(&self, fault: CommitFault) -> Refused {
        match fault {
            CommitFault::Conflict { what } => {
                let entry = Entry::new("console.conflict", self.now(), &self.0.file.site, "console")
                    .refused("console.conflict")
                    .fact("constraint", what.clone());
                if self.0.book.append(vec![entry]).await.is_err() {
                    return Refused::not_durable();
                }
                Refused::new(
                    StatusCode::CONFLICT,
                    "console.conflict",
                    format!("`{what}` is there already"),
                )
            }
            CommitFault::NotSealed(source) => {
                tracing::error!(error = %source, "the record is not durable");
                Refused::not_durable()
            }
            CommitFault::Store(source) => {
                // The entry may be there already, sealed before the commit failed: the next one takes it back.
                let entry = self.entry("console.undone", "console").refused("console.inside");
                if self.0.book.append(vec![entry]).await.is_err() {
                    return Refused::not_durable();
                }
                Refused::inside(&source)
            }
        }
    }

    /// Evidence came and its verdict could not be kept: the box is unknown from now on, whatever it was before (A21).
    pub(crate) fn lose_verdict(&self, box_id: &str) {
        let effect = Effect::VerdictLost {
            box_id: box_id.to_owned(),
        };
        self.0
            .fleet
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(&effect);
        self.tell(effect);
    }

    /// People changed: accounts, sessions.
    ///
    /// # Errors
    /// As [`Console::happen`].
    pub async fn people_change(&self, changes: Vec<AccountChange>, entry: Entry) -> Result<(), Refused> {
        self.people_changes(changes, vec![entry]).await
    }

    /// Several things changed at once: all of it, or nothing.
    ///
    /// # Errors
    /// As [`Console::happen`].
    pub async fn people_changes(&self, changes: Vec<AccountChange>, entries: Vec<Entry>) -> Result<(), Refused> {
        let console = self.clone();
        let done = tokio::spawn(async move {
            let written: Vec<Change<'_>> = changes.iter().map(Change::Account).collect();
            match console.commit(&written, entries).await {
                Ok(()) => {
                    console.heard(&changes);
                    Ok(())
                }
                Err(fault) => Err(console.not_committed(fault).await),
            }
        });
        done.await.unwrap_or_else(|error| Err(Refused::inside(&error)))?;
        self.0.live.tell(Changed::Record);
        Ok(())
    }

    /// What waits changed: plans, failures.
    ///
    /// # Errors
    /// As [`Console::happen`].
    pub async fn pending_change(&self, changes: Vec<PendingChange>, entries: Vec<Entry>) -> Result<(), Refused> {
        let console = self.clone();
        let done = tokio::spawn(async move {
            let changes: Vec<Change<'_>> = changes.iter().map(Change::Pending).collect();
            match console.commit(&changes, entries).await {
                Ok(()) => Ok(()),
                Err(fault) => Err(console.not_committed(fault).await),
            }
        });
        done.await.unwrap_or_else(|error| Err(Refused::inside(&error)))?;
        self.0.live.tell(Changed::Record);
        Ok(())
    }

    /// Rollouts changed.
    ///
    /// # Errors
    /// As [`Console::happen`].
    pub(crate) async fn rollout_change(&self, changes: Vec<RolloutChange>, entries: Vec<Entry>) -> Result<(), Refused> {
        let changes: Vec<Change<'_>> = changes.iter().map(Change::Rollout).collect();
        match self.commit(&changes, entries).await {
            Ok(()) => {}
            Err(fault) => return Err(self.not_committed(fault).await),
        }
        self.0.live.tell(Changed::Record);
        Ok(())
    }

    /// Passkeys or approvals changed.
    ///
    /// # Errors
    /// As [`Console::happen`].
    pub async fn passkey_change(&self, changes: Vec<PasskeyChange>, entries: Vec<Entry>) -> Result<(), Refused> {
        let console = self.clone();
        let done = tokio::spawn(async move {
            let changes: Vec<Change<'_>> = changes.iter().map(Change::Passkey).collect();
            match console.commit(&changes, entries).await {
                Ok(()) => Ok(()),
                Err(fault) => Err(console.not_committed(fault).await),
            }
        });
        done.await.unwrap_or_else(|error| Err(Refused::inside(&error)))?;
        self.0.live.tell(Changed::Record);
        Ok(())
    }

    /// Writes an entry that no other change goes with.
    ///
    /// # Errors
    /// 503 when the record is not durable.
    pub async fn record(&self, entry: Entry) -> Result<(), Refused> {
        self.0.book.append(vec![entry]).await.map_err(|error| {
            tracing::error!(%error, "the record is not durable");
            Refused::not_durable()
        })?;
        self.0.live.tell(Changed::Record);
        Ok(())
    }

    /// An entry with this console's site and time.
    #[must_use]
    pub fn entry(&self, kind: &str, who: &str) -> Entry {
        Entry::new(kind, self.now(), &self.0.file.site, who)
    }

    fn tell(&self, effect: Effect) {
        let live = &self.0.live;
        match &effect {
            Effect::BoxSaved(member) => {
                live.tell(Changed::Approvals);
                live.tell(Changed::OneBox(member.box_id.clone()));
                live.tell(Changed::Fleet);
            }
            Effect::BoxRemoved { .. } => {
                live.tell(Changed::Approvals);
                live.tell(Changed::Fleet);
            }
            Effect::VerdictReached { box_id, .. }
            | Effect::Assigned { box_id, .. }
            | Effect::Cosigned { box_id, .. }
            | Effect::TokenMade { box_id, .. }
            | Effect::TokenWithdrawn { box_id, .. }
            | Effect::LeaseSaved { box_id, .. }
            | Effect::VerdictLost { box_id }
            | Effect::AttestWanted { box_id } => {
                live.tell(Changed::OneBox(box_id.clone()));
                live.tell(Changed::Fleet);
            }
            Effect::ReportTaken { box_id, .. } => {
                live.tell(Changed::OneBox(box_id.clone()));
                live.tell(Changed::Fleet);
                let mut waiting = self.0.reports.lock().unwrap_or_else(PoisonError::into_inner);
                let box_id = box_id.clone();
                waiting.insert(box_id, effect);
                drop(waiting);
                self.0.rollouts.wake();
            }
            Effect::Record(_) => live.tell(Changed::Record),
            Effect::SessionClosed { session } => {
                self.0
                    .enrolling
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(session);
            }
            Effect::SessionOpened(_) | Effect::ChallengeIssued { .. } | Effect::ChallengeSpent { .. } => {}
        }
    }

    /// Writes the reports that came since the last call. They are not acknowledged facts: a box says them again.
    pub async fn flush_reports(&self) {
        let waiting = std::mem::take(&mut *self.0.reports.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        let changes: Vec<Change<'_>> = waiting.values().map(Change::Fleet).collect();
        let sealed = async { Ok::<(), std::convert::Infallible>(()) };
        if let Err(error) = self.0.store.commit(&changes, sealed).await {
            tracing::warn!(%error, "reports were not written");
        }
    }
}
