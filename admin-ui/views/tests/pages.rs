//! Pages as snapshots, and the promises that hold on every one of them.
//!
//! Invariant: a snapshot is read before it is accepted.

#[path = "states/all.rs"]
mod states;

/// Largest page without its scripts, bytes.
const LARGEST_PAGE: usize = 60 * 1024;

/// The sentences of `freehold-explain` have their own tests; a snapshot holds the place where they stand.
fn without_explanations(html: &str) -> String {
    let mut out = html.to_owned();
    for code in freehold_explain::codes() {
        if let Some(explained) = freehold_explain::explain(&code) {
            for (sentence, part) in [
                (explained.what, "what"),
                (explained.means, "means"),
                (explained.next, "do"),
            ] {
                let shown = sentence
                    .replace('&', "&#38;")
                    .replace('\'', "&#39;")
                    .replace('"', "&#34;")
                    .replace('<', "&#60;")
                    .replace('>', "&#62;");
                out = out.replace(&shown, &format!("[{code} {part}]"));
            }
        }
    }
    out
}

/// Names of files carry a hash of their bytes; a snapshot says which file only.
fn without_hashes(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(place) = rest.find("/assets/") {
        let (before, after) = rest.split_at(place);
        out.push_str(before);
        let end = after.find('"').unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let stem = stem.rsplit_once('-').map_or(stem, |(stem, _)| stem);
        out.push_str(&format!("{stem}.{ending}"));
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[test]
fn every_page_in_every_state_is_as_it_was_read() {
    for state in states::all() {
        // The hostile states of the two pages that show most from outside; the others are held by the promises below.
        if state.name.ends_with("-hostile") && !matches!(state.name, "boxes-hostile" | "approvals-hostile") {
            continue;
        }
        insta::assert_snapshot!(state.name, without_explanations(&without_hashes(&state.html)));
    }
}

#[test]
fn every_page_is_small() {
    for state in states::all() {
        if !state.name.ends_with("-hostile") {
            assert!(
                state.html.len() < LARGEST_PAGE,
                "`{}` has {} bytes",
                state.name,
                state.html.len()
            );
        }
    }
}

#[test]
fn a_hostile_string_is_shown_and_not_obeyed() {
    for (name, html) in states::hostile_pages() {
        assert!(
            !html.contains("<script>alert"),
            "`{name}` has the markup of a hostile string"
        );
        assert!(
            !html.contains("\"'>"),
            "`{name}` lets a hostile string end an attribute"
        );
        for hidden in ['\u{202e}', '\u{1b}', '\0'] {
            assert!(!html.contains(hidden), "`{name}` passes on {hidden:?}");
        }
        assert!(
            !html.contains(&"a".repeat(700)),
            "`{name}` shows an endless string in full"
        );
        assert!(
            html.contains("&#60;script&#62;"),
            "`{name}` does not show what was sent"
        );
    }
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    for state in states::all() {
        for forbidden in [
            " style=",
            "<style",
            "javascript:",
            " onclick",
            " onload",
            "src=\"http",
            "href=\"//",
            "src=\"//",
        ] {
            assert!(
                !state.html.contains(forbidden),
                "`{}` contains `{forbidden}`",
                state.name
            );
        }
        assert!(
            !state.html.replace("<script src=\"/assets/", "").contains("<script"),
            "`{}` has an inline script",
            state.name
        );
    }
}

#[test]
fn every_form_that_changes_something_carries_the_token() {
    for state in states::all() {
        for form in state.html.split("<form ").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.contains("method=\"post\"") {
                assert!(
                    form.contains("name=\"csrf\""),
                    "`{}` has a form without the token: {form}",
                    state.name
                );
            }
        }
    }
}

#[test]
fn every_file_that_a_page_names_is_served() {
    for state in states::all() {
        for name in state.html.split("\"/assets/").skip(1) {
            let name = name.split('"').next().unwrap_or_default();
            assert!(
                freehold_views::assets::asset(name).is_some(),
                "`{}` names `{name}`",
                state.name
            );
        }
    }
}

#[test]
fn development_keys_are_a_bar_on_every_page() {
    let mut page = freehold_views::FailurePage::default();
    assert!(!page.render().contains("bar keys"));
    page.shell.development_keys = true;
    assert!(page.render().contains("bar keys"));
}
