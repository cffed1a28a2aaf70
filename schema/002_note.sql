-- Small documents beside the log: what is counted from it and would take long to count again, and what is not of the log
-- (leases, observations). `kind` and `key` name one, `at` orders those of a kind; what it counts is its owner's to say.
--
--   monitor       the seq that the four kinds below cover (at), the version of what is counted, and events by category;
--                 what came after it is folded again on opening
--   service       figures of a service, numbers in the order of src/profiles/monitoring/state/tally.c
--   minute        a minute of a service (at: Unix minutes), numbers in the order of src/profiles/monitoring/state/series.c
--   conversation  a tracked conversation (at: seq of its last event), see src/profiles/monitoring/state/conversation.c
--   quarantine    an event that breaks a rule (at: its seq), see src/profiles/monitoring/event/quarantine.c
--   lease         a lease that is held (at: Unix milliseconds), see src/profiles/monitoring/leases/lease.c
--   observation   what the auditor noticed (at: its id), see src/profiles/monitoring/services/auditor.c
--   flag          one that was set at run time (at: Unix milliseconds), see src/profiles/monitoring/event/flags.c
--   ws_metrics, ws_client   counters of WebSockets, over all and of a session (at: Unix milliseconds), see src/server/ws/metrics/ws_metrics.c
--   age, clock    by what clock ages of events are counted (at: that clock), see src/engine/retention/age_clock.h
--   probe         written by health checks
CREATE TABLE note (
    kind  TEXT NOT NULL,
    key   TEXT NOT NULL,
    at    INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID, STRICT;

PRAGMA user_version = 2;
