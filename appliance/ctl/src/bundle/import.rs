//! Importing a stick on a box: the plan first, then a question, then the work, watched to its end.
//!
//! Refuses to do what was not shown: the supervisor compares the digest of the plan. Invariant: this program reads nothing of the
//! stick itself; the supervisor does, with the checks that it has for everything.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use freehold_protocol::V1;
use freehold_protocol::local::{HEADER_BYTES, decode, encode, frame_length};
use freehold_protocol::stick::{ImportState, StickAnswer, StickPlan, StickWish};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::answer::{Fault, Refused, visible};
use crate::arguments::Setting;
use crate::console::show;

/// Between two looks at an import under way.
const LOOK: Duration = Duration::from_millis(300);

/// Shows, asks, imports, waits.
pub async fn import(folder: &Path, runtime: &Path, apply: bool, setting: &Setting) -> Result<(), Fault> {
    let folder = std::path::absolute(folder)?;
    let folder = folder.display().to_string();
    let socket = runtime.join("stick.sock");
    let mut line = UnixStream::connect(&socket).await.map_err(|error| {
        Fault::could_not_tell(
            format!("`{}`: {error}", socket.display()),
            "is this the box, does its supervisor run, and are you its administrator?",
        )
    })?;
    let look = StickWish::Look {
        v: V1,
        folder: folder.clone(),
    };
    let StickAnswer::Plan { plan } = ask(&mut line, &look).await? else {
        return Err(unexpected());
    };
    if !setting.json {
        print(&plan);
    }
    if !apply && !agreed(setting)? {
        show(setting, &json!({ "plan": plan, "applied": false }), |_| {
            println!("nothing was changed")
        });
        return Ok(());
    }
    let wish = StickWish::Apply {
        v: V1,
        folder,
        digest: plan.digest.clone(),
    };
    let mut answer = ask(&mut line, &wish).await?;
    let mut last = String::new();
    loop {
        let StickAnswer::Progress { state, doing, returned } = answer else {
            return Err(unexpected());
        };
        if !setting.json && doing != last {
            eprintln!("  {}", visible(&doing));
            last = doing;
        }
        if state != ImportState::UnderWay {
            let said = json!({ "plan": plan, "applied": true, "state": state, "return": returned });
            show(setting, &said, |_| {
                println!("the return is {}", returned.clone().unwrap_or_default());
                println!("take it to the console: freehold bundle take FOLDER");
            });
            return ended(state);
        }
        tokio::time::sleep(LOOK).await;
        answer = ask(&mut line, &StickWish::Progress { v: V1 }).await?;
    }
}

fn ended(state: ImportState) -> Result<(), Fault> {
    if state == ImportState::Done {
        return Ok(());
    }
    Err(Fault::could_not_tell(
        "not everything on the stick could be done",
        "the return says why: take it to the console; the box's own screen shows it, too",
    ))
}

fn unexpected() -> Fault {
    Fault::could_not_tell(
        "the supervisor answered something else",
        "are both programs of the same version?",
    )
}

fn print(plan: &StickPlan) {
    println!("bundle {}, made at {} (unix seconds)", plan.number, plan.at);
    for step in &plan.steps {
        println!("  will   {}", visible(step));
    }
    for wait in &plan.waiting {
        println!("  waits  {}", visible(wait));
    }
    if plan.steps.is_empty() {
        println!("  nothing is left to do");
    }
}

fn agreed(setting: &Setting) -> Result<bool, Fault> {
    if setting.json || !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Import it? Type yes: ");
    std::io::stderr().flush()?;
    let mut text = String::new();
    std::io::stdin().read_line(&mut text)?;
    Ok(text.trim() == "yes")
}

async fn ask(line: &mut UnixStream, wish: &StickWish) -> Result<StickAnswer, Fault> {
    let broken = |what: String| Fault::could_not_tell(format!("the supervisor: {what}"), "look at its log");
    let frame = encode(wish).map_err(|error| broken(error.to_string()))?;
    line.write_all(&frame).await?;
    let mut header = [0; HEADER_BYTES];
    line.read_exact(&mut header).await?;
    let mut frame = vec![0; frame_length(header).map_err(|error| broken(error.to_string()))?];
    line.read_exact(&mut frame).await?;
    match decode(&frame).map_err(|error| broken(error.to_string()))? {
        StickAnswer::Refused { report } => Err(Fault::Refused(Refused {
            code: report.code,
            message: report.message,
            expected: report.expected,
            found: report.found,
        })),
        answer => Ok(answer),
    }
}
