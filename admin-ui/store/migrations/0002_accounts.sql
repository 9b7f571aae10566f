-- People and their sessions. No password and no token in clear.
CREATE TABLE accounts (
    site        TEXT NOT NULL,
    name        TEXT NOT NULL PRIMARY KEY,
    role        TEXT NOT NULL,
    password    TEXT NOT NULL,               -- argon2id, PHC string
    must_change INTEGER NOT NULL,            -- 1 while the password is a one-time one
    made_at     INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    site    TEXT NOT NULL,
    token   TEXT NOT NULL PRIMARY KEY,       -- SHA-256 of 256 random bits
    id      TEXT NOT NULL UNIQUE,            -- short public name of the session
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    door    TEXT NOT NULL,                   -- 'page' or 'api'
    csrf    TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account);
