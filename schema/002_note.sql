-- Small documents beside the log: what is counted from it and would take long to count again, and what is not of the log
-- (leases, observations). `kind` and `key` name one, `at` orders those of a kind; what it counts is its owner's to say.
--
--   monitor       the seq that the four kinds below cover (at), the version of what is counted, and events by category;
--                 what came after it is folded again on opening
--   service       figures of a service, numbers in the order of src/monitor/tally.c
--   minute        a minute of a service (at: Unix minutes), numbers in the order of src/monitor/series.c
--   conversation  a tracked conversation (at: seq of its last event), see src/monitor/conversation.c
--   quarantine    an event that breaks a rule (at: its seq), see src/monitor/quarantine.c
--   lease         a lease that is held (at: Unix milliseconds), see src/monitor/lease.c
--   observation   what the auditor noticed (at: its id), see src/monitor/auditor.c
--   flag          one that was set at run time (at: Unix milliseconds), see src/monitor/flags.c
--   ws_metrics, ws_client   counters of WebSockets, over all and of a session (at: Unix milliseconds), see src/net/ws_metrics.c
--   age, clock    by what clock ages of events are counted (at: that clock), see src/hub/age_clock.h
--   probe         written by health checks
CREATE TABLE note (
    kind  TEXT NOT NULL,
    key   TEXT NOT NULL,
    at    INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID, STRICT;

PRAGMA user_version = 2;
