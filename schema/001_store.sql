-- The store. Every time is Unix milliseconds.

-- Single values: `head` (the highest seq ever given, so that an emptied store
-- does not start again at 1), `trail` (the seq up to which posting, id_key and the figures in topic are complete).
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) WITHOUT ROWID, STRICT;

-- A topic is a pair of stream and type; events name it by number. The figures trail the head (meta.trail): up to there they
-- are right, and those of a topic whose first event is past it are of no account yet.
CREATE TABLE topic (
    id     INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    type   TEXT NOT NULL,
    first  INTEGER NOT NULL DEFAULT 0,
    last   INTEGER NOT NULL DEFAULT 0,
    count  INTEGER NOT NULL DEFAULT 0,
    bytes  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The log. `seq` has no hole, `time` never decreases with it, `sum` covers the whole event (src/base/data/checksum.h).
-- No secondary index: it would cost more than the insert itself (docs/decisions/0002-trailing-index.md).
CREATE TABLE event (
    seq   INTEGER PRIMARY KEY,
    time  INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    id    TEXT,
    data  TEXT NOT NULL,
    sum   INTEGER NOT NULL
) STRICT;

-- Which seqs belong to a topic, a row for each flush of the trail in which the topic occurs. `window` is the last seq
-- of that flush, the same for all its topics. `seqs` are ascending, each as a LEB128 varint of its distance to the one
-- before (the first: to 0). The first event of a topic (`topic.first`) need not be named; older versions name it.
CREATE TABLE posting (
    topic    INTEGER NOT NULL,
    "window" INTEGER NOT NULL,
    seqs     BLOB NOT NULL,
    PRIMARY KEY (topic, "window")
) WITHOUT ROWID, STRICT;

-- Idempotency: a 64-bit hash of stream and id, and the seq to compare with.
CREATE TABLE id_key (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) WITHOUT ROWID, STRICT;

-- Durable readers: all up to `acked` is handled.
CREATE TABLE session (
    name    TEXT PRIMARY KEY,
    acked   INTEGER NOT NULL,
    updated INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

PRAGMA user_version = 1;
PRAGMA application_id = 0x7469646d; -- "tidm", so that file(1) and Tidemark can tell a store from any other database
