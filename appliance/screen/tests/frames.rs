//! The pictures themselves, as golden text, and what each key does to them.

#[path = "parts/views.rs"]
mod views;

use freehold_protocol::fingerprint::typed_blocks;
use freehold_protocol::screen::{Ability, Deed, ToScreen, View};
use freehold_screen::{COLUMNS, Key, Page, ROWS, Screen};
use freehold_trust::sha256;
use freehold_verify::RefusalReport;

fn showing(view: View) -> Screen {
    let mut screen = Screen::new(vec!["Europe/Berlin".to_owned()]);
    screen.hear(ToScreen::View { view: Box::new(view) });
    screen
}

fn press(screen: &mut Screen, text: &str) -> Option<(u64, Deed)> {
    let mut asked = None;
    for c in text.chars() {
        let key = match c {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x08' => Key::Backspace,
            c => Key::Character(c),
        };
        asked = screen.press(key).or(asked);
    }
    asked
}

fn golden(name: &str, screen: &Screen) {
    let frame = screen.frame();
    assert_eq!(frame.rows().len(), ROWS, "{name}");
    for line in frame.lines() {
        assert!(line.chars().count() <= COLUMNS, "{name}: {line}");
        assert!(line.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{name}: {line}");
    }
    // What the screen itself says is never cut.
    assert!(!frame.lines().iter().any(|line| line.ends_with("...")), "{name}");
    insta::assert_snapshot!(name, frame.lines().join("\n"));
}

// promise S-100
#[test]
fn the_screen_says_who_the_box_is_how_it_is_and_what_to_do() {
    golden("nothing-heard", &Screen::new(Vec::new()));
    golden("unpaired", &showing(views::unpaired()));
    golden("serving", &showing(views::serving()));
    golden("troubled", &showing(views::troubled()));
    let mut screen = showing(views::waiting());
    golden("waiting-compare", &screen);
    press(&mut screen, "h");
    golden("waiting", &screen);
    let mut screen = showing(views::troubled());
    press(&mut screen, "r");
    golden("refusals", &screen);
    press(&mut screen, " ");
    golden("refusals-2", &screen);
    let mut screen = showing(views::serving());
    press(&mut screen, "f");
    golden("fingerprints", &screen);
}

#[test]
fn a_supervisor_that_is_away_is_said_and_what_is_old_is_called_old() {
    let mut screen = Screen::new(Vec::new());
    screen.lost("its socket is not there");
    golden("away-from-the-start", &screen);
    let mut screen = showing(views::serving());
    screen.lost("it closed the connection");
    golden("away", &screen);
    assert_eq!(press(&mut screen, "qoff\n"), None);
    assert!(screen.frame().lines().join("\n").contains("nothing was done"));
    screen.hear(ToScreen::View {
        view: Box::new(views::serving()),
    });
    assert!(!screen.frame().lines().join("\n").contains("DOES NOT ANSWER"));
}

// promise S-101
#[test]
fn a_console_is_ours_only_after_its_fingerprint_was_compared() {
    let mut screen = showing(views::offered());
    golden("offered", &screen);
    press(&mut screen, "c");
    golden("confirm", &screen);
    assert_eq!(press(&mut screen, "\n"), None, "nothing typed is no comparison");
    press(&mut screen, "c");
    assert_eq!(press(&mut screen, "0000\n"), None);
    assert!(screen.frame().lines().join("\n").contains("nothing was confirmed"));
    let fingerprint = sha256(b"fleet ca").to_hex();
    press(&mut screen, "c");
    let asked = press(&mut screen, &format!("{}\n", &fingerprint[60..]));
    assert_eq!(asked, Some((1, Deed::ConfirmConsole { fingerprint })));
    golden("confirm-asked", &screen);
    // While it waits nothing else is asked; the answer ends it.
    assert_eq!(press(&mut screen, "\x1bi"), None);
    screen.hear(ToScreen::Done {
        id: 1,
        said: "This console is now the console of this box.".to_owned(),
    });
    assert_eq!(*screen.page(), Page::Overview);
    // Without an offer the letter does nothing.
    let mut screen = showing(views::serving());
    press(&mut screen, "fc");
    assert_eq!(*screen.page(), Page::Fingerprints);
}

// promise S-102
#[test]
fn settings_are_checked_field_by_field_and_shown_as_a_whole_before_they_are_applied() {
    let mut screen = showing(views::unpaired());
    press(&mut screen, "nhttps://console:8443\n");
    golden("settings-fault", &screen);
    press(&mut screen, &"\x08".repeat(30));
    press(&mut screen, "https://10.0.0.5:8443\n");
    let mut blocks = typed_blocks(&sha256(b"fleet ca"));
    let good = blocks[4].clone();
    blocks[4] = format!("{}{}", &good[1..4], &good[..2]);
    press(&mut screen, &format!("{}\n", blocks.join(" ")));
    golden("settings-block-fault", &screen);
    press(&mut screen, &"\x08".repeat(200));
    blocks[4] = good;
    press(
        &mut screen,
        &format!(
            "{}\neno1\n10.0.0.17/24\n10.0.0.1\n10.1.0.0/16\neurope/berlin\n",
            blocks.join(" ")
        ),
    );
    golden("settings-review", &screen);
    assert_eq!(press(&mut screen, "yes\n"), None, "only the word applies them");
    let Some((1, Deed::Settings { settings })) = press(&mut screen, "apply\n") else {
        panic!("the settings were not sent");
    };
    assert_eq!(
        settings.values["network"]["addressing"]["static"]["address"],
        "10.0.0.17/24"
    );
    screen.hear(ToScreen::Refused {
        id: 1,
        report: RefusalReport {
            code: "box.settings_locked".to_owned(),
            message: "settings were taken before".to_owned(),
            expected: None,
            found: None,
        },
    });
    assert!(screen.frame().lines().join("\n").contains("box.settings_locked"));

    // Where they are locked, the form does not open.
    let mut screen = showing(views::serving());
    press(&mut screen, "n");
    assert_eq!(*screen.page(), Page::Overview);
    golden("settings-locked", &screen);
}

#[test]
fn the_recovery_key_is_shown_until_its_last_block_was_typed() {
    let mut view = views::serving();
    view.can.push(Ability::RecoveryKey);
    let mut screen = showing(view.clone());
    assert_eq!(press(&mut screen, "k"), Some((1, Deed::RecoveryKey {})));
    let blocks: Vec<String> = [
        "cbdefg", "hijkln", "rtuvcb", "defghi", "jklnrt", "uvcbde", "fghijk", "lnrtuv",
    ]
    .map(str::to_owned)
    .to_vec();
    screen.hear(ToScreen::RecoveryKey { id: 1, blocks });
    golden("recovery", &screen);
    let asked = press(&mut screen, "LNRTUV\n");
    let last_block = "lnrtuv".to_owned();
    assert_eq!(asked, Some((2, Deed::RecoveryKeyWritten { last_block })));
    // A key is never left on a screen whose supervisor is gone.
    screen.lost("it closed the connection");
    assert!(!screen.frame().lines().join("\n").contains("lnrtuv"));
}

#[test]
fn shutting_down_takes_a_word() {
    let mut screen = showing(views::serving());
    press(&mut screen, "q");
    golden("shut-down", &screen);
    assert_eq!(press(&mut screen, "\n"), None);
    assert_eq!(press(&mut screen, "q\x1b"), None);
    assert_eq!(*screen.page(), Page::Overview);
    assert_eq!(press(&mut screen, "qoff\n"), Some((1, Deed::ShutDown {})));
    // What the supervisor does not offer cannot be asked for.
    let mut view = views::serving();
    view.can.clear();
    let mut screen = showing(view);
    for letters in ["q", "i", "k", "c", "n"] {
        assert_eq!(press(&mut screen, letters), None);
        assert_eq!(*screen.page(), Page::Overview, "{letters}");
    }
}

#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    for letters in ["", "f", "r", "r ", "q"] {
        let mut screen = showing(views::hostile());
        press(&mut screen, "h");
        press(&mut screen, letters);
        let frame = screen.frame();
        assert_eq!(frame.rows().len(), ROWS);
        for line in frame.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(line.chars().all(|c| !c.is_control()), "{line:?}");
        }
        assert!(frame.lines()[0].contains("Freehold"));
    }
}

#[test]
fn the_pictures_in_the_documentation_are_the_real_ones() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/box-screen.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut offered = showing(views::offered());
    for (name, screen) in [
        ("serving", &showing(views::serving())),
        ("troubled", &showing(views::troubled())),
        ("offered", &offered),
        ("waiting", &showing(views::waiting())),
    ] {
        assert!(page.contains(screen.frame().lines().join("\n").trim_end()), "{name}");
    }
    press(&mut offered, "c");
    assert!(page.contains(offered.frame().lines().join("\n").trim_end()), "confirm");
}
