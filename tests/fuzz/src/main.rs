//! `freehold-fuzz`: runs every target, or the one that is named, for so many seconds each.
//!
//! Refuses to forget what it found: an input that does harm is written to `tests/fuzz/corpus/<target>/` under its digest, where
//! the next run and every test begin with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use freehold_fuzz::{Limits, Outcome, run, targets};

fn corpus_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

fn main() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let limits = Limits {
        seed: number("SEED").unwrap_or(1),
        inputs: number("INPUTS").unwrap_or(u64::MAX),
        time: Duration::from_secs(number("SECONDS_EACH").unwrap_or(60)),
        ..Limits::default()
    };
    let only = std::env::var("TARGET").ok().filter(|name| !name.is_empty());
    let mut harm = 0_u8;
    let mut ran = 0;
    for target in targets() {
        if only.as_deref().is_some_and(|name| name != target.name) {
            continue;
        }
        ran += 1;
        let mut corpus = (target.seeds)();
        let folder = corpus_folder(target.name);
        corpus.extend(
            std::fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| std::fs::read(entry.path()).ok()),
        );
        match run(&target, &corpus, &limits) {
            Outcome::Quiet { inputs, slowest } => {
                println!("  ✓ {:<20} {inputs:>9} inputs, slowest {:?}", target.name, slowest);
            }
            Outcome::Fault { what, input } => {
                harm = 1;
                let name = freehold_trust::sha256(&input).to_hex();
                let path = folder.join(&name[..16]);
                let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &input));
                println!(
                    "  ✗ {:<20} {what}: {} bytes at {}",
                    target.name,
                    input.len(),
                    path.display()
                );
                if let Err(error) = kept {
                    println!("    it could not be kept: {error}");
                }
            }
        }
    }
    if ran == 0 {
        eprintln!("error: no target has this name");
        return ExitCode::from(2);
    }
    ExitCode::from(harm)
}
