//! The table of mutants: for a refusal code, the patch that takes away the check behind it, and the test that must then fail.
//!
//! Refuses a patch whose place is not exactly once in its file, a code that no crate declares, and a test that does not exist.
//! Invariant: nothing of it is in a shipped program. A copy of the tree carries all patches at once, each behind the name of its
//! mutant in the environment, so that one build serves every mutant; the copy is never shipped.
//!
//! The table is `tests/mutants/*.txt`, a block for each mutant:
//!
//! ```text
//! quote.magic
//! in attestation/verify/src/quote.rs
//! at if «parsed.magic != MAGIC» {
//! as false
//! seen a01_wrong_magic_is_refused
//! ```
//!
//! `at` may go on over several lines; white space does not count. What stands between « and » is an expression, and `as` is what
//! takes its place. `rule NAME` instead of `at` and `as` takes a rule out of a file of policies.

use std::collections::{BTreeMap, BTreeSet};

use crate::{declared_codes, files, sources, text};

/// The environment variable that wakes a mutant in the copy.
pub const VARIABLE: &str = "FREEHOLD_MUTANT";
/// Where policies are handed out as text: a rule is left out here.
const SHIPPED: &str = "policies/decide/src/shipped.rs";
const SHIPPED_TEXT: &str = "(name.to_owned(), «text.to_owned()»)";

/// One mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name: the code, and a word behind it where a code has several.
    pub name: String,
    /// The refusal code whose check it takes away.
    pub code: String,
    /// The file that is patched.
    pub file: String,
    /// The file that a reader would change: a file of policies, or the same.
    pub about: String,
    /// The place, with « and ».
    pub at: String,
    /// What takes the place.
    pub replacement: String,
    /// The test that must fail.
    pub test: String,
}

/// Where a test lives, for cargo.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Unit tests of a package's library.
    Library(String),
    /// An integration test: package and name.
    Integration(String, String),
}

/// Reads the table.
///
/// # Errors
/// What a block lacks.
pub fn table() -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.starts_with("tests/mutants/") && file.ends_with(".txt"))
    {
        let all: String = text(&file)
            .lines()
            .filter(|line| !line.starts_with('#'))
            .fold(String::new(), |all, line| all + line + "\n");
        for block in all.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
            mutants.push(read(block).map_err(|what| format!("{file}: {what} in:\n{block}"))?);
        }
    }
    Ok(mutants)
}

fn read(block: &str) -> Result<Mutant, String> {
    let mut lines = block.lines();
    let name = lines.next().unwrap_or_default().trim().to_owned();
    let mut cells: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = "";
    for line in lines {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if matches!(word, "in" | "at" | "as" | "seen" | "rule") {
            if cells.insert(word, rest.trim().to_owned()).is_some() {
                return Err(format!("`{word}` stands twice"));
            }
            last = word;
        } else if let Some(cell) = cells.get_mut(last) {
            cell.push('\n');
            cell.push_str(line.trim());
        }
    }
    let mut take = |word: &str| cells.remove(word).ok_or_else(|| format!("no `{word}`"));
    let about = take("in")?;
    let test = take("seen")?;
    let (file, at, replacement) = if about.ends_with(".cedar") {
        let rule = take("rule")?;
        if !text(&about).contains(&format!("@id(\"{rule}\")")) {
            return Err(format!("no rule `{rule}`"));
        }
        let replacement = format!(
            "text.split(\"\\n\\n\").filter(|rule| !rule.contains(\"@id(\\\"{rule}\\\")\")).collect::<Vec<_>>().join(\"\\n\\n\")"
        );
        (SHIPPED.to_owned(), SHIPPED_TEXT.to_owned(), replacement)
    } else {
        (about.clone(), take("at")?, take("as")?)
    };
    let code = name.split_whitespace().next().unwrap_or_default().to_owned();
    Ok(Mutant {
        name,
        code,
        file,
        about,
        at,
        replacement,
        test,
    })
}

/// Every fault of the table that can be seen without building anything.
#[must_use]
pub fn faults(mutants: &[Mutant]) -> Vec<String> {
    let codes: BTreeSet<String> = declared_codes().into_iter().collect();
    let targets = targets();
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for mutant in mutants {
        let name = &mutant.name;
        if !codes.contains(&mutant.code) {
            faults.push(format!("{name}: no crate declares this code"));
        }
        if !names.insert(name) {
            faults.push(format!("{name}: stands twice"));
        }
        match targets.get(&mutant.test).map(Vec::len) {
            None => faults.push(format!("{name}: there is no test `{}`", mutant.test)),
            Some(1) => {}
            Some(count) => faults.push(format!("{name}: {count} tests are called `{}`", mutant.test)),
        }
        if let Err(what) = place(&text(&mutant.file), &mutant.at) {
            faults.push(format!("{name}: {what} in {}", mutant.file));
        }
    }
    for file in mutants.iter().map(|mutant| &mutant.file).collect::<BTreeSet<_>>() {
        if let Err(what) = patched(&text(file), &of_file(mutants, file)) {
            faults.push(format!("{file}: {what}"));
        }
    }
    faults.dedup();
    faults
}

/// The mutants of one file.
#[must_use]
pub fn of_file<'a>(mutants: &'a [Mutant], file: &str) -> Vec<&'a Mutant> {
    mutants.iter().filter(|mutant| mutant.file == file).collect()
}

