-- Lines of history. A line is a stretch that grew in one place, from `first` on up to where the next one begins; `epoch` is
-- its name, a random one. A store begins one when it is made, and a copy when it is first opened for writing: until then
-- `meta` has the key `copy`. While a server does not wait for the disk at each commit, `meta` has the key `relaxed`, which
-- names the run of the machine: after another has begun, events may be missing that were delivered.
CREATE TABLE line (
    first INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL
) STRICT;
INSERT INTO line(first, epoch) SELECT 1, value FROM meta WHERE key = 'epoch';
DELETE FROM meta WHERE key = 'epoch';

-- The line that `acked` is a position on; empty: not known.
ALTER TABLE session ADD COLUMN epoch TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 5;
