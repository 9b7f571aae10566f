//! Server-sent events: what changed, by name.
//!
//! Refuses to send more than one event of a name per second, content, and the name of a box that the visitor does not see.
//! Invariant: whoever reconnects is told to look anew; a stream ends with its session.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::console::Console;
use crate::live::Changed;
use crate::people::action::Action;
use crate::people::session::Visitor;

/// Least time between two events of one name.
const PACE: Duration = Duration::from_secs(1);
/// A comment goes out after this much silence, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// One stream.
struct Listening {
    console: Console,
    visitor: Visitor,
    listener: Receiver<Changed>,
    waiting: Vec<String>,
    count: u64,
    first: bool,
    over: bool,
}

impl Listening {
    /// Names that are to be sent next; `None` when there is nobody to send them to any more.
    async fn next(&mut self) -> Option<HashSet<String>> {
        let mut names = HashSet::new();
        match self.listener.recv().await {
            Ok(changed) => self.add(&mut names, &changed),
            Err(RecvError::Lagged(_)) => names.extend(everything()),
            Err(RecvError::Closed) => return None,
        }
        loop {
            match self.listener.try_recv() {
                Ok(changed) => self.add(&mut names, &changed),
                Err(TryRecvError::Lagged(_)) => names.extend(everything()),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        // A stream outlives the request that began it: it ends with the session, and follows the account.
        match self.console.still(&self.visitor).await {
            Ok(Some(visitor)) => self.visitor = visitor,
            Ok(None) | Err(_) => {
                // The page is told, so that it does not take the end for a broken line and knock again and again.
                self.over = true;
                names = HashSet::from([freehold_views::address::event::ENDED.to_owned()]);
            }
        }
        Some(names)
    }

    /// Adds an event's name; a box's only for those who see the box.
    fn add(&self, names: &mut HashSet<String>, changed: &Changed) {
        let seen = changed.box_id().is_none_or(|id| {
            let place = self.console.place_of_box(id);
            self.console.permits_at(&self.visitor, Action::Look, place.as_place())
        });
        if seen {
            names.insert(changed.name());
        }
    }
}

/// `GET /api/v1/events` and `GET /events`.
pub async fn stream(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listening = Listening {
        listener: console.0.live.listen(),
        console,
        visitor,
        waiting: Vec::new(),
        count: 0,
        first: true,
        over: false,
    };
    let events = futures::stream::unfold(listening, |mut listening| async move {
        loop {
            if let Some(name) = listening.waiting.pop() {
                listening.count = listening.count.saturating_add(1);
                let event = Event::default().event(name).data(listening.count.to_string());
                return Some((Ok(event), listening));
            }
            if listening.over {
                return None;
            }
            // What happens within a second is told once.
            if !listening.first {
                tokio::time::sleep(PACE).await;
            }
            listening.first = false;
            let names = listening.next().await?;
            listening.waiting.extend(names);
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

fn everything() -> impl Iterator<Item = String> {
    [
        Changed::Fleet,
        Changed::Approvals,
        Changed::Releases,
        Changed::Rollouts,
        Changed::Record,
    ]
    .into_iter()
    .map(|changed| changed.name())
}
