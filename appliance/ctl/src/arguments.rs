//! Every verb of `freehold`, in one place: help, completions and the programs come from this definition.
//!
//! Refuses secrets as arguments: they are read from files or the terminal, never from a process list.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::answer::Fault;
use crate::{
    account, advisories, ask, boxes, bundle, console, demo, fleet, model, policy, record, recover, release, report,
    rollout, supply,
};

/// Run the fleet, ask a box, sign and publish: Freehold's command line.
///
/// Exit codes: 0 yes, 1 no (refused, with a code), 2 could not tell.
#[derive(Debug, Parser)]
#[command(name = "freehold", version, max_term_width = 100)]
pub struct Arguments {
    /// The file that remembers a console: its address, the fleet CA's fingerprint, your session.
    #[arg(long, global = true, env = "FREEHOLD_PROFILE", value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Sign in to a console and see the fleet.
    #[command(subcommand)]
    Console(console::ConsoleVerb),
    /// Accounts, sessions and tokens of a console.
    #[command(subcommand)]
    Account(account::AccountVerb),
    /// Look at boxes and change what they run.
    #[command(subcommand, name = "box")]
    Box(boxes::BoxVerb),
    /// Ask a model on a box; the reply streams.
    Ask(ask::Ask),
    /// Sign and verify models.
    #[command(subcommand)]
    Model(model::ModelVerb),
    /// Put policy bundles together and check them.
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Publish, revoke and export releases (the publisher's side, offline).
    #[command(subcommand)]
    Release(release::ReleaseVerb),
    /// Write bills of materials and provenance in other forms, sign and check them (offline).
    #[command(subcommand)]
    Sbom(supply::SbomVerb),
    /// What is known to be wrong with what runs: findings, which boxes have a package, accepting.
    #[command(subcommand)]
    Advisories(advisories::AdvisoriesVerb),
    /// Open the escrow of a box's recovery key, two persons together (offline).
    #[command(subcommand)]
    Recover(recover::RecoverVerb),
    /// Show, prove, verify and export the record of a console or a box.
    #[command(subcommand)]
    Record(record::RecordVerb),
    /// Make the auditor's report.
    #[command(subcommand)]
    Report(report::ReportVerb),
    /// Bring a release to many boxes, a few at a time.
    #[command(subcommand)]
    Rollout(rollout::RolloutVerb),
    /// Look at a fleet as a whole.
    #[command(subcommand)]
    Fleet(fleet::FleetVerb),
    /// Reach boxes without a network: make, check, import and take back sticks.
    #[command(subcommand)]
    Bundle(bundle::BundleVerb),
    /// What a refusal code means and what to do about it.
    Explain {
        /// For example `release.rollback`.
        code: String,
    },
    /// Change something in a running `make demo`, to see it noticed.
    #[command(subcommand)]
    Demo(demo::DemoVerb),
    /// Completions for your shell, to standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What each verb needs to know besides its own arguments.
#[derive(Debug)]
pub struct Setting {
    /// Where the profile lies.
    pub profile: PathBuf,
    /// Whether to print JSON.
    pub json: bool,
}

impl Arguments {
    /// Runs the verb and says how it went.
    pub fn run(self) -> ExitCode {
        let setting = Setting {
            profile: self.profile.unwrap_or_else(crate::profile::default_path),
            json: self.json,
        };
        let result = match self.verb {
            Verb::Console(verb) => in_runtime(console::run(verb, &setting)),
            Verb::Account(verb) => in_runtime(account::run(verb, &setting)),
            Verb::Box(verb) => in_runtime(boxes::run(verb, &setting)),
            Verb::Rollout(verb) => in_runtime(rollout::run(verb, &setting)),
            Verb::Ask(ask) => in_runtime(ask.run(&setting)),
            Verb::Model(verb) => model::run(verb, &setting),
            Verb::Policy(verb) => policy::run(verb, &setting),
            Verb::Release(verb) => release::run(verb, &setting),
            Verb::Sbom(verb) => supply::run(&verb, &setting),
            Verb::Advisories(verb) => advisories::run(verb, &setting),
            Verb::Recover(verb) => recover::run(verb, &setting),
            Verb::Record(verb) => in_runtime(record::run(verb, &setting)),
            Verb::Report(verb) => in_runtime(report::run(verb, &setting)),
            Verb::Fleet(verb) => fleet::run(&verb, &setting),
            Verb::Bundle(verb) => in_runtime(bundle::run(verb, &setting)),
            Verb::Explain { code } => explain(&code, setting.json),
            Verb::Demo(verb) => demo::run(verb, setting.json),
            Verb::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "freehold", &mut std::io::stdout());
                Ok(())
            }
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(fault) => fault.show(setting.json),
        }
    }
}

/// Runs what has to wait for a console.
pub fn in_runtime(work: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Fault::from)?
        .block_on(work)
}

fn explain(code: &str, json: bool) -> Result<(), Fault> {
    let Some(said) = freehold_explain::explain(code) else {
        return Err(Fault::could_not_tell(
            format!("no refusal has the code `{code}`"),
            "codes look like `release.rollback`; `freehold-inspect --explain` knows the same ones",
        ));
    };
    if json {
        println!(
            "{}",
            serde_json::json!({"code": code, "what": said.what, "means": said.means, "do": said.next})
        );
    } else {
        println!(
            "{code}\n  What   {}\n  Means  {}\n  Do     {}",
            said.what, said.means, said.next
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_and_argument_has_help() {
        fn look(command: &clap::Command, faults: &mut Vec<String>) {
            for argument in command.get_arguments() {
                if argument.get_help().is_none() {
                    faults.push(format!("{} {}", command.get_name(), argument.get_id()));
                }
            }
            for sub in command.get_subcommands() {
                if sub.get_about().is_none() {
                    faults.push(sub.get_name().to_owned());
                }
                look(sub, faults);
            }
        }
        let mut faults = Vec::new();
        look(&Arguments::command(), &mut faults);
        assert_eq!(faults, Vec::<String>::new());
    }
}
