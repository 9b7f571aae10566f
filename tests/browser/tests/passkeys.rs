//! The two-person rule with Chromium's virtual authenticators: real WebAuthn on real pages, checked by a real box.
//!
//! Invariant: an approver's private key is in a (virtual) security key and nowhere else; the console sees public halves only.

use anyhow::{Context as _, Result};
use freehold_browser_tests::{Browser, Scripts, Theme, View, checks};
use freehold_harness::world::Wish;
use freehold_harness::{PATIENCE, World, wait_for};
use freehold_verify::approval::{Approver, ApproverKey, Approvers, Rule};
use freehold_verify::release::ReleaseKind;
use serde_json::{Value, json};

const OWN: &str = "four plain words together";
const GUIDE: &str = "models/guide/1.0.0/release.json";

/// An account, made by the administrator's command line; answers its one-time password.
fn account(world: &World, name: &str, role: &str) -> Result<String> {
    let made = world.operate(["account", "add", name, "--role", role])?.yes()?.json()?;
    Ok(made["password"].as_str().context("a password")?.to_owned())
}

/// Signs in for the first time and chooses a password.
fn enter(browser: &Browser, world: &World, name: &str, password: &str) -> Result<()> {
    browser.open(&format!("{}/", world.people_url()))?;
    browser.wait_for("Sign in")?;
    browser.fill("#name", name)?;
    browser.fill("#password", password)?;
    browser.click("form.form button")?;
    if password != OWN {
        browser.wait_for("Choose a password")?;
        browser.fill("#current", password)?;
        browser.fill("#new", OWN)?;
        browser.fill("#again", OWN)?;
        browser.click_words("Change the password")?;
        browser.wait_left("/password")?;
    }
    Ok(())
}

fn hold(browser: &Browser, what: &str) -> Result<()> {
    for (view, theme) in [(View::Phone, Theme::Dark), (View::Desktop, Theme::Light)] {
        browser.look(view, theme)?;
        let faults = checks::faults(browser)?;
        anyhow::ensure!(faults.is_empty(), "{what}, {view:?} {theme:?}:\n{}", faults.join("\n"));
        if checks::axe().is_some() {
            let violations = checks::violations(browser)?;
            anyhow::ensure!(violations.is_empty(), "{what}, axe:\n{}", violations.join("\n"));
        }
        if let Some(folder) = std::env::var_os("FREEHOLD_PICTURES").map(std::path::PathBuf::from) {
            std::fs::create_dir_all(&folder)?;
            let name = format!("passkey-{what}-{view:?}-{theme:?}.png").to_lowercase();
            browser.picture(view, 1_600, &folder.join(name))?;
        }
    }
    Ok(())
}

/// What the browser complains of, but for its advice to take RSA keys as well: boxes check signatures over P-256 only.
fn complaints(browser: &Browser) -> Result<Vec<String>> {
    let mut all = browser.complaints()?;
    all.retain(|line| !line.contains("publicKey.pubKeyCredParams is missing"));
    Ok(all)
}

/// Registers an approving passkey on one's own account page; answers the line for the publisher.
fn register(browser: &Browser, world: &World, purpose: &str) -> Result<String> {
    browser.open(&format!("{}/account", world.people_url()))?;
    browser.wait_for("Passkeys")?;
    browser.fill("#passkey-name", "blue key")?;
    browser.choose("#passkey-purpose", purpose)?;
    browser.fill("#passkey-password", OWN)?;
    browser.click_words("Register a passkey")?;
    browser.wait_for("blue key")?;
    let line = browser.evaluate("const p = document.querySelector('pre'); return p && p.innerText")?;
    Ok(line.as_str().unwrap_or_default().to_owned())
}

/// The line as the publisher's tool reads it.
fn listed(line: &str) -> Result<Approver> {
    let parts: Vec<&str> = line.trim().split(':').collect();
    let ["freehold-approver", "1", name, credential, key] = parts.as_slice() else {
        anyhow::bail!("`{line}` is no approver's line");
    };
    let key = serde_json::from_value(json!(format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
        &key[..64],
        &key[64..]
    )))?;
    Ok(Approver {
        name: (*name).to_owned(),
        sites: ["*".to_owned()].into(),
        keys: vec![ApproverKey {
            credential: (*credential).to_owned(),
            key,
        }],
    })
}

