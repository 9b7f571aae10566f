//! Takes each check away and sees its test fail: `make mutants`, `make mutants CODE=quote.nonce`, `make mutants CHANGED=base`.
//!
//! Refuses to take a build that fails, a test that is not found, or a test that fails anyway for a killed mutant. Invariant: the
//! tree itself is never changed; everything happens in a copy below `target/mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use freehold_laws::mutants::{Mutant, Target, VARIABLE, faults, of_file, patched, table, targets};
use freehold_laws::{declared_codes, files, root, text};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Yes when every chosen mutant was killed.
fn run() -> anyhow::Result<bool> {
    let all = table().map_err(anyhow::Error::msg)?;
    let wrong = faults(&all);
    ensure!(
        wrong.is_empty(),
        "the table of mutants is not true:\n{}",
        wrong.join("\n")
    );
    let covered: BTreeSet<&str> = all.iter().map(|mutant| mutant.code.as_str()).collect();
    let said = format!(
        "{} mutants for {} of {} refusal codes",
        all.len(),
        covered.len(),
        declared_codes().len()
    );
    let (chosen, why) = choose(&all)?;
    if chosen.is_empty() {
        println!("skipped: {why}; {said}");
        return Ok(true);
    }
    println!("{said}; {} chosen ({why})", chosen.len());
    let limit = limit();
    let began = Instant::now();
    let copy = copy(&all)?;
    let targets = targets();
    let place = |mutant: &Mutant| targets.get(&mutant.test).and_then(|list| list.first()).cloned();
    let mut groups: BTreeMap<Target, Vec<&Mutant>> = BTreeMap::new();
    for mutant in chosen {
        groups
            .entry(place(mutant).context("a test moved")?)
            .or_default()
            .push(mutant);
    }
    let (mut killed, mut alive, mut late) = (0, Vec::new(), 0);
    for (target, mutants) in groups {
        if began.elapsed() > limit {
            late += mutants.len();
            continue;
        }
        let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.test.as_str()).collect();
        println!("building and asking the tests of {} as they are …", shown(&target));
        let (code, log) = tests(&copy, &target, &names, None)?;
        ensure!(
            code == 0,
            "the tests of {} do not pass without a mutant (exit {code}):\n{log}",
            shown(&target)
        );
        for mutant in mutants {
            if began.elapsed() > limit {
                late += 1;
                continue;
            }
            let start = Instant::now();
            let (code, log) = tests(
                &copy,
                &target,
                &BTreeSet::from([mutant.test.as_str()]),
                Some(&mutant.name),
            )?;
            match code {
                // nextest: 100 is "a test failed"; everything else is a fault of the run.
                100 => {
                    killed += 1;
                    println!(
                        "  ✓ {:<34} {} ({:.1} s)",
                        mutant.name,
                        mutant.test,
                        start.elapsed().as_secs_f32()
                    );
                }
                0 => {
                    println!("  ✗ {:<34} {} passed without the check", mutant.name, mutant.test);
                    alive.push(mutant.name.clone());
                }
                other => bail!("`{}` could not be asked (exit {other}):\n{log}", mutant.name),
            }
        }
    }
    println!(
        "{killed} killed, {} alive, {late} not asked for lack of time, {} s",
        alive.len(),
        began.elapsed().as_secs()
    );
    Ok(alive.is_empty())
}

fn limit() -> Duration {
    let seconds = std::env::var("MUTANTS_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4 * 3600))
}

/// By code, by what a change touches, or all.
fn choose(all: &[Mutant]) -> anyhow::Result<(Vec<&Mutant>, String)> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    if let Some(code) = set("CODE") {
        let of: Vec<&Mutant> = all
            .iter()
            .filter(|mutant| mutant.code == code || mutant.name == code || mutant.code.starts_with(&format!("{code}.")))
            .collect();
        ensure!(!of.is_empty(), "no mutant takes the check behind `{code}` away");
        return Ok((of, format!("CODE={code}")));
    }
    let Some(base) = set("CHANGED") else {
        return Ok((all.iter().collect(), "all".to_owned()));
    };
    let output = Command::new("git")
        .args(["diff", "--name-only", &base, "--"])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        return Ok((
            Vec::new(),
            format!("`{base}` is not a commit here, so nothing says what changed"),
        ));
    }
    let changed: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    let of: Vec<&Mutant> = all
        .iter()
        .filter(|mutant| changed.contains(&mutant.file) || changed.contains(&mutant.about))
        .collect();
    let why = if of.is_empty() {
        format!("no check with a mutant changed since {base}")
    } else {
        format!("changed since {base}")
    };
    Ok((of, why))
}

