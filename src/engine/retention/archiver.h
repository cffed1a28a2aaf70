/* Retention: a thread that takes the oldest events out of the log when it holds more than it is to hold, and puts them into
 * an archive first.
 *
 *     too many, too large, too old ─▶ seal (write, sync, read back, compare, manifest) ─▶ leave, a few at a time
 *
 * A crash anywhere leaves every event in the log, in an archive, or in both; what is in both is read from the log. So that
 * archives do not become too small, it waits until a limit is passed by an eighth, and then goes back to the limit.
 *
 * The log is cut at one place: an event whose time is up leaves when all before it may leave, too.
 *
 * The same thread deletes sessions that have expired, and looks at the machine's clock. */
#ifndef ENGINE_RETENTION_ARCHIVER_H
#define ENGINE_RETENTION_ARCHIVER_H

#include "engine/write/writer.h"
#include "store/transfer/seal.h"

struct archiver;

enum { ARCHIVER_STREAMS_MAX = 64 };

/* Events of this stream are kept for so long, whatever the age of others. */
struct archiver_stream {
	struct slice name; /* lives as long as the keeper */
	int64_t age_ms;
};

struct archiver_options {
	int64_t age_ms;  /* 0: however old; the same for the two below */
	uint64_t bytes;  /* of the database that are in use */
	uint64_t events; /* in the log */
	struct archiver_stream streams[ARCHIVER_STREAMS_MAX];
	int stream_count;
	bool discard;           /* no archives: what leaves is gone */
	struct age_clock *ages; /* borrowed, and the keeper's alone from then on */
	struct sessions *sessions;
	int64_t session_expiry_ms; /* sessions that nobody has used for so long are deleted; 0: never */
	struct archive_options archives;
};

enum err archiver_create(struct store *store, struct writer *writer, struct archiver_options options, struct archiver **out,
			 struct fault *fault);
/* Ends what it is doing; every job is done. Before writer_close. */
void archiver_close(struct archiver *k);
void archiver_destroy(struct archiver *k); /* NULL is fine */

/* An archive that somebody asks for, or wants deleted. Kept alive by the caller until `done` is called, on the keeper's
 * thread. */
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
/* ERR_BUSY: too many wait already; ERR_CLOSED. When it fails, `done` is not called. Any thread. */
enum err archiver_submit(struct archiver *k, struct archiver_job *job, struct fault *fault);

struct archiver_figures {
	uint64_t used;           /* bytes of the database */
	uint64_t sealed;         /* archives made since the start */
	uint64_t left;           /* events that have left the log since then */
	uint64_t failed;         /* attempts */
	int64_t clock_behind_ms; /* the machine's clock, behind the newest event; 0: it is not, or by less than a second */
	uint64_t clock_jumps;    /* times that it was set, by ten seconds or more */
	bool working;
	char reason[FAULT_TEXT_LEN]; /* of the last attempt, when it failed; else empty */
};
void archiver_read(struct archiver *k, struct archiver_figures *out);
struct archiver_options archiver_limits(const struct archiver *k);

#endif
