//! Outside text, made fit to stand in a message.
//!
//! Refuses control characters and length: a hostile file name must not write to a terminal or fill a log. Invariant: the
//! result is one line of at most 96 characters.

/// At most this many characters of an outside string are repeated in a message (bounds log flooding).
const SHOWN: usize = 96;

/// `text` with control and formatting characters escaped, cut to a bounded length.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars().take(SHOWN) {
        // The bidirectional controls reorder what a person reads.
        let reorders = matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || reorders {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(shown("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\u{a}");
        assert_eq!(shown("x\u{202e}gnp"), "x\\u{202e}gnp");
        assert_eq!(shown(&"y".repeat(500)).chars().count(), 97);
    }
}