/// The copy of the tree, with every mutant asleep in it. A file is only written when it differs, so that cargo builds little.
fn copy(all: &[Mutant]) -> anyhow::Result<PathBuf> {
    let copy = root().join("target/mutants/tree");
    let wanted: BTreeSet<String> = files().into_iter().collect();
    for file in &wanted {
        let of = of_file(all, file);
        let bytes = if of.is_empty() {
            std::fs::read(root().join(file)).with_context(|| format!("`{file}`"))?
        } else {
            patched(&text(file), &of).map_err(anyhow::Error::msg)?.into_bytes()
        };
        let to = copy.join(file);
        if std::fs::read(&to).ok().as_ref() == Some(&bytes) {
            continue;
        }
        std::fs::create_dir_all(to.parent().unwrap_or(&copy))?;
        std::fs::write(&to, bytes)?;
        std::fs::set_permissions(&to, std::fs::metadata(root().join(file))?.permissions())?;
    }
    // What vanished from the tree must vanish from the copy.
    let list = copy.join(".files");
    for gone in std::fs::read_to_string(&list).unwrap_or_default().lines() {
        if !wanted.contains(gone) {
            let _ = std::fs::remove_file(copy.join(gone));
        }
    }
    std::fs::write(&list, wanted.into_iter().collect::<Vec<_>>().join("\n"))?;
    // Tests of engines and judges look for what was fetched and made beside the build.
    let beside = copy.join("target");
    std::fs::create_dir_all(&beside)?;
    for name in ["judges", "engine", "axe"] {
        let (from, to) = (root().join("target").join(name), beside.join(name));
        if from.exists() && !to.exists() {
            std::os::unix::fs::symlink(from, to)?;
        }
    }
    seed(&copy)?;
    Ok(copy)
}

/// Lends the copy the dependencies that were built already: hard links of everything but this workspace's own crates.
fn seed(copy: &Path) -> anyhow::Result<()> {
    let (from, to) = (root().join("target/debug"), copy.join("target/debug"));
    if to.join("deps").is_dir() || !from.join("deps").is_dir() {
        return Ok(());
    }
    for folder in ["deps", "build", ".fingerprint"] {
        std::fs::create_dir_all(to.join(folder))?;
        for entry in std::fs::read_dir(from.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("freehold") {
                continue;
            }
            // Small files are written in place by cargo, so they are copied; libraries are replaced as a whole, so a link will do.
            let how = if folder == "deps" { "-al" } else { "-a" };
            let status = Command::new("cp")
                .arg(how)
                .arg(entry.path())
                .arg(to.join(folder))
                .status()?;
            ensure!(status.success(), "`{name}` could not be lent to the copy");
        }
    }
    Ok(())
}

fn shown(target: &Target) -> String {
    match target {
        Target::Library(package) => package.clone(),
        Target::Integration(package, name) => format!("{package}/{name}"),
    }
}

/// Runs tests by name in the copy; nextest's exit code and what it said.
fn tests(copy: &Path, target: &Target, names: &BTreeSet<&str>, mutant: Option<&str>) -> anyhow::Result<(i32, String)> {
    let mut command = Command::new("cargo");
    command.args(["nextest", "run", "--locked", "--no-tests", "fail", "--no-fail-fast"]);
    let package = match target {
        Target::Library(package) => {
            command.args(["--package", package, "--lib"]);
            package
        }
        // The whole workspace is named so that features are those of every other build, and one target so that little is built.
        Target::Integration(package, name) => {
            command.args(["--workspace", "--test", name]);
            package
        }
    };
    let names: Vec<String> = names.iter().map(|name| format!("test(/(^|::){name}$/)")).collect();
    command
        .args(["-E", &format!("package({package}) and ({})", names.join(" or "))])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env("CARGO_TERM_COLOR", "never")
        .env("INSTA_UPDATE", "no")
        .env_remove(VARIABLE)
        .stdin(Stdio::null());
    if let Some(name) = mutant {
        command.env(VARIABLE, name);
    }
    let output = command.output().context("cargo nextest")?;
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines[lines.len().saturating_sub(40)..].join("\n");
    Ok((output.status.code().unwrap_or(2), tail))
}
