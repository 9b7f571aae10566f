//! Verbs about boxes: look, compare and approve, assign, preview.
//!
//! Refuses to approve what was not compared: the fingerprint must be given, and the console checks it.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused};
use crate::arguments::Setting;
use crate::console::{Console, list, show, text};
use crate::profile::Profile;
use crate::table;

/// Verbs about boxes. BOX is an identifier or a label.
#[derive(Debug, Subcommand)]
pub enum BoxVerb {
    /// Every box with its verdict.
    List,
    /// One box: verdict, why, models.
    Show {
        /// Identifier or label.
        r#box: String,
    },
    /// Make a waiting box a member of the fleet.
    Approve {
        /// Identifier or label.
        r#box: String,
        /// The fingerprint on the box's own screen (64 hex digits).
        #[arg(long)]
        fingerprint: String,
    },
    /// Send a waiting box away.
    Refuse {
        /// Identifier or label.
        r#box: String,
    },
    /// Say what a box should run: the whole list, not an addition.
    Assign {
        /// Identifier or label.
        r#box: String,
        /// Release descriptors, e.g. `models/guide/1.0.0/release.json`.
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Ask for fresh evidence now.
    Attest {
        /// Identifier or label.
        r#box: String,
    },
    /// What a box would do next, from its own state folder (on the box itself).
    Plan {
        /// The supervisor's state folder.
        #[arg(long)]
        state: PathBuf,
    },
    /// Save the last evidence, for `freehold-inspect evidence FILE`.
    Evidence {
        /// Identifier or label.
        r#box: String,
        /// Where to write it.
        #[arg(long, short)]
        out: PathBuf,
    },
    /// What a box runs now, as one bill of materials (CycloneDX 1.6, or SPDX 2.3).
    Sbom {
        /// Identifier or label.
        r#box: String,
        /// Where to write it.
        #[arg(long, short)]
        out: PathBuf,
        /// SPDX 2.3 instead of CycloneDX 1.6.
        #[arg(long)]
        spdx: bool,
    },
    /// A box's verdict lease: show it, withdraw it, grant it again. Withdrawn, the models that policy ties to a fresh verdict
    /// stop within a minute on a box that is online.
    Lease {
        /// Identifier or label.
        r#box: String,
        /// What to do.
        #[arg(value_enum, default_value_t = LeaseVerb::Show)]
        verb: LeaseVerb,
        /// With `withdraw`: only this model; may be given more than once.
        #[arg(long, value_name = "NAME")]
        model: Vec<String>,
    },
    /// Make an API token for an application of this box; it is shown once.
    Token {
        /// Identifier or label.
        r#box: String,
        /// Who it is for.
        #[arg(long)]
        name: String,
    },
}

/// What to do with a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LeaseVerb {
    /// How it is.
    Show,
    /// Take it back.
    Withdraw,
    /// Give it back as a whole.
    Grant,
}

/// Finds a box by identifier or label.
pub async fn find(console: &Console, name: &str) -> Result<Value, Fault> {
    let all = console.call(Method::GET, "/api/v1/boxes", None).await?;
    let found: Vec<&Value> = list(&all, "boxes")
        .iter()
        .filter(|one| one["id"] == name || one["label"] == name)
        .collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Fault::could_not_tell(
            format!("no box is called `{name}`"),
            "freehold box list",
        )),
        _ => Err(Fault::could_not_tell(
            format!("several boxes are called `{name}`"),
            "use the identifier",
        )),
    }
}

