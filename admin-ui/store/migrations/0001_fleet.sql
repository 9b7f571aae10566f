-- Boxes, what was proven about them, what they were told. `site` stands on every row. Expand first, contract a release later.
CREATE TABLE boxes (
    site     TEXT NOT NULL,
    box_id   TEXT NOT NULL PRIMARY KEY,
    ek       TEXT NOT NULL UNIQUE,           -- SHA-256 of the EK's SubjectPublicKeyInfo: one name per EK, one EK per name
    document TEXT NOT NULL                   -- membership and keys as JSON
) STRICT;

CREATE TABLE box_keys (
    site     TEXT NOT NULL,
    tls_spki TEXT NOT NULL PRIMARY KEY,      -- a TLS key belongs to one box
    box_id   TEXT NOT NULL REFERENCES boxes (box_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX box_keys_by_box ON box_keys (box_id);

CREATE TABLE verdicts (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    site     TEXT NOT NULL,
    box_id   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    word     TEXT NOT NULL,
    good     INTEGER NOT NULL,               -- 1 when the verdict allowed a change
    evidence TEXT NOT NULL,                  -- SHA-256 of the evidence
    document TEXT NOT NULL                   -- reasons, refusals and claims as JSON
) STRICT;
CREATE INDEX verdicts_by_box ON verdicts (box_id, number);
CREATE INDEX verdicts_good ON verdicts (box_id, good, number);

CREATE TABLE evidence (
    sha256   TEXT NOT NULL,
    site     TEXT NOT NULL,
    box_id   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    bytes    BLOB NOT NULL,
    PRIMARY KEY (box_id, sha256)
) STRICT;
CREATE INDEX evidence_by_age ON evidence (box_id, at);

CREATE TABLE assignments (
    site      TEXT NOT NULL,
    box_id    TEXT NOT NULL,
    counter   INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    made_by   TEXT NOT NULL,
    targets   TEXT NOT NULL,
    envelope  BLOB NOT NULL,
    PRIMARY KEY (box_id, counter)            -- a counter is used once, for ever
) STRICT;

CREATE TABLE cosigned (
    site   TEXT NOT NULL,
    box_id TEXT NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    site    TEXT NOT NULL,
    id      TEXT NOT NULL PRIMARY KEY,
    box_id  TEXT NOT NULL,
    sha256  TEXT NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    models  TEXT NOT NULL,
    expires INTEGER,
    made_at INTEGER NOT NULL,
    made_by TEXT NOT NULL
) STRICT;
CREATE INDEX tokens_by_box ON tokens (box_id);

CREATE TABLE reports (
    site      TEXT NOT NULL,
    box_id    TEXT NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    document  TEXT NOT NULL,
    inventory TEXT
) STRICT;
