//! What must hold on every page, asked of the page as the browser laid it out.
//!
//! Invariant: a check names the element that fails it.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::browser::Browser;

/// What axe-core is asked: every rule of WCAG 2.0, 2.1 and 2.2, levels A and AA.
const RULES: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']";

/// The script of axe-core as `tests/axe.sh` fetched it; `None` where it did not.
#[must_use]
pub fn axe() -> Option<&'static str> {
    static SCRIPT: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/axe/axe.min.js");
        std::fs::read_to_string(file).ok()
    };
    SCRIPT.get_or_init(read).as_deref()
}

/// Violations that axe-core finds on the page that is open, one line each with the elements; empty when there are none.
///
/// # Errors
/// When axe-core is not there (ask [`axe`] first), or does not answer.
pub fn violations(browser: &Browser) -> Result<Vec<String>> {
    let script = axe().context("target/axe is not here; hint: tests/axe.sh")?;
    // The page's own policy forbids scripts from elsewhere; the tests' account is not the page's.
    if browser.evaluate("return !!window.axe")? != Value::Bool(true) {
        browser.evaluate(&format!("{script}; return !!window.axe"))?;
    }
    let found = browser.evaluate_async(&format!(
        "const found = await axe.run(document, {{runOnly: {RULES}, resultTypes: ['violations']}});
         return found.violations.map(v => v.id + ' (' + v.impact + '): ' + v.nodes.slice(0, 4).map(n => n.target.join(' ')
           + ' ' + (n.any.concat(n.all, n.none)[0] || {{message: ''}}).message).join(' | '))"
    ))?;
    Ok(lines(&found))
}

fn lines(found: &Value) -> Vec<String> {
    let each = found.as_array().into_iter().flatten();
    each.filter_map(|line| line.as_str().map(str::to_owned)).collect()
}

/// Faults of the page that is open, one line each; empty when it is good: it does not scroll sideways; every text has the
/// contrast of WCAG 2.2 (1.4.3: 4.5:1, large text 3:1); fields have names (4.1.2); ids are unique; headings begin with one `h1`;
/// targets are at least 24 pixels high or stand in a line of text (2.5.8).
///
/// # Errors
/// When the browser does not answer.
pub fn faults(browser: &Browser) -> Result<Vec<String>> {
    Ok(lines(&browser.evaluate(CHECKS)?))
}

const CHECKS: &str = r#"
const faults = [];
const name = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + (e.className && e.className.baseVal === undefined ? '.' + String(e.className).trim().split(/\s+/).join('.') : '');
const root = document.documentElement;
if (root.scrollWidth > window.innerWidth) {
  const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('.scroll, pre'));
  faults.push('scrolls sideways: ' + root.scrollWidth + ' > ' + window.innerWidth + ', by ' + wide.slice(0, 3).map(e => name(e) + ' “' + e.textContent.trim().slice(0, 40) + '” to ' + Math.round(e.getBoundingClientRect().right)).join(', '));
}
const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return {r: m[0], g: m[1], b: m[2], a: m.length > 3 ? m[3] : 1}; };
const over = (top, under) => ({r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1});
const lum = c => { const f = v => { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); }; return 0.2126 * f(c.r) + 0.7152 * f(c.g) + 0.0722 * f(c.b); };
const ground = e => { const layers = []; for (let n = e; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); if (c.a > 0) { layers.push(c); if (c.a === 1) break; } } let g = matchMedia('(prefers-color-scheme: dark)').matches ? {r: 18, g: 18, b: 18, a: 1} : {r: 255, g: 255, b: 255, a: 1}; for (const l of layers.reverse()) g = over(l, g); return g; };
const opacity = e => { let o = 1; for (let n = e; n; n = n.parentElement) o *= Number(getComputedStyle(n).opacity); return o; };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const seen = new Set();
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.nodeValue.trim() || seen.has(e) || e.closest('script, .hidden, .skip, option, svg') || !e.checkVisibility()) continue;
  seen.add(e);
  const s = getComputedStyle(e);
  if (s.visibility === 'hidden') continue;
  const g = ground(e); const c = parse(s.color); c.a *= opacity(e);
  const a = lum(over(c, g)), b = lum(g);
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const px = parseFloat(s.fontSize); const large = px >= 24 || (px >= 18.66 && Number(s.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5)) faults.push('contrast ' + ratio.toFixed(2) + ' at ' + name(e) + ' "' + e.textContent.trim().slice(0, 30) + '"');
}
for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) if (!(e.labels && e.labels.length) && !e.getAttribute('aria-label')) faults.push('field without a name: ' + name(e));
for (const e of document.querySelectorAll('a, button')) if (!e.innerText.trim() && !e.getAttribute('aria-label') && !e.querySelector('img[alt]:not([alt=""])') && e.checkVisibility()) faults.push('nothing to read on ' + name(e));
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
ids.filter((id, place) => ids.indexOf(id) !== place).forEach(id => faults.push('two elements are #' + id));
if (document.querySelectorAll('h1').length !== 1) faults.push('has ' + document.querySelectorAll('h1').length + ' h1');
for (const e of document.querySelectorAll('button:not(.link), .button, input:not([type=hidden], .hidden), select, .side a')) { const r = e.getBoundingClientRect(); if (r.height > 0 && r.height < 24) faults.push('target of ' + r.height + ' px: ' + name(e)); }
return faults.slice(0, 20);
"#;
