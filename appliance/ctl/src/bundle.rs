//! Verbs about sticks: make a bundle, look at one, check it, import it on a box, take what came back to the console.
//!
//! Refuses to call a part good before every byte of it was compared. Invariant: only finished parts have their name; what broke off
//! ends in `.partial` and is gone on with.

mod fetch;
mod import;
mod look;

use std::path::PathBuf;

use clap::Subcommand;
use freehold_trust::digest::Sha256Digest;
use freehold_verify::container::{Head, Index, Kind};
use http::Method;
use serde_json::{Value, json};

use crate::answer::{Fault, Refused};
use crate::arguments::Setting;
use crate::boxes::find;
use crate::console::{Console, list, show, text};
use crate::profile::Profile;
use crate::table;

/// Verbs about sticks.
#[derive(Debug, Subcommand)]
pub enum BundleVerb {
    /// Make a bundle and put its parts into a folder, usually a stick.
    Make {
        /// Boxes by identifier or label; may be given again. Without any, and without a site, boxes that are unknown yet are
        /// invited to show themselves.
        #[arg(long = "box", value_name = "BOX")]
        boxes: Vec<String>,
        /// Every box of this site.
        #[arg(long, conflicts_with = "boxes")]
        site: Option<String>,
        /// Where to put the parts.
        #[arg(long, short, value_name = "FOLDER")]
        out: PathBuf,
        /// Most bytes of a part: a number, or with `M` or `G`: 4.7G, 25G, 64G. Without it there is one part.
        #[arg(long, value_parser = size)]
        part_size: Option<u64>,
        /// Days in which it may be imported.
        #[arg(long)]
        days: Option<u32>,
        /// Go on with a bundle that was made and not fetched to its end, by its number.
        #[arg(long, conflicts_with_all = ["boxes", "site", "days", "part_size"])]
        resume: Option<u64>,
    },
    /// The console's bundles, and which boxes are back.
    List,
    /// What is in the parts of a folder.
    Show {
        /// A folder or one file.
        folder: PathBuf,
    },
    /// Compare every byte of the parts in a folder with their lists, and say which part is missing.
    Verify {
        /// A folder.
        folder: PathBuf,
        /// SHA-256 of the director's key, as in the pairing document: then the list's signature is checked, too.
        #[arg(long)]
        director: Option<Sha256Digest>,
    },
    /// On a box: show what a stick would change, and import it.
    Import {
        /// The folder with the parts.
        folder: PathBuf,
        /// The supervisor's runtime folder.
        #[arg(long, default_value = "/run/freehold")]
        runtime: PathBuf,
        /// Do it without asking.
        #[arg(long)]
        apply: bool,
    },
    /// Give the console what boxes wrote onto a stick.
    Take {
        /// A folder or one file.
        folder: PathBuf,
    },
}

/// `25G`, `4.7G`, `700M` or a number of bytes; by powers of ten, as sticks are sold.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1_000_000_000),
        None => match text.strip_suffix(['M', 'm']) {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    let wrong = || format!("`{text}` is no size: 4.7G, 25G, 700M or a number of bytes");
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 6 || (unit == 1 && !part.is_empty()) {
        return Err(wrong());
    }
    let mut bytes = whole
        .parse::<u64>()
        .map_err(|_| wrong())?
        .checked_mul(unit)
        .ok_or_else(wrong)?;
    let mut worth: u64 = unit;
    for digit in part.chars() {
        worth /= 10;
        let digit = digit.to_digit(10).ok_or_else(wrong)?;
        bytes = bytes.saturating_add(u64::from(digit).saturating_mul(worth));
    }
    Ok(bytes)
}

/// A container that a program of ours refuses, as a refusal of this verb.
fn refused(fault: &dyn freehold_verify::Refusal) -> Fault {
    let report = fault.report();
    Fault::Refused(Refused {
        code: report.code,
        message: report.message,
        expected: report.expected,
        found: report.found,
    })
}

/// Runs a verb.
pub async fn run(verb: BundleVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        BundleVerb::Make {
            boxes,
            site,
            out,
            part_size,
            days,
            resume,
        } => {
            let console = Console::open(&Profile::load(&setting.profile)?)?;
            let made = match resume {
                Some(number) => known(&console, number).await?,
                None => {
                    let ids = ids(&console, &boxes, site.as_deref()).await?;
                    let wish = json!({ "boxes": ids, "part_size": part_size, "days": days });
                    console.call(Method::POST, "/api/v1/bundles", Some(wish)).await?
                }
            };
            let files = fetch::parts(&console, &made, &out, setting.json).await?;
            let said = json!({ "number": made["number"], "set": made["set"], "boxes": made["boxes"], "files": files });
            show(setting, &said, |said| {
                println!("bundle {}, {} parts in {}", said["number"], files.len(), out.display());
                println!("at each box: freehold bundle import FOLDER");
            });
            Ok(())
        }
        BundleVerb::List => {
            let console = Console::open(&Profile::load(&setting.profile)?)?;
            let all = console.call(Method::GET, "/api/v1/bundles", None).await?;
            show(setting, &all, |all| {
                let rows: Vec<Vec<String>> = list(all, "bundles").iter().map(row).collect();
                table::print(&["BUNDLE", "MADE BY", "PARTS", "BOXES", "BACK"], &rows);
            });
            Ok(())
        }
        BundleVerb::Show { folder } => look::show_folder(&folder, setting),
        BundleVerb::Verify { folder, director } => look::verify_folder(&folder, director, setting),
        BundleVerb::Import { folder, runtime, apply } => import::import(&folder, &runtime, apply, setting).await,
        BundleVerb::Take { folder } => take(&folder, setting).await,
    }
}