/// Test name → where it lives; twice when two tests have one name.
#[must_use]
pub fn targets() -> BTreeMap<String, Vec<Target>> {
    let mut targets: BTreeMap<String, Vec<Target>> = BTreeMap::new();
    let manifests: Vec<String> = files()
        .into_iter()
        .filter(|file| file.ends_with("/Cargo.toml"))
        .collect();
    for file in sources() {
        let Some(folder) = manifests
            .iter()
            .filter_map(|manifest| manifest.strip_suffix("/Cargo.toml"))
            .filter(|folder| file.starts_with(&format!("{folder}/")))
            .max_by_key(|folder| folder.len())
        else {
            continue;
        };
        let manifest = text(&format!("{folder}/Cargo.toml"));
        let package = manifest
            .lines()
            .find_map(|line| line.strip_prefix("name = \""))
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default()
            .to_owned();
        let inside = file.strip_prefix(&format!("{folder}/")).unwrap_or_default();
        let target = match inside.split_once('/') {
            Some(("tests", rest)) => {
                let first = rest.split('/').next().unwrap_or_default();
                Target::Integration(package, first.strip_suffix(".rs").unwrap_or(first).to_owned())
            }
            Some(("src", _)) => Target::Library(package),
            _ => continue,
        };
        let mut test = false;
        for line in text(&file).lines().map(str::trim_start) {
            if line.starts_with("#[") {
                test |= line.contains("test]") || line.contains("test(");
                continue;
            }
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(name) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next())
                && test
            {
                targets.entry(name.to_owned()).or_default().push(target.clone());
            }
            test = false;
        }
    }
    targets
}

/// The span of bytes between « and » in `source`.
fn place(source: &str, at: &str) -> Result<(usize, usize), String> {
    // White space does not count: both sides without it, and where each byte came from.
    let mut dense = String::new();
    let mut from = Vec::new();
    for (index, letter) in source.char_indices().filter(|(_, letter)| !letter.is_whitespace()) {
        dense.push(letter);
        from.extend(std::iter::repeat_n(index, letter.len_utf8()));
    }
    let pattern: String = at.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (before, rest) = pattern.split_once('«').ok_or("`at` has no «")?;
    let (inside, after) = rest.split_once('»').ok_or("`at` has no »")?;
    let whole = format!("{before}{inside}{after}");
    let mut found = dense.match_indices(&whole);
    let (start, _) = found.next().ok_or_else(|| format!("`{whole}` is not there"))?;
    if found.next().is_some() {
        return Err(format!("`{whole}` is there more than once"));
    }
    let first = start + before.len();
    let last = first + inside.len();
    let at = |index: usize| from.get(index).copied().ok_or("an empty place");
    let end = at(last - 1)?;
    let width = source[end..].chars().next().map_or(1, char::len_utf8);
    Ok((at(first)?, end + width))
}

/// The file with every mutant asleep in it.
///
/// # Errors
/// A place that is not there once, or two that overlap without being the same.
pub fn patched(source: &str, mutants: &[&Mutant]) -> Result<String, String> {
    let mut places: BTreeMap<(usize, usize), Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        places
            .entry(place(source, &mutant.at).map_err(|what| format!("{}: {what}", mutant.name))?)
            .or_default()
            .push(mutant);
    }
    let spans: Vec<&(usize, usize)> = places.keys().collect();
    if let Some(pair) = spans.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        let names = |span: &(usize, usize)| {
            places[span]
                .iter()
                .map(|mutant| mutant.name.as_str())
                .collect::<Vec<_>>()
        };
        return Err(format!("{:?} and {:?} overlap", names(pair[0]), names(pair[1])));
    }
    let mut out = source.to_owned();
    for ((start, end), mutants) in places.into_iter().rev() {
        let mut guarded = "(".to_owned();
        for mutant in mutants {
            guarded.push_str(&format!(
                "if ::std::env::var_os({VARIABLE:?}).is_some_and(|name| name == {:?}) {{ {} }} else ",
                mutant.name, mutant.replacement
            ));
        }
        guarded.push_str(&format!("{{ {} }})", &source[start..end]));
        out.replace_range(start..end, &guarded);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Mutant, patched, read};

    fn mutant(at: &str) -> Mutant {
        Mutant {
            name: "a.b".to_owned(),
            code: "a.b".to_owned(),
            file: String::new(),
            about: String::new(),
            at: at.to_owned(),
            replacement: "false".to_owned(),
            test: String::new(),
        }
    }

    #[test]
    fn a_patch_is_put_where_it_says_and_nowhere_else() {
        let source = "if one !=\n    two {\n}\nif one != three {}\n";
        let out = patched(source, &[&mutant("if «one != two» {")]).expect("it fits");
        assert!(out.starts_with("if (if ::std::env::var_os(") && out.contains("{ false } else { one !=\n    two }) {"));
        assert!(out.ends_with("if one != three {}\n"));
        assert!(patched(source, &[&mutant("if «one» !=")]).is_err(), "twice");
        assert!(patched(source, &[&mutant("«four»")]).is_err(), "not there");
        assert!(
            patched(source, &[&mutant("«one != two»"), &mutant("one != «two»")]).is_err(),
            "overlap"
        );
    }

    #[test]
    fn blocks_say_what_they_lack() {
        assert!(read("a.b\nin x.rs\nat «y»\nas z").unwrap_err().contains("seen"));
        assert_eq!(
            read("a.b two\nin x.rs\nat «y»\n + 1\nas z\nseen t").expect("whole").at,
            "«y»\n+ 1"
        );
    }
}
