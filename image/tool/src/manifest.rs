//! The manifest of a set: which packages a person wants, from which suites, and which dependencies are left out.
//!
//! Refuses lines that it does not understand. Invariant: a manifest names packages, never versions or places; those are the
//! lock's.

use thiserror::Error;

/// What `packages/SET.txt` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The Debian suites that are asked, for example `trixie` and `trixie-security`; the newest version wins.
    pub suites: Vec<String>,
    /// `(suite, source package)`: what is built from this source comes from this suite, which is asked for nothing else.
    pub exceptions: Vec<(String, String)>,
    /// Packages that are wanted.
    pub wanted: Vec<String>,
    /// Packages that are left out of the closure.
    pub left_out: Vec<String>,
}

/// Why a manifest was not understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// No `suite` line.
    #[error("no line `suite NAME`")]
    NoSuite,
    /// Nothing is wanted.
    #[error("no package is named")]
    Nothing,
    /// A line that is neither a comment, a suite nor a package name.
    #[error("line {line}: `{text}` is not a package name")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The text as it stands.
        text: String,
    },
}

impl Manifest {
    /// Parses a manifest. Comments begin with `#` and go to the end of the line.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut suites = Vec::new();
        let mut exceptions = Vec::new();
        let mut wanted = Vec::new();
        let mut left_out = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let line = raw.split('#').next().unwrap_or_default().trim();
            let refused = || ManifestError::Line {
                line: index.saturating_add(1),
                text: raw.to_owned(),
            };
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix("suite ") {
                suites.push(package_name(name.trim()).ok_or_else(refused)?);
            } else if let Some(names) = line.strip_prefix("from ") {
                let (suite, source) = names.trim().split_once(' ').ok_or_else(refused)?;
                exceptions.push((
                    package_name(suite).ok_or_else(refused)?,
                    package_name(source.trim()).ok_or_else(refused)?,
                ));
            } else if let Some(name) = line.strip_prefix('-') {
                left_out.push(package_name(name).ok_or_else(refused)?);
            } else {
                wanted.push(package_name(line).ok_or_else(refused)?);
            }
        }
        if wanted.is_empty() {
            return Err(ManifestError::Nothing);
        }
        if suites.is_empty() {
            return Err(ManifestError::NoSuite);
        }
        Ok(Self {
            suites,
            exceptions,
            wanted,
            left_out,
        })
    }
}

/// Debian Policy 5.6.1: lower case letters, digits, `+ - .`; at least two characters, the first alphanumeric. Nothing that a
/// command line could take for an option or a path.
fn package_name(name: &str) -> Option<String> {
    let first = name.chars().next()?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    (name.len() >= 2 && (first.is_ascii_lowercase() || first.is_ascii_digit()) && name.chars().all(fits))
        .then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_suite_packages_and_what_is_left_out() {
        let manifest = Manifest::parse("# why\nsuite forky\nfrom sid rustc\nlibc6 # the libc\n-wget\n").unwrap();
        assert_eq!(manifest.suites, ["forky"]);
        assert_eq!(manifest.exceptions, [("sid".to_owned(), "rustc".to_owned())]);
        assert_eq!(manifest.wanted, ["libc6"]);
        assert_eq!(manifest.left_out, ["wget"]);
    }

    #[test]
    fn an_option_is_not_a_package_name() {
        for line in [
            "suite forky\n--download",
            "suite forky\na b",
            "suite forky\n../x",
            "suite forky\n-o",
            "suite forky\nfrom sid",
        ] {
            assert!(
                matches!(Manifest::parse(line), Err(ManifestError::Line { line: 2, .. })),
                "{line}"
            );
        }
        assert_eq!(Manifest::parse("libc6"), Err(ManifestError::NoSuite));
        assert_eq!(Manifest::parse("suite forky"), Err(ManifestError::Nothing));
    }
}
