//! `freehold-console`: parse, run, exit code. 0 done, 1 refused, 2 could not tell or could not work.

use std::process::ExitCode;

fn main() -> ExitCode {
    freehold_console::command::main()
}
