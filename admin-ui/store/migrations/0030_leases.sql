-- What people did about verdict leases. A table of its own: a program of the version before passes over it.
CREATE TABLE leases (
    site     TEXT NOT NULL,
    box_id   TEXT NOT NULL PRIMARY KEY,      -- outlives the box: boxes remember the count
    changes  INTEGER NOT NULL,
    document TEXT NOT NULL                   -- what is withdrawn, by whom, when, as JSON
) STRICT;
