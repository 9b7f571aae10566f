//! The tour that `make demo` shows: a console and four boxes on this machine prove, ask, are attacked, roll out, and are checked.
//!
//! Refuses to pretend: every step runs the shipped programs and fails loudly when they do not do what its title says.
//! `make test` runs the same tour with `--once`.

mod acts;
mod command;
mod forward;
mod network;
mod process;
mod rogue;
mod stage;
mod summary;
mod world;

use std::process::ExitCode;

use clap::Parser;

/// A console and four boxes on this machine: prove, ask, attack, roll out, check.
#[derive(Debug, Parser)]
#[command(name = "freehold-tour")]
struct Arguments {
    /// Leave after the acts instead of staying up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Where the demonstration keeps its files.
    #[arg(long, default_value = "target/demo")]
    folder: std::path::PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match acts::run(&arguments.folder, arguments.once) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::from(2)
        }
    }
}
