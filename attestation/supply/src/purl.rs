//! Package URLs: what names a component everywhere (ECMA-427).
//!
//! Refuses an empty type or name, control characters and lengths that no package has. Invariant: two purls of one package differ
//! only where the packages do: type in lower case, qualifiers sorted, everything escaped the same way.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Longest purl: bounds what a bill can make us keep per component.
const MAX_PURL: usize = 1024;

/// A package URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purl {
    /// `deb`, `cargo`, `generic`, …
    pub kind: String,
    /// `debian`; empty when there is none.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version; empty when it names every version.
    pub version: String,
    /// Qualifiers, sorted.
    pub qualifiers: BTreeMap<String, String>,
}

impl Purl {
    /// The same package whatever its version and qualifiers: `pkg:deb/debian/openssl`.
    #[must_use]
    pub fn package(&self) -> Self {
        Self {
            version: String::new(),
            qualifiers: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// A qualifier; empty when it is not there.
    #[must_use]
    pub fn qualifier(&self, name: &str) -> &str {
        self.qualifiers.get(name).map_or("", String::as_str)
    }

    /// Whether `self` names `other`: the same package, and the same version where `self` has one, and each qualifier that `self`
    /// has.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
            && (self.version.is_empty() || self.version == other.version)
            && self
                .qualifiers
                .iter()
                .all(|(name, value)| other.qualifiers.get(name) == Some(value))
    }
}

/// A text that is no package URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPurl;

impl FromStr for Purl {
    type Err = NoPurl;

    fn from_str(text: &str) -> Result<Self, NoPurl> {
        if text.len() > MAX_PURL {
            return Err(NoPurl);
        }
        let rest = text.strip_prefix("pkg:").ok_or(NoPurl)?.trim_start_matches('/');
        // The subpath names a place inside a package, which no component here has.
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/').ok_or(NoPurl)?;
        let (path, version) = match rest.rsplit_once('@') {
            Some((path, version)) => (path, unescaped(version)?),
            None => (rest, String::new()),
        };
        let (namespace, name) = match path.trim_end_matches('/').rsplit_once('/') {
            Some((namespace, name)) => {
                let parts: Result<Vec<String>, NoPurl> = namespace.split('/').map(unescaped).collect();
                (parts?.join("/"), unescaped(name)?)
            }
            None => (String::new(), unescaped(path.trim_end_matches('/'))?),
        };
        let mut sorted = BTreeMap::new();
        for pair in qualifiers.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(NoPurl)?;
            let value = unescaped(value)?;
            if !value.is_empty() && sorted.insert(key.to_ascii_lowercase(), value).is_some() {
                return Err(NoPurl);
            }
        }
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte))
        };
        if kind.is_empty() || !plain(kind) || name.is_empty() || !sorted.keys().all(|key| plain(key)) {
            return Err(NoPurl);
        }
        let kind = kind.to_ascii_lowercase();
        // Debian's names are lower case; the specification says so for `deb`.
        let (namespace, name) = if kind == "deb" {
            (namespace.to_ascii_lowercase(), name.to_ascii_lowercase())
        } else {
            (namespace, name)
        };
        Ok(Self {
            kind,
            namespace,
            name,
            version,
            qualifiers: sorted,
        })
    }
}

fn unescaped(text: &str) -> Result<String, NoPurl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit().ok_or(NoPurl)?, digit().ok_or(NoPurl)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| NoPurl)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| NoPurl)?;
    if text.chars().any(char::is_control) {
        return Err(NoPurl);
    }
    Ok(text)
}

fn escape(f: &mut fmt::Formatter<'_>, text: &str, also: &[u8]) -> fmt::Result {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) || also.contains(&byte) {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        if !self.namespace.is_empty() {
            escape(f, &self.namespace, b"/")?;
            f.write_char('/')?;
        }
        escape(f, &self.name, b"")?;
        if !self.version.is_empty() {
            f.write_char('@')?;
            escape(f, &self.version, b":")?;
        }
        for (place, (name, value)) in self.qualifiers.iter().enumerate() {
            f.write_char(if place == 0 { '?' } else { '&' })?;
            write!(f, "{name}=")?;
            escape(f, value, b":/")?;
        }
        Ok(())
    }
}

impl serde::Serialize for Purl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Purl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|NoPurl| serde::de::Error::custom("no package URL"))
    }
}
