//! The console's API as the command line uses it, and the verbs about the console itself.
//!
//! Refuses a console whose certificate does not lead to the confirmed fleet CA.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use clap::Subcommand;
use freehold_channel::{Clock, Dates, Protocols, ServerPin, client_config};
use freehold_dial::{Answer, Dialer};
use freehold_trust::digest::Sha256Digest;
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused, visible};
use crate::arguments::Setting;
use crate::profile::Profile;
use crate::table;

mod upload;

/// Longest answer that is read into memory; bounds a console that was replaced by something hostile.
const ANSWER_LIMIT: usize = 64 << 20;

/// Longest report: sixty kilobytes of evidence for each of ten thousand boxes, and room.
const REPORT_LIMIT: usize = 2 << 30;

/// Verbs about the console.
#[derive(Debug, Subcommand)]
pub enum ConsoleVerb {
    /// Sign in and remember the console.
    Login {
        /// The people's port, `https://ADDRESS:PORT`.
        #[arg(long)]
        url: String,
        /// SHA-256 of the fleet CA certificate, as the console's own machine shows it.
        #[arg(long)]
        fleet_ca: Sha256Digest,
        /// The account.
        #[arg(long, default_value = "admin")]
        user: String,
        /// Read the password from this file; `-` reads standard input. Without it you are asked.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Where to write a new password when the old one was for one time only; without it you are asked.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// Read a code of your authenticator app, or a recovery code, from this file; `-` reads standard input. Without it you
        /// are asked when the account has a second factor.
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// The fleet in a few lines.
    Status,
    /// End this session.
    Logout,
    /// What a new box needs to know its console, to put on a stick.
    Pairing {
        /// For a box that no network reaches: it opens no connection, its console comes by stick.
        #[arg(long)]
        by_stick: bool,
    },
    /// Models and where they run.
    Models,
    /// Make an account; its one-time password is shown once.
    Account {
        /// Its name.
        name: String,
        /// `viewer`, `auditor`, `operator`, `approver` or `administrator`.
        #[arg(long)]
        role: String,
        /// Write the one-time password to this file instead of showing it.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Give the console a publisher's export; it verifies everything before it keeps anything.
    Import {
        /// What `freehold release export` wrote.
        export: PathBuf,
    },
    /// The console's record, newest entries last.
    Record {
        /// How many entries.
        #[arg(long, default_value_t = 20)]
        last: u64,
    },
}

/// The unix time of this machine: it only bounds the dates of the console's certificate.
pub fn clock() -> Clock {
    Clock::new(|| time::OffsetDateTime::now_utc().unix_timestamp())
}

/// A console that is signed in to.
#[derive(Debug)]
pub struct Console {
    dialer: Dialer,
    session: String,
}

impl Console {
    /// Connects by the remembered profile.
    pub fn open(profile: &Profile) -> Result<Self, Fault> {
        let pin = profile.fleet_ca.parse().map_err(|_| {
            Fault::could_not_tell(
                "the profile's fleet CA fingerprint is not 64 hex digits",
                "sign in anew",
            )
        })?;
        Ok(Self {
            dialer: dialer(&profile.url, pin)?,
            session: profile.session.clone(),
        })
    }

    /// Asks and reads JSON; an answer that is no success becomes a refusal.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Fault> {
        let answer = self.raw(method, path, body).await?;
        if answer.body.is_empty() {
            Ok(Value::Null)
        } else {
            Ok(serde_json::from_slice(&answer.body)?)
        }
    }

    /// Sends a body of another type and reads JSON.
    pub async fn send(&self, path: &str, kind: &str, body: Bytes) -> Result<Value, Fault> {
        let authorization = format!("Bearer {}", self.session);
        let headers = [("authorization", authorization.as_str()), ("content-type", kind)];
        let answer = success(
            self.dialer
                .ask(Method::POST, path, &headers, body, ANSWER_LIMIT)
                .await?,
        )?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The bytes `first..=last` of what lies at `path`.
    pub async fn range(&self, path: &str, first: u64, last: u64) -> Result<Bytes, Fault> {
        let authorization = format!("Bearer {}", self.session);
        let range = format!("bytes={first}-{last}");
        let headers = [("authorization", authorization.as_str()), ("range", range.as_str())];
        let answer = self
            .dialer
            .ask(Method::GET, path, &headers, Bytes::new(), ANSWER_LIMIT)
            .await?;
        Ok(success(answer)?.body)
    }

    /// Asks and hands the body on as it is.
    pub async fn raw(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Fault> {
        self.ask(method, path, body, ANSWER_LIMIT).await
    }

    /// As [`Console::raw`], for an answer that may be as large as a report over ten thousand boxes.
    pub async fn large(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, Fault> {
        self.ask(method, path, body, REPORT_LIMIT).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>, limit: usize) -> Result<Answer, Fault> {
        let authorization = format!("Bearer {}", self.session);
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("accept", "application/json"),
        ];
        let body = match body {
            Some(body) => {
                headers.push(("content-type", "application/json"));
                Bytes::from(serde_json::to_vec(&body)?)
            }
            None => Bytes::new(),
        };
        success(self.dialer.ask(method, path, &headers, body, limit).await?)
    }
}

fn dialer(url: &str, pin: Sha256Digest) -> Result<Dialer, Fault> {
    let config = client_config(
        ServerPin::FleetAuthority(pin),
        Dates::Enforced,
        None,
        Protocols::Http1,
        &clock(),
    )?;
    Ok(Dialer::new(url, Arc::clone(&config))?)
}

/// Turns an answer that is no success into a refusal with its code.
pub fn success(answer: Answer) -> Result<Answer, Fault> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    match serde_json::from_slice::<Refused>(&answer.body) {
        Ok(refused) => Err(Fault::Refused(refused)),
        Err(_) => Err(Fault::could_not_tell(
            format!("the console answered {}", answer.status),
            "look at its log",
        )),
    }
}

pub(crate) fn secret(file: Option<&PathBuf>, prompt: &str) -> Result<String, Fault> {
    let text = match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().take(4096).read_to_string(&mut text)?;
            text
        }
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Fault::could_not_tell(format!("`{}`: {error}", path.display()), "name a readable file"))?,
        None if std::io::stdin().is_terminal() => {
            eprint!("{prompt}: ");
            std::io::stderr().flush()?;
            let mut text = String::new();
            std::io::stdin().read_line(&mut text)?;
            text
        }
        None => {
            return Err(Fault::could_not_tell(
                "there is no terminal to ask for a password",
                "use --password-file FILE",
            ));
        }
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Writes a new file that only its owner may read; one that is there is not touched.
fn write_private(path: &std::path::Path, text: &str) -> Result<(), Fault> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| Fault::could_not_tell(format!("`{}`: {error}", path.display()), "name a new file"))
}

