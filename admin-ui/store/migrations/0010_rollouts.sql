-- Rollouts: the plan as it was proposed, and everything that happened since, in order. A rollout is its plan and these rows.
CREATE TABLE rollouts (
    site TEXT NOT NULL,
    id   TEXT NOT NULL PRIMARY KEY,
    at   INTEGER NOT NULL,                   -- when it was proposed, Unix seconds
    plan TEXT NOT NULL,                      -- as JSON; never changes
    risks TEXT NOT NULL                      -- what was said beside the plan, as JSON
) STRICT;

CREATE TABLE rollout_changes (
    site    TEXT NOT NULL,
    rollout TEXT NOT NULL REFERENCES rollouts (id),
    number  INTEGER NOT NULL,                -- from 0, without gaps
    at      INTEGER NOT NULL,
    document TEXT NOT NULL,                  -- one change, as JSON
    PRIMARY KEY (rollout, number)
) STRICT, WITHOUT ROWID;
