//! `freehold-unseal`: opens the data volume of a box in its initrd, makes it on the first boot, or says why not.
//!
//! Parse → run → exit code: 0 open, 1 refused, 2 could not tell.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    freehold_unseal::Arguments::parse().run()
}
