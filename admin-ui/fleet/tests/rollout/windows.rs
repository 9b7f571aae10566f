//! Windows by the clock on the wall, over midnight and over the days on which clocks change.

use freehold_fleet::rollout::Window;

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn berlin(days: &[u8], opens: u16, minutes: u16) -> Window {
    Window {
        zone: "Europe/Berlin".into(),
        days: days.to_vec(),
        opens,
        minutes,
    }
}

#[test]
fn a_window_reaches_over_midnight_and_belongs_to_the_day_on_which_it_opens() {
    let friday = berlin(&[5], 22 * 60, 5 * 60);
    assert_eq!(friday.closes(at("2026-11-06T20:59:59Z")), None);
    assert_eq!(
        friday.closes(at("2026-11-06T21:00:00Z")),
        Some(at("2026-11-07T02:00:00Z"))
    );
    assert_eq!(
        friday.closes(at("2026-11-07T01:59:59Z")),
        Some(at("2026-11-07T02:00:00Z"))
    );
    assert_eq!(friday.closes(at("2026-11-07T02:00:00Z")), None);
    assert_eq!(
        friday.next(at("2026-11-07T02:00:00Z")),
        Some(at("2026-11-13T21:00:00Z"))
    );
}

#[test]
fn clocks_that_change_do_not_move_the_window_on_the_wall() {
    let nightly = berlin(&[1, 2, 3, 4, 5, 6, 7], 2 * 60 + 30, 60);
    // In summer 02:30 is 00:30 UTC, in winter 01:30 UTC.
    assert!(nightly.closes(at("2026-10-24T00:45:00Z")).is_some());
    assert!(nightly.closes(at("2026-10-26T01:45:00Z")).is_some());
    assert!(nightly.closes(at("2026-10-26T00:45:00Z")).is_none());
    // On 28 March 2027 the clock goes from 02:00 to 03:00: 02:30 does not exist, and the window opens at 03:30.
    assert_eq!(
        nightly.next(at("2027-03-28T00:00:00Z")),
        Some(at("2027-03-28T01:30:00Z"))
    );
    // On 25 October 2026 02:30 comes twice: the first one counts.
    assert_eq!(
        nightly.next(at("2026-10-24T23:00:00Z")),
        Some(at("2026-10-25T00:30:00Z"))
    );
}

#[test]
fn a_zone_that_nobody_knows_is_never_open() {
    let mut nowhere = berlin(&[1, 2, 3, 4, 5, 6, 7], 0, 24 * 60);
    nowhere.zone = "Europe/Atlantis".into();
    assert_eq!(nowhere.closes(at("2026-11-06T20:59:59Z")), None);
    assert_eq!(nowhere.next(at("2026-11-06T20:59:59Z")), None);
}
