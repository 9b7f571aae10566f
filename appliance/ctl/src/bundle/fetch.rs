//! Fetching the parts of a bundle, each gone on with where it broke off, each checked whole before it gets its name.
//!
//! Refuses a part whose bytes are not its list's. Invariant: memory holds one piece, however large the part.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use freehold_verify::container::ContainerCheck;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::refused;
use crate::answer::Fault;
use crate::console::{Console, list};

/// Bytes that are asked for at once.
const PIECE: u64 = 8 << 20;

/// Fetches every part of a bundle; answers the files.
pub async fn parts(console: &Console, made: &Value, out: &Path, quiet: bool) -> Result<Vec<PathBuf>, Fault> {
    fs::create_dir_all(out)?;
    let lengths: Vec<u64> = list(made, "parts").iter().filter_map(Value::as_u64).collect();
    let number = made["number"].as_u64().unwrap_or(0);
    let total = lengths.iter().fold(0_u64, |sum, length| sum.saturating_add(*length));
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target).with_style(
        ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut files = Vec::new();
    for (part, length) in (1_u32..).zip(&lengths) {
        let path = out.join(format!("freehold-bundle-{number}-{part}of{}.fhz", lengths.len()));
        bar.set_message(format!("part {part} of {}", lengths.len()));
        if fs::metadata(&path).is_ok_and(|about| about.len() == *length) && whole(&path).is_ok() {
            bar.inc(*length);
        } else {
            one(console, number, part, *length, &path, &bar).await?;
        }
        files.push(path);
    }
    bar.finish_and_clear();
    Ok(files)
}

async fn one(
    console: &Console,
    number: u64,
    part: u32,
    length: u64,
    path: &Path,
    bar: &ProgressBar,
) -> Result<(), Fault> {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    let partial = PathBuf::from(name);
    let mut file = OpenOptions::new().create(true).append(true).open(&partial)?;
    let mut at = file.metadata()?.len();
    if at > length {
        file.set_len(0)?;
        at = 0;
    }
    bar.inc(at);
    while at < length {
        let last = at.saturating_add(PIECE).min(length).saturating_sub(1);
        let bytes = console
            .range(&format!("/api/v1/bundles/{number}/parts/{part}"), at, last)
            .await?;
        if bytes.is_empty() {
            return Err(Fault::could_not_tell(
                "the console sent nothing",
                "try again with `--resume`",
            ));
        }
        file.write_all(&bytes)?;
        at = at.saturating_add(bytes.len() as u64);
        bar.inc(bytes.len() as u64);
    }
    file.sync_all()?;
    drop(file);
    // What does not check was damaged on the way or on the medium: it is fetched anew the next time.
    if let Err(fault) = whole(&partial) {
        fs::remove_file(&partial)?;
        return Err(fault);
    }
    fs::rename(&partial, path)?;
    Ok(())
}

/// Compares every byte of a container with its list.
pub fn whole(path: &Path) -> Result<freehold_verify::container::Index, Fault> {
    let (mut file, mut check, mut block) = (File::open(path)?, ContainerCheck::new(), vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        check
            .update(block.get(..count).unwrap_or_default())
            .map_err(|fault| refused(&fault))?;
    }
    check.finish().map_err(|fault| refused(&fault))
}
