//! Who is signed in, what people have to hear of, and whose business that is.
//!
//! Refuses to show or end somebody else's session to anybody but those who manage accounts. Invariant: an alarm is shown to
//! everybody until somebody who manages accounts has settled it by name.

use std::sync::PoisonError;

use freehold_store::{AccountChange, AlarmRow, SessionRow};

use super::action::Action;
use super::session::Visitor;
use crate::console::Console;
use crate::refused::Refused;

impl Console {
    /// The sessions that a visitor may see, newest first: all of them, or the visitor's own.
    ///
    /// # Errors
    /// 500.
    pub async fn sessions_for(&self, visitor: &Visitor) -> Result<Vec<SessionRow>, Refused> {
        let inside = |error: freehold_store::StoreFault| Refused::inside(&error);
        let now = self.now();
        if !self.permits(visitor, Action::ManageAccounts) {
            return self
                .0
                .store
                .sessions_of(&visitor.account.name, now)
                .await
                .map_err(inside);
        }
        let mut sessions = Vec::new();
        for account in self.0.store.accounts().await.map_err(inside)? {
            sessions.extend(self.0.store.sessions_of(&account.name, now).await.map_err(inside)?);
        }
        Ok(sessions)
    }

    /// Ends a session by its public name.
    ///
    /// # Errors
    /// 404 for one that the visitor does not see.
    pub async fn end_session(&self, visitor: &Visitor, id: &str) -> Result<(), Refused> {
        let sessions = self.sessions_for(visitor).await?;
        let session = sessions.into_iter().find(|session| session.id == id);
        let account = session.ok_or_else(|| Refused::not_found("session"))?.account;
        let entry = self
            .entry("session.ended", &visitor.account.name)
            .about(&account)
            .fact("session_id", id.to_owned());
        let id = id.to_owned();
        self.people_change(vec![AccountChange::Ended { id, account }], entry)
            .await
    }

    /// One's own account, or somebody who manages accounts.
    ///
    /// # Errors
    /// 403, recorded.
    pub async fn own_or_manages(&self, visitor: &Visitor, account: &str) -> Result<(), Refused> {
        if visitor.account.name == account {
            return Ok(());
        }
        self.allow(visitor, Action::ManageAccounts).await
    }

    /// Alarms that nobody has settled, newest first.
    #[must_use]
    pub fn alarms(&self) -> Vec<AlarmRow> {
        self.0.alarms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps in memory what was just written.
    pub(crate) fn heard(&self, changes: &[AccountChange]) {
        let mut alarms = self.0.alarms.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                AccountChange::Alarm(row) => alarms.insert(0, row.clone()),
                AccountChange::AlarmSettled { id, .. } => alarms.retain(|row| row.id != *id),
                _ => {}
            }
        }
    }

    /// Somebody has heard of an alarm and dealt with it.
    ///
    /// # Errors
    /// 404.
    pub async fn settle_alarm(&self, id: &str, by: &str) -> Result<(), Refused> {
        let alarm = self.alarms().into_iter().find(|alarm| alarm.id == id);
        let alarm = alarm.ok_or_else(|| Refused::not_found("alarm"))?;
        let entry = self
            .entry("alarm.settled", by)
            .about(&alarm.about)
            .fact("alarm", alarm.id)
            .fact("kind", alarm.kind);
        let change = AccountChange::AlarmSettled {
            id: id.to_owned(),
            by: by.to_owned(),
            at: self.now(),
        };
        self.people_change(vec![change], entry).await?;
        self.0.live.tell(crate::live::Changed::Approvals);
        Ok(())
    }
}
