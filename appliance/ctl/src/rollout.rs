//! Verbs about rollouts: plan, approve, begin, watch, steer.
//!
//! Refuses to begin or approve anything but a plan whose digest was given: what was seen is what is meant. Invariant: every verb
//! is one call of the console's API; what is drawn is made from its answer alone.

mod draw;
mod watch;
mod wish;

use std::path::PathBuf;

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::console::{Console, list, secret, show, text};
use crate::profile::Profile;
use crate::table;

/// Verbs about rollouts. ID is what `plan` answers, for example `r-1f3a9c02`.
#[derive(Debug, Subcommand)]
pub enum RolloutVerb {
    /// Make a plan and show it: waves, times, bytes, risks. It is proposed, and nothing is begun.
    Plan(Box<wish::Plan>),
    /// Approve a plan that somebody else proposed, with your password. Where boxes want passkeys, approve on the rollout's page.
    Approve {
        /// Which rollout.
        id: String,
        /// The plan's digest, as it was shown (64 hex digits).
        #[arg(long)]
        digest: String,
        /// Read your password from this file; `-` reads standard input. Without it you are asked.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Begin a plan.
    Start {
        /// Which rollout.
        id: String,
        /// The plan's digest, as it was shown (64 hex digits).
        #[arg(long)]
        digest: String,
    },
    /// Show live how it goes, until it is over. With `--json` one line for each change.
    ///
    /// Exit codes: 0 when it is done, 1 when it was rolled back, aborted or has expired.
    Watch {
        /// Which rollout.
        id: String,
    },
    /// Begin nothing more for now.
    Pause {
        /// Which rollout.
        id: String,
    },
    /// Go on after a pause.
    Resume {
        /// Which rollout.
        id: String,
    },
    /// Begin nothing more; boxes stay as they are.
    Abort {
        /// Which rollout.
        id: String,
    },
    /// Send every box back that has the release.
    Rollback {
        /// Which rollout.
        id: String,
    },
    /// Let a wave begin that waits for a person.
    Allow {
        /// Which rollout.
        id: String,
        /// Which wave, from 1.
        wave: u32,
    },
    /// Every rollout.
    List,
    /// One rollout, wave by wave and box by box.
    Show {
        /// Which rollout.
        id: String,
    },
}

fn path(id: &str, rest: &str) -> Result<String, Fault> {
    let plain = id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
    if id.is_empty() || !plain {
        return Err(Fault::could_not_tell(
            format!("`{id}` is no rollout's identifier"),
            "freehold rollout list",
        ));
    }
    Ok(format!("/api/v1/rollouts/{id}{rest}"))
}

/// Runs a verb.
pub async fn run(verb: RolloutVerb, setting: &Setting) -> Result<(), Fault> {
    let profile = Profile::load(&setting.profile)?;
    let console = Console::open(&profile)?;
    let (id, rest, body) = match verb {
        RolloutVerb::Plan(plan) => return propose(*plan, &console, &profile.url, setting).await,
        RolloutVerb::Watch { id } => return watch::watch(&console, &path(&id, "")?, setting.json).await,
        RolloutVerb::List => {
            let all = console.call(Method::GET, "/api/v1/rollouts", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "rollouts").iter().map(row).collect();
                table::print(
                    &["ID", "RELEASE", "STANDS", "HEALTHY", "WENT BACK", "BY", "BECAUSE"],
                    &rows,
                );
            });
            return Ok(());
        }
        RolloutVerb::Show { id } => {
            let one = console.call(Method::GET, &path(&id, "")?, None).await?;
            show(setting, &one, |one| {
                print!("{}", draw::whole(one, now()));
                if one["phase"] == "proposed" {
                    println!("\n{}", next_step(one, &profile.url));
                }
            });
            return Ok(());
        }
        RolloutVerb::Approve {
            id,
            digest,
            password_file,
        } => {
            let password = secret(password_file.as_ref(), "Your password, once more")?;
            (
                id,
                "/approve".to_owned(),
                Some(json!({ "digest": digest, "password": password })),
            )
        }
        RolloutVerb::Start { id, digest } => (id, "/start".to_owned(), Some(json!({ "digest": digest }))),
        RolloutVerb::Pause { id } => (id, "/pause".to_owned(), None),
        RolloutVerb::Resume { id } => (id, "/resume".to_owned(), None),
        RolloutVerb::Abort { id } => (id, "/abort".to_owned(), None),
        RolloutVerb::Rollback { id } => (id, "/rollback".to_owned(), None),
        RolloutVerb::Allow { id, wave } => (id, format!("/waves/{wave}/allow"), None),
    };
    let one = console.call(Method::POST, &path(&id, &rest)?, body).await?;
    show(setting, &one, |one| {
        println!("{} is {}", text(one, "id"), text(one, "word"));
        match one["phase"].as_str() {
            Some("running") => println!("  freehold rollout watch {}", text(one, "id")),
            Some("proposed") => println!("{}", next_step(one, &profile.url)),
            _ => {}
        }
    });
    Ok(())
}

