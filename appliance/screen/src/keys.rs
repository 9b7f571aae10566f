//! What was typed: bytes of a terminal become the few keys that the screen knows.
//!
//! Refuses control characters: Ctrl-C, Ctrl-Z, Ctrl-\ and their kin become nothing, and so does every escape sequence but
//! the arrows. Invariant: any bytes give keys of this list, never a state that a later key cannot leave.

/// Longest escape sequence that is waited for; bounds a terminal that sends endless ones.
const LONGEST: usize = 16;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable character of ASCII.
    Character(char),
    /// Enter.
    Enter,
    /// Backspace or Delete.
    Backspace,
    /// Tab or the arrow down.
    Down,
    /// The arrow up.
    Up,
    /// Escape: back, without doing anything.
    Escape,
    /// Ctrl-L, as ever: paint everything again.
    Redraw,
}

/// Reads keys out of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Keys {
    sequence: Option<Vec<u8>>,
    after_return: bool,
}

impl Keys {
    /// The keys in the next bytes. An escape sequence may be cut anywhere.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        bytes.iter().filter_map(|byte| self.one(*byte)).collect()
    }

    /// Nothing came for a while: an Escape that stood alone was the key itself.
    pub fn pause(&mut self) -> Option<Key> {
        match self.sequence.take() {
            Some(sequence) if sequence.is_empty() => Some(Key::Escape),
            _ => None,
        }
    }

    /// Whether [`Self::pause`] has something to say.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.sequence.is_some()
    }

    fn one(&mut self, byte: u8) -> Option<Key> {
        if let Some(mut sequence) = self.sequence.take() {
            if byte == 0x1b {
                self.sequence = Some(Vec::new());
                return Some(Key::Escape);
            }
            sequence.push(byte);
            let begun = matches!(sequence.first(), Some(b'[' | b'O'));
            let ends = sequence.len() > 1 && (0x40..=0x7e).contains(&byte);
            if !begun || ends || sequence.len() > LONGEST {
                return match sequence.as_slice() {
                    b"[A" | b"OA" => Some(Key::Up),
                    b"[B" | b"OB" => Some(Key::Down),
                    b"[3~" => Some(Key::Backspace),
                    _ => None,
                };
            }
            self.sequence = Some(sequence);
            return None;
        }
        // A terminal that sends CR LF for one Enter means one.
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            0x1b => {
                self.sequence = Some(Vec::new());
                None
            }
            b'\n' if after_return => None,
            b'\r' | b'\n' => Some(Key::Enter),
            0x08 | 0x7f => Some(Key::Backspace),
            b'\t' => Some(Key::Down),
            0x0c => Some(Key::Redraw),
            b' '..=b'~' => Some(Key::Character(char::from(byte))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_nothing() {
        let mut keys = Keys::default();
        // Ctrl-C, Ctrl-Z, Ctrl-\, Ctrl-D, Ctrl-S, Ctrl-Q, Ctrl-], NUL (a serial break), a byte beyond ASCII.
        assert_eq!(keys.read(b"\x03\x1a\x1c\x04\x13\x11\x1d\0\xff"), vec![]);
        assert_eq!(keys.read(b"i"), vec![Key::Character('i')]);
        assert_eq!(keys.read(b"\r\n\n"), vec![Key::Enter, Key::Enter]);
    }

    #[test]
    fn escape_sequences_may_be_cut_and_unknown_ones_are_nothing() {
        let mut keys = Keys::default();
        assert_eq!(keys.read(b"\x1b[A\x1b"), vec![Key::Up]);
        assert_eq!(keys.read(b"["), vec![]);
        assert_eq!(keys.read(b"B"), vec![Key::Down]);
        // F1, a mouse report, the answer to a question that nobody asked.
        assert_eq!(keys.read(b"\x1bOP\x1b[<0;1;1M\x1b[?1;2cx"), vec![Key::Character('x')]);
        assert_eq!((keys.read(b"\x1b"), keys.pause()), (vec![], Some(Key::Escape)));
        assert_eq!(keys.pause(), None);
    }

    #[test]
    fn any_bytes_leave_the_keyboard_usable() {
        for first in 0..=u8::MAX {
            for second in [0, b'[', b'O', 0x1b, b'9', 0xff] {
                let mut keys = Keys::default();
                keys.read(&[0x1b, first, second]);
                keys.read(&[b'1'; 40]);
                keys.pause();
                assert_eq!(keys.read(b"q"), vec![Key::Character('q')], "{first} {second}");
            }
        }
    }
}
