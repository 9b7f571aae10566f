//! Which events may be decided and made durable together.
//!
//! Refuses two events of one box in one group, and any event about more than one box: those stand alone, so that each is
//! decided on the fleet as everything before has left it. Invariant: events are served in the order in which they came.

use std::collections::{HashSet, VecDeque};

use freehold_fleet::{Answer, Event};
use tokio::sync::oneshot;

use crate::refused::Refused;

/// Most events of one group: bounds how long one transaction holds the database.
const LARGEST: usize = 256;

/// An event, and whom to tell what came of it.
pub(super) struct Waiting {
    pub(super) event: Event,
    pub(super) answer: oneshot::Sender<Result<Answer, Refused>>,
}

/// The one box that an event is about, when it neither reads nor changes anything of the others.
fn alone_about(event: &Event) -> Option<&str> {
    match event {
        Event::ChallengeAnswered { box_id, .. }
        | Event::Appraised { box_id, .. }
        | Event::AssignmentAsked { box_id }
        | Event::Reported { box_id, .. }
        | Event::CheckpointShown { box_id, .. } => Some(box_id),
        // A challenge is compared with every open one; the others are a person's, and rare.
        _ => None,
    }
}

/// Takes the next group off the queue.
pub(super) fn take(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut boxes = HashSet::new();
    let mut count = 0;
    for next in waiting.iter().take(LARGEST) {
        match alone_about(&next.event) {
            Some(box_id) if boxes.insert(box_id) => count += 1,
            _ => break,
        }
    }
    waiting.drain(..count.max(1).min(waiting.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(event: Event) -> Waiting {
        Waiting {
            event,
            answer: oneshot::channel().0,
        }
    }

    fn asked(box_id: &str) -> Waiting {
        waiting(Event::AssignmentAsked {
            box_id: box_id.to_owned(),
        })
    }

    #[test]
    fn different_boxes_go_together_and_everything_else_alone() {
        let removed = || {
            waiting(Event::Removed {
                box_id: "a".to_owned(),
                by: "me".to_owned(),
            })
        };
        let mut queue = VecDeque::from([asked("a"), asked("b"), asked("a"), removed(), removed(), asked("c")]);
        let sizes: Vec<usize> = std::iter::from_fn(|| Some(take(&mut queue).len()).filter(|size| *size > 0)).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1]);
        let mut many: VecDeque<Waiting> = (0..600).map(|number| asked(&number.to_string())).collect();
        assert_eq!(take(&mut many).len(), LARGEST);
    }
}
