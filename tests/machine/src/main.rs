//! `freehold-machine`: boots the image for a person, or runs the cases of tests/machine.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use freehold_machine::{cases, interactive, run};

/// Boots the operating system image in a virtual machine.
#[derive(Debug, Parser)]
#[command(name = "freehold-machine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the cases; without a name, all of them.
    Test {
        /// Only those that are quick enough for every change.
        #[arg(long)]
        quick: bool,
        /// How many machines are on at the same time; each computes with one processor.
        #[arg(long, default_value_t = 2)]
        jobs: usize,
        /// Cases by name.
        cases: Vec<String>,
    },
    /// Say which images after this one the cases update to: what `image/build.sh` takes.
    #[command(hide = true)]
    Variants {
        /// Only those of quick cases.
        #[arg(long)]
        quick: bool,
        /// Cases by name.
        cases: Vec<String>,
    },
    /// Run one case in this process: what `test` calls.
    #[command(hide = true)]
    Case {
        /// Its name.
        name: String,
    },
    /// Boot the image with this terminal as its serial line, until it is off. Its state stays in target/vm.
    Vm {
        /// Forget the machine's disk and TPM first.
        #[arg(long)]
        fresh: bool,
        /// A raw image that is shown as a USB stick.
        #[arg(long)]
        stick: Option<std::path::PathBuf>,
    },
}

fn main() -> ExitCode {
    let answer = match Arguments::parse().command {
        Command::Test { quick, jobs, cases } => run::all(quick, jobs, &cases).map(|good| i32::from(!good)),
        Command::Variants { quick, cases } => cases::chosen(quick, &cases).map(|chosen| {
            let all: std::collections::BTreeSet<&str> =
                chosen.iter().flat_map(|case| case.updates_to).copied().collect();
            println!("{}", all.into_iter().collect::<Vec<_>>().join(" "));
            0
        }),
        Command::Case { name } => run::inside(&name),
        Command::Vm { fresh, stick } => interactive::boot(fresh, stick),
    };
    match answer {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(2)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
