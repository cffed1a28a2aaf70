/* Retention: a thread that seals the oldest events into an archive and evicts them from the log when the log is over a
 * limit.
 *
 *     too many, too large, too old ─▶ seal (write, sync, read back, compare, manifest) ─▶ evict, a few at a time
 *
 * A crash anywhere leaves every event in the log, in an archive, or in both; what is in both is read from the log. To
 * avoid small archives it acts only when a limit is exceeded by an eighth, and then goes back to the limit.
 *
 * Only a prefix of the log is evicted: an expired event stays until all events before it may be evicted, too.
 *
 * The same thread deletes expired sessions, and watches the machine's clock. */
#ifndef ENGINE_RETENTION_ARCHIVER_H
#define ENGINE_RETENTION_ARCHIVER_H

#include "engine/write/writer.h"
#include "store/transfer/seal.h"

struct archiver;

enum { ARCHIVER_STREAMS_MAX = 64 };

/* Events of this stream are kept for `age_ms`, whatever the general limit is. */
struct archiver_stream {
	struct slice name; /* lives as long as the archiver */
	int64_t age_ms;
};

struct archiver_options {
	int64_t age_ms;  /* 0: no limit; so are the two below */
	uint64_t bytes;  /* of the database that are in use */
	uint64_t events; /* in the log */
	struct archiver_stream streams[ARCHIVER_STREAMS_MAX];
	int stream_count;
	bool discard;           /* no archives: evicted events are lost */
	struct age_clock *ages; /* borrowed; only the archiver's thread uses it from then on */
	struct sessions *sessions;
	int64_t session_expiry_ms; /* sessions unused for longer are deleted; 0: never */
	struct archive_options archives;
};

enum err archiver_create(struct store *store, struct writer *writer, struct archiver_options options, struct archiver **out,
			 struct fault *fault);
/* Stops the thread; every submitted job is done when it returns. Before writer_close. */
void archiver_close(struct archiver *k);
void archiver_destroy(struct archiver *k); /* NULL is fine */

/* A request to make or delete an archive. Kept alive by the caller until `done` is called, on the archiver's thread. */
struct archiver_job {
	struct list link;
	char file[ARCHIVE_NAME_LEN]; /* of the one to be deleted; empty: one is made */
	uint64_t first;
	uint64_t last;
	void (*done)(struct archiver_job *job);
	enum err err;
	struct fault fault;
	struct manifest manifest; /* of what was made */
};
/* ERR_BUSY: too many jobs wait; ERR_CLOSED. On failure `done` is not called. Any thread. */
enum err archiver_submit(struct archiver *k, struct archiver_job *job, struct fault *fault);

struct archiver_figures {
	uint64_t used;           /* bytes of the database */
	uint64_t sealed;         /* archives made since the start */
	uint64_t evicted;        /* events that have left the log since then */
	uint64_t failed;         /* attempts */
	int64_t clock_behind_ms; /* how far the wall clock is behind the newest event; 0: less than a second */
	uint64_t clock_jumps;    /* how often it was set by ten seconds or more */
	bool working;
	char reason[FAULT_TEXT_LEN]; /* of the last attempt, when it failed; else empty */
};
void archiver_read(struct archiver *k, struct archiver_figures *out);
struct archiver_options archiver_limits(const struct archiver *k);

#endif
