-- What filtered readers need to know of what is gone, and what sessions read.

-- The last event of a topic that retention has removed for good: a reader that wants only such topics, and is past it, has
-- missed nothing. `meta` has one more key, `gone_unknown`: the last seq of what is gone without its topics being known.
ALTER TABLE topic ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;

-- What passes the filter of the session's last reader, as JSON (src/event/filter.c); empty: everything.
ALTER TABLE session ADD COLUMN filter TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 4;