async fn propose(plan: wish::Plan, console: &Console, url: &str, setting: &Setting) -> Result<(), Fault> {
    let path = if plan.dry_run {
        "/api/v1/rollouts/plan"
    } else {
        "/api/v1/rollouts"
    };
    let is_dry = plan.dry_run;
    let one = console.call(Method::POST, path, Some(plan.wish()?)).await?;
    show(setting, &one, |one| {
        print!("{}", draw::whole(one, now()));
        if is_dry {
            println!("\nNothing was proposed. Without --dry-run it would be.");
        } else {
            println!("\n{}", next_step(one, url));
        }
    });
    Ok(())
}

/// What comes next for a plan that was proposed on the console at `url`.
fn next_step(one: &Value, url: &str) -> String {
    let (id, digest) = (text(one, "id"), text(one, "digest"));
    let start = format!("freehold rollout start {id} --digest {digest}");
    let given = u64::try_from(list(one, "approvals").len()).unwrap_or(u64::MAX);
    let missing = one["approvals_needed"].as_u64().unwrap_or(0).saturating_sub(given);
    let by = text(one, "by");
    let people = if missing == 1 {
        format!("One person beside {by} approves it")
    } else {
        format!("{missing} people beside {by} approve it")
    };
    let approve = match (missing, one["approval"].is_object()) {
        (0, _) => return format!("Begin it:\n  {start}"),
        // A passkey answers a browser; what it signs can be compared here.
        (_, true) => format!(
            "{people} by passkey, as the publisher's policy lists it, on its page:\n  {}/rollouts/{id}\n\
             What is signed there, to be compared:\n  {}",
            url.trim_end_matches('/'),
            text(&one["approval"], "words"),
        ),
        (_, false) => format!("{people}:\n  freehold rollout approve {id} --digest {digest}"),
    };
    format!("{approve}\nThen begin it:\n  {start}")
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

fn row(one: &Value) -> Vec<String> {
    let counts = &one["counts"];
    vec![
        text(one, "id"),
        format!("{} {}", text(one, "release"), text(one, "version")),
        text(one, "word"),
        format!("{} of {}", counts["healthy"], counts["all"]),
        counts["failed"].to_string(),
        text(one, "by"),
        text(one, "because"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_says_who_is_missing_and_where_they_approve() {
        let mut one = json!({"id": "r-1", "digest": "00ff", "by": "mia", "approvals": [], "approvals_needed": 2, "approval": null});
        let by_password = next_step(&one, "https://console:8443");
        assert!(
            by_password.starts_with("2 people beside mia approve it:\n  freehold rollout approve r-1 --digest 00ff\n")
        );
        one["approval"] = json!({"words": "basil copper"});
        one["approvals"] = json!(["ann"]);
        let by_passkey = next_step(&one, "https://console:8443/");
        for part in [
            "One person beside mia approves it by passkey",
            "https://console:8443/rollouts/r-1\n",
            "basil copper",
            "freehold rollout start r-1 --digest 00ff",
        ] {
            assert!(by_passkey.contains(part), "{part} in\n{by_passkey}");
        }
        one["approvals"] = json!(["ann", "ben"]);
        assert_eq!(
            next_step(&one, ""),
            "Begin it:\n  freehold rollout start r-1 --digest 00ff"
        );
    }
}
