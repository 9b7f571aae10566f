//! Verbs of the two persons who together can read a box's recovery key out of its escrow. Offline.
//!
//! Refuses secrets as arguments: keys are files, shares are read from standard input. Invariant: no verb here holds both
//! halves of a key, but the one that is given both by two persons.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use freehold_sign::files::{read_bounded, read_signing_key, write_new_key};
use freehold_trust::hpke::OpeningKey;
use freehold_trust::{KeyKind, SigningKey};
use freehold_verify::sealing::{Escrow, Share};
use serde_json::json;

use crate::answer::{Fault, visible};
use crate::arguments::Setting;
use crate::model::{refused, unknown};

/// Longest escrow that is read: five persons take 6 KiB.
const MAX_ESCROW: u64 = 64 * 1024;

/// Verbs of recovery persons. ESCROW is a box's escrow: `escrow.json` as the box gives it, or the token of its volume.
#[derive(Debug, Subcommand)]
pub enum RecoverVerb {
    /// Make a recovery key pair. The public half goes to the publisher, who puts it into the image.
    NewKey {
        /// Where to; the public half is written beside it as `.pub.pem`.
        out: PathBuf,
    },
    /// Whose escrow it is, and which persons can open it.
    Show {
        /// The escrow.
        escrow: PathBuf,
    },
    /// Your half of the recovery key. Alone it says nothing; read it out to the other person, or hand it over.
    Share {
        /// The escrow.
        escrow: PathBuf,
        /// Your private recovery key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The person with whom you open it; needed when there are more than two.
        #[arg(long, value_name = "NAME")]
        with: Option<String>,
    },
    /// Put two halves together: two lines on standard input. The box replaces the key once it was typed.
    Combine {
        /// The escrow.
        escrow: PathBuf,
    },
}

/// Runs a verb.
pub fn run(verb: RecoverVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        RecoverVerb::NewKey { out } => new_key(&out, setting),
        RecoverVerb::Show { escrow } => show(&escrow, setting),
        RecoverVerb::Share { escrow, key, with } => share(&escrow, &key, with.as_deref(), setting),
        RecoverVerb::Combine { escrow } => combine(&escrow, setting),
    }
}

fn read(path: &Path) -> Result<Escrow, Fault> {
    let bytes = read_bounded(path, MAX_ESCROW).map_err(|error| {
        unknown(
            &error,
            "the box keeps it in /run/freehold/escrow.json and in its volume's header",
        )
    })?;
    // A token exported from the volume's header holds the escrow as a field.
    let token: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let inner = token
        .as_ref()
        .and_then(|token| token.get("escrow"))
        .map(ToString::to_string);
    Escrow::parse(inner.as_ref().map_or(&bytes, |inner| inner.as_bytes())).map_err(refused)
}

fn new_key(out: &Path, setting: &Setting) -> Result<(), Fault> {
    let key = SigningKey::generate(KeyKind::P256).map_err(|error| unknown(&error, ""))?;
    write_new_key(out, &key).map_err(|error| unknown(&error, "a key is never overwritten; choose another name"))?;
    let fingerprint = key.public().fingerprint();
    if setting.json {
        println!(
            "{}",
            json!({ "fingerprint": fingerprint, "public": out.with_extension("pub.pem") })
        );
    } else {
        println!("{fingerprint}  {}", out.with_extension("pub.pem").display());
    }
    Ok(())
}

fn show(path: &Path, setting: &Setting) -> Result<(), Fault> {
    let escrow = read(path)?;
    if setting.json {
        println!("{}", json!({ "volume": escrow.volume(), "persons": escrow.persons() }));
        return Ok(());
    }
    println!("volume {}; any two of:", visible(escrow.volume()));
    for person in escrow.persons() {
        println!("{}  {}", person.key, visible(&person.name));
    }
    Ok(())
}

fn share(path: &Path, key: &Path, with: Option<&str>, setting: &Setting) -> Result<(), Fault> {
    let escrow = read(path)?;
    let key = read_signing_key(key).map_err(|error| unknown(&error, "`freehold recover new-key` makes one"))?;
    let key = key
        .to_pkcs8_pem()
        .and_then(|pem| OpeningKey::from_pkcs8_pem(&pem))
        .map_err(|error| unknown(&error, "recovery keys are P-256 keys"))?;
    let share = escrow.share(&key, with).map_err(refused)?;
    if setting.json {
        println!("{}", json!({ "volume": escrow.volume(), "share": share.to_string() }));
    } else {
        println!("{share}");
    }
    Ok(())
}

fn combine(path: &Path, setting: &Setting) -> Result<(), Fault> {
    let escrow = read(path)?;
    let mut lines = std::io::stdin().lock().lines();
    let mut next = |who: &str| -> Result<Share, Fault> {
        if std::io::stdin().is_terminal() {
            eprint!("{who} share: ");
            let _ = std::io::stderr().flush();
        }
        let line = lines.next().transpose()?.unwrap_or_default();
        Share::parse(&line).map_err(refused)
    };
    let (one, other) = (next("first")?, next("second")?);
    let key = escrow.combine(&one, &other).map_err(refused)?;
    if setting.json {
        println!("{}", json!({ "volume": escrow.volume(), "key": key.text() }));
    } else {
        println!("{key}");
    }
    Ok(())
}
