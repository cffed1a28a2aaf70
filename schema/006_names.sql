-- What outlives the events of a stream: its last seq, a row for each stream of which retention has removed the last event
-- of a topic for good. `meta` has one more key, `last_unknown`: up to this seq events are gone of which nobody knows whose
-- they were, so that the last seq of a stream without later events is not known.
CREATE TABLE stream_last (
    stream TEXT PRIMARY KEY,
    last   INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
INSERT INTO stream_last(stream, last) SELECT stream, max(gone) FROM topic WHERE gone > 0 GROUP BY stream;

PRAGMA user_version = 6;
