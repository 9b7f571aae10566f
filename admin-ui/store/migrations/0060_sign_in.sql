-- Second factors, scopes, tokens of people and machines, identities from elsewhere, alarms. No secret in clear: a code's
-- secret is derived from a key file and the salt that is kept here.
ALTER TABLE accounts ADD COLUMN sites     TEXT    NOT NULL DEFAULT '*';      -- one a line; '*' is every site
ALTER TABLE accounts ADD COLUMN kind      TEXT    NOT NULL DEFAULT 'person'; -- 'person', 'machine', 'outside', 'break_glass'
ALTER TABLE accounts ADD COLUMN disabled  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN totp      TEXT;                              -- salt, hex
ALTER TABLE accounts ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;        -- the last 30 seconds that a code was taken for
ALTER TABLE accounts ADD COLUMN subject   TEXT;                              -- issuer and subject of an outside account

ALTER TABLE sessions ADD COLUMN factor TEXT NOT NULL DEFAULT 'password';
CREATE UNIQUE INDEX accounts_by_subject ON accounts (subject) WHERE subject IS NOT NULL;

CREATE TABLE recovery_codes (
    site    TEXT NOT NULL,
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    sha256  TEXT NOT NULL,
    PRIMARY KEY (account, sha256)
) STRICT;

CREATE TABLE api_tokens (
    site    TEXT NOT NULL,
    id      TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    sha256  TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    actions TEXT NOT NULL,                   -- one a line: a token does less than its account, never more
    made_at INTEGER NOT NULL,
    made_by TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX api_tokens_by_account ON api_tokens (account);

CREATE TABLE alarms (
    site       TEXT NOT NULL,
    id         TEXT NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    about      TEXT NOT NULL,
    detail     TEXT NOT NULL,
    settled_by TEXT,
    settled_at INTEGER
) STRICT;
CREATE INDEX alarms_open ON alarms (settled_at, at);
