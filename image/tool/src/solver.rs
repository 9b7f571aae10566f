//! Resolves a manifest with apt's own solver, in a private apt root that knows nothing of this machine's packages.
//!
//! Refuses packages for which apt gives no SHA-256. Invariant: the machine's own apt state is only read; release files are
//! checked by apt with the archive's keyring.

use crate::lock::{Package, Resolved, Suite};
use crate::manifest::Manifest;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use thiserror::Error;
use time::macros::format_description;

/// The keyring of Debian's `debian-archive-keyring`, on every Debian machine.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The one architecture of the image so far.
const ARCHITECTURE: &str = "amd64";

/// What is asked of each suite: free software, and the microcode that processors need.
const COMPONENTS: &str = "main non-free-firmware";

/// Why a set could not be resolved.
#[derive(Debug, Error)]
pub enum SolveError {
    /// The private apt root could not be made, or apt not be run.
    #[error("the private apt root cannot be used")]
    Io(#[from] std::io::Error),
    /// No configured archive has the suite.
    #[error("no archive that apt is configured with has the suite `{suite}`: {message}")]
    NoSuite {
        /// The suite.
        suite: String,
        /// apt's last words.
        message: String,
    },
    /// apt ended with an error.
    #[error("apt could not find a solution: {message}")]
    NoSolution {
        /// apt's last words.
        message: String,
    },
    /// A package record misses a field.
    #[error("apt says nothing about `{field}` of package `{name}`")]
    Incomplete {
        /// The package.
        name: String,
        /// The field of its record.
        field: &'static str,
    },
    /// The release file has no date that can be read.
    #[error("the release file of `{suite}` has no readable date")]
    NoDate {
        /// The suite.
        suite: String,
    },
}

struct PrivateApt {
    folder: tempfile::TempDir,
}

impl PrivateApt {
    /// `sources` are (base, suite); `exceptions` as in the manifest.
    fn new(sources: &[(String, String)], exceptions: &[(String, String)]) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        std::fs::write(folder.path().join("status"), b"")?;
        let lines: String = sources
            .iter()
            .map(|(base, suite)| format!("deb [signed-by={KEYRING} arch={ARCHITECTURE}] {base} {suite} {COMPONENTS}\n"))
            .collect();
        std::fs::write(folder.path().join("sources.list"), lines)?;
        // apt_preferences(5): 990 beats the 500 of the other suites; the rest of the suite stays at 1.
        let pins: String = exceptions
            .iter()
            .map(|(suite, source)| {
                format!(
                    "Package: *\nPin: release n={suite}\nPin-Priority: 1\n\n\
                     Package: src:{source}\nPin: release n={suite}\nPin-Priority: 990\n\n"
                )
            })
            .collect();
        std::fs::write(folder.path().join("preferences"), pins)?;
        Ok(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = self.path().display();
        for option in [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::Etc::preferences={at}/preferences"),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State::lists={at}/lists"),
            format!("Dir::State::status={at}/status"),
            format!("Dir::Cache={at}/cache"),
            format!("APT::Architecture={ARCHITECTURE}"),
            "APT::Architectures::=".to_owned(),
            "APT::Install-Recommends=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // A mirror that lags serves release files past their date; everything is pinned by hash afterwards.
            "Acquire::Check-Valid-Until=false".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self
            .command(program)
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        // `apt-get update` ends with 0 although an index failed; its messages then begin with E: or W: Failed.
        let complaint = stderr
            .lines()
            .rfind(|line| line.starts_with("E:") || line.contains("Failed to fetch"));
        match complaint {
            None if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            Some(line) => Err(line.to_owned()),
            None => Err(stderr.lines().last().unwrap_or("no message").to_owned()),
        }
    }
}

/// Finds an archive for each suite, then lets apt solve the manifest.
pub fn resolve(manifest: &Manifest, set: &str, bases: &[String]) -> Result<Resolved, SolveError> {
    let mut sources: Vec<(String, String)> = Vec::new();
    let more = manifest.exceptions.iter().map(|(suite, _)| suite);
    for suite in manifest.suites.iter().chain(more) {
        if !sources.iter().any(|(_, known)| known == suite) {
            sources.push((base_of(suite, bases)?, suite.clone()));
        }
    }
    let apt = PrivateApt::new(&sources, &manifest.exceptions)?;
    apt.run("apt-get", &["update", "-qq"])
        .map_err(|message| SolveError::NoSuite {
            suite: manifest.suites.join(" "),
            message,
        })?;
    solve(&apt, manifest, set, &sources)
}

/// The first base that has a release file of the suite.
fn base_of(suite: &str, bases: &[String]) -> Result<String, SolveError> {
    let mut message = "no archive was asked".to_owned();
    let folder = tempfile::tempdir()?;
    for base in bases {
        let output = Command::new(crate::fetch::HELPER)
            .args(["-o", "APT::Sandbox::User=root", "download-file"])
            .arg(format!("{base}/dists/{suite}/InRelease"))
            .arg(folder.path().join("InRelease"))
            .output()?;
        if output.status.success() {
            return Ok(base.clone());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        message = said.lines().last().unwrap_or_default().to_owned();
    }
    Err(SolveError::NoSuite {
        suite: suite.to_owned(),
        message,
    })
}

fn solve(
    apt: &PrivateApt,
    manifest: &Manifest,
    set: &str,
    sources: &[(String, String)],
) -> Result<Resolved, SolveError> {
    let mut arguments = vec!["install", "--print-uris", "-y", "-qq"];
    arguments.extend(manifest.wanted.iter().map(String::as_str));
    let failed = |message| SolveError::NoSolution { message };
    let listing = apt.run("apt-get", &arguments).map_err(failed)?;
    let chosen: Vec<(String, String)> = listing
        .lines()
        .filter_map(chosen_package)
        .filter(|(name, _)| !manifest.left_out.contains(name))
        .collect();
    let mut asked = vec!["madison"];
    asked.extend(chosen.iter().map(|(name, _)| name.as_str()));
    let origins = apt.run("apt-cache", &asked).map_err(failed)?;
    let mut shown = vec!["show".to_owned()];
    shown.extend(chosen.iter().map(|(name, version)| format!("{name}={version}")));
    let records = apt
        .run("apt-cache", &shown.iter().map(String::as_str).collect::<Vec<_>>())
        .map_err(failed)?;
    let mut packages = Vec::new();
    for (name, version) in &chosen {
        let incomplete = |field| SolveError::Incomplete {
            name: name.clone(),
            field,
        };
        let record = record_of(&records, name, version).ok_or_else(|| incomplete("Version"))?;
        let suite = suite_of(&origins, name, version).ok_or_else(|| incomplete("suite"))?;
        packages.push(package_of(record, name, suite, set)?);
    }
    let mut suites = Vec::new();
    for (_, name) in sources {
        suites.push(Suite {
            name: name.clone(),
            date: release_date(&apt.path().join("lists"), name)?,
        });
    }
    Ok(Resolved { suites, packages })
}

/// Reads `NAME | VERSION | BASE SUITE/COMPONENT ARCHITECTURE Packages` lines.
fn suite_of<'a>(origins: &'a str, name: &str, version: &str) -> Option<&'a str> {
    origins.lines().find_map(|line| {
        let mut fields = line.split('|').map(str::trim);
        let fits = fields.next() == Some(name) && fields.next() == Some(version);
        let place = fields.next().filter(|_| fits)?;
        place.split(' ').nth(1)?.split('/').next()
    })
}

