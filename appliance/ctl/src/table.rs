//! Plain tables for the terminal: columns as wide as their widest cell, nothing drawn around them.

/// Prints `rows` under `heads`; control characters of cells are made visible.
pub fn print(heads: &[&str], rows: &[Vec<String>]) {
    print!("{}", format(heads, rows));
}

fn format(heads: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| crate::answer::visible(cell)).collect())
        .collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .chain([head.len()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text.trim_end().to_owned() + "\n"
    };
    let mut text = line(heads.to_vec());
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_and_control_characters_show() {
        let text = super::format(
            &["a", "b"],
            &[
                vec!["long cell".into(), "x\u{1b}[31m".into()],
                vec!["s".into(), "y".into()],
            ],
        );
        assert_eq!(text, "a          b\nlong cell  x\\u{1b}[31m\ns          y\n");
    }
}
