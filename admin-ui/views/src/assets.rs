//! The files that pages load, compiled in: one style sheet, htmx with its event-stream extension, two small scripts of our own.
//!
//! Refuses to load anything from elsewhere. Invariant: a file's name carries a hash of its bytes, so that it may be cached
//! for a year and never be stale.

/// A file under [`crate::address::ASSETS`]. Send it with `Cache-Control: public, max-age=31536000, immutable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its MIME type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// `Content-Security-Policy` of every page: everything from here, nothing inline, framed by nobody.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The other headers of every page, `(name, value)`, lower case.
pub const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: browsers then send `Origin: null` with forms, and the console could not tell its own from others.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
];

const CSS: &str = include_str!("../assets/console.css");
const JS: &str = include_str!("../assets/console.js");
const PASSKEY: &str = include_str!("../assets/passkey.js");
const HTMX: &str = include_str!("../assets/htmx.min.js");
const SSE: &str = include_str!("../assets/htmx-sse.min.js");
const MARK: &str = include_str!("../assets/mark.svg");

const FILES: [(&str, &str, &str, &str); 6] = [
    ("console", "css", "text/css; charset=utf-8", CSS),
    ("console", "js", "text/javascript; charset=utf-8", JS),
    ("passkey", "js", "text/javascript; charset=utf-8", PASSKEY),
    ("htmx", "js", "text/javascript; charset=utf-8", HTMX),
    ("htmx-sse", "js", "text/javascript; charset=utf-8", SSE),
    ("mark", "svg", "image/svg+xml", MARK),
];

const HASHES: [u64; 6] = [
    fnv1a(CSS),
    fnv1a(JS),
    fnv1a(PASSKEY),
    fnv1a(HTMX),
    fnv1a(SSE),
    fnv1a(MARK),
];

/// The file of this name, for example `console-1f0e….css`; `None` for any other.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let place = (0..FILES.len()).find(|place| file_name(*place) == name)?;
    let (_, _, content_type, text) = FILES.get(place)?;
    Some(Asset {
        content_type,
        bytes: text.as_bytes(),
    })
}

/// The address of each file, in the order style sheet, own script, htmx, extension, mark.
pub(crate) fn href(stem: &str, ending: &str) -> String {
    let place = FILES
        .iter()
        .position(|(s, e, ..)| *s == stem && *e == ending)
        .unwrap_or_default();
    format!("{}{}", crate::address::ASSETS, file_name(place))
}

fn file_name(place: usize) -> String {
    match (FILES.get(place), HASHES.get(place)) {
        (Some((stem, ending, ..)), Some(hash)) => format!("{stem}-{hash:016x}.{ending}"),
        _ => String::new(),
    }
}

/// FNV-1a, 64 bits: names a version of a file for the browser's cache; not a security measure.
const fn fnv1a(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut place = 0;
    while place < bytes.len() {
        hash = (hash ^ bytes[place] as u64).wrapping_mul(0x0100_0000_01b3);
        place += 1;
    }
    hash
}
