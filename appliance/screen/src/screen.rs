//! The screen as a value: views and keys go in, wishes and frames come out.
//!
//! Refuses a wish that the supervisor did not offer, and to ask for two things at once. Invariant: nothing here knows a
//! terminal, a socket or the time; the same views and keys give the same frames.

use freehold_protocol::screen::{Ability, Deed, SettingsLock, Stage, ToScreen, View};

use crate::form::{Checked, Field, Known, MAX_FIELD, SettingRejection, Typed, check, check_field};
use crate::frame::{Frame, ROWS, Row};
use crate::keys::Key;
use crate::page;

/// Longest answer to a question; bounds a stuck key.
const MAX_ANSWER: usize = 24;

/// What is being looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Page {
    /// How the box is.
    #[default]
    Overview,
    /// What is compared by eye.
    Fingerprints,
    /// What was refused, by page.
    Refusals(usize),
    /// Before a console becomes ours; what was typed.
    Confirm(String),
    /// The form.
    Settings(Field),
    /// The whole form before it is applied; what was typed.
    Review(Box<Checked>, String),
    /// The recovery key; what was typed.
    Recovery(Vec<String>, String),
    /// Before the machine goes off; what was typed.
    ShutDown(String),
}

/// The screen.
#[derive(Debug, Default)]
pub struct Screen {
    view: Option<View>,
    away: Option<String>,
    page: Page,
    note: Option<String>,
    typed: Typed,
    fault: Option<(Field, SettingRejection)>,
    waiting: Option<u64>,
    last_id: u64,
    known: Known,
}

impl Screen {
    /// A screen that has heard nothing yet. `zones` are the time zones that can be typed.
    #[must_use]
    pub fn new(zones: Vec<String>) -> Self {
        Self {
            known: Known {
                zones,
                interfaces: Vec::new(),
            },
            ..Self::default()
        }
    }

    /// What is being looked at.
    #[must_use]
    pub const fn page(&self) -> &Page {
        &self.page
    }

    /// The supervisor said something.
    pub fn hear(&mut self, message: ToScreen) {
        self.away = None;
        match message {
            ToScreen::View { view } => {
                let offered = view.stage == Stage::Offered;
                let before = self.view.as_ref().map(|view| view.stage);
                // Where a person must compare something, that is shown without being asked for.
                if matches!(self.page, Page::Overview)
                    && matches!(view.stage, Stage::Offered | Stage::Waiting)
                    && before != Some(view.stage)
                    && (offered || view.fingerprint.is_some())
                {
                    self.page = Page::Fingerprints;
                }
                let gone = match &self.page {
                    Page::Confirm(_) => !offered,
                    Page::Settings(_) | Page::Review(..) => view.settings == SettingsLock::Locked,
                    _ => false,
                };
                if gone {
                    self.page = Page::Overview;
                }
                self.known.interfaces.clone_from(&view.interfaces);
                self.view = Some(*view);
            }
            ToScreen::Done { id, said } if self.waiting == Some(id) => {
                self.waiting = None;
                self.page = Page::Overview;
                self.note = Some(said);
            }
            ToScreen::RecoveryKey { id, blocks } if self.waiting == Some(id) => {
                self.waiting = None;
                self.note = None;
                self.page = Page::Recovery(blocks, String::new());
            }
            ToScreen::Refused { id, report } if self.waiting == Some(id) => {
                self.waiting = None;
                let next = freehold_explain::explain(&report.code).map_or_else(String::new, |explained| explained.next);
                self.note = Some(format!("{}: {}. {next}", report.code, report.message));
            }
            // An answer to what was asked on a connection that is gone.
            ToScreen::Done { .. } | ToScreen::RecoveryKey { .. } | ToScreen::Refused { .. } => {}
        }
    }

    /// The supervisor went away, or was not there.
    pub fn lost(&mut self, why: &str) {
        if self.waiting.take().is_some() {
            self.note = Some("The supervisor went away before it answered; nothing is known to be done.".to_owned());
        }
        self.away = Some(why.to_owned());
        // What cannot be shown again without the supervisor is not left standing.
        if matches!(self.page, Page::Recovery(..)) {
            self.page = Page::Overview;
        }
    }

