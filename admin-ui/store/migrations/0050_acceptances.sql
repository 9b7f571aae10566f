-- Findings that somebody accepted for a while: with a reason, and an end.
CREATE TABLE acceptances (
    site     TEXT NOT NULL,
    id       TEXT NOT NULL PRIMARY KEY,      -- random
    at       INTEGER NOT NULL,
    until    INTEGER NOT NULL,               -- Unix seconds
    document TEXT NOT NULL                   -- advisory, package, scope, by, reason, severity, as JSON
) STRICT;
CREATE INDEX acceptances_by_end ON acceptances (until);
