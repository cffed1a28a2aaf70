-- Topics that have lost their last event for good are forgotten, and their streams with them. What outlives them:
-- stream_last, and here the newest of them by the seq of that event, for readers who were not past it: of older ones `meta`
-- knows up to where there were some (gone_unknown). `meta` has one more key, `topics`: numbers below it are not given to
-- topics that are new.
CREATE TABLE forgotten (
    last   INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    type   TEXT NOT NULL
) STRICT;

PRAGMA user_version = 7;
