//! The corpus again, and a bounded number of mutations: what `make test` runs of the fuzzer. Case C23 at its full count is
//! `make fuzz`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use freehold_fuzz::{Limits, Outcome, run, targets};

/// Each target ten seconds at most, and so many inputs that a debug build is through in one or two.
const INPUTS: u64 = 3_000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|entry| std::fs::read(entry.path()).unwrap()).collect()
}

// promise S-265
#[test]
fn c23_no_mutation_makes_a_parser_panic_linger_or_grow() {
    for target in targets() {
        let mut seeds = (target.seeds)();
        seeds.extend(corpus(target.name));
        let limits = Limits {
            inputs: INPUTS,
            time: Duration::from_secs(10),
            length: 64 * 1024,
            // A busy machine stops a thread for longer than a parser takes.
            each: Duration::from_secs(5),
            ..Limits::default()
        };
        match run(&target, &seeds, &limits) {
            Outcome::Quiet { inputs, slowest } => println!("{}: {inputs} inputs, slowest {slowest:?}", target.name),
            Outcome::Fault { what, input } => panic!(
                "{}: {what}; {} bytes, of which {:?}",
                target.name,
                input.len(),
                &input[..input.len().min(64)]
            ),
        }
    }
}

#[test]
fn every_target_begins_with_something_that_it_accepts() {
    // A seed that is refused at the door leads nowhere; targets that read several forms accept at least one of them.
    let doors = ["frames", "sealing", "medium", "lock", "network-settings"];
    for target in targets() {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        let accepted = seeds.iter().filter(|seed| (target.read)(seed)).count();
        println!("{}: {accepted} of {} seeds accepted", target.name, seeds.len());
        assert!(accepted > 0 || doors.contains(&target.name), "{}", target.name);
    }
}

#[test]
fn a_parser_that_panics_is_found() {
    let broken = freehold_fuzz::Target {
        name: "broken",
        read: |bytes| {
            assert!(!bytes.contains(&0xff), "the fault");
            true
        },
        seeds: Vec::new,
    };
    let found = run(
        &broken,
        &[vec![1, 2, 3]],
        &Limits {
            inputs: 10_000,
            ..Limits::default()
        },
    );
    assert!(
        matches!(found, Outcome::Fault { ref what, .. } if what == "it panicked"),
        "{found:?}"
    );
}
