//! `freehold-install`: parse, run, exit code (0 written or possible, 1 not, 2 could not tell).

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use freehold_install::{Arguments, InstallRejection, run};
use freehold_verify::rejection::Refusal as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// On a terminal, keys make no signals: Ctrl-C and Ctrl-Z are letters that no answer contains.
fn calm() {
    let terminal = io::stdin();
    if let Ok(mut modes) = tcgetattr(&terminal) {
        modes.local_modes.remove(LocalModes::ISIG);
        let _ = tcsetattr(&terminal, OptionalActions::Now, &modes);
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    calm();
    let done = run(&arguments, &mut io::stdin().lock(), &mut io::stdout());
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(rejection) => {
            let code = rejection.code();
            let mut err = io::stderr();
            let _ = writeln!(err, "error: {code}: {rejection}");
            if let Some(source) = std::error::Error::source(&rejection) {
                let _ = writeln!(err, "because: {source}");
            }
            if let Some(explained) = freehold_explain::explain(code) {
                let _ = writeln!(err, "{}\nhint: {}", explained.means, explained.next);
            }
            let could_not_tell = matches!(
                rejection,
                InstallRejection::Device { .. } | InstallRejection::Restart { .. }
            );
            ExitCode::from(if could_not_tell { 2 } else { 1 })
        }
    }
}
