-- What is left of events that went from the log into archives. `meta` has two more keys: `archive_dir` (where archives are,
-- unless they are beside the store) and `chain` (SEQ:CHAIN of the last event that went, and of its archive).

-- Idempotency beyond the log: the newest ids of events that have left it. `key` as in id_key, `tag` is a second hash of
-- stream and id, since there is no event any more to compare with.
CREATE TABLE id_past (
    seq INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    tag INTEGER NOT NULL
) STRICT;
CREATE INDEX id_past_key ON id_past (key);

-- What leaves the log takes its postings along, by window.
CREATE INDEX posting_window ON posting ("window");

PRAGMA user_version = 3;
