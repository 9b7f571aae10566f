//! Cuts an engine's stream into lines, with a limit.
//!
//! Refuses a line above the limit before it is kept. Invariant: memory is bounded by one line and one network read.

use crate::error::EngineError;
use bytes::{Buf as _, Bytes, BytesMut};

/// Bounds the memory an engine can take with a line that never ends. One token's event is below 1 kB.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Collects bytes and gives lines.
#[derive(Default)]
pub struct Lines {
    pending: BytesMut,
    searched: usize,
}

impl Lines {
    /// Takes what came from the network.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole line, without its end (`\n` or `\r\n`).
    pub fn next_line(&mut self) -> Result<Option<Bytes>, EngineError> {
        let fresh = self.pending.get(self.searched..).unwrap_or_default();
        match fresh.iter().position(|byte| *byte == b'\n') {
            Some(offset) => {
                let mut line = self.pending.split_to(self.searched.saturating_add(offset));
                self.pending.advance(1);
                self.searched = 0;
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len().saturating_sub(1));
                }
                Ok(Some(line.freeze()))
            }
            None if self.pending.len() > MAX_LINE_BYTES => Err(EngineError::AnswerTooLarge { limit: MAX_LINE_BYTES }),
            None => {
                self.searched = self.pending.len();
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_network_cuts() {
        let text = b"data: a\r\n\ndata: b\nrest";
        for step in 1..text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for part in text.chunks(step) {
                lines.push(part);
                while let Some(line) = lines.next_line().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["data: a", "", "data: b"], "in steps of {step}");
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::default();
        lines.push(&vec![b'x'; MAX_LINE_BYTES + 1]);
        assert_eq!(lines.next_line().unwrap_err().code(), "engine.answer_too_large");
    }
}
