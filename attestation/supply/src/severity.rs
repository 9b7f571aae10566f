//! How bad an advisory is, on one scale: from CVSS 3 vectors, from databases' words, or nothing.
//!
//! Refuses to take "nobody says" for harmless: `Unknown` is above every level that a policy can accept. Invariant: a score is
//! computed from its vector (FIRST, CVSS 3.1, section 7.1), never taken from a number beside it.

use serde::{Deserialize, Serialize};

/// How bad. Ordered; unknown is worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// No impact.
    None,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 and above.
    Critical,
    /// Nobody says.
    #[default]
    Unknown,
}

impl Severity {
    /// Every level, mildest first.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
        Self::Unknown,
    ];

    /// The word of policies, pages and command lines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// The level of a word of a database: GitHub's, RustSec's, Debian's urgency.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "none" | "informational" | "unimportant" => Self::None,
            "low" | "negligible" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" => Self::Critical,
            _ => return None,
        })
    }

    /// The level of a CVSS 3.0 or 3.1 vector; `None` when it is none.
    #[must_use]
    pub fn of_vector(vector: &str) -> Option<Self> {
        let tenths = score_tenths(vector)?;
        Some(match tenths {
            0 => Self::None,
            1..=39 => Self::Low,
            40..=69 => Self::Medium,
            70..=89 => Self::High,
            _ => Self::Critical,
        })
    }
}

/// The base score in tenths.
fn score_tenths(vector: &str) -> Option<u32> {
    let rest = vector
        .strip_prefix("CVSS:3.1/")
        .or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let metric = |name: &str| {
        let mut found = rest
            .split('/')
            .filter_map(|pair| pair.split_once(':'))
            .filter(|(key, _)| *key == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value)
    };
    let changed = match metric("S")? {
        "U" => false,
        "C" => true,
        _ => return None,
    };
    let attack = match metric("AV")? {
        "N" => 0.85,
        "A" => 0.62,
        "L" => 0.55,
        "P" => 0.2,
        _ => return None,
    };
    let complexity = match metric("AC")? {
        "L" => 0.77,
        "H" => 0.44,
        _ => return None,
    };
    let privileges = match (metric("PR")?, changed) {
        ("N", _) => 0.85,
        ("L", false) => 0.62,
        ("L", true) => 0.68,
        ("H", false) => 0.27,
        ("H", true) => 0.5,
        _ => return None,
    };
    let interaction = match metric("UI")? {
        "N" => 0.85,
        "R" => 0.62,
        _ => return None,
    };
    let impact = |name: &str| {
        Some(match metric(name)? {
            "H" => 0.56,
            "L" => 0.22,
            "N" => 0.0,
            _ => return None,
        })
    };
    let missed: f64 = (1.0 - impact("C")?) * (1.0 - impact("I")?) * (1.0 - impact("A")?);
    let base = 1.0 - missed;
    let impact = if changed {
        7.52 * (base - 0.029) - 3.25 * (base - 0.02).powi(15)
    } else {
        6.42 * base
    };
    if impact <= 0.0 {
        return Some(0);
    }
    let exploitability = 8.22 * attack * complexity * privileges * interaction;
    let sum = impact + exploitability;
    let score: f64 = if changed { 1.08 * sum } else { sum };
    // "Round up" of the specification, on integers, so that 4.02 is 4.1 and 4.00000001 is 4.0.
    let hundred_thousandths = (score.min(10.0) * 100_000.0).round();
    let whole = hundred_thousandths as u32;
    Some(whole.div_ceil(10_000))
}

#[cfg(test)]
mod tests {
    use super::{Severity, score_tenths};

    #[test]
    fn scores_are_those_of_published_vectors() {
        for (vector, tenths) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 75),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", 59),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ] {
            assert_eq!(score_tenths(vector), Some(tenths), "{vector}");
        }
        for none in [
            "",
            "CVSS:2.0/AV:N",
            "CVSS:3.1/AV:N",
            "CVSS:3.1/AV:N/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        ] {
            assert_eq!(score_tenths(none), None, "{none}");
        }
        assert!(Severity::Unknown > Severity::Critical);
    }
}
