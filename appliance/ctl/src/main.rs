//! `freehold`, the operator's and the publisher's command line.
//!
//! Parse → run → exit code: 0 yes, 1 no, 2 could not tell.

mod account;
mod advisories;
mod answer;
mod arguments;
mod ask;
mod boxes;
mod bundle;
mod console;
mod demo;
mod fleet;
mod model;
mod policy;
mod profile;
mod record;
mod recover;
mod release;
mod report;
mod rollout;
mod supply;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    freehold_channel::install_provider();
    let arguments = arguments::Arguments::parse();
    arguments.run()
}
