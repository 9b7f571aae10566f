//! What people decide about a rollout: approve the plan that was shown, begin it.
//!
//! Refuses an approval from a session that was left open, from a role that decides nothing, of one's own plan, and by password
//! where boxes want passkeys ([`super::approve`]). Invariant: both name the plan's digest, and another digest is another plan.

use freehold_decide::Proposer;
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
        let kept = self.0.rollouts.get(id).ok_or_else(|| Refused::not_found("rollout"))?;
        let by = visitor.account.name.clone();
        let proposer = if kept.rollout.plan().by == by {
            Proposer::Oneself
        } else {
            Proposer::Other
        };
        self.allow_about(visitor, Action::DecidePlan, proposer).await?;
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
    pub async fn start_rollout(&self, by: &str, id: &str, digest: &str) -> Result<(), Refused> {
        let kept = self.0.rollouts.get(id).ok_or_else(|| Refused::not_found("rollout"))?;
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
        self.command_rollout(id, Command::Start { by: by.to_owned() }).await
    }
}