/// `'URI' NAME_VERSION_ARCH.deb SIZE HASH`, the version with `:` as `%3a`.
fn chosen_package(line: &str) -> Option<(String, String)> {
    let file = line.strip_prefix('\'')?.split_once("' ")?.1.split(' ').next()?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let name = parts.next()?.to_owned();
    let version = parts.next()?.replace("%3a", ":");
    Some((name, version))
}

/// The record of one package among several, which empty lines part.
fn record_of<'a>(records: &'a str, name: &str, version: &str) -> Option<&'a str> {
    records.split("\n\n").map(str::trim_start).find(|record| {
        let has = |field: &str, value: &str| {
            record
                .lines()
                .any(|line| line.strip_prefix(field).and_then(|rest| rest.strip_prefix(": ")) == Some(value))
        };
        has("Package", name) && has("Version", version)
    })
}

fn package_of(record: &str, name: &str, suite: &str, set: &str) -> Result<Package, SolveError> {
    let fields: HashMap<&str, &str> = record
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_once(": "))
        .collect();
    let missing = |field| SolveError::Incomplete {
        name: name.to_owned(),
        field,
    };
    let field = |field: &'static str| fields.get(field).copied().ok_or(missing(field));
    Ok(Package {
        name: name.to_owned(),
        version: field("Version")?.to_owned(),
        architecture: field("Architecture")?.to_owned(),
        suite: suite.to_owned(),
        sets: vec![set.to_owned()],
        path: field("Filename")?.to_owned(),
        size: field("Size")?.parse().map_err(|_| missing("Size"))?,
        sha256: field("SHA256")?.parse().map_err(|_| missing("SHA256"))?,
    })
}

