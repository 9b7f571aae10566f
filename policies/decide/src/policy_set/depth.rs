//! How deep a policy's text goes, before anything that recurses reads it (G02).
//!
//! Refuses texts whose parsing, checking or evaluation could use up the stack. Invariant: reads each byte once and holds a few
//! numbers.

/// The deepest nesting of brackets, and the most `if`s of one policy.
const NESTING_LIMIT: usize = 64;
/// The most operator characters of one policy: a chain of operators is as deep as it is long once parsed.
const OPERATOR_LIMIT: usize = 512;
/// The longest policy, bytes: bounds patterns and lists.
const POLICY_LIMIT: usize = 16 * 1024;

/// Checks every policy of a file.
pub(super) fn check(text: &str) -> Result<(), String> {
    let (mut nesting, mut operators, mut ifs) = (0usize, 0usize, 0usize);
    let mut begin = 0usize;
    let mut rest = text.bytes().enumerate().peekable();
    let mut word = Vec::with_capacity(2);
    while let Some((at, byte)) = rest.next() {
        if at.saturating_sub(begin) > POLICY_LIMIT {
            return Err(format!("a policy is longer than {POLICY_LIMIT} bytes"));
        }
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            // Only the first three bytes of a word matter to know an `if`.
            if word.len() < 3 {
                word.push(byte);
            }
            continue;
        }
        ifs = ifs.saturating_add(usize::from(word == b"if"));
        word.clear();
        match byte {
            b'"' => skip_text(&mut rest),
            b'/' if rest.peek().is_some_and(|(_, next)| *next == b'/') => {
                while rest.next_if(|(_, byte)| *byte != b'\n').is_some() {}
            }
            b'(' | b'[' | b'{' => nesting = nesting.saturating_add(1),
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            b'&' | b'|' | b'+' | b'-' | b'*' | b'!' | b'.' => operators = operators.saturating_add(1),
            b';' => (operators, ifs, begin) = (0, 0, at),
            _ => {}
        }
        if nesting > NESTING_LIMIT || ifs > NESTING_LIMIT {
            return Err(format!("it nests deeper than {NESTING_LIMIT}"));
        }
        if operators > OPERATOR_LIMIT {
            return Err(format!("a policy has more than {OPERATOR_LIMIT} operators"));
        }
    }
    Ok(())
}

fn skip_text(rest: &mut impl Iterator<Item = (usize, u8)>) {
    while let Some((_, byte)) = rest.next() {
        match byte {
            b'\\' => drop(rest.next()),
            b'"' => return,
            _ => {}
        }
    }
}
