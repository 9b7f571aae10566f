//! The console in Chromium, from the first sign-in to a box that turns red: real programs, a real TPM 2.0, real clicks.
//!
//! Set `FREEHOLD_PICTURES` to a folder to keep pictures. Invariant: on every page that is visited the browser complains about
//! nothing, and what must hold on every page holds.

#[path = "console/world.rs"]
mod world;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use freehold_browser_tests::{Browser, Scripts, Theme, View, checks};
use world::World;

const OWN_PASSWORD: &str = "four plain words together";
/// Pages are cut here in pictures.
const PICTURE_HEIGHT: u32 = 1_100;

/// Looks at the page that is open in both windows and both themes.
fn hold(browser: &Browser, what: &str) -> Result<()> {
    for (view, theme) in [
        (View::Phone, Theme::Dark),
        (View::Desktop, Theme::Dark),
        (View::Desktop, Theme::Light),
    ] {
        browser.look(view, theme)?;
        let faults = checks::faults(browser)?;
        anyhow::ensure!(faults.is_empty(), "{what}, {view:?} {theme:?}:\n{}", faults.join("\n"));
        if checks::axe().is_some() && !what.starts_with("noscript") {
            let violations = checks::violations(browser)?;
            anyhow::ensure!(
                violations.is_empty(),
                "{what}, {view:?} {theme:?}, axe:\n{}",
                violations.join("\n")
            );
        }
    }
    let complaints = browser.complaints()?;
    anyhow::ensure!(
        complaints.is_empty(),
        "{what}: the browser complains:\n{}",
        complaints.join("\n")
    );
    if let Some(folder) = std::env::var_os("FREEHOLD_PICTURES").map(PathBuf::from) {
        std::fs::create_dir_all(&folder)?;
        for (view, theme) in [
            (View::Phone, Theme::Light),
            (View::Phone, Theme::Dark),
            (View::Desktop, Theme::Dark),
            (View::Desktop, Theme::Light),
        ] {
            browser.look(view, theme)?;
            let name = format!("real-{what}-{view:?}-{theme:?}.png").to_lowercase();
            browser.picture(view, PICTURE_HEIGHT, &folder.join(name))?;
        }
    }
    Ok(())
}

fn sign_in(browser: &Browser, world: &World) -> Result<()> {
    browser.open(&world.url("/boxes"))?;
    browser.wait_for("Sign in")?;
    browser.fill("#name", "admin")?;
    browser.fill("#password", &world.password()?)?;
    browser.click("form.form button")?;
    browser.wait_for("Choose a password")
}

fn choose_password(browser: &Browser, world: &World) -> Result<()> {
    browser.fill("#current", &world.password()?)?;
    browser.fill("#new", OWN_PASSWORD)?;
    browser.fill("#again", OWN_PASSWORD)?;
    browser.click_words("Change the password")?;
    browser.wait_left("/password")
}