fn release_date(lists: &Path, suite: &str) -> Result<String, SolveError> {
    for entry in std::fs::read_dir(lists)? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(&format!("_dists_{suite}_InRelease")) {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        if let Some(date) = text
            .lines()
            .find_map(|line| line.strip_prefix("Date: "))
            .and_then(compact_date)
        {
            return Ok(date);
        }
    }
    Err(SolveError::NoDate {
        suite: suite.to_owned(),
    })
}

/// `Fri, 30 Oct 2026 08:08:01 UTC` → `20261030T080801Z`.
fn compact_date(text: &str) -> Option<String> {
    let read = format_description!(
        "[weekday repr:short], [day padding:none] [month repr:short] [year] [hour]:[minute]:[second] UTC"
    );
    let date = time::PrimitiveDateTime::parse(text.trim(), read).ok()?;
    date.format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_prints_is_read() {
        let line = "'http://a.invalid/debian/pool/main/l/x_0.7%2bd-2_amd64.deb' x_1%3a0.7+d-2_amd64.deb 12 MD5Sum:00";
        assert_eq!(chosen_package(line), Some(("x".to_owned(), "1:0.7+d-2".to_owned())));
        assert_eq!(chosen_package("NOTICE: something"), None);
        assert_eq!(
            compact_date("Fri, 30 Oct 2026 08:08:01 UTC").as_deref(),
            Some("20261030T080801Z")
        );
        assert_eq!(
            compact_date("Fri, 06 Nov 2026 08:08:01 UTC").as_deref(),
            Some("20261106T080801Z")
        );
    }

    #[test]
    fn each_package_knows_its_suite() {
        let origins = " x | 2 | http://a.invalid/debian trixie-backports/main amd64 Packages\n \
                       x | 1:1 | http://a.invalid/debian trixie/main amd64 Packages\n";
        assert_eq!(suite_of(origins, "x", "1:1"), Some("trixie"));
        assert_eq!(suite_of(origins, "x", "2"), Some("trixie-backports"));
        assert_eq!(suite_of(origins, "y", "2"), None);
    }

    #[test]
    fn a_record_without_sha256_is_refused() {
        let digest = "3007c170f116891974bd37d5ba802f094c7d020412f2100cc71582fc8530895c";
        let record = format!(
            "Package: x\nVersion: 1\nArchitecture: amd64\nFilename: pool/x.deb\nSize: 7\nSHA256: {digest}\nDescription: y\n long\n"
        );
        assert_eq!(package_of(&record, "x", "forky", "s").unwrap().size, 7);
        let without = record.replace("SHA256", "SHA1");
        assert!(matches!(
            package_of(&without, "x", "forky", "s"),
            Err(SolveError::Incomplete { field: "SHA256", .. })
        ));
    }
}