/// Runs a verb.
pub async fn run(verb: ConsoleVerb, setting: &Setting) -> Result<(), Fault> {
    if let ConsoleVerb::Login {
        url,
        fleet_ca,
        user,
        password_file,
        new_password_file,
        code_file,
    } = verb
    {
        let files = LoginFiles {
            password: password_file.as_ref(),
            new_password: new_password_file.as_ref(),
            code: code_file.as_ref(),
        };
        return login(&url, fleet_ca, &user, files, setting).await;
    }
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    match verb {
        ConsoleVerb::Login { .. } => Ok(()),
        ConsoleVerb::Status => {
            let fleet = console.call(Method::GET, "/api/v1/fleet", None).await?;
            show(setting, &fleet, |fleet| {
                println!("{}  site {}", text(fleet, "name"), text(fleet, "site"));
                if let Some(counts) = fleet["counts"].as_object() {
                    for (verdict, count) in counts {
                        println!("  {count:>5}  {}", visible(verdict));
                    }
                }
                println!("  {:>5}  waiting for approval", fleet["waiting"]);
            });
            Ok(())
        }
        ConsoleVerb::Logout => {
            console.call(Method::DELETE, "/api/v1/session", None).await?;
            std::fs::remove_file(&setting.profile)?;
            Ok(())
        }
        ConsoleVerb::Pairing { by_stick } => {
            let mut pairing = console.call(Method::GET, "/api/v1/pairing", None).await?;
            if by_stick {
                pairing["console"] = freehold_protocol::stick::BY_STICK.into();
            }
            println!("{}", serde_json::to_string_pretty(&pairing)?);
            Ok(())
        }
        ConsoleVerb::Models => {
            let models = console.call(Method::GET, "/api/v1/models", None).await?;
            show(setting, &models, |models| {
                let rows: Vec<Vec<String>> = list(models, "models")
                    .iter()
                    .map(|model| {
                        vec![
                            text(model, "name"),
                            text(model, "version"),
                            text(model, "licence"),
                            if model["revoked"] == true {
                                "revoked".into()
                            } else {
                                String::new()
                            },
                            list(model, "runs_on")
                                .iter()
                                .filter_map(Value::as_str)
                                .collect::<Vec<_>>()
                                .join(" "),
                            text(model, "digest").chars().take(16).collect(),
                        ]
                    })
                    .collect();
                table::print(&["MODEL", "VERSION", "LICENCE", "", "RUNS ON", "DIGEST"], &rows);
            });
            Ok(())
        }
        ConsoleVerb::Account {
            name,
            role,
            password_file,
        } => {
            let body = json!({ "name": name, "role": role });
            let made = console.call(Method::POST, "/api/v1/accounts", Some(body)).await?;
            if let Some(file) = password_file {
                write_private(&file, &text(&made, "password"))?;
                let said = json!({ "name": name, "role": role });
                show(setting, &said, |_| {
                    println!("made {name} ({role}); its one-time password is in {}", file.display())
                });
                return Ok(());
            }
            show(setting, &made, |made| {
                println!(
                    "made {} ({}), one-time password: {}",
                    text(made, "name"),
                    text(made, "role"),
                    text(made, "password")
                );
            });
            Ok(())
        }
        ConsoleVerb::Import { export } => {
            let answer = upload::repository(&console, &export).await?;
            show(setting, &answer, |answer| {
                println!("the console now holds {} targets", list(answer, "targets").len());
            });
            Ok(())
        }
        ConsoleVerb::Record { last } => {
            let head = console
                .call(Method::GET, "/api/v1/record/entries?limit=0", None)
                .await?;
            let size = head["size"].as_u64().unwrap_or(0);
            let from = size.saturating_sub(last);
            let path = format!("/api/v1/record/entries?from={from}&limit={last}");
            let entries = console.call(Method::GET, &path, None).await?;
            show(setting, &entries, |entries| {
                for line in list(entries, "entries") {
                    println!("{:>6}  {}", line["index"], visible(&line["entry"].to_string()));
                }
            });
            Ok(())
        }
    }
}

