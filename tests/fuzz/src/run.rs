//! Runs a target over its corpus and over mutations of it.
//!
//! Refuses to go on after a fault: the input that did it comes back. Invariant: the same seed and count see the same inputs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::Mutator;
use crate::targets::Target;

/// How long and how far.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Where the mutations begin.
    pub seed: u64,
    /// At most so many inputs.
    pub inputs: u64,
    /// At most so long.
    pub time: Duration,
    /// Longest input.
    pub length: usize,
    /// Longest time for one input: a parser is linear, and the inputs are small.
    pub each: Duration,
    /// Most memory that the process may have grown by at the end.
    pub growth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            seed: 1,
            inputs: u64::MAX,
            time: Duration::from_secs(10),
            length: 256 * 1024,
            each: Duration::from_secs(1),
            growth: 512 << 20,
        }
    }
}

/// What came out.
#[derive(Debug)]
pub enum Outcome {
    /// So many inputs, none of which did harm.
    Quiet {
        /// How many.
        inputs: u64,
        /// The slowest of them.
        slowest: Duration,
    },
    /// An input that did.
    Fault {
        /// What it did.
        what: String,
        /// The input.
        input: Vec<u8>,
    },
}

/// Runs a target.
#[must_use]
pub fn run(target: &Target, corpus: &[Vec<u8>], limits: &Limits) -> Outcome {
    let before = peak();
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut inputs = 0;
    let mut mutator = Mutator::new(limits.seed, limits.length);
    let mut left = corpus.iter();
    while inputs < limits.inputs && (began.elapsed() < limits.time || left.len() > 0) {
        let input = match left.next() {
            Some(whole) => whole.clone(),
            None => mutator.input(corpus),
        };
        let start = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (target.read)(&input)));
        let took = start.elapsed();
        inputs += 1;
        slowest = slowest.max(took);
        let what = match ended {
            Err(_) => "it panicked".to_owned(),
            Ok(_) if took > limits.each => format!("it took {} ms", took.as_millis()),
            Ok(_) => continue,
        };
        return Outcome::Fault { what, input };
    }
    let grown = peak().saturating_sub(before);
    if grown > limits.growth {
        return Outcome::Fault {
            what: format!("the process grew by {} MiB over {inputs} inputs", grown >> 20),
            input: Vec::new(),
        };
    }
    Outcome::Quiet { inputs, slowest }
}

/// The most memory that this process ever had, in bytes; 0 where nothing says.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10)
}
