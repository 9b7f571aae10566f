-- Plans that people proposed, and failures that slow down guessing: a console that is killed forgets neither.
CREATE TABLE plans (
    site     TEXT NOT NULL,
    id       TEXT NOT NULL PRIMARY KEY,
    at       INTEGER NOT NULL,
    document TEXT NOT NULL                   -- proposal, digest and where it stands, as JSON
) STRICT;
CREATE INDEX plans_by_age ON plans (at);

CREATE TABLE failures (
    site  TEXT NOT NULL,
    name  TEXT NOT NULL PRIMARY KEY,         -- 'account NAME' or 'address IP'
    count INTEGER NOT NULL,
    last  INTEGER NOT NULL                   -- Unix seconds
) STRICT;
CREATE INDEX failures_by_age ON failures (last);
