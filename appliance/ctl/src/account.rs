//! Verbs about accounts, sessions and tokens of a console.
//!
//! Refuses to print a password or token twice: each is shown by the verb that made it, and kept nowhere.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::console::{Console, list, show, text};
use crate::profile::Profile;
use crate::table;

/// Verbs about accounts.
#[derive(Debug, Subcommand)]
pub enum AccountVerb {
    /// Every account: role, sites, second factor.
    List,
    /// Make an account; its one-time password is shown once.
    Add(Add),
    /// Give an account another role; its sessions end.
    Role {
        /// The account.
        name: String,
        /// `viewer`, `auditor`, `operator`, `approver` or `administrator`.
        role: String,
    },
    /// Give an account other sites; its sessions end.
    Sites {
        /// The account.
        name: String,
        /// Names of sites, `*` for all.
        #[arg(required = true)]
        sites: Vec<String>,
    },
    /// Switch an account off; its sessions and tokens end.
    Disable {
        /// The account.
        name: String,
    },
    /// Switch an account on again.
    Enable {
        /// The account.
        name: String,
    },
    /// A new one-time password, shown once; second factors are gone.
    Reset {
        /// The account.
        name: String,
    },
    /// Remove an account.
    Remove {
        /// The account.
        name: String,
    },
    /// Sessions: your own, or all when you manage accounts.
    Sessions,
    /// End a session.
    End {
        /// Its id, as `sessions` shows it.
        session: String,
    },
    /// Tokens of an account for the console's API.
    Tokens {
        /// The account.
        name: String,
    },
    /// Make such a token; it is shown once.
    Token(Token),
    /// Withdraw such a token.
    Withdraw {
        /// The account.
        name: String,
        /// The token's id.
        token: String,
    },
    /// What somebody has to hear of: uses of a break-glass account.
    Alarms,
    /// Say that you have heard of an alarm.
    Settle {
        /// Its id.
        alarm: String,
    },
}

/// Make an account.
#[derive(Debug, Args)]
pub struct Add {
    /// Its name.
    name: String,
    /// `viewer`, `auditor`, `operator`, `approver` or `administrator`.
    #[arg(long)]
    role: String,
    /// A site that it is for, `*` for all; may be given more than once.
    #[arg(long = "site", default_value = "*")]
    sites: Vec<String>,
    /// `person`, `machine` (tokens only), `outside` (signs in at the identity provider) or `break_glass`.
    #[arg(long, default_value = "person")]
    kind: String,
}

/// Make a token.
#[derive(Debug, Args)]
pub struct Token {
    /// The account.
    name: String,
    /// What it is for.
    #[arg(long = "for", value_name = "WHAT")]
    purpose: String,
    /// What it may do, of what its account may; may be given more than once.
    #[arg(long = "may", value_name = "ACTION", required = true)]
    actions: Vec<String>,
    /// Days that it counts.
    #[arg(long, default_value_t = 90)]
    days: u32,
}

