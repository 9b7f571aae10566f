//! What was typed.
//!
//! Refuses to guess: a verb, or `--explain`. Invariant: every verb ends in an [`Answer`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::answer::Answer;

/// Checks what a Freehold fleet leaves behind, offline: evidence, records, models, boot logs.
#[derive(Debug, Parser)]
#[command(
    name = "freehold-inspect",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 yes, 1 no, 2 could not tell."
)]
pub struct Arguments {
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Take this as the present: RFC 3339, or unix seconds.
    #[arg(long, global = true, value_name = "TIME", value_parser = crate::input::time)]
    pub at: Option<i64>,
    /// Say what a refusal code means, for example `release.rollback`.
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check an evidence package as the console exports it: verdict, claims, PCR by PCR.
    Evidence(Evidence),
    /// Check a record's folder: every entry, every hash, the signed checkpoint.
    Record(Record),
    /// Check a model's folder against its signature.
    Model(Model),
    /// Read a TCG event log: the replayed PCRs of each bank, and each event.
    Log(Log),
}

/// Arguments of `evidence`.
#[derive(Debug, Args)]
pub struct Evidence {
    /// The package.
    pub file: PathBuf,
    /// The box's attestation key, by fingerprint as its enrolment showed it; else the package's own word is taken for it.
    #[arg(long, value_name = "SHA256")]
    pub ak: Option<String>,
    /// Answer no for a simulated TPM or boot.
    #[arg(long)]
    pub refuse_simulated: bool,
}

/// Arguments of `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// The folder.
    pub folder: PathBuf,
    /// The log's name, as its checkpoints must say.
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// The log's key, `name+hash+base64`, or a file that holds it; else the folder's own word is taken for it.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Also print the entries.
    #[arg(long)]
    pub entries: bool,
}

/// Arguments of `model`.
#[derive(Debug, Args)]
pub struct Model {
    /// The model's folder.
    pub folder: PathBuf,
    /// The signature.
    #[arg(long, value_name = "FILE")]
    pub bundle: PathBuf,
    /// A public key (PEM) whose signature counts; may be given more than once.
    #[arg(long, value_name = "FILE", required_unless_present = "roots")]
    pub key: Vec<PathBuf>,
    /// Root certificates (PEM) under which signers count; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub roots: Vec<PathBuf>,
    /// Also check this bill of materials.
    #[arg(long, value_name = "FILE")]
    pub bom: Option<PathBuf>,
}

/// Arguments of `log`.
#[derive(Debug, Args)]
pub struct Log {
    /// The log, as the firmware left it.
    pub file: PathBuf,
}

impl Arguments {
    /// Does it.
    pub fn run(self) -> anyhow::Result<Answer> {
        if let Some(code) = &self.explain {
            return Ok(crate::explain::explain(code));
        }
        match self.verb {
            Some(Verb::Evidence(arguments)) => crate::evidence::inspect(&arguments, self.at),
            Some(Verb::Record(arguments)) => crate::record::inspect(&arguments),
            Some(Verb::Model(arguments)) => crate::model::inspect(&arguments, self.at),
            Some(Verb::Log(arguments)) => crate::log::inspect(&arguments),
            None => anyhow::bail!("nothing to inspect: name a verb, or `--explain CODE`"),
        }
    }
}
