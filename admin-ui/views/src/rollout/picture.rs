//! A wave as a picture: a mark for each box, or a bar where there are too many.
//!
//! Refuses to show by colour alone: each stage has a shape of its own, each mark a title. Invariant: as many marks as boxes, or
//! a bar whose parts are in proportion.

use std::fmt::Write as _;

use askama::filters::Safe;

use super::{StageMark, WavePart};

/// More boxes than this are a bar: marks would be too small to be told apart.
const MOST_MARKS: usize = 96;
/// Marks of one row.
const ROW: usize = 24;
/// Side of a mark's cell.
const CELL: usize = 20;

/// Draws a wave.
pub(crate) fn wave(wave: &WavePart) -> Safe<String> {
    if wave.dots.len() > MOST_MARKS {
        return bar(wave);
    }
    let count = wave.dots.len();
    let (columns, rows) = (count.clamp(1, ROW), count.div_ceil(ROW).max(1));
    let mut marks = String::new();
    for (place, dot) in wave.dots.iter().enumerate() {
        let (x, y) = ((place % ROW) * CELL + CELL / 2, (place / ROW) * CELL + CELL / 2);
        let mut title = String::new();
        let text = crate::text::short(&dot.name, 40);
        let _ = askama::filters::Escaper::write_escaped_str(&crate::text::Careful, &mut title, &text);
        let tone = dot.stage.tone();
        let _ = write!(
            marks,
            "<g class=\"{tone}\" transform=\"translate({x} {y})\"><title>{title}: {}</title>{}</g>",
            dot.stage.word(),
            shape(dot.stage)
        );
    }
    Safe(format!(
        "<svg class=\"wave\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"wave {}: {}\">{marks}</svg>",
        columns * CELL,
        rows * CELL,
        columns * CELL,
        rows * CELL,
        wave.number,
        sentence(wave)
    ))
}

/// A mark around the origin, about 14 wide.
const fn shape(stage: StageMark) -> &'static str {
    match stage {
        StageMark::Waiting => "<circle class=\"ring\" r=\"6\"/>",
        StageMark::Ordered => "<circle class=\"ring\" r=\"6\"/><path d=\"M0-6A6 6 0 0 0 0 6z\"/>",
        StageMark::Healthy => "<circle r=\"6.5\"/>",
        StageMark::WentBack | StageMark::Failed => "<rect x=\"-6\" y=\"-6\" width=\"12\" height=\"12\"/>",
        StageMark::Silent | StageMark::ReturnOrdered => "<path d=\"M0-7L7 6H-7z\"/>",
        StageMark::Returned => "<path d=\"M-7 0L6-7V7z\"/>",
    }
}

fn counts(wave: &WavePart) -> Vec<(StageMark, usize)> {
    StageMark::ALL
        .into_iter()
        .map(|mark| (mark, wave.dots.iter().filter(|dot| dot.stage == mark).count()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// `3 healthy, 1 went back by itself`.
pub(crate) fn sentence(wave: &WavePart) -> String {
    let parts: Vec<String> = (counts(wave).into_iter())
        .map(|(mark, count)| format!("{} {}", crate::text::grouped(count), mark.word()))
        .collect();
    parts.join(", ")
}

fn bar(wave: &WavePart) -> Safe<String> {
    const WIDTH: usize = 480;
    let all = wave.dots.len().max(1);
    let (mut parts, mut sum) = (String::new(), 0_usize);
    for (mark, count) in counts(wave) {
        let left = sum * WIDTH / all;
        sum += count;
        // At least 4 wide, so that one box of ten thousand is seen.
        let width = (sum * WIDTH / all).saturating_sub(left).max(4);
        let left = left.min(WIDTH - width);
        let _ = write!(
            parts,
            "<rect class=\"{}\" x=\"{left}\" width=\"{width}\" height=\"16\"><title>{} {}</title></rect>",
            mark.tone(),
            crate::text::grouped(count),
            mark.word()
        );
    }
    Safe(format!(
        "<svg class=\"wave bar-of\" viewBox=\"0 0 {WIDTH} 16\" width=\"{WIDTH}\" height=\"16\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"wave {}: {}\"><rect class=\"track\" width=\"{WIDTH}\" height=\"16\"/>{parts}</svg>",
        wave.number,
        sentence(wave)
    ))
}