/// Runs a verb.
pub async fn run(verb: AccountVerb, setting: &Setting) -> Result<(), Fault> {
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    let change = async |method: Method, path: String, body: Option<Value>| {
        let answer = console.call(method, &path, body).await?;
        show(setting, &answer, |_| println!("done"));
        Ok(())
    };
    match verb {
        AccountVerb::List => {
            let all = console.call(Method::GET, "/api/v1/accounts", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "accounts").iter().map(account).collect();
                table::print(&["ACCOUNT", "ROLE", "SITES", "KIND", "SECOND FACTOR", ""], &rows);
            });
            Ok(())
        }
        AccountVerb::Add(add) => {
            let body = json!({"name": add.name, "role": add.role, "sites": add.sites, "kind": add.kind});
            let made = console.call(Method::POST, "/api/v1/accounts", Some(body)).await?;
            secret(setting, &made, "password");
            Ok(())
        }
        AccountVerb::Role { name, role } => {
            change(Method::POST, path(&name, "/role"), Some(json!({"role": role}))).await
        }
        AccountVerb::Sites { name, sites } => {
            change(Method::POST, path(&name, "/sites"), Some(json!({"sites": sites}))).await
        }
        AccountVerb::Disable { name } => change(Method::POST, path(&name, "/disable"), None).await,
        AccountVerb::Enable { name } => change(Method::POST, path(&name, "/enable"), None).await,
        AccountVerb::Reset { name } => {
            let reset = console.call(Method::POST, &path(&name, "/reset"), None).await?;
            secret(setting, &reset, "password");
            Ok(())
        }
        AccountVerb::Remove { name } => change(Method::DELETE, path(&name, ""), None).await,
        AccountVerb::Sessions => {
            let all = console.call(Method::GET, "/api/v1/sessions", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "sessions")
                    .iter()
                    .map(|one| {
                        let here = if one["current"] == true { "this one" } else { "" };
                        let mut row: Vec<String> = ["id", "account", "door", "factor", "from"]
                            .iter()
                            .map(|field| text(one, field))
                            .collect();
                        row.push(here.to_owned());
                        row
                    })
                    .collect();
                table::print(&["SESSION", "ACCOUNT", "DOOR", "BY", "FROM", ""], &rows);
            });
            Ok(())
        }
        AccountVerb::End { session } => {
            change(Method::DELETE, format!("/api/v1/sessions/{}", segment(&session)), None).await
        }
        AccountVerb::Tokens { name } => {
            let all = console.call(Method::GET, &path(&name, "/tokens"), None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "tokens")
                    .iter()
                    .map(|one| vec![text(one, "id"), text(one, "name"), joined(one, "actions")])
                    .collect();
                table::print(&["TOKEN", "FOR", "MAY"], &rows);
            });
            Ok(())
        }
        AccountVerb::Token(token) => {
            let body = json!({"name": token.purpose, "actions": token.actions, "days": token.days});
            let made = console
                .call(Method::POST, &path(&token.name, "/tokens"), Some(body))
                .await?;
            secret(setting, &made, "token");
            Ok(())
        }
        AccountVerb::Withdraw { name, token } => {
            change(
                Method::DELETE,
                path(&name, &format!("/tokens/{}", segment(&token))),
                None,
            )
            .await
        }
        AccountVerb::Alarms => {
            let all = console.call(Method::GET, "/api/v1/alarms", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "alarms")
                    .iter()
                    .map(|one| {
                        ["id", "kind", "about", "detail"]
                            .iter()
                            .map(|field| text(one, field))
                            .collect()
                    })
                    .collect();
                table::print(&["ALARM", "WHAT", "ABOUT", ""], &rows);
            });
            Ok(())
        }
        AccountVerb::Settle { alarm } => {
            change(Method::POST, format!("/api/v1/alarms/{}/settle", segment(&alarm)), None).await
        }
    }
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn path(name: &str, rest: &str) -> String {
    format!("/api/v1/accounts/{}{rest}", segment(name))
}

fn joined(value: &Value, field: &str) -> String {
    let parts: Vec<&str> = list(value, field).iter().filter_map(Value::as_str).collect();
    parts.join(", ")
}

fn account(one: &Value) -> Vec<String> {
    let mut marks = Vec::new();
    if one["disabled"] == true {
        marks.push("off");
    }
    if one["must_change_password"] == true {
        marks.push("one-time password");
    }
    vec![
        text(one, "name"),
        text(one, "role"),
        joined(one, "sites"),
        text(one, "kind"),
        if one["second_factor"] == true {
            "yes".to_owned()
        } else {
            "no".to_owned()
        },
        marks.join(", "),
    ]
}

/// What is shown this once.
fn secret(setting: &Setting, made: &Value, field: &str) {
    show(setting, made, |made| {
        if made[field].is_string() {
            println!("{field}  {}", text(made, field));
            println!("It is shown this once.");
        } else {
            println!("done");
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_become_parts_of_paths() {
        assert_eq!(super::segment("ann@hospital.example"), "ann%40hospital.example");
        assert_eq!(super::segment("a/../b"), "a%2F..%2Fb");
    }
}
