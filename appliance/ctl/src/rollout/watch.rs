//! Following a rollout on a terminal, until it is over.
//!
//! Refuses to guess while the console is away: it says so and asks again. Invariant: where nobody looks (no terminal) each change
//! is one line, so that a log can keep it.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::{draw, now};
use crate::answer::{Fault, Refused};
use crate::console::{Console, text};

/// Time between two looks.
const PACE: Duration = Duration::from_millis(500);
/// Looks in vain before it gives up: five minutes.
const PATIENCE: u32 = 600;

/// Watches.
///
/// # Errors
/// A refusal when the rollout did not end as it was meant to.
pub async fn watch(console: &Console, path: &str, json: bool) -> Result<(), Fault> {
    let is_screen = std::io::stdout().is_terminal() && !json;
    let (mut last, mut height, mut away) = (Value::Null, 0_usize, 0_u32);
    loop {
        match console.call(Method::GET, path, None).await {
            Ok(one) => {
                away = 0;
                let changed = one != last;
                if json && changed {
                    println!("{one}");
                } else if is_screen {
                    height = repaint(&draw::live(&one, now()), height)?;
                } else if changed {
                    println!("{}", draw::line(&one));
                }
                if one["over"] == true {
                    return ended(&one);
                }
                last = one;
            }
            Err(refused @ Fault::Refused(_)) => return Err(refused),
            Err(fault) => {
                away = away.saturating_add(1);
                if away >= PATIENCE {
                    return Err(fault);
                }
                if is_screen {
                    height = repaint("the console does not answer; asking again\n", height)?;
                }
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Draws over what was drawn before; answers its height.
fn repaint(frame: &str, height: usize) -> Result<usize, Fault> {
    let mut out = std::io::stdout().lock();
    if height > 0 {
        // Up to the first line of the last frame, and clear from there.
        write!(out, "\u{1b}[{height}A\u{1b}[J")?;
    }
    out.write_all(frame.as_bytes())?;
    out.flush()?;
    Ok(frame.lines().count())
}

/// How it ended, as an exit code.
fn ended(one: &Value) -> Result<(), Fault> {
    if one["phase"] == "done" {
        return Ok(());
    }
    let because = text(one, "because");
    Err(Fault::Refused(Refused {
        code: "rollout.ended".to_owned(),
        message: format!(
            "the rollout is {}{}{because}",
            text(one, "word"),
            if because.is_empty() { "" } else { ": " }
        ),
        expected: Some("done".to_owned()),
        found: Some(text(one, "phase")),
    }))
}