#[test]
fn an_administrator_takes_a_box_in_and_sees_it_turn_red() -> Result<()> {
    let mut world = World::new()?;
    let browser = Browser::start()?;
    sign_in(&browser, &world)?;
    hold(&browser, "password")?;
    choose_password(&browser, &world)?;
    browser.open(&world.url("/"))?;
    browser.wait_for("No boxes yet")?;
    hold(&browser, "overview-empty")?;

    // The box says hello; the page follows without being asked again.
    browser.wait_for("Live: this page follows the fleet")?;
    browser.evaluate("window.sameDocument = true")?;
    world.start_box()?;
    let status = world.wait_box("the box to ask for approval", |status| {
        status["enrolment"] == "waiting_for_approval"
    })?;
    browser.wait_for("now")?;
    browser.wait_for(status["box"].as_str().context("the box has no name")?)?;
    assert_eq!(
        browser.evaluate("return window.sameDocument === true")?,
        true,
        "the page was loaded again instead of following"
    );
    assert_eq!(
        browser.evaluate("return document.querySelectorAll('.side .count').length")?,
        2,
        "the navigation's counts do not follow"
    );
    hold(&browser, "overview-waiting")?;

    // Compare the fingerprint of the box's own screen with the console's, then approve by plan.
    let id = status["box"].as_str().context("the box has no name")?.to_owned();
    let fingerprint = status["fingerprint"].as_str().context("the box shows no fingerprint")?;
    let words = fingerprint.split(" · ").next().unwrap_or(fingerprint);
    browser.click_words("Approvals")?;
    browser.wait_for("decision waits")?;
    browser.wait_for(words)?;
    hold(&browser, "approvals")?;
    browser.click_words("Approve…")?;
    browser.wait_for("What it does")?;
    browser.wait_for(words)?;
    hold(&browser, "plan")?;
    browser.click(".actions form:first-child button")?;
    world.wait_box("the first verdict", |status| status["verdict"] == "trusted_simulated")?;
    browser.open(&world.url(&format!("/boxes/{id}")))?;
    browser.wait_for("Trusted (simulated)")?;
    browser.wait_for("software TPM (simulated)")?;
    hold(&browser, "box-trusted")?;

    // Every part of the box, and every word of the navigation.
    for (tab, wanted) in [
        ("boot", "PCR by PCR"),
        ("models", "Assignment"),
        ("hardware", "Read from"),
        ("record", "own record"),
    ] {
        browser.open(&world.url(&format!("/boxes/{id}/{tab}")))?;
        browser.wait_for(wanted)?;
        hold(&browser, &format!("box-{tab}"))?;
    }
    for (path, wanted) in [
        ("/boxes", "1 of 1 box"),
        ("/models", "freehold-guide 1.0.0"),
        ("/models/freehold-guide/1.0.0", "Bill of materials"),
        ("/releases", "Who signs"),
        ("/approvals", "Nothing waits"),
        ("/record", "Checkpoint"),
        ("/settings", "Keys of this console"),
        ("/search?q=release.rollback", "Refusal code"),
    ] {
        browser.open(&world.url(path))?;
        browser.wait_for(wanted)?;
        hold(
            &browser,
            path.trim_start_matches('/')
                .split('?')
                .next()
                .unwrap_or_default()
                .replace('/', "-")
                .as_str(),
        )?;
    }

    // A model is assigned by plan; the box's page follows until the model serves.
    browser.open(&world.url(&format!("/boxes/{id}/models")))?;
    browser.click_words("Assign…")?;
    browser.wait_for("What it does")?;
    browser.wait_for("freehold-guide")?;
    hold(&browser, "plan-assign")?;
    browser.click(".actions form:first-child button")?;
    browser.wait_for("Done")?;
    browser.open(&world.url(&format!("/boxes/{id}/models")))?;
    browser.wait_for("models/freehold-guide/1.0.0/release.json")?;
    if World::has_engine() {
        browser.wait_for("● serving")?;
        hold(&browser, "box-serving")?;
    } else {
        println!("skipped: the model is not seen serving, target/engine is not here");
    }

    // A token is shown once.
    browser.open(&world.url(&format!("/boxes/{id}")))?;
    browser.fill("#token-name", "ward assistant")?;
    browser.click_words("Make a token…")?;
    browser.wait_for("What it does")?;
    browser.click(".actions form:first-child button")?;
    browser.wait_for("This is shown once")?;
    hold(&browser, "secret")?;

    // Somebody changes the boot loader: the box's page turns red by itself and names the event.
    browser.open(&world.url(&format!("/boxes/{id}")))?;
    browser.wait_for("Live: this page follows the fleet")?;
    world.tamper()?;
    browser.wait_for("Refused")?;
    browser.wait_for("Why")?;
    hold(&browser, "box-refused")?;
    browser.open(&world.url(&format!("/boxes/{id}/boot")))?;
    browser.wait_for("differs")?;
    hold(&browser, "box-boot-refused")?;
    browser.open(&world.url("/"))?;
    browser.wait_for("1 needs you now")?;
    hold(&browser, "overview")?;

    // Afterwards nobody looks.
    browser.click_words("Sign out")?;
    browser.wait_for("Sign in")?;
    browser.open(&world.url("/settings"))?;
    browser.wait_for("Sign in")?;
    hold(&browser, "signed-out")
}

#[test]
fn every_page_works_without_scripts() -> Result<()> {
    let world = World::new()?;
    let browser = Browser::start()?;
    browser.scripts(Scripts::Off)?;
    sign_in(&browser, &world)?;
    choose_password(&browser, &world)?;
    for (path, wanted) in [
        ("/", "No boxes yet"),
        ("/boxes", "Download the pairing document"),
        ("/models", "freehold-guide 1.0.0"),
        ("/releases", "Who signs"),
        ("/approvals", "What comes here"),
        ("/record", "Checkpoint"),
        ("/settings", "Keys of this console"),
    ] {
        browser.open(&world.url(path))?;
        browser.wait_for(wanted)?;
        hold(&browser, &format!("noscript{}", path.replace('/', "-")))?;
    }
    browser.fill("#search", "record.forked")?;
    browser.open(&world.url("/search?q=record.forked"))?;
    browser.wait_for("Refusal code")?;
    browser.open(&world.url("/no-such-page"))?;
    browser.wait_for("Code")?;
    // The status 404 itself is what a browser writes into its log; nothing else is.
    let others: Vec<String> = browser
        .complaints()?
        .into_iter()
        .filter(|line| !line.contains("404"))
        .collect();
    anyhow::ensure!(others.is_empty(), "{}", others.join("\n"));
    Ok(())
}
