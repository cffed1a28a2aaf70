/* Readers over HTTP that wait: SSE and long polls. One thread wakes them when there was a commit or their time is up; the
 * network thread does the sending. */
#ifndef SERVER_STREAM_WAITERS_H
#define SERVER_STREAM_WAITERS_H

#include "engine/read/cursor.h"
#include "engine/read/session.h"
#include "engine/write/writer.h"
#include "server/http/http.h"
#include "server/stream/reader_query.h"

struct waiters;

struct waiters_options {
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer;
	struct quotas *quotas;
	uint64_t lag_max; /* events; a live reader that lags further is cut; 0: no limit */
};

enum err waiters_create(struct waiters_options options, struct waiters **out, struct fault *fault);
/* Ends every stream and answers every long poll; later waiters are woken at once. */
void waiters_close(struct waiters *p);
void waiters_destroy(struct waiters *p);

/* Streams the events that `query` asks for as an endless reply to `x`. Takes the query's filter; its times must be
 * resolved (reader_start.h). ERR_RATE, ERR_BUSY, ERR_NOMEM. */
enum err sse_stream(struct waiters *p, struct http_request *x, struct reader_query *query, struct fault *fault);

/* long_poll_wait calls `again` on the waiters' thread once there may be an event after the query's start, or when
 * `wait_ms` are over. */
typedef void long_poll_again(void *arg, bool time_is_up);
enum err long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select, int64_t wait_ms,
			long_poll_again *again, void *arg);

struct waiters_figures {
	uint64_t sse;
	uint64_t long_polls;
	uint64_t delivered;   /* events */
	uint64_t lag_max;     /* of any SSE reader, in events */
	uint64_t left;        /* events that SSE readers had not been sent when the server ended their streams; 0 before */
	uint64_t left_behind; /* readers with such events */
};
void waiters_read(struct waiters *p, struct waiters_figures *out);

#endif