/// Where secrets are read from instead of the terminal.
#[derive(Debug, Clone, Copy)]
struct LoginFiles<'a> {
    password: Option<&'a PathBuf>,
    new_password: Option<&'a PathBuf>,
    code: Option<&'a PathBuf>,
}

async fn login(
    url: &str,
    fleet_ca: Sha256Digest,
    user: &str,
    files: LoginFiles<'_>,
    setting: &Setting,
) -> Result<(), Fault> {
    let password = secret(files.password, &format!("Password of {user}"))?;
    let dialer = dialer(url, fleet_ca)?;
    let ask = async |code: Option<String>| {
        let mut body = json!({"name": user, "password": password});
        if let (Some(code), Some(fields)) = (code, body.as_object_mut()) {
            fields.insert("code".to_owned(), Value::String(code));
        }
        let headers = [("content-type", "application/json")];
        let body = Bytes::from(serde_json::to_vec(&body)?);
        success(
            dialer
                .ask(Method::POST, "/api/v1/session", &headers, body, ANSWER_LIMIT)
                .await?,
        )
    };
    let code = files.code.map(|file| secret(Some(file), "Code")).transpose()?;
    let answer = match ask(code.clone()).await {
        Err(Fault::Refused(refused)) if refused.code == "console.second_factor" && code.is_none() => {
            let asked = secret(None, "Code of your app, or a recovery code");
            ask(Some(asked.map_err(|_| Fault::Refused(refused))?)).await?
        }
        other => other?,
    };
    let session: Value = serde_json::from_slice(&answer.body)?;
    let profile = Profile {
        v: 1,
        url: url.to_owned(),
        fleet_ca: fleet_ca.to_string(),
        session: text(&session, "token"),
        tokens: std::collections::BTreeMap::new(),
    };
    if session["must_change_password"] == true {
        let new = secret(files.new_password, "This password was for one time. New password")?;
        Console::open(&profile)?
            .call(
                Method::POST,
                "/api/v1/account/password",
                Some(json!({"old": password, "new": new})),
            )
            .await?;
    }
    profile.save(&setting.profile)?;
    show(
        setting,
        &json!({"url": url, "user": user, "role": session["role"]}),
        |said| {
            println!(
                "signed in to {} as {} ({})",
                text(said, "url"),
                text(said, "user"),
                text(said, "role")
            );
        },
    );
    Ok(())
}

/// Prints `value` as JSON or by `plain`.
pub fn show(setting: &Setting, value: &Value, plain: impl FnOnce(&Value)) {
    if setting.json {
        println!("{value}")
    } else {
        plain(value)
    }
}

/// A string field, or nothing.
pub fn text(value: &Value, key: &str) -> String {
    visible(value[key].as_str().unwrap_or_default())
}

/// A list field, or an empty list.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}