    /// A key was pressed; answers what to ask the supervisor for.
    pub fn press(&mut self, key: Key) -> Option<(u64, Deed)> {
        // A question that waits for its answer takes no further ones.
        if self.waiting.is_some() || self.view.is_none() {
            return None;
        }
        if key != Key::Redraw {
            self.note = None;
        }
        let deed = self.act(key)?;
        if self.away.is_some() {
            self.note = Some("The supervisor does not answer: nothing was done.".to_owned());
            return None;
        }
        self.last_id = self.last_id.saturating_add(1);
        self.waiting = Some(self.last_id);
        Some((self.last_id, deed))
    }

    fn can(&self, ability: Ability) -> bool {
        self.view.as_ref().is_some_and(|view| view.can.contains(&ability))
    }

    fn act(&mut self, key: Key) -> Option<Deed> {
        if key == Key::Escape {
            self.page = match &self.page {
                Page::Review(..) => Page::Settings(Field::Console),
                Page::Confirm(_) => Page::Fingerprints,
                _ => Page::Overview,
            };
            return None;
        }
        match &mut self.page {
            Page::Overview | Page::Fingerprints | Page::Refusals(_) => self.walk(key),
            Page::Settings(field) => {
                let field = *field;
                self.fill(field, key);
                None
            }
            Page::Review(checked, typed) => (answer(typed, key).as_deref() == Some("apply")).then(|| Deed::Settings {
                settings: checked.document(),
            }),
            Page::Confirm(typed) => {
                let typed = answer(typed, key)?;
                let fingerprint = self.view.as_ref()?.console.fleet_ca.clone();
                if !typed.is_empty() && typed.len() == 4 && fingerprint.ends_with(&typed) {
                    return Some(Deed::ConfirmConsole { fingerprint });
                }
                self.page = Page::Fingerprints;
                self.note =
                    Some("Those are not its last four digits: nothing was confirmed. Compare again.".to_owned());
                None
            }
            Page::Recovery(_, typed) => Some(Deed::RecoveryKeyWritten {
                last_block: answer(typed, key)?,
            }),
            Page::ShutDown(typed) => {
                if answer(typed, key)? == "off" {
                    return Some(Deed::ShutDown {});
                }
                self.page = Page::Overview;
                None
            }
        }
    }

    /// Letters of the menu.
    fn walk(&mut self, key: Key) -> Option<Deed> {
        let pages = self.view.as_ref().map_or(1, page::refusal_pages);
        if let Page::Refusals(at) = &mut self.page {
            match key {
                Key::Down | Key::Enter | Key::Character(' ') => *at = (*at + 1) % pages,
                Key::Up => *at = at.checked_sub(1).unwrap_or(pages.saturating_sub(1)),
                _ => {}
            }
        }
        let Key::Character(letter) = key else { return None };
        match letter.to_ascii_lowercase() {
            'h' => self.page = Page::Overview,
            'f' => self.page = Page::Fingerprints,
            'r' => self.page = Page::Refusals(0),
            'c' if self.page == Page::Fingerprints && self.can(Ability::ConfirmConsole) => {
                self.page = Page::Confirm(String::new());
            }
            'i' if self.can(Ability::Import) => return Some(Deed::Import {}),
            'k' if self.can(Ability::RecoveryKey) => return Some(Deed::RecoveryKey {}),
            'n' if self.can(Ability::Settings) => {
                self.fault = None;
                self.page = Page::Settings(Field::Console);
            }
            'n' => {
                let why = "The settings are locked; only a wipe by two persons changes them.";
                self.note = Some(why.to_owned());
            }
            'q' if self.can(Ability::ShutDown) => self.page = Page::ShutDown(String::new()),
            _ => {}
        }
        None
    }

