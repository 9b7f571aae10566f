//! Verbs for a running `make demo`: they leave a wish in its folder, and the demo carries it out.
//!
//! Refuses to touch anything but the demo's own folder.

use std::path::PathBuf;

use clap::Subcommand;

use crate::answer::Fault;

/// Verbs for a running `make demo`.
#[derive(Debug, Subcommand)]
pub enum DemoVerb {
    /// Change one byte in a box's boot log and restart the box: watch it turn red in the console.
    Tamper {
        /// `box1`, `box2` or `box3`.
        r#box: String,
        /// The demo's folder.
        #[arg(long, default_value = "target/demo")]
        folder: PathBuf,
    },
}

/// Runs a verb.
pub fn run(verb: DemoVerb, json: bool) -> Result<(), Fault> {
    let DemoVerb::Tamper { r#box, folder } = verb;
    if !["box1", "box2", "box3"].contains(&r#box.as_str()) {
        return Err(Fault::could_not_tell(
            format!("the demo has no `{}`", r#box),
            "box1, box2 or box3",
        ));
    }
    let wishes = folder.join("wishes");
    if !wishes.is_dir() {
        return Err(Fault::could_not_tell(
            format!("no demo is up in `{}`", folder.display()),
            "make demo",
        ));
    }
    std::fs::write(wishes.join(format!("tamper-{}", r#box)), b"")?;
    if json {
        println!("{}", serde_json::json!({"wish": "tamper", "box": r#box}));
    } else {
        println!(
            "{} will restart with one byte of its boot log changed; watch it in the console",
            r#box
        );
    }
    Ok(())
}
