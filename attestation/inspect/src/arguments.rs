//! What was typed.
//!
//! Refuses to guess: a verb, or `--explain`. Invariant: every verb ends in an [`Answer`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::answer::Answer;

/// Checks what a Freehold fleet leaves behind, offline: evidence, records, models, boot logs, bundles, reports.
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
    #[arg(long = "time", visible_alias = "at", global = true, value_name = "TIME", value_parser = crate::input::time)]
    pub at: Option<i64>,
    /// Also write the answer as one self-contained page to print.
    #[arg(long, global = true, value_name = "FILE")]
    pub html: Option<PathBuf>,
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
    /// Check that an entry is in a record, by a `.tlog-proof` file.
    Proof(Proof),
    /// Check a container that travels by stick: what is in it, digest by digest.
    Bundle(Bundle),
    /// Check an auditor's report: every file, every piece of evidence, every conclusion.
    Report(Report),
}

/// Arguments of `evidence`.
#[derive(Debug, Args)]
pub struct Evidence {
    /// The package.
    pub file: PathBuf,
    /// The box's attestation key, by fingerprint as its enrolment showed it; else the package's own word is taken for it.
    #[arg(long, value_name = "SHA256")]
    pub ak: Option<String>,
    /// The console's record key, `name+hash+base64`, or a file that holds it; else the package's own word is taken for it.
    #[arg(long, value_name = "KEY")]
    pub record_key: Option<String>,
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
    /// A witness whose cosignature counts, as its key or a file that holds it; may be given more than once.
    #[arg(long, value_name = "KEY")]
    pub witness: Vec<String>,
    /// How many of these witnesses must have cosigned.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub quorum: usize,
    /// A cosigned checkpoint that somebody kept, such as a box's `cosigned.note`: the record must contain what it saw.
    #[arg(long, value_name = "FILE")]
    pub seen: Vec<PathBuf>,
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

/// Arguments of `proof`.
#[derive(Debug, Args)]
pub struct Proof {
    /// The proof.
    pub file: PathBuf,
    /// The entry, as one line of JSON; `freehold record prove` writes it beside the proof.
    #[arg(long, value_name = "FILE")]
    pub entry: PathBuf,
    /// The record's key, `name+hash+base64`, or a file that holds it.
    #[arg(long, value_name = "KEY")]
    pub key: String,
}

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The container.
    pub file: PathBuf,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The report.
    pub file: PathBuf,
    /// The console's record key, `name+hash+base64`, or a file that holds it; else the report's own word is taken for it.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

impl Arguments {
    /// How the page names what was inspected.
    pub fn subject(&self) -> String {
        let path = match &self.verb {
            Some(Verb::Evidence(arguments)) => &arguments.file,
            Some(Verb::Record(arguments)) => &arguments.folder,
            Some(Verb::Model(arguments)) => &arguments.folder,
            Some(Verb::Log(arguments)) => &arguments.file,
            Some(Verb::Proof(arguments)) => &arguments.file,
            Some(Verb::Bundle(arguments)) => &arguments.file,
            Some(Verb::Report(arguments)) => &arguments.file,
            None => return self.explain.clone().unwrap_or_default(),
        };
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

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
            Some(Verb::Proof(arguments)) => crate::proof::inspect(&arguments),
            Some(Verb::Bundle(arguments)) => crate::bundle::inspect(&arguments),
            Some(Verb::Report(arguments)) => crate::report::inspect(&arguments),
            None => anyhow::bail!("nothing to inspect: name a verb, or `--explain CODE`"),
        }
    }
}
