//! The conversation with the person: disks, serial number, plan, a word, progress, the end.
//!
//! Refuses to go on at anything but the word that it asked for. Invariant: between the plan that is shown and the plan that
//! is executed nothing is decided; they are the same value.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use crate::disk::{Candidate, candidates};
use crate::execute::execute;
use crate::image::{Image, read_image};
use crate::options::Arguments;
use crate::plan::{Choice, Plan, eligible, plan};
use crate::power::Power as _;
use crate::power::restart_through;
use crate::progress::bar;
use crate::rejection::InstallRejection;
use crate::show;

/// Longest line that is read; bounds a stuck key.
const LINE: usize = 200;

fn said(error: io::Error) -> InstallRejection {
    InstallRejection::device("the terminal is gone", error)
}

/// Runs it. Answers whether a disk was written (or, with `--plan`, could be).
///
/// # Errors
/// [`InstallRejection`].
pub fn run(arguments: &Arguments, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<bool, InstallRejection> {
    let disks = candidates(&arguments.root);
    let image = read_image(&source(arguments, &disks)?)?;
    if arguments.plan && arguments.disk.is_none() {
        if arguments.json {
            writeln!(out, "{}", serde_json::json!({ "v": 1, "disks": disks })).map_err(said)?;
        } else {
            write!(out, "{}", show::disks(&disks, &image)).map_err(said)?;
        }
        return some(&disks, &image).map(|()| true);
    }
    let made = match (&arguments.disk, &arguments.serial) {
        (Some(name), Some(serial)) => plan(
            &disks,
            &image,
            &Choice {
                name: name.clone(),
                serial: serial.clone(),
                sha256: arguments.sha256.clone(),
            },
        )?,
        _ => match ask(arguments, &disks, &image, input, out)? {
            Some(made) => made,
            None => return Ok(false),
        },
    };
    if arguments.plan || arguments.json {
        let shown = if arguments.json {
            serde_json::to_string(&made).unwrap_or_default() + "\n"
        } else {
            show::plan(&made)
        };
        write!(out, "{shown}").map_err(said)?;
        if arguments.plan {
            return Ok(true);
        }
    }
    install(arguments, &made, &image, out)?;
    Ok(true)
}

/// Where the image is: named, or the disk that runs this system.
fn source(arguments: &Arguments, disks: &[Candidate]) -> Result<PathBuf, InstallRejection> {
    if let Some(image) = &arguments.image {
        return Ok(image.clone());
    }
    let running = disks.iter().find(|disk| disk.running).ok_or(InstallRejection::Image {
        why: "this system runs from no disk; name the image with --image".to_owned(),
    })?;
    Ok(arguments.root.join("dev").join(&running.name))
}

/// At least one disk that could be written.
fn some(disks: &[Candidate], image: &Image) -> Result<(), InstallRejection> {
    if disks.iter().any(|disk| eligible(disk, image).is_ok()) {
        Ok(())
    } else {
        Err(InstallRejection::NoDisk)
    }
}

fn line(input: &mut dyn BufRead) -> Result<Option<String>, InstallRejection> {
    let mut bytes = Vec::new();
    loop {
        let buffer = input.fill_buf().map_err(said)?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(buffer.len(), |at| at + 1);
        bytes.extend(buffer.iter().take(taken));
        input.consume(taken);
        bytes.truncate(LINE);
        if end.is_some() {
            let text = String::from_utf8_lossy(&bytes);
            return Ok(Some(
                text.chars()
                    .filter(|c| !c.is_control())
                    .collect::<String>()
                    .trim()
                    .to_owned(),
            ));
        }
    }
}

/// Asks for the disk, its serial number and a word; `None` when the person went away.
fn ask(
    arguments: &Arguments,
    disks: &[Candidate],
    image: &Image,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Option<Plan>, InstallRejection> {
    writeln!(out, "\nFreehold installer\n\nDisks of this machine:\n").map_err(said)?;
    write!(out, "{}", show::disks(disks, image)).map_err(said)?;
    some(disks, image)?;
    loop {
        write!(out, "\nWhich disk, by its name on the left? ").map_err(said)?;
        out.flush().map_err(said)?;
        let Some(name) = line(input)? else { return Ok(None) };
        if name.is_empty() {
            continue;
        }
        let known = disks.iter().find(|disk| disk.name == name);
        let possible = known.map(|disk| eligible(disk, image)).transpose();
        let made = match (known, possible) {
            (Some(_), Ok(_)) => {
                writeln!(out, "Everything on {name} will be lost.").map_err(said)?;
                write!(out, "Type its serial number, from the label or from above: ").map_err(said)?;
                out.flush().map_err(said)?;
                let Some(serial) = line(input)? else { return Ok(None) };
                plan(
                    disks,
                    image,
                    &Choice {
                        name,
                        serial,
                        sha256: arguments.sha256.clone(),
                    },
                )
            }
            (Some(_), Err(rejection)) => Err(rejection),
            (None, _) => Err(InstallRejection::UnknownDisk { found: name }),
        };
        match made {
            Ok(made) => {
                writeln!(out, "\n{}", show::plan(&made)).map_err(said)?;
                write!(out, "Type install to do this, anything else to choose again: ").map_err(said)?;
                out.flush().map_err(said)?;
                let Some(word) = line(input)? else { return Ok(None) };
                if word.eq_ignore_ascii_case("install") {
                    return Ok(Some(made));
                }
                writeln!(out, "Nothing was written.").map_err(said)?;
            }
            Err(rejection) => tell(&rejection, out)?,
        }
    }
}

/// A refusal with its meaning and the next step.
pub(crate) fn tell(rejection: &InstallRejection, out: &mut dyn Write) -> Result<(), InstallRejection> {
    let code = freehold_verify::rejection::Refusal::code(rejection);
    writeln!(out, "\n{code}: {rejection}").map_err(said)?;
    if let Some(explained) = freehold_explain::explain(code) {
        let sentences = format!("{} {}", explained.means, explained.next);
        writeln!(out, "{}", show::wrap(&sentences)).map_err(said)?;
    }
    Ok(())
}

fn install(arguments: &Arguments, made: &Plan, image: &Image, out: &mut dyn Write) -> Result<(), InstallRejection> {
    let path = arguments.root.join("dev").join(&made.disk.name);
    let source =
        std::fs::File::open(&image.path).map_err(|error| InstallRejection::device("the image is gone", error))?;
    let mut disk = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| InstallRejection::device(format!("`{}` cannot be written", path.display()), error))?;
    let began = Instant::now();
    let mut last = None;
    let mut lost = None;
    let installed = execute(made, image, &source, &mut disk, &mut |progress| {
        let now = Some((progress.percent(), progress.doing));
        if now != last && !arguments.json {
            last = now;
            let shown = write!(out, "\r{:<78}", bar(progress, began.elapsed())).and_then(|()| out.flush());
            // A terminal that goes away does not stop an installation.
            lost = shown.err().or(lost.take());
        }
    })?;
    if arguments.json {
        let end = serde_json::json!({ "v": 1, "installed": made.disk.name, "sha256": installed.sha256.to_hex() });
        writeln!(out, "{end}").map_err(said)?;
    } else {
        writeln!(out, "\nSHA-256 of what was read back: {}", installed.sha256).map_err(said)?;
        writeln!(
            out,
            "Done. Take the medium out when the screen goes dark; then the machine starts from {}.",
            made.disk.name
        )
        .map_err(said)?;
    }
    if installed.restart && !arguments.stay {
        restart_through(arguments.bus.as_deref()).restart()?;
    }
    Ok(())
}
