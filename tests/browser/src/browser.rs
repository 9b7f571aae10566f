//! One browser session: a fresh profile, no services, a window of a chosen size, light or dark, scripts on or off.
//!
//! Refuses to share a profile between sessions. Invariant: what the browser logged as an error is not lost.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::driver::Driver;

/// Longest wait for something to appear on a page.
const APPEAR_LIMIT: Duration = Duration::from_secs(60);
/// Key of an element reference in answers (W3C WebDriver, "Elements").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser session.
pub struct Browser {
    driver: Driver,
    session: String,
    _profile: TempDir,
}

/// Size of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// 1440 × 900.
    Desktop,
    /// 390 × 844.
    Phone,
}

impl View {
    /// Width and height in CSS pixels.
    #[must_use]
    pub const fn size(self) -> (u32, u32) {
        match self {
            Self::Desktop => (1440, 900),
            Self::Phone => (390, 844),
        }
    }
}

/// The colour scheme that the system wishes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// They may.
    On,
    /// They may not.
    Off,
}

impl Browser {
    /// Starts a driver and a browser with a fresh profile.
    ///
    /// # Errors
    /// When either does not start.
    pub fn start() -> Result<Self> {
        let driver = Driver::start()?;
        let profile = TempDir::with_prefix("freehold-browser-")?;
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            // The fleet's own CA signs the console on loopback; the test checks pages, not the browser's list of CAs.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": "/usr/bin/chromium",
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars", "--lang=en",
                    "--window-size=1440,900",
                    format!("--user-data-dir={}", profile.path().display()),
                ],
            },
        }}});
        let started = driver.command("POST", "/session", &capabilities)?;
        let session = started
            .get("sessionId")
            .and_then(Value::as_str)
            .context("no session")?
            .to_owned();
        Ok(Self {
            driver,
            session,
            _profile: profile,
        })
    }

    /// The page as a printer would get it: a PDF.
    ///
    /// # Errors
    /// When the browser does not print.
    pub fn print(&self) -> Result<Vec<u8>> {
        let printed = self.devtools(
            "Page.printToPDF",
            json!({"printBackground": true, "preferCSSPageSize": true}),
        )?;
        let data = printed.get("data").and_then(Value::as_str).context("no pdf")?;
        Ok(base64::engine::general_purpose::STANDARD.decode(data)?)
    }

    fn command(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        self.driver
            .command(method, &format!("/session/{}{path}", self.session), &body)
    }

    fn devtools(&self, command: &str, params: Value) -> Result<Value> {
        self.command("POST", "/goog/cdp/execute", json!({"cmd": command, "params": params}))
    }

    /// Sets size and colour scheme; a page that is open takes both at once.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn look(&self, view: View, theme: Theme) -> Result<()> {
        let (width, height) = view.size();
        let mobile = view == View::Phone;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let wish = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", wish).map(drop)
    }

    /// Allows or forbids scripts of pages opened from now on.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn scripts(&self, scripts: Scripts) -> Result<()> {
        self.devtools(
            "Emulation.setScriptExecutionDisabled",
            json!({"value": scripts == Scripts::Off}),
        )
        .map(drop)
    }

    /// Opens `url` and waits until it is loaded.
    ///
    /// # Errors
    /// When it does not load.
    pub fn open(&self, url: &str) -> Result<()> {
        self.command("POST", "/url", json!({"url": url})).map(drop)
    }

    /// The address shown.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn address(&self) -> Result<String> {
        Ok(self
            .command("GET", "/url", Value::Null)?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Runs a function body in the page, on the tests' own account (works with the page's scripts off, too).
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&self, body: &str) -> Result<Value> {
        let expression = format!("JSON.stringify((function(){{{body}}})() ?? null)");
        self.answered(json!({"expression": expression, "returnByValue": true}))
    }

    fn answered(&self, params: Value) -> Result<Value> {
        let answer = self.devtools("Runtime.evaluate", params)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("the page's answer: {thrown}");
        }
        let text = answer
            .pointer("/result/value")
            .and_then(Value::as_str)
            .unwrap_or("null");
        Ok(serde_json::from_str(text)?)
    }

    /// Runs the body of an asynchronous function in the page, as [`Browser::evaluate`] does, and waits for its value.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate_async(&self, body: &str) -> Result<Value> {
        let expression = format!("(async function(){{{body}}})().then(value => JSON.stringify(value ?? null))");
        self.answered(json!({"expression": expression, "returnByValue": true, "awaitPromise": true}))
    }

    /// The text of the page as a person sees it.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn text(&self) -> Result<String> {
        Ok(self
            .evaluate("return document.body.innerText")?
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until the browser is no longer at this path: what is opened before would break off what was sent from there.
    ///
    /// # Errors
    /// When it stays; the page's text is in the message.
    pub fn wait_left(&self, path: &str) -> Result<()> {
        let left = freehold_harness::wait_for(&format!("`{path}` to be left"), APPEAR_LIMIT, || {
            Ok((!self.address()?.ends_with(path)).then_some(()))
        });
        left.with_context(|| self.text().unwrap_or_default())
    }

    /// Waits until the page's text contains `wanted`.
    ///
    /// # Errors
    /// When it does not within a minute; the text that is there instead is in the error.
    pub fn wait_for(&self, wanted: &str) -> Result<()> {
        let mut text = String::new();
        let found = freehold_harness::wait_for(&format!("`{wanted}` on the page"), APPEAR_LIMIT, || {
            // While a page is being left there may be nothing to ask.
            text = self.text().unwrap_or_default();
            Ok(text.contains(wanted).then_some(()))
        });
        found.with_context(|| format!("at {}, the page says:\n{text}", self.address().unwrap_or_default()))
    }

    fn element(&self, css: &str) -> Result<String> {
        let found = self.command("POST", "/element", json!({"using": "css selector", "value": css}))?;
        Ok(found
            .get(ELEMENT)
            .and_then(Value::as_str)
            .with_context(|| format!("no element `{css}`"))?
            .to_owned())
    }

    /// Types into a field, as a person does, replacing what is there.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn fill(&self, css: &str, text: &str) -> Result<()> {
        let element = self.element(css)?;
        self.command("POST", &format!("/element/{element}/clear"), json!({}))?;
        self.command("POST", &format!("/element/{element}/value"), json!({"text": text}))
            .map(drop)
    }

    /// Clicks, as a person does.
    ///
    /// # Errors
    /// When there is no such element, or something covers it.
    pub fn click(&self, css: &str) -> Result<()> {
        let element = self.element(css)?;
        self.command("POST", &format!("/element/{element}/click"), json!({}))
            .map(drop)
    }

    /// Clicks the first link or button whose text begins with `words`.
    ///
    /// # Errors
    /// When there is none.
    pub fn click_words(&self, words: &str) -> Result<()> {
        let mark = "data-test-click";
        let found = self.evaluate(&format!(
            "document.querySelectorAll('[{mark}]').forEach(e => e.removeAttribute('{mark}'));
             const all = [...document.querySelectorAll('a, button')];
             const hit = all.find(e => e.innerText.trim().startsWith({}) && e.getClientRects().length > 0);
             if (hit) hit.setAttribute('{mark}', '');
             return !!hit",
            json!(words)
        ))?;
        if found != Value::Bool(true) {
            bail!(
                "nothing to click says `{words}` at {}:\n{}",
                self.address()?,
                self.text()?
            );
        }
        self.click(&format!("[{mark}]"))
    }

    /// A security key that is plugged in, with a person who touches it and is verified (W3C WebAuthn, 11: WebDriver extension).
    /// Answers its id.
    ///
    /// # Errors
    /// When the driver has no such thing.
    pub fn plug_in_key(&self) -> Result<String> {
        let wish = json!({"protocol": "ctap2", "transport": "usb", "hasResidentKey": true, "hasUserVerification": true,
            "isUserConsenting": true, "isUserVerified": true});
        let id = self.command("POST", "/webauthn/authenticator", wish)?;
        Ok(id.as_str().context("a key without id")?.to_owned())
    }

    /// Takes a security key out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn unplug_key(&self, id: &str) -> Result<()> {
        self.command("DELETE", &format!("/webauthn/authenticator/{id}"), Value::Null)
            .map(drop)
    }

    /// The credentials of a security key, private keys included: what a person carries from one browser to another.
    ///
    /// # Errors
    /// When it is not there.
    pub fn credentials_of(&self, id: &str) -> Result<Vec<Value>> {
        let all = self.command("GET", &format!("/webauthn/authenticator/{id}/credentials"), Value::Null)?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// Puts a credential onto a security key.
    ///
    /// # Errors
    /// When the key does not take it.
    pub fn give_credential(&self, id: &str, credential: &Value) -> Result<()> {
        self.command(
            "POST",
            &format!("/webauthn/authenticator/{id}/credential"),
            credential.clone(),
        )
        .map(drop)
    }

    /// Chooses an option of a select, as a form needs it.
    ///
    /// # Errors
    /// When there is none.
    pub fn choose(&self, css: &str, value: &str) -> Result<()> {
        let done = self.evaluate(&format!(
            "const s = document.querySelector({}); if (!s) return false; s.value = {}; return s.value === {}",
            json!(css),
            json!(value),
            json!(value)
        ))?;
        anyhow::ensure!(done == Value::Bool(true), "no option `{value}` at `{css}`");
        Ok(())
    }

    /// What the browser logged since the last call, warnings and errors only (refusals of the content security policy among them).
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.command("POST", "/se/log", json!({"type": "browser"}))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        Ok(entries
            .iter()
            .filter(|entry| matches!(entry.get("level").and_then(Value::as_str), Some("SEVERE" | "WARNING")))
            .map(|entry| {
                entry
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect())
    }

    /// A picture of the whole page as PNG, at most `most` pixels high.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn picture(&self, view: View, most: u32, file: &Path) -> Result<()> {
        let height = self
            .evaluate("return document.documentElement.scrollHeight")?
            .as_u64()
            .unwrap_or(0);
        let (width, least) = view.size();
        let height = u32::try_from(height).unwrap_or(most).clamp(least, most.max(least));
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot = self.devtools(
            "Page.captureScreenshot",
            json!({"format": "png", "clip": clip, "captureBeyondViewport": true}),
        )?;
        let data = shot.get("data").and_then(Value::as_str).context("no picture")?;
        std::fs::write(file, base64::engine::general_purpose::STANDARD.decode(data)?)?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self
            .driver
            .command("DELETE", &format!("/session/{}", self.session), &Value::Null);
    }
}