    /// A key in the form.
    fn fill(&mut self, field: Field, key: Key) {
        let place = Field::ALL.iter().position(|known| *known == field).unwrap_or(0);
        let Some(text) = self.typed.text_mut(field) else {
            return;
        };
        match key {
            Key::Character(c) => {
                if text.len() < MAX_FIELD {
                    text.push(c);
                }
                self.fault = None;
            }
            Key::Backspace => {
                text.pop();
                self.fault = None;
            }
            Key::Up => {
                let before = place.checked_sub(1).and_then(|before| Field::ALL.get(before));
                self.page = Page::Settings(before.copied().unwrap_or(field));
            }
            Key::Enter | Key::Down => {
                self.fault = check_field(&self.typed, field, &self.known)
                    .err()
                    .map(|rejection| (field, rejection));
                if self.fault.is_some() && key == Key::Enter {
                    return;
                }
                match Field::ALL.get(place + 1) {
                    Some(next) => self.page = Page::Settings(*next),
                    None => match check(&self.typed, &self.known) {
                        Ok(checked) => self.page = Page::Review(Box::new(checked), String::new()),
                        Err((wrong, rejection)) => {
                            self.fault = Some((wrong, rejection));
                            self.page = Page::Settings(wrong);
                        }
                    },
                }
            }
            Key::Escape | Key::Redraw => {}
        }
    }

    /// The picture now.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let mut rows = page::head(self.view.as_ref(), self.away.as_deref());
        let above = rows.len();
        let mut cursor = None;
        let mut put = |(body, at): (Vec<Row>, (usize, usize))| {
            cursor = Some(at);
            body
        };
        let body = match (&self.page, &self.view) {
            (_, None) => Vec::new(),
            (Page::Overview, Some(view)) => page::overview(view),
            (Page::Fingerprints, Some(view)) => page::fingerprints(view),
            (Page::Refusals(at), Some(view)) => page::refusals(view, *at),
            (Page::Confirm(typed), Some(view)) => put(page::confirm(view, typed)),
            (Page::Settings(field), _) => put(page::settings(&self.typed, *field, self.fault.as_ref())),
            (Page::Review(checked, typed), _) => put(page::review(checked, typed)),
            (Page::Recovery(blocks, typed), _) => put(page::recovery(blocks, typed)),
            (Page::ShutDown(typed), _) => put(page::shut_down(typed)),
        };
        rows.extend(body);
        let notes = self.notes();
        rows.resize(ROWS.saturating_sub(1 + notes.len()), Row::empty());
        rows.extend(notes);
        rows.push(Row::reversed(format!(" {}", self.menu())));
        let mut frame = Frame::new(rows);
        let cell = |value: usize| u16::try_from(value).unwrap_or(0);
        frame.cursor = cursor.map(|(column, row)| (cell(column), cell(above + row)));
        frame
    }

    fn notes(&self) -> Vec<Row> {
        let text = match (&self.waiting, &self.note) {
            (Some(_), _) => "Asked the supervisor; waiting for its answer.",
            (None, Some(note)) => note,
            (None, None) => return vec![Row::empty()],
        };
        let lines = crate::text::wrap(text, crate::frame::COLUMNS, 2);
        lines.into_iter().map(Row::strong).collect()
    }

    fn menu(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        match &self.page {
            Page::Settings(_) => return "Enter next  Up back  Esc leave; nothing is applied yet".to_owned(),
            Page::Review(..) | Page::Confirm(_) | Page::Recovery(..) | Page::ShutDown(_) => {
                return "Enter sends what was typed  Esc back, nothing is done".to_owned();
            }
            _ if self.view.is_none() => return String::new(),
            Page::Refusals(_) => words.extend(["Space next", "H home", "F fingerprints"]),
            Page::Fingerprints => {
                words.extend(self.can(Ability::ConfirmConsole).then_some("C confirm console"));
                words.extend(["H home", "R refused"]);
            }
            Page::Overview => words.extend(["F fingerprints", "R refused"]),
        }
        for (ability, word) in [
            (Ability::Import, "I import stick"),
            (Ability::Settings, "N settings"),
            (Ability::RecoveryKey, "K recovery key"),
            (Ability::ShutDown, "Q shut down"),
        ] {
            words.extend(self.can(ability).then_some(word));
        }
        words.join("  ")
    }
}

/// Takes a key into the answer to a question; the whole answer at Enter.
fn answer(typed: &mut String, key: Key) -> Option<String> {
    match key {
        Key::Character(c) if typed.len() < MAX_ANSWER => typed.push(c.to_ascii_lowercase()),
        Key::Backspace => {
            typed.pop();
        }
        Key::Enter => return Some(std::mem::take(typed).trim().to_owned()),
        _ => {}
    }
    None
}
