-- Bundles that were made for sticks, the challenges that travel with them, and the returns that came back.
CREATE TABLE bundles (
    site      TEXT NOT NULL,
    number    INTEGER NOT NULL PRIMARY KEY,  -- never used twice, also not after an old backup: it is not below the time
    at        INTEGER NOT NULL,              -- Unix seconds
    not_after INTEGER NOT NULL,
    made_by   TEXT NOT NULL,
    digest    TEXT NOT NULL,                 -- SHA-256 of the signed list, hex
    document  TEXT NOT NULL                  -- boxes and parts, as JSON
) STRICT;

CREATE TABLE stick_challenges (
    site    TEXT NOT NULL,
    box_id  TEXT NOT NULL,
    number  INTEGER NOT NULL,                -- of the bundle
    nonce   BLOB NOT NULL UNIQUE,
    issued  INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (box_id, number)
) STRICT;

CREATE TABLE stick_returns (
    site     TEXT NOT NULL,
    sha256   TEXT NOT NULL PRIMARY KEY,      -- of the file, hex
    box_id   TEXT NOT NULL,
    tls_spki TEXT NOT NULL,                  -- SHA-256 of the key that signed it, hex
    number   INTEGER NOT NULL,               -- of the bundle that it answers
    sequence INTEGER NOT NULL,               -- rises with each return of a key
    at       INTEGER NOT NULL,
    document TEXT NOT NULL,                  -- what came of each message, as JSON
    UNIQUE (tls_spki, sequence)
) STRICT;

-- What the next letter to a box has to say: an open credential, a cosigned head; and evidence that waits for an approval.
CREATE TABLE stick_notes (
    site     TEXT NOT NULL,
    box_id   TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;
