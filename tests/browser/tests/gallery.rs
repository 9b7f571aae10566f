//! Every page in every state, in Chromium: 1440 and 390 pixels, light and dark, scripts on and off.
//!
//! Set `FREEHOLD_PICTURES` to a folder to keep a picture of each. Invariant: the real headers, so a page that needs something
//! inline or from elsewhere fails here.

#[path = "../../../admin-ui/views/tests/states/all.rs"]
#[allow(dead_code, reason = "the snapshots use the rest")]
mod states;

use std::path::PathBuf;

use anyhow::Result;
use freehold_browser_tests::{Browser, Gallery, Scripts, Theme, View, checks};

/// Pictures are cut here; longer pages are long tables.
const PICTURE_HEIGHT: u32 = 2_000;

#[test]
fn every_page_holds_in_every_window() -> Result<()> {
    let pictures = std::env::var_os("FREEHOLD_PICTURES").map(PathBuf::from);
    let only = std::env::var("FREEHOLD_PICTURES_ONLY").unwrap_or_default();
    let gallery = Gallery::start()?;
    let browser = Browser::start()?;
    let mut faults = Vec::new();
    if checks::axe().is_none() {
        println!("skipped: pages are not judged by axe-core, target/axe is not here (tests/axe.sh)");
    }
    for state in states::all() {
        if !state.name.contains(&only) {
            continue;
        }
        let path = format!("/state/{}", state.name);
        gallery.put(&path, &state.html);
        for scripts in [Scripts::On, Scripts::Off] {
            browser.scripts(scripts)?;
            browser.look(View::Desktop, Theme::Light)?;
            browser.open(&gallery.url(&path))?;
            // Without scripts the layout is the same; it is looked at once.
            let themes: &[Theme] = if scripts == Scripts::On {
                &[Theme::Light, Theme::Dark]
            } else {
                &[Theme::Light]
            };
            for view in [View::Desktop, View::Phone] {
                for theme in themes {
                    browser.look(view, *theme)?;
                    if let (Some(_), Scripts::On) = (checks::axe(), scripts) {
                        for violation in checks::violations(&browser)? {
                            faults.push(format!("{} {view:?} {theme:?}: axe: {violation}", state.name));
                        }
                    }
                    for fault in checks::faults(&browser)? {
                        faults.push(format!(
                            "{} {view:?} {theme:?} scripts {scripts:?}: {fault}",
                            state.name
                        ));
                    }
                    if let (Some(folder), Scripts::On) = (&pictures, scripts) {
                        std::fs::create_dir_all(folder)?;
                        let name = format!("{}-{view:?}-{theme:?}.png", state.name).to_lowercase();
                        browser.picture(view, PICTURE_HEIGHT, &folder.join(name))?;
                    }
                }
            }
            for complaint in browser.complaints()? {
                faults.push(format!(
                    "{} scripts {scripts:?}: the browser complains: {complaint}",
                    state.name
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

#[test]
fn a_live_page_follows_and_says_when_it_no_longer_does() -> Result<()> {
    let page = |name: &str| {
        states::all()
            .into_iter()
            .find(|state| state.name == name)
            .map(|state| state.html)
            .unwrap_or_default()
    };
    let gallery = Gallery::start()?;
    let browser = Browser::start()?;
    gallery.put("/boxes", &page("boxes-three"));
    browser.open(&gallery.url("/boxes"))?;
    browser.wait_for("Live: this page follows the fleet")?;
    browser.fill("#q", "typed meanwhile")?;
    browser.evaluate("window.sameDocument = true")?;

    gallery.put("/boxes", &page("boxes-three").replace("box2", "box2, moved"));
    assert_eq!(gallery.say("fleet"), 1);
    browser.wait_for("box2, moved")?;
    // A second time: the swapped fragment listens, too.
    gallery.put("/boxes", &page("boxes-three").replace("box2", "box2, back again"));
    assert_eq!(gallery.say("fleet"), 1);
    browser.wait_for("box2, back again")?;
    assert_eq!(
        browser.evaluate("return window.sameDocument === true")?,
        true,
        "the page was loaded again"
    );
    assert_eq!(
        browser.evaluate("return document.getElementById('q').value")?,
        "typed meanwhile"
    );

    // The session ended: what comes back is no such page. The old one stays and says that it is old.
    gallery.put("/boxes", &page("sign-in-normal"));
    assert_eq!(gallery.say("fleet"), 1);
    browser.wait_for("Not live: sign in again")?;
    browser.wait_for("box2, back again")?;
    let complaints = browser.complaints()?;
    assert!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}
