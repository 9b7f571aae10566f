//! What a rollout is asked for on the command line, as the API's wish.
//!
//! Refuses a wave that it does not understand. Invariant: a wish from a file and one from arguments are the same document.

use std::path::PathBuf;

use clap::Args;
use freehold_sign::files::read_bounded;
use serde_json::{Map, Value, json};

use crate::answer::Fault;

/// Longest wish that is read from a file.
const MAX_WISH: u64 = 1 << 20;

/// Make a plan.
#[derive(Debug, Args)]
pub struct Plan {
    /// The release's descriptor, for example `models/guide/1.1.0/release.json`; or a file that ends in `.toml` or `.json` with the
    /// whole wish in it.
    release: String,
    /// Which boxes: `all`, or terms such as `site=north label=ward-*`.
    #[arg(long)]
    boxes: Option<String>,
    /// A wave, may be given more than once, in order: `canaries=box1,box2`, `count=5` or `percent=40`, then `after=4h` and `person`
    /// where meant, separated by `;`.
    #[arg(long = "wave", value_name = "WAVE")]
    waves: Vec<String>,
    /// How many boxes may be out of service at once, in all and at each site.
    #[arg(long)]
    unavailable: Option<u32>,
    /// How many boxes may fail before everything goes back.
    #[arg(long)]
    budget: Option<u32>,
    /// How many others have to approve.
    #[arg(long)]
    approvals: Option<u32>,
    /// Tokens a second that a box must reach, in percent of before.
    #[arg(long)]
    speed: Option<u16>,
    /// Boxes that are reached by stick only.
    #[arg(long = "by-stick", value_name = "BOX")]
    by_stick: Vec<String>,
    /// Show the plan and propose nothing.
    #[arg(long)]
    pub dry_run: bool,
}

fn wrong(message: String) -> Fault {
    Fault::could_not_tell(
        message,
        "a wave is for example `count=5;after=4h` or `percent=100;person`",
    )
}

/// `90m`, `4h`, `2d`.
fn seconds(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(each)
}

fn wave(text: &str) -> Result<Value, Fault> {
    let not_understood = || wrong(format!("`{text}` is not understood as a wave"));
    let mut wave = Map::new();
    for part in text.split(';').map(str::trim) {
        let value = match part.split_once('=') {
            None if part == "person" => json!(true),
            Some(("canaries", names)) => json!(names.split(',').map(str::trim).collect::<Vec<_>>()),
            Some(("count", count)) => json!(count.parse::<u32>().map_err(|_| not_understood())?),
            Some(("percent", percent)) => json!(percent.parse::<u8>().map_err(|_| not_understood())?),
            Some(("after", time)) => json!(seconds(time).ok_or_else(not_understood)?),
            _ => return Err(not_understood()),
        };
        let name = match part.split_once('=') {
            Some(("after", _)) => "start_after",
            Some((name, _)) => name,
            None => "person",
        };
        wave.insert(name.to_owned(), value);
    }
    Ok(Value::Object(wave))
}

impl Plan {
    /// The wish.
    ///
    /// # Errors
    /// When a file cannot be read, or a wave is not understood.
    pub fn wish(&self) -> Result<Value, Fault> {
        let mut wish = self.base()?;
        let Some(fields) = wish.as_object_mut() else {
            return Err(wrong("the file holds no wish".to_owned()));
        };
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if let Some(boxes) = &self.boxes {
            put("boxes", json!(boxes));
        }
        if !self.waves.is_empty() {
            let waves: Result<Vec<Value>, Fault> = self.waves.iter().map(|text| wave(text)).collect();
            put("waves", Value::Array(waves?));
        }
        if let Some(most) = self.unavailable {
            put("limits", json!({ "unavailable": most, "unavailable_per_site": most }));
        }
        if let Some(budget) = self.budget {
            put("failure_budget", json!(budget));
        }
        if let Some(approvals) = self.approvals {
            put("approvals", json!(approvals));
        }
        if let Some(speed) = self.speed {
            // The gates that the API takes when none are named, but for this one.
            put(
                "gates",
                json!({ "verdict": true, "answers_percent": 100, "errors_permille": 10, "speed_percent": speed, "soak": 0 }),
            );
        }
        if !self.by_stick.is_empty() {
            put("by_stick", json!(self.by_stick));
        }
        Ok(wish)
    }

    fn base(&self) -> Result<Value, Fault> {
        let path = PathBuf::from(&self.release);
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let is_target = self.release.starts_with("models/") || self.release.ends_with("/release.json");
        match ending {
            "toml" => {
                let text = String::from_utf8(read_bounded(&path, MAX_WISH)?)
                    .map_err(|_| wrong("the file is not text".to_owned()))?;
                toml::from_str(&text).map_err(|fault| wrong(fault.to_string().trim().to_owned()))
            }
            "json" if !is_target => Ok(serde_json::from_slice(&read_bounded(&path, MAX_WISH)?)?),
            _ => Ok(json!({ "release": self.release })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_read_part_by_part() {
        assert_eq!(
            wave("canaries=box1, box2").unwrap(),
            json!({ "canaries": ["box1", "box2"] })
        );
        assert_eq!(
            wave("percent=40;after=4h;person").unwrap(),
            json!({ "percent": 40, "start_after": 14400, "person": true })
        );
        for text in ["", "count=x", "percent=300", "after=4", "people", "count=1;soon"] {
            assert!(wave(text).is_err(), "{text}");
        }
    }
}
