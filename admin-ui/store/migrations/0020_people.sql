-- What people approved, and the passkeys that they use here. The private halves are where the people are.
CREATE TABLE approval_packages (
    site   TEXT NOT NULL,
    box_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,                    -- as the assignment names it
    at     INTEGER NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (box_id, sha256)
) STRICT;
CREATE INDEX approval_packages_by_age ON approval_packages (box_id, at);

CREATE TABLE passkeys (
    site       TEXT NOT NULL,
    credential TEXT NOT NULL PRIMARY KEY,    -- base64url: one passkey, one account
    account    TEXT NOT NULL REFERENCES accounts (name) ON DELETE CASCADE,
    name       TEXT NOT NULL,                -- what its owner calls it
    purpose    TEXT NOT NULL,                -- 'approval' or 'sign_in': never both
    key        TEXT NOT NULL,                -- PEM
    count      INTEGER NOT NULL,             -- the authenticator's counter, 0 when it keeps none
    made_at    INTEGER NOT NULL,
    used_at    INTEGER
) STRICT;
CREATE INDEX passkeys_by_account ON passkeys (account);
