//! `freehold-inspect`: an auditor's offline verifier. Reads the files named on its command line and nothing else.
//!
//! Refuses networks, clocks where a time is given, and answers without a reason. Invariant: exit code 0 is yes, 1 is no, 2 is
//! could not tell.

mod answer;
mod arguments;
mod evidence;
mod explain;
mod input;
mod log;
mod model;
mod record;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let json = arguments.json;
    match arguments.run() {
        Ok(answer) => answer.show(json),
        Err(error) => answer::Answer::could_not_tell(&error).show(json),
    }
}
