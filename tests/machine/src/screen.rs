//! What stands on a serial terminal of 80 columns and 25 rows, after the bytes that were sent to it.
//!
//! Refuses nothing: what it does not know changes nothing. Knows what the box's screen sends (docs/box-screen.md): cursor
//! addresses, attributes, an emptied screen, carriage returns and line feeds. Invariant: 25 rows.

const ROWS: usize = 25;
const COLUMNS: usize = 80;

/// The rows of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    rows: Vec<Vec<char>>,
}

impl Screen {
    /// The screen after `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        // What came before the last picture was wiped.
        let text = text.rfind("\u{1b}[2J").map_or(&*text, |at| &text[at..]);
        let mut screen = Self {
            rows: vec![vec![' '; COLUMNS]; ROWS],
        };
        let (mut row, mut column) = (0, 0);
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\u{1b}' => {
                    let mut numbers = String::new();
                    if letters.next() != Some('[') {
                        continue;
                    }
                    let end = letters.by_ref().find(|letter| {
                        let ends = ('@'..='~').contains(letter);
                        if !ends {
                            numbers.push(*letter);
                        }
                        ends
                    });
                    let mut parts = numbers.split(';').map(|number| number.parse().unwrap_or(1usize));
                    if end == Some('H') {
                        row = parts.next().unwrap_or(1).clamp(1, ROWS) - 1;
                        column = parts.next().unwrap_or(1).clamp(1, COLUMNS) - 1;
                    }
                }
                '\r' => column = 0,
                '\n' if row + 1 < ROWS => row += 1,
                '\n' => {
                    screen.rows.remove(0);
                    screen.rows.push(vec![' '; COLUMNS]);
                }
                letter if !letter.is_control() => {
                    if let Some(cell) = screen.rows.get_mut(row).and_then(|row| row.get_mut(column)) {
                        *cell = letter;
                    }
                    column += 1;
                }
                _ => {}
            }
        }
        screen
    }

    /// The rows as text.
    #[must_use]
    pub fn text(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned())
            .collect();
        rows.join("\n")
    }

    /// Whether `text` stands in one of the rows.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_where_they_were_put() {
        let screen = Screen::of(b"boot noise\r\n\x1b[0m\x1b[?25l\x1b[2J\x1b[2;3Hab\x1b[0m\x1b[1mc\x1b[25;1H menu");
        let text = screen.text();
        let rows: Vec<&str> = text.split('\n').collect();
        assert_eq!((rows[0], rows[1], rows[24]), ("", "  abc", " menu"));
        assert!(!screen.shows("noise"));
    }

    #[test]
    fn any_bytes_leave_twenty_five_rows() {
        let long = vec![b'\n'; 400];
        for bytes in [
            &b"\x1b"[..],
            b"\x1b[",
            b"\x1b[999;999Hx",
            b"\x1b[;Hx",
            &long,
            b"\xff\xfe",
        ] {
            assert_eq!(Screen::of(bytes).text().split('\n').count(), ROWS);
        }
    }
}
