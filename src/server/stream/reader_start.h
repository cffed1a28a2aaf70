/* Starting a reader, the same for WebSocket and server-sent events: its position, its session, and the first message. */
#ifndef SERVER_STREAM_READER_START_H
#define SERVER_STREAM_READER_START_H

#include "engine/read/session.h"
#include "engine/write/writer.h"
#include "server/stream/reader_query.h"
#include "json/document.h"

/* Does the query contain times, which have to be looked up in the log? */
bool reader_start_has_times(const struct reader_query *q);
/* Resolves the times to positions; blocks on the disk. If both `after` and `since` are given, the later one is used. */
enum err reader_start_apply_times(struct reader *reader, struct reader_query *q, struct fault *fault);

/* The modules that starting a reader needs. */
struct reader_start {
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer; /* makes a new session durable */
	uint64_t client;       /* the client that a new session counts for */
};

/* Finds the start: the requested position, or else the session's acknowledged one, or else the head. If the query names a
 * session, `r` becomes its reader; *resumed: the session existed before. The query's times must be resolved, and its
 * filter not taken. On failure `r` has no session. */
enum err reader_start_begin(const struct reader_start *reading, const struct reader_query *q, struct session_reader *r,
			    struct position *start, bool *resumed, struct fault *fault);

/* Fills in the members common to every hello: epoch, first, head, after. */
void reader_start_hello(struct doc to, struct feed *feed, uint64_t after);
/* Appends an SSE event id: SEQ.EPOCH. */
void reader_start_event_id(struct buf *out, struct feed *feed, uint64_t seq);
/* Append {"op":"checkpoint",…} and {"op":"moved",…}. */
void reader_start_checkpoint(struct buf *out, uint64_t seq);
void reader_start_moved(struct buf *out, uint64_t after);

#endif
