//! How things are timed: the best of several runs for whole commands, the median rate of slices for tight loops.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Calls a second of `work`: the median over `slices` slices of about 0.2 s each.
pub fn rate(slices: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut rates: Vec<f64> = (0..slices)
        .map(|_| {
            let began = Instant::now();
            let mut calls = 0_u32;
            while began.elapsed() < Duration::from_millis(200) {
                work();
                calls += 1;
            }
            f64::from(calls) / began.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Seconds that a command takes: the best of `runs`, after one run that warms the page cache.
pub fn best_of(runs: usize, program: &std::path::Path, arguments: &[&str]) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..=runs {
        let began = Instant::now();
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", program.display()))?;
        ensure!(
            output.status.success(),
            "{} {arguments:?}: {}{}",
            program.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best)
}
