//! A receipt that is on its way: to be waited for by a thread, or awaited by a task of any runtime.
//!
//! Refuses to be forgotten: a writer that goes away answers `record.not_durable`. Invariant: answered exactly once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use freehold_trust::Sha256Digest;

use crate::fault::RecordFault;

/// The proof to the caller that an entry is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's place in the log, from 0.
    pub index: u64,
    /// The number of entries after the batch that it came with.
    pub size: u64,
    /// The root over them.
    pub root: Sha256Digest,
}

#[derive(Debug, Default)]
struct State {
    answer: Option<Result<Receipt, RecordFault>>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    ready: Condvar,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's end: block with [`Pending::wait`], or `.await` it.
#[derive(Debug)]
#[must_use = "an entry is durable only when its receipt has come"]
pub struct Pending(Arc<Slot>);

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Promise(Option<Arc<Slot>>);

pub(crate) fn pending() -> (Promise, Pending) {
    let slot = Arc::new(Slot::default());
    (Promise(Some(slot.clone())), Pending(slot))
}

impl Pending {
    /// Blocks until the entry is durable.
    ///
    /// # Errors
    /// `record.not_durable`: the action must not happen.
    pub fn wait(self) -> Result<Receipt, RecordFault> {
        let mut state = self.0.lock();
        loop {
            match state.answer.take() {
                Some(answer) => return answer,
                None => state = self.0.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, RecordFault>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Promise {
    pub(crate) fn answer(mut self, answer: Result<Receipt, RecordFault>) {
        self.put(answer);
    }

    fn put(&mut self, answer: Result<Receipt, RecordFault>) {
        let Some(slot) = self.0.take() else { return };
        let waker = {
            let mut state = slot.lock();
            state.answer = Some(answer);
            state.waker.take()
        };
        slot.ready.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.put(Err(RecordFault::stopped()));
    }
}