fn row(one: &Value) -> Vec<String> {
    vec![
        one["number"].to_string(),
        text(one, "made_by"),
        list(one, "parts").len().to_string(),
        list(one, "boxes").len().to_string(),
        text(one, "says"),
    ]
}

async fn ids(console: &Console, names: &[String], site: Option<&str>) -> Result<Vec<String>, Fault> {
    if let Some(site) = site {
        let all = console.call(Method::GET, "/api/v1/boxes", None).await?;
        let ids: Vec<String> = (list(&all, "boxes").iter())
            .filter(|one| one["site"] == site)
            .map(|one| text(one, "id"))
            .collect();
        if ids.is_empty() {
            return Err(Fault::could_not_tell(
                format!("no box is at the site `{site}`"),
                "freehold box list",
            ));
        }
        return Ok(ids);
    }
    let mut ids = Vec::new();
    for name in names {
        // A box that only showed itself by stick so far is no member yet: then its identifier is what was written on its screen.
        match find(console, name).await {
            Ok(one) => ids.push(text(&one, "id")),
            Err(Fault::Unknown { .. }) if name.matches('-').count() == 2 => ids.push(name.clone()),
            Err(fault) => return Err(fault),
        }
    }
    Ok(ids)
}

async fn known(console: &Console, number: u64) -> Result<Value, Fault> {
    let all = console.call(Method::GET, "/api/v1/bundles", None).await?;
    let found = list(&all, "bundles")
        .iter()
        .find(|one| one["number"] == number)
        .cloned();
    found.ok_or_else(|| Fault::could_not_tell(format!("the console has no bundle {number}"), "freehold bundle list"))
}

/// Every return in a folder goes to the console; one that is refused does not keep the others back.
async fn take(folder: &std::path::Path, setting: &Setting) -> Result<(), Fault> {
    let console = Console::open(&Profile::load(&setting.profile)?)?;
    let (mut taken, mut first) = (Vec::new(), None);
    for path in look::containers(folder)? {
        let bytes = look::small(&path)?;
        let Some(bytes) = bytes.filter(|bytes| is_return(bytes)) else {
            continue;
        };
        let kind = "application/vnd.freehold.fhz";
        match console.send("/api/v1/returns", kind, bytes.into()).await {
            Ok(said) => taken.push(said),
            Err(Fault::Refused(refused)) => {
                eprintln!("{}: refused: {}", path.display(), refused.code);
                first.get_or_insert(refused);
            }
            Err(other) => return Err(other),
        }
    }
    if taken.is_empty() {
        if let Some(refused) = first {
            return Err(Fault::Refused(refused));
        }
        return Err(Fault::could_not_tell(
            format!("`{}` holds no return", folder.display()),
            "a box writes `freehold-return-….fhz` when its import has ended",
        ));
    }
    let said = json!({ "returns": taken });
    show(setting, &said, |said| {
        for one in list(said, "returns") {
            let verdict = text(one, "verdict");
            let achieved = if one["achieved"] == true {
                "achieved"
            } else {
                "not achieved yet"
            };
            println!("{}  {verdict}  {achieved}", text(one, "box"));
        }
    });
    first.map_or(Ok(()), |refused| Err(Fault::Refused(refused)))
}

fn is_return(bytes: &[u8]) -> bool {
    let index = Head::parse(bytes).ok().and_then(|head| {
        let start = freehold_verify::container::HEAD;
        let end = start.checked_add(head.index_length())?;
        Index::parse(&head, bytes.get(start..end)?).ok()
    });
    index.is_some_and(|index| index.kind() == Kind::Return)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_sticks_are_sold() {
        assert_eq!(size("4.7G"), Ok(4_700_000_000));
        assert_eq!(size("25G"), Ok(25_000_000_000));
        assert_eq!(size("700M"), Ok(700_000_000));
        assert_eq!(size("8388608"), Ok(8_388_608));
        for bad in ["", "G", "1.5", "4,7G", "-1G", "1e9", "99999999999999999999"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
