//! Runs cases, each in a process and a network of its own, and says what came of them.
//!
//! Refuses to hide a failed case's traces: its folder stays. Invariant: the closing line counts every case that was asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use freehold_harness::wait_for;

use crate::cases::{ALL, Case, From, Ground, Outcome, chosen};
use crate::image::Image;
use crate::machine::bound;
use crate::site;

/// Longest that a case may take, whatever it waits for.
const LONGEST: Duration = Duration::from_secs(40 * 60);
/// How a case that could not be tried ends.
const SKIPPED: i32 = 3;

/// Where cases work.
#[must_use]
pub fn shared() -> PathBuf {
    freehold_harness::publisher::repository_root().join("target/image-tests")
}

/// Runs the cases that fit, so many at a time; answers whether none failed.
///
/// # Errors
/// When the folder cannot be used.
pub fn all(quick: bool, jobs: usize, wanted: &[String]) -> Result<bool> {
    let image = Image::built()?;
    let shared = shared();
    fs::create_dir_all(&shared)?;
    let mut chosen = chosen(quick, wanted)?;
    // A case that begins with a member needs one of this image.
    let kept = fs::read_to_string(crate::member::kept(&shared).join("image")).unwrap_or_default();
    if chosen.iter().any(|case| case.from == From::Member)
        && !chosen.iter().any(|case| case.name == "boots-and-attests")
        && kept != image.digest()?.to_hex()
    {
        chosen.insert(0, &ALL[0]);
    }
    let mut count = Count::default();
    // What others begin with comes first, and alone.
    let (first, rest): (Vec<&Case>, Vec<&Case>) = chosen.into_iter().partition(|case| case.name == ALL[0].name);
    for case in first {
        count.add(case, &one(case, &shared)?);
    }
    let queue = Mutex::new(rest.into_iter());
    let count = Mutex::new(count);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while let Some(case) = locked(&queue).next() {
                        let outcome = one(case, &shared)?;
                        locked(&count).add(case, &outcome);
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker ended"))))
    })?;
    let count = locked(&count);
    println!(
        "\n{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.skipped
    );
    Ok(count.failed == 0)
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // A case is a process: nothing that is locked here is left half done by one.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of a case.
struct Ended {
    code: Option<i32>,
    said: String,
    took: Duration,
}

/// How many of each.
#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Count {
    fn add(&mut self, case: &Case, ended: &Ended) {
        let (mark, which) = match ended.code {
            Some(0) => ("✓", &mut self.passed),
            Some(SKIPPED) => ("–", &mut self.skipped),
            _ => ("✗", &mut self.failed),
        };
        *which += 1;
        let said = ended.said.trim_end().replace('\n', "\n      ");
        println!("  {mark} {:<38} {:>4} s  {said}", case.name, ended.took.as_secs());
    }
}

/// Runs one case as a process of its own.
fn one(case: &Case, shared: &Path) -> Result<Ended> {
    let began = Instant::now();
    let folder = shared.join(case.name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let said = folder.join("said");
    let out = fs::File::create(&said)?;
    let mut child = bound(std::env::current_exe()?)
        .args(["case", case.name])
        .stdin(Stdio::null())
        .stderr(out.try_clone()?)
        .stdout(out)
        .spawn()
        .context("starting the case")?;
    let status = wait_for(case.name, LONGEST, || {
        std::thread::park_timeout(Duration::from_millis(200));
        Ok(child.try_wait()?)
    });
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let code = status.ok().and_then(|status| status.code());
    let ended = Ended {
        code,
        said: fs::read_to_string(&said).unwrap_or_default(),
        took: began.elapsed(),
    };
    if code == Some(0) || code == Some(SKIPPED) {
        // A disk a case is too much to keep.
        fs::remove_dir_all(&folder)?;
    }
    Ok(ended)
}

/// The process of one case. Answers its exit code.
///
/// # Errors
/// When what must happen did not.
pub fn inside(name: &str) -> Result<i32> {
    let case = crate::cases::named(name).with_context(|| format!("there is no case `{name}`"))?;
    site::enter_network()?;
    let ground = Ground {
        image: Image::built()?,
        shared: shared(),
        folder: shared().join(name),
    };
    match (case.run)(&ground)? {
        Outcome::Seen(what) => {
            println!("{what}");
            Ok(0)
        }
        Outcome::Skipped(why) => {
            println!("skipped: {why}");
            Ok(SKIPPED)
        }
    }
}
