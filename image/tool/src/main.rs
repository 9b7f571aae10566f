//! `freehold-image`: parse, run, exit code. 0 done, 1 refused, 2 could not.
//!
//! Refuses to decide anything here: each command is one call into the library. Invariant: the exit code says the outcome.

mod arguments;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    match arguments::Arguments::parse().run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("freehold-image: {:#}", failure.error);
            if let Some(hint) = failure.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(failure.code)
        }
    }
}
