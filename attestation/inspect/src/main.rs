//! `freehold-inspect`: an auditor's offline verifier. Reads the files named on its command line and nothing else.
//!
//! Refuses networks, clocks where a time is given, and answers without a reason. Invariant: exit code 0 is yes, 1 is no, 2 is
//! could not tell.

mod answer;
mod arguments;
mod bundle;
mod evidence;
mod explain;
mod input;
mod log;
mod model;
mod page;
mod proof;
mod record;
mod report;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let (json, html, subject) = (arguments.json, arguments.html.clone(), arguments.subject());
    let answer = match arguments.run() {
        Ok(answer) => answer,
        Err(error) => answer::Answer::could_not_tell(&error),
    };
    if let Some(path) = html {
        let by = concat!("freehold-inspect ", env!("CARGO_PKG_VERSION"));
        if let Err(error) = std::fs::write(&path, page::page(&answer, &subject, by)) {
            // Whoever asked for a page and gets none must not read an exit code of "yes".
            let error = anyhow::Error::new(error).context(format!("cannot write `{}`", path.display()));
            return answer::Answer::could_not_tell(&error).show(json);
        }
    }
    answer.show(json)
}
