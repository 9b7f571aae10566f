//! How the tour talks: titled acts, each step with its outcome and duration.
//!
//! Invariant: a step that failed is counted, and the tour ends non-zero.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// The screen, and what went wrong on it.
pub struct Stage {
    colour: bool,
    failures: Vec<String>,
    began: Instant,
}

impl Stage {
    /// A stage that starts its clock now.
    pub fn new() -> Self {
        Self {
            colour: std::io::stdout().is_terminal(),
            failures: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Seconds since the tour began.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Titles of the steps that failed.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Opens an act.
    pub fn act(&self, number: u32, title: &str) {
        println!("\n{}", self.paint("1", &format!("{number}  {title}")));
    }

    /// A plain line within an act.
    pub fn say(&self, text: &str) {
        println!("     {text}");
    }

    /// Runs a step: its title, then its outcome and duration. A failure is shown, counted, and handed on.
    pub fn step<T>(&mut self, title: &str, step: impl FnOnce() -> anyhow::Result<(String, T)>) -> anyhow::Result<T> {
        if self.colour {
            print!("   · {title}");
            let _ = std::io::stdout().flush();
        }
        let began = Instant::now();
        let result = step();
        let took = began.elapsed().as_secs_f64();
        if self.colour {
            print!("\r\x1b[K");
        }
        match result {
            Ok((outcome, value)) => {
                println!("   {} {title:<64} {:>7.2} s", self.paint("32", "✓"), took);
                for line in outcome.lines().filter(|line| !line.is_empty()) {
                    println!("       {}", self.paint("2", line));
                }
                Ok(value)
            }
            Err(error) => {
                println!("   {} {title:<64} {:>7.2} s", self.paint("31", "✗"), took);
                for line in format!("{error:#}").lines() {
                    println!("       {line}");
                }
                self.failures.push(title.to_owned());
                Err(error)
            }
        }
    }

    /// Like [`Stage::step`], for steps whose failure must not end the act: the next attack is still worth seeing.
    pub fn try_step(&mut self, title: &str, step: impl FnOnce() -> anyhow::Result<String>) -> bool {
        self.step(title, || step().map(|outcome| (outcome, ()))).is_ok()
    }
}
