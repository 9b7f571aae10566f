//! Seats for connections: how ten thousand that do nothing do not keep one out that has something to ask.
//!
//! Refuses nobody at the door; when all seats are taken, the connection that has been idle longest loses its own. Invariant:
//! a connection with a running request of a known token is never the one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Connections without a running request: handshakes, heads, bodies of strangers, kept-alive ones. Each is at most some 100 kB.
pub const MAX_IDLE_SEATS: usize = 1024;

/// All seats.
#[derive(Debug, Clone, Default)]
pub struct Seats(Arc<Mutex<Room>>);

#[derive(Debug, Default)]
struct Room {
    next: u64,
    idle: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's seat; given up when dropped.
#[derive(Debug, Clone)]
pub struct Seat(Arc<Held>);

#[derive(Debug)]
struct Held {
    seats: Seats,
    lost: Arc<Notify>,
    /// The place among the idle ones; `None` while a request runs.
    place: Mutex<(Option<u64>, usize)>,
}

/// While this is there, the seat is not taken away.
#[derive(Debug)]
pub struct Busy(Arc<Held>);

impl Seats {
    /// Takes a seat, from the one that was idle longest if there is no other.
    pub fn take(&self) -> Seat {
        let lost = Arc::new(Notify::new());
        let place = self.sit(Arc::clone(&lost));
        Seat(Arc::new(Held {
            seats: self.clone(),
            lost,
            place: Mutex::new((Some(place), 0)),
        }))
    }

    /// Connections without a running request.
    pub fn idle(&self) -> usize {
        self.room(|room| room.idle.len())
    }

    fn sit(&self, lost: Arc<Notify>) -> u64 {
        self.room(|room| {
            if room.idle.len() >= MAX_IDLE_SEATS
                && let Some((_, oldest)) = room.idle.pop_first()
            {
                oldest.notify_one();
            }
            let place = room.next;
            room.next = room.next.saturating_add(1);
            room.idle.insert(place, lost);
            place
        })
    }

    fn leave(&self, place: u64) {
        self.room(|room| room.idle.remove(&place));
    }

    fn room<T>(&self, look: impl FnOnce(&mut Room) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seat {
    /// Ends when the seat was given to another.
    pub async fn lost(&self) {
        self.0.lost.notified().await;
    }

    /// A request of a known token runs from now on, until the answer is dropped.
    pub fn busy(&self) -> Busy {
        let mut place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = place.0.take() {
            self.0.seats.leave(idle);
        }
        place.1 = place.1.saturating_add(1);
        Busy(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.1 = place.1.saturating_sub(1);
        if place.1 == 0 {
            place.0 = Some(self.0.seats.sit(Arc::clone(&self.0.lost)));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = place.0.take() {
            self.seats.leave(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn the_longest_idle_one_loses_its_seat_and_a_busy_one_never() {
        let seats = Seats::default();
        let worker = seats.take();
        let running = worker.busy();
        let first = seats.take();
        let others: Vec<Seat> = (1..MAX_IDLE_SEATS).map(|_| seats.take()).collect();
        assert_eq!(seats.idle(), MAX_IDLE_SEATS);
        assert!(first.lost().now_or_never().is_none());
        let newcomer = seats.take();
        assert!(first.lost().now_or_never().is_some() && worker.lost().now_or_never().is_none());
        drop(others);
        drop((first, newcomer));
        assert_eq!(seats.idle(), 0);
        drop(running);
        assert_eq!(seats.idle(), 1);
        drop(worker);
        assert_eq!(seats.idle(), 0);
    }
}
