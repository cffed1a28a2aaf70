/* How a reader begins, the same over WebSocket and server-sent events: where it starts, which session it takes, and the
 * first thing that it is sent. */
#ifndef NET_READING_H
#define NET_READING_H

#include "hub/session.h"
#include "hub/writer.h"
#include "net/query.h"

/* Does the query name times, which have to be looked for in the log? */
bool reading_has_times(const struct query *q);
/* Turns them into positions, on a thread that may wait for the disk. Where `after` is given beside `since`, the later one
 * counts. */
enum err reading_apply_times(struct reader *reader, struct query *q, struct fault *fault);

/* What a reader begins with. */
struct reading {
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer; /* makes a new session durable */
	uint64_t client;       /* whom a new session counts for */
};

/* Where to start: at what was asked for, else after what the session has acknowledged, else at the head. Where the query
 * names a session, `r` becomes its reader; *resumed says whether it was known. The query's `since` is applied, its filter
 * still there. On failure `r` has no session. */
enum err reading_begin(const struct reading *reading, const struct query *q, struct session_reader *r,
		       struct position *start, bool *resumed, struct fault *fault);

/* The members of a hello, without braces: epoch, first, head, after. */
void reading_hello(struct buf *out, struct feed *feed, uint64_t after);
/* The id of a block of an event stream: SEQ.EPOCH. */
void reading_event_id(struct buf *out, struct feed *feed, uint64_t seq);
/* {"op":"checkpoint",…} and {"op":"moved",…} */
void reading_checkpoint(struct buf *out, uint64_t seq);
void reading_moved(struct buf *out, uint64_t after);

#endif