// promise S-210
#[test]
fn an_approver_registers_a_passkey_and_approves_with_it_and_the_box_takes_the_plan() -> Result<()> {
    let wish = Wish {
        people_name: Some("localhost".to_owned()),
        models: vec![("guide".to_owned(), "1.0.0".to_owned())],
        ..Wish::default()
    };
    let mut world = World::with(wish)?;
    let mut people = Vec::new();
    for name in ["ann", "ben"] {
        let password = account(&world, name, "approver")?;
        let browser = Browser::start()?;
        let key = browser.plug_in_key()?;
        enter(&browser, &world, name, &password)?;
        let line = register(&browser, &world, "approval")?;
        if name == "ann" {
            hold(&browser, "account")?;
        }
        people.push((browser, key, listed(&line)?));
    }
    let mut list = Approvers::new("localhost", vec![world.people_url()]);
    list.approvers = people.iter().map(|(_, _, approver)| approver.clone()).collect();
    list.rules.push(Rule {
        kind: ReleaseKind::Model,
        approvals: 2,
        sites: ["*".to_owned()].into(),
    });
    let signer = world.publisher.signer();
    world.publisher.policy_with("ward", "2.0.0", &[signer], Some(&list))?;
    world.import()?;
    world.join()?;
    let id = world.one.id()?;

    // The operator proposes; without people nothing can be confirmed.
    let operator = Browser::start()?;
    enter(&operator, &world, "admin", OWN)?;
    operator.open(&format!("{}/boxes/{id}/models", world.people_url()))?;
    operator.click_words("Assign…")?;
    operator.wait_for("Approvals")?;
    operator.wait_for("You proposed this plan")?;
    let plan = operator.address()?;
    hold(&operator, "plan-waits")?;

    // Each approver signs with the own key; the second one finds the first one's name.
    for (at, (browser, _, _)) in people.iter().enumerate() {
        browser.open(&plan)?;
        browser.wait_for(&format!("{at} of 2"))?;
        if at == 0 {
            // Without scripts the page says what is needed.
            browser.scripts(Scripts::Off)?;
            browser.open(&plan)?;
            browser.wait_for("needs JavaScript")?;
            browser.scripts(Scripts::On)?;
            browser.open(&plan)?;
            browser.wait_for("Approve with passkey")?;
            hold(browser, "plan-approve")?;
        }
        browser.click_words("Approve with passkey")?;
        browser.wait_for(&format!("{} of 2", at + 1))?;
        browser.wait_for("You have approved this plan")?;
        let complaints = complaints(browser)?;
        anyhow::ensure!(complaints.is_empty(), "{complaints:?}");
    }
    operator.open(&plan)?;
    operator.wait_for("2 of 2")?;
    operator.click(".actions form:first-child button")?;
    operator.wait_for("Done")?;
    hold(&operator, "plan-done")?;
    let kept = world.one.state().join("approvals.json");
    wait_for("the box to take the approved plan", PATIENCE, || {
        let kept: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap_or_default()).unwrap_or_default();
        Ok((kept["by"] == json!(["ann", "ben"])).then_some(()))
    })?;
    assert!(GUIDE.starts_with("models/guide"));
    Ok(())
}

// promise S-210
#[test]
fn a_person_signs_in_with_a_passkey_and_the_access_page_shows_it() -> Result<()> {
    let wish = Wish {
        people_name: Some("localhost".to_owned()),
        ..Wish::default()
    };
    let world = World::with(wish)?;
    let password = account(&world, "mira", "administrator")?;
    let browser = Browser::start()?;
    let key = browser.plug_in_key()?;
    enter(&browser, &world, "mira", &password)?;
    register(&browser, &world, "sign_in")?;
    let kept = browser.credentials_of(&key)?;
    browser.click_words("Sign out")?;
    browser.wait_for("Sign in")?;
    // Without the key the password opens nothing.
    browser.unplug_key(&key)?;
    enter(&browser, &world, "mira", OWN)?;
    browser.wait_for("Second step")?;
    hold(&browser, "second-step")?;
    browser.open(&format!("{}/boxes", world.people_url()))?;
    browser.wait_for("Sign in")?;
    // With it, in a browser that has never been here.
    let other = Browser::start()?;
    let plugged = other.plug_in_key()?;
    for credential in &kept {
        other.give_credential(&plugged, credential)?;
    }
    enter(&other, &world, "mira", OWN)?;
    other.wait_for("Second step")?;
    other.click_words("Use a passkey")?;
    other.wait_for("No boxes yet")?;
    other.open(&format!("{}/access", world.people_url()))?;
    other.wait_for("Roles")?;
    let text = other.text()?;
    anyhow::ensure!(text.contains("passkey"), "{text}");
    hold(&other, "access")?;
    let complaints = complaints(&other)?;
    anyhow::ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}