/// Runs a verb.
pub async fn run(verb: BoxVerb, setting: &Setting) -> Result<(), Fault> {
    if let BoxVerb::Plan { state } = verb {
        return plan(&state, setting);
    }
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    match verb {
        BoxVerb::Plan { .. } => Ok(()),
        BoxVerb::List => {
            let all = console.call(Method::GET, "/api/v1/boxes", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "boxes").iter().map(row).collect();
                table::print(&["", "VERDICT", "BOX", "LABEL", "SITE", "WHY", "DOING"], &rows);
            });
            Ok(())
        }
        BoxVerb::Show { r#box } => {
            let one = find(&console, &r#box).await?;
            let whole = console.call(Method::GET, &path(&one, ""), None).await?;
            show(setting, &whole, explain_box);
            Ok(())
        }
        BoxVerb::Approve { r#box, fingerprint } => {
            let one = find(&console, &r#box).await?;
            let ek = if one["ek_by"] == "hash" {
                one["ek"].clone()
            } else {
                Value::Null
            };
            let mut body = json!({"fingerprint": fingerprint});
            if !ek.is_null() {
                body["ek"] = ek;
            }
            done(&console, &one, "/approve", Some(body), setting).await
        }
        BoxVerb::Refuse { r#box } => {
            let one = find(&console, &r#box).await?;
            done(&console, &one, "/refuse", None, setting).await
        }
        BoxVerb::Assign { r#box, targets } => {
            let one = find(&console, &r#box).await?;
            done(&console, &one, "/assign", Some(json!({"targets": targets})), setting).await
        }
        BoxVerb::Attest { r#box } => {
            let one = find(&console, &r#box).await?;
            done(&console, &one, "/attest", None, setting).await
        }
        BoxVerb::Evidence { r#box, out } => {
            let one = find(&console, &r#box).await?;
            let answer = console.raw(Method::GET, &path(&one, "/evidence"), None).await?;
            std::fs::write(&out, &answer.body)?;
            show(setting, &json!({"file": out, "bytes": answer.body.len()}), |said| {
                println!("{} bytes in {}", said["bytes"], out.display());
            });
            Ok(())
        }
        BoxVerb::Sbom { r#box, out, spdx } => {
            let one = find(&console, &r#box).await?;
            let form = if spdx { "/sbom?form=spdx" } else { "/sbom" };
            let answer = console.raw(Method::GET, &path(&one, form), None).await?;
            std::fs::write(&out, &answer.body)?;
            show(setting, &json!({"file": out, "bytes": answer.body.len()}), |said| {
                println!("{} bytes in {}", said["bytes"], out.display());
            });
            Ok(())
        }
        BoxVerb::Lease { r#box, verb, model } => {
            let one = find(&console, &r#box).await?;
            lease(&console, &one, verb, &model, setting).await
        }
        BoxVerb::Token { r#box, name } => {
            let one = find(&console, &r#box).await?;
            let body = json!({"name": name, "models": []});
            let token = console.call(Method::POST, &path(&one, "/tokens"), Some(body)).await?;
            show(setting, &token, |token| {
                println!("{}", text(token, "token"));
                eprintln!("this token is shown once; its id is {}", text(token, "id"));
            });
            Ok(())
        }
    }
}

fn path(one: &Value, rest: &str) -> String {
    format!("/api/v1/boxes/{}{rest}", text(one, "id"))
}

async fn done(console: &Console, one: &Value, rest: &str, body: Option<Value>, setting: &Setting) -> Result<(), Fault> {
    let answer = console.call(Method::POST, &path(one, rest), body).await?;
    show(setting, &answer, |answer| {
        let counter = answer["counter"]
            .as_u64()
            .map(|counter| format!(", assignment {counter}"))
            .unwrap_or_default();
        println!("{}: done{counter}", text(one, "id"));
    });
    Ok(())
}

/// Answers no when the lease is not held after what was asked for.
async fn lease(
    console: &Console,
    one: &Value,
    verb: LeaseVerb,
    models: &[String],
    setting: &Setting,
) -> Result<(), Fault> {
    if verb != LeaseVerb::Withdraw && !models.is_empty() {
        return Err(Fault::could_not_tell(
            "`--model` goes with `withdraw`",
            "freehold box lease BOX withdraw --model NAME",
        ));
    }
    let change = match verb {
        LeaseVerb::Show => None,
        LeaseVerb::Withdraw => Some(json!({"change": "withdraw", "models": models})),
        LeaseVerb::Grant => Some(json!({"change": "grant"})),
    };
    let lease = match change {
        Some(change) => console.call(Method::POST, &path(one, "/lease"), Some(change)).await?,
        None => console.call(Method::GET, &path(one, ""), None).await?["lease"].clone(),
    };
    show(setting, &lease, |lease| {
        println!(
            "{}: verdict lease {}",
            text(one, "id"),
            text(lease, "state").replace('_', " ")
        );
        if let Some(until) = lease["until"].as_i64() {
            println!("  until    {until} (Unix seconds), unless a good verdict renews it");
        }
        match &lease["models"] {
            Value::String(_) => println!("  covers   every model"),
            Value::Array(names) if !names.is_empty() => {
                for name in names.iter().filter_map(Value::as_str) {
                    println!("  covers   {}", crate::answer::visible(name));
                }
            }
            _ => {}
        }
        if lease["changed_by"].is_string() {
            println!("  changed  by {}", text(lease, "changed_by"));
        }
    });
    match (verb, lease["state"].as_str()) {
        (LeaseVerb::Show, Some("held")) | (LeaseVerb::Withdraw | LeaseVerb::Grant, Some(_)) => Ok(()),
        (_, Some("withdrawn")) => Err(Fault::Refused(Refused {
            code: "lease.withdrawn".to_owned(),
            message: "the lease is withdrawn".to_owned(),
            expected: None,
            found: None,
        })),
        _ => Err(Fault::could_not_tell(
            "no verdict counts now",
            "freehold box attest BOX",
        )),
    }
}

fn row(one: &Value) -> Vec<String> {
    let why = match &one["first_refusal"] {
        Value::Null if one["membership"] == "waiting" => "waits for approval".to_owned(),
        Value::Null => String::new(),
        refusal => format!("{}: {}", text(refusal, "code"), text(refusal, "message")),
    };
    vec![
        text(one, "shape"),
        text(one, "word"),
        text(one, "id"),
        text(one, "label"),
        text(one, "site"),
        why.chars().take(60).collect(),
        text(one, "doing").chars().take(40).collect(),
    ]
}

fn explain_box(one: &Value) {
    println!(
        "{} {}  {}  {}",
        text(one, "shape"),
        text(one, "word"),
        text(one, "id"),
        text(one, "label")
    );
    for sentence in list(one, "because").iter().filter_map(Value::as_str) {
        println!("  {}", crate::answer::visible(sentence));
    }
    for refusal in list(one, "refusals") {
        println!("  {}  {}", text(refusal, "code"), text(refusal, "message"));
        if let Some(said) = freehold_explain::explain(&text(refusal, "code")) {
            println!("    means  {}\n    do     {}", said.means, said.next);
        }
    }
    println!("  tpm    {}", text(one, "tpm"));
    println!("  doing  {}", text(one, "doing"));
    for model in list(one, "models") {
        println!(
            "  model  {} {}  {}  {}",
            text(model, "name"),
            text(model, "version"),
            text(model, "phase"),
            fetched(model).unwrap_or_else(|| text(model, "reason"))
        );
    }
    println!(
        "  fingerprint  {}\n               {}",
        text(&one["fingerprint"], "words"),
        text(&one["fingerprint"], "hex")
    );
}

/// How far a model's download is, while there is one.
fn fetched(model: &Value) -> Option<String> {
    let (done, total) = (
        model["progress"]["done"].as_u64()?,
        model["progress"]["total"].as_u64()?,
    );
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    Some(format!("{done} of {total} bytes, {percent} %"))
}

fn plan(state: &std::path::Path, setting: &Setting) -> Result<(), Fault> {
    let file = state.join("plan.json");
    let bytes = std::fs::read(&file).map_err(|error| {
        Fault::could_not_tell(
            format!("no plan is written: `{}`: {error}", file.display()),
            "the supervisor writes its plan before it acts; is this its state folder?",
        )
    })?;
    let plan: Value = serde_json::from_slice(&bytes)?;
    show(setting, &plan, |plan| {
        match serde_json::from_value::<freehold_plan::Plan>(plan.clone()) {
            Ok(plan) => println!("{plan}"),
            Err(_) => println!("{plan:#}"),
        }
    });
    Ok(())
}
