//! How files look: module docs, sizes, names, and nothing of a developer's machine in them.

use freehold_laws::{files, sources, text};

#[test]
fn every_source_says_what_it_is() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|file| !text(file).starts_with("//!"))
        .collect();
    assert!(
        faults.is_empty(),
        "these files do not start with `//!`:\n{}",
        faults.join("\n")
    );
}

#[test]
fn no_source_is_over_700_lines() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter_map(|file| {
            let lines = text(&file).lines().count();
            (lines > 700).then(|| format!("{file}: {lines} lines"))
        })
        .collect();
    assert!(faults.is_empty(), "split these:\n{}", faults.join("\n"));
}

#[test]
fn no_file_is_named_after_nothing() {
    let empty = [
        "mod.rs",
        "utils.rs",
        "util.rs",
        "helpers.rs",
        "helper.rs",
        "common.rs",
        "misc.rs",
        "types.rs",
        "manager.rs",
        "handler.rs",
        "handlers.rs",
    ];
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|file| empty.contains(&file.rsplit('/').next().unwrap_or_default()))
        .collect();
    assert!(faults.is_empty(), "say what these are:\n{}", faults.join("\n"));
}

#[test]
fn nothing_of_a_developers_machine_is_in_a_file() {
    // Spelled in two parts so that this file does not find itself.
    let marks = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let faults: Vec<String> = files()
        .into_iter()
        .filter(|file| !file.ends_with(".gguf") && !file.ends_with(".png") && !file.ends_with(".bin"))
        .filter_map(|file| {
            let text = text(&file);
            marks
                .iter()
                .find(|mark| text.contains(**mark))
                .map(|mark| format!("{file}: `{mark}`"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_open_in_the_code() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    let faults: Vec<String> = sources()
        .into_iter()
        .filter_map(|file| {
            let text = text(&file);
            marks
                .iter()
                .find(|mark| text.contains(**mark))
                .map(|mark| format!("{file}: `{mark}`"))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn tests_wait_for_values() {
    // Waiting is for a value, with a limit: the one place that may pause between two looks is the harness. What measures is no
    // test: a person who turns a page every few seconds is played by pausing.
    let may_pause = ["tests/harness/", "tests/bench/"];
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|file| file.contains("/tests/") || file.starts_with("tests/"))
        .filter(|file| !may_pause.iter().any(|folder| file.starts_with(folder)))
        .filter_map(|file| {
            let text = text(&file);
            text.contains(concat!("sle", "ep(")).then_some(file)
        })
        .collect();
    assert!(
        faults.is_empty(),
        "these tests pause instead of waiting for a value:\n{}",
        faults.join("\n")
    );
}
