//! The figures of `docs/benchmarks.md`: each measured beside its peer, in the same run.
//!
//! Refuses to compare across runs or machines, and to be a test: a number here never fails a build.

mod chat;
mod console;
mod evidence;
mod hash;
#[path = "../../../attestation/verify/tests/support/paper_tpm.rs"]
mod paper_tpm;
mod record;
mod row;
mod supply;
mod timing;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures Freehold beside its peers; prints one JSON row a figure.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Verify evidence, with and without the policy decision, beside raw signature checks and `tpm2_checkquote`.
    Evidence {
        /// A folder for temporary files.
        #[arg(long)]
        scratch: PathBuf,
    },
    /// Hash and verify models of 1 GiB, beside openssl and model-signing.
    Hash {
        /// A folder for the 1 GiB files.
        #[arg(long)]
        scratch: PathBuf,
        /// Folder of the `freehold` program (release build).
        #[arg(long)]
        programs: PathBuf,
        /// The judges' Python, when there is one.
        #[arg(long)]
        python: Option<PathBuf>,
    },
    /// Chat through the gateway at 1 and 8 streams, beside the engine asked directly.
    Chat {
        /// A folder for sockets and logs.
        #[arg(long)]
        scratch: PathBuf,
        /// Folder of `freehold-gateway` (release build).
        #[arg(long)]
        programs: PathBuf,
        /// The unpacked engine.
        #[arg(long, default_value_os_t = chat::default_engine())]
        engine: PathBuf,
        /// A GGUF model, see `random_model.py`.
        #[arg(long)]
        model: PathBuf,
    },
    /// Match a fleet's bills of materials against advisories, and again after a small change.
    Supply {
        /// Number of boxes.
        #[arg(long, default_value_t = 10_000)]
        boxes: usize,
        /// Components of each.
        #[arg(long, default_value_t = 400)]
        components: usize,
        /// Number of advisories.
        #[arg(long, default_value_t = 200_000)]
        advisories: usize,
    },
    /// A record of a million entries, one proof, durable entries a second, a report over ten thousand boxes.
    Record {
        /// A folder for the record.
        #[arg(long)]
        scratch: PathBuf,
        /// Entries of the large record.
        #[arg(long, default_value_t = 1_000_000)]
        entries: u64,
        /// Boxes of the report.
        #[arg(long, default_value_t = 10_000)]
        boxes: usize,
    },
    /// The console with many simulated boxes that check in, while a person loads the fleet page.
    Console {
        /// A folder for the console's state.
        #[arg(long)]
        scratch: PathBuf,
        /// Folder of `freehold-console` (release build).
        #[arg(long)]
        programs: PathBuf,
        /// Number of boxes.
        #[arg(long, default_value_t = 1_000)]
        boxes: usize,
        /// Seconds between two rounds of one box.
        #[arg(long, default_value_t = 30)]
        every: u64,
        /// Seconds before measuring.
        #[arg(long, default_value_t = 45)]
        warm: u64,
        /// Seconds that are measured.
        #[arg(long, default_value_t = 90)]
        window: u64,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().what {
        What::Evidence { scratch } => evidence::measure(&scratch),
        What::Supply {
            boxes,
            components,
            advisories,
        } => supply::measure(supply::Size {
            boxes,
            components,
            advisories,
        }),
        What::Chat {
            scratch,
            programs,
            engine,
            model,
        } => chat::measure(&scratch, &programs, &engine, &model),
        What::Hash {
            scratch,
            programs,
            python,
        } => hash::measure(&scratch, &programs, python.as_deref()),
        What::Record {
            scratch,
            entries,
            boxes,
        } => record::measure(&scratch, entries, boxes),
        What::Console {
            scratch,
            programs,
            boxes,
            every,
            warm,
            window,
        } => console::measure(
            &scratch,
            &console::Plan {
                boxes,
                every,
                warm,
                window,
                programs,
            },
        ),
    };
    match result {
        Ok(rows) => {
            for row in rows {
                println!("{}", serde_json::to_string(&row).unwrap_or_default());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
