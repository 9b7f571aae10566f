//! What people decide about a rollout: approve the plan that was shown, begin it.
//!
//! Refuses an approval from a session that was left open, from a role that decides nothing, of one's own plan, and by password
//! where boxes want passkeys ([`super::approve`]). Invariant: both name the plan's digest, and another digest is another plan.

use axum::http::StatusCode;
use freehold_fleet::rollout::{Command, RolloutRejection};

use super::approve::passkey_wanted;
use super::propose::no;
use crate::console::Console;
use crate::people::action::Action;
use crate::people::session::Visitor;
use crate::refused::Refused;

impl Console {
    /// Approves the plan with this digest by password, where the publisher's policy wants no passkeys.
    ///
    /// # Errors
    /// 401 for a wrong password, 403 by policy, 404, 409 for another plan or where a passkey is wanted.
    pub async fn approve_rollout(
        &self,
        visitor: &Visitor,
        id: &str,
        digest: &str,
        password: &str,
    ) -> Result<(), Refused> {
        let kept = self.rollout_of(visitor, id)?;
        let by = visitor.account.name.clone();
        let places = self.places_of_rollout(&kept);
        self.allow_deciding(visitor, &kept.rollout.plan().by, &places).await?;
        if let Some(asked) = &kept.asked {
            // It would stand on the page as an approval, and no box would count it.
            let refused = passkey_wanted(asked.needed);
            let entry = self.entry("rollout.approved", &by).about(id);
            self.record(entry.refused(&refused.report.code)).await?;
            return Err(refused);
        }
        // A session that was left open approves nothing.
        self.own_password(visitor, password, "session.again").await?;
        let digest = digest.to_lowercase();
        self.command_rollout(id, Command::Approve { by, digest }).await
    }

    /// Begins the plan with this digest.
    ///
    /// # Errors
    /// 404, 409 for another plan, too few approvals, a passed deadline; 422 with the code that boxes would answer.
    pub async fn start_rollout(&self, visitor: &Visitor, id: &str, digest: &str) -> Result<(), Refused> {
        let kept = self.rollout_of(visitor, id)?;
        let by = visitor.account.name.as_str();
        let expected = kept.rollout.plan().digest().to_hex();
        if digest.to_lowercase() != expected {
            let rejection = RolloutRejection::PlanChanged {
                expected,
                found: digest.chars().take(64).collect(),
            };
            let refused = no(&rejection);
            let entry = self.entry("rollout.started", by).about(id);
            self.record(entry.refused(&refused.report.code)).await?;
            return Err(refused);
        }
        self.steer_rollout(visitor, id, Command::Start { by: by.to_owned() })
            .await
    }

    /// Does to a rollout what a visitor may do to it at each of its sites. A wave that waits for a person is let begin by one:
    /// no token says that somebody looked.
    ///
    /// # Errors
    /// 403, 404, 409.
    pub async fn steer_rollout(&self, visitor: &Visitor, id: &str, command: Command) -> Result<(), Refused> {
        let kept = self.rollout_of(visitor, id)?;
        self.allow_at_all(visitor, Action::Assign, &self.places_of_rollout(&kept))
            .await?;
        if visitor.scope.is_some() && matches!(command, Command::AllowWave { .. }) {
            let message = "a wave that waits for a person is let begin by a person, not by a token";
            let refused = Refused::new(StatusCode::FORBIDDEN, "console.token_scope", message);
            let entry = self.entry("rollout.wave_allowed", &visitor.account.name).about(id);
            self.record(entry.refused(&refused.report.code)).await?;
            return Err(refused);
        }
        self.command_rollout(id, command).await
    }
}
