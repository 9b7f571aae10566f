//! Server-sent events: what changed, by name.
//!
//! Refuses to send more than one event of a name per second, and content. Invariant: whoever reconnects is told to look anew.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::console::Console;
use crate::live::Changed;

/// Least time between two events of one name.
const PACE: Duration = Duration::from_secs(1);
/// A comment goes out after this much silence, so that a dead connection is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// `GET /api/v1/events` and `GET /events`.
pub async fn stream(State(console): State<Console>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listener = console.0.live.listen();
    let state = (listener, Vec::<String>::new(), 0u64, true);
    let events = futures::stream::unfold(state, |(mut listener, mut waiting, mut count, mut first)| async move {
        loop {
            if let Some(name) = waiting.pop() {
                count = count.saturating_add(1);
                return Some((
                    Ok(Event::default().event(name).data(count.to_string())),
                    (listener, waiting, count, first),
                ));
            }
            // What happens within a second is told once.
            if !first {
                tokio::time::sleep(PACE).await;
            }
            first = false;
            let mut names = HashSet::new();
            match listener.recv().await {
                Ok(changed) => {
                    names.insert(changed.name());
                }
                Err(RecvError::Lagged(_)) => names.extend(everything()),
                Err(RecvError::Closed) => return None,
            }
            loop {
                match listener.try_recv() {
                    Ok(changed) => {
                        names.insert(changed.name());
                    }
                    Err(TryRecvError::Lagged(_)) => names.extend(everything()),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            waiting.extend(names);
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
