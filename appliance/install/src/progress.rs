//! How far an installation is: bytes, rate, time left.
//!
//! Refuses to guess a rate out of nothing. Invariant: one line of at most 78 characters, ASCII only.

use std::time::Duration;

use crate::show::size;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// `writing` or `reading back`.
    pub doing: &'static str,
    /// Bytes done, both ways counted.
    pub done: u64,
    /// Bytes in all, both ways counted.
    pub total: u64,
}

impl Progress {
    /// Per cent; 100 only when everything is done.
    #[must_use]
    pub fn percent(self) -> u64 {
        self.done.saturating_mul(100).checked_div(self.total).unwrap_or(100)
    }
}

/// One line: `writing       [#####-----]  52 %  1.2 GiB of 2.3 GiB  118 MiB/s  10 s left`.
#[must_use]
pub fn bar(progress: Progress, elapsed: Duration) -> String {
    const WIDE: u64 = 20;
    let full = progress
        .done
        .saturating_mul(WIDE)
        .checked_div(progress.total)
        .unwrap_or(WIDE)
        .min(WIDE);
    let marks: String = (0..WIDE).map(|place| if place < full { '#' } else { '-' }).collect();
    let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let rate = progress.done.saturating_mul(1000).checked_div(ms);
    let rest = progress.total.saturating_sub(progress.done);
    let left = rate.and_then(|rate| rest.checked_div(rate));
    let speed = match (rate, left) {
        (Some(rate), Some(left)) if ms >= 500 => format!("  {}/s  {} left", size(rate), time(left)),
        _ => String::new(),
    };
    format!(
        "{:<13}[{marks}] {:>3} %  {} of {}{speed}",
        progress.doing,
        progress.percent(),
        size(progress.done),
        size(progress.total)
    )
}

fn time(seconds: u64) -> String {
    if seconds < 100 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds.div_ceil(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_says_bytes_rate_and_time_left() {
        let progress = Progress {
            doing: "writing",
            done: 512 << 20,
            total: 2 << 30,
        };
        assert_eq!(
            bar(progress, Duration::from_secs(4)),
            "writing      [#####---------------]  25 %  512 MiB of 2.0 GiB  128 MiB/s  12 s left"
        );
        let none = Progress { done: 0, ..progress };
        assert_eq!(
            bar(none, Duration::ZERO),
            "writing      [--------------------]   0 %  0 bytes of 2.0 GiB"
        );
    }
}
