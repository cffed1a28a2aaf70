/* How a reader begins, the same over WebSocket and server-sent events: where it starts, which session it takes, and the
 * first thing that it is sent. */
#ifndef SERVER_STREAM_READER_START_H
#define SERVER_STREAM_READER_START_H

#include "engine/read/session.h"
#include "engine/write/writer.h"
#include "server/stream/reader_query.h"
#include "json/document.h"

/* Does the query name times, which have to be looked for in the log? */
bool reader_start_has_times(const struct reader_query *q);
/* Turns them into positions, on a thread that may wait for the disk. Where `after` is given beside `since`, the later one
 * counts. */
enum err reader_start_apply_times(struct reader *reader, struct reader_query *q, struct fault *fault);

/* What a reader begins with. */
struct reader_start {
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer; /* makes a new session durable */
	uint64_t client;       /* whom a new session counts for */
};

/* Where to start: at what was asked for, else after what the session has acknowledged, else at the head. Where the query
 * names a session, `r` becomes its reader; *resumed says whether it was known. The query's `since` is applied, its filter
 * still there. On failure `r` has no session. */
enum err reader_start_begin(const struct reader_start *reading, const struct reader_query *q, struct session_reader *r,
			    struct position *start, bool *resumed, struct fault *fault);

/* Fills in what every hello has: epoch, first, head, after. */
void reader_start_hello(struct doc to, struct feed *feed, uint64_t after);
/* The id of a block of an event stream: SEQ.EPOCH. */
void reader_start_event_id(struct buf *out, struct feed *feed, uint64_t seq);
/* {"op":"checkpoint",…} and {"op":"moved",…} */
void reader_start_checkpoint(struct buf *out, uint64_t seq);
void reader_start_moved(struct buf *out, uint64_t after);

#endif
