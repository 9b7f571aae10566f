-- What approvers are asked about a rollout, and what their passkeys signed. The statement is made once, like the plan.
ALTER TABLE rollouts ADD COLUMN asked TEXT;  -- statement and number of people, as JSON; NULL where the policy asks nobody

CREATE TABLE rollout_approvals (
    site     TEXT NOT NULL,
    rollout  TEXT NOT NULL REFERENCES rollouts (id),
    name     TEXT NOT NULL,                  -- the approver by the policy's list: one person counts once
    at       INTEGER NOT NULL,               -- Unix seconds
    document TEXT NOT NULL,                  -- name, time and the passkey's assertion, as JSON
    PRIMARY KEY (rollout, name)
) STRICT, WITHOUT ROWID;
