//! The form of a new rollout, read into a wish.
//!
//! Refuses what it does not understand, with the line in it: nothing is guessed. Invariant: an empty field is left to the
//! wish's own defaults, which the plan then states.

use std::collections::BTreeMap;

use freehold_fleet::rollout::{Gates, Limits, WaveSize, WaveSpec, Window};
use freehold_views::new_rollout::Typed;

use crate::body::Form;
use crate::refused::Refused;
use crate::rollouts::Wish;

/// What stands in an untouched form.
pub(super) fn usual() -> Typed {
    Typed {
        boxes: "all".to_owned(),
        approvals: "1".to_owned(),
        answers: "100".to_owned(),
        speed: "80".to_owned(),
        ..Typed::default()
    }
}

/// What was typed.
pub(super) fn typed(form: &Form) -> Typed {
    let text = |name: &str| form.field(name).unwrap_or_default().trim().to_owned();
    Typed {
        release: text("release"),
        boxes: text("boxes"),
        canaries: text("canaries"),
        waves: text("waves"),
        unavailable: text("unavailable"),
        unavailable_per_site: text("unavailable_per_site"),
        failure_budget: text("failure_budget"),
        approvals: text("approvals"),
        answers: text("answers"),
        speed: text("speed"),
        window: text("window"),
    }
}

fn wrong(field: &str, text: &str) -> Refused {
    let text: String = text.chars().take(80).collect();
    Refused::unreadable(format!("`{field}` is not understood: {text}"))
}

/// A number; `None` for an empty field.
fn number<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| wrong(field, text))
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
    digits
        .parse::<i64>()
        .ok()?
        .checked_mul(each)
        .filter(|seconds| *seconds >= 0)
}

/// One line: `5 boxes after 4h person`, `40 % after 1d`, `100%`.
fn wave(line: &str) -> Option<WaveSpec> {
    let spaced = line.replace('%', " % ");
    let mut words = spaced.split_whitespace();
    let count = words.next()?;
    let mut spec = WaveSpec {
        size: match words.next()? {
            "%" => WaveSize::Percent(count.parse().ok()?),
            "box" | "boxes" => WaveSize::Count(count.parse().ok()?),
            _ => return None,
        },
        start_after: 0,
        person: false,
    };
    while let Some(word) = words.next() {
        match word {
            "after" => spec.start_after = seconds(words.next()?)?,
            "person" => spec.person = true,
            _ => return None,
        }
    }
    Some(spec)
}

/// `Europe/Berlin 1-5 22:00 6h`.
fn window(text: &str) -> Option<Window> {
    let mut words = text.split_whitespace();
    let (zone, days, opens, length) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let mut all = Vec::new();
    for part in days.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u8, u8) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last.min(7));
    }
    let (hour, minute) = opens.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    if hour > 23 || minute > 59 {
        return None;
    }
    Some(Window {
        zone: zone.to_owned(),
        days: all,
        opens: hour.checked_mul(60)?.checked_add(minute)?,
        minutes: u16::try_from(seconds(length)?.checked_div(60)?).ok()?,
    })
}

/// The wish that was typed; the window counts at each of the `sites`.
///
/// # Errors
/// 400 with the field.
pub(super) fn wish(typed: &Typed, sites: &[String]) -> Result<Wish, Refused> {
    let mut waves = Vec::new();
    let canaries: Vec<String> = (typed.canaries.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    if !canaries.is_empty() {
        waves.push(WaveSpec {
            size: WaveSize::Canaries(canaries),
            start_after: 0,
            person: false,
        });
    }
    for line in typed.waves.lines().map(str::trim).filter(|line| !line.is_empty()) {
        waves.push(wave(line).ok_or_else(|| wrong("waves", line))?);
    }
    if waves.len() == 1 && typed.waves.is_empty() {
        // Canaries alone would be no way through all boxes: the usual schedule follows them.
        waves.extend(WaveSpec::usual());
    }
    let usual = Gates::default();
    let all: Option<u32> = number("unavailable", &typed.unavailable)?;
    let each: Option<u32> = number("unavailable_per_site", &typed.unavailable_per_site)?;
    let windows = if typed.window.is_empty() {
        BTreeMap::new()
    } else {
        let window = window(&typed.window).ok_or_else(|| wrong("window", &typed.window))?;
        sites.iter().map(|site| (site.clone(), window.clone())).collect()
    };
    Ok(Wish {
        release: typed.release.clone(),
        boxes: typed.boxes.clone(),
        waves,
        gates: Gates {
            answers_percent: number("answers", &typed.answers)?.unwrap_or(usual.answers_percent),
            speed_percent: number("speed", &typed.speed)?.unwrap_or(usual.speed_percent),
            ..usual
        },
        limits: all.or(each).map(|first| Limits {
            unavailable: all.unwrap_or(first),
            unavailable_per_site: each.unwrap_or(first),
        }),
        windows,
        returns: freehold_fleet::rollout::ReturnTime::default(),
        failure_budget: number("failure_budget", &typed.failure_budget)?,
        patience: None,
        approvals: number("approvals", &typed.approvals)?.unwrap_or(1),
        deadline_hours: None,
        by_stick: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_read_line_by_line() {
        let typed = Typed {
            canaries: "ward-1, ward-2".to_owned(),
            waves: "5 boxes after 4h\n40 % after 1d person\n100%after 2d".to_owned(),
            window: "Europe/Berlin 1-5,7 22:00 6h".to_owned(),
            ..usual()
        };
        let wish = wish(&typed, &["north".to_owned(), "south".to_owned()]).unwrap();
        let sizes: Vec<(&WaveSize, i64, bool)> = (wish.waves.iter())
            .map(|wave| (&wave.size, wave.start_after, wave.person))
            .collect();
        assert_eq!(
            sizes,
            [
                (
                    &WaveSize::Canaries(vec!["ward-1".to_owned(), "ward-2".to_owned()]),
                    0,
                    false
                ),
                (&WaveSize::Count(5), 14_400, false),
                (&WaveSize::Percent(40), 86_400, true),
                (&WaveSize::Percent(100), 172_800, false),
            ]
        );
        assert_eq!(wish.windows["north"], wish.windows["south"]);
        let window = &wish.windows["north"];
        assert_eq!((window.opens, window.minutes), (1320, 360));
        assert_eq!(window.days, [1, 2, 3, 4, 5, 7]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let say = |typed: Typed| wish(&typed, &["north".to_owned()]).unwrap_err();
        for waves in [
            "5",
            "five boxes",
            "5 boxes after",
            "5 boxes after 4",
            "5 boxes soon",
            "5 ants",
        ] {
            let refused = say(Typed {
                waves: waves.to_owned(),
                ..usual()
            });
            assert_eq!(refused.report.code, "console.unreadable");
            assert!(refused.report.message.contains(waves), "{}", refused.report.message);
        }
        for window in [
            "22:00 6h",
            "Europe/Berlin 1-5 25:00 6h",
            "Europe/Berlin x 22:00 6h",
            "a b c d e",
        ] {
            let refused = say(Typed {
                window: window.to_owned(),
                ..usual()
            });
            assert!(refused.report.message.contains("window"), "{window}");
        }
    }
}
