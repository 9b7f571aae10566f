//! Prints the table of trust cases: `make cases`. Ends with 1 when the table is not true.
//!
//! Refuses to judge whether the tests pass: that is `make test`'s. Invariant: what it prints is what the law checks.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (cases, faults) = freehold_laws::cases::cases();
    let (mut tests, mut unproven, mut partly) = (0, 0, 0);
    for case in &cases {
        println!("{}  {}", case.code, case.title);
        for name in &case.shown_by {
            tests += 1;
            println!("       {name}");
        }
        if let Some(why) = &case.unproven {
            unproven += 1;
            println!("       unproven: {why}");
        }
        if let Some(what) = &case.partly {
            partly += 1;
            println!("       partly: {what}");
        }
    }
    println!(
        "\n{} cases: {} shown by {tests} tests ({partly} of them in part), {unproven} unproven",
        cases.len(),
        cases.len() - unproven,
    );
    for fault in &faults {
        eprintln!("error: {fault}");
    }
    ExitCode::from(u8::from(!faults.is_empty()))
}
