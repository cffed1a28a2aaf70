/* Readers over HTTP that wait: SSE and long polls. One thread wakes them when something was committed or
 * their time is up; the network thread does the sending. */
#ifndef NET_PUSH_H
#define NET_PUSH_H

#include "hub/cursor.h"
#include "hub/session.h"
#include "hub/writer.h"
#include "net/http.h"
#include "net/query.h"

struct push;

struct push_options {
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer;
	struct quotas *quotas;
	uint64_t lag_max; /* events: a reader that was live and is further behind is cut off; 0: never */
};

enum err push_create(struct push_options options, struct push **out, struct fault *fault);
/* Ends every stream and answers every long poll; none waits any more from here on. */
void push_close(struct push *p);
void push_destroy(struct push *p);

/* Streams what `query` asks for as the reply of `x`, for ever. Takes the query's filter; its `since` is applied
 * (reading.h). ERR_RATE, ERR_BUSY, ERR_NOMEM. */
enum err push_stream(struct push *p, struct exchange *x, struct query *query, struct fault *fault);

/* Calls `again` on the push thread once there may be something after the query's start, or when `wait_ms` are over. */
typedef void push_again(void *arg, bool time_is_up);
enum err push_wait(struct push *p, const struct query *query, struct selection *select, int64_t wait_ms, push_again *again,
		   void *arg);

struct push_figures {
	uint64_t sse;
	uint64_t long_polls;
	uint64_t delivered;   /* events */
	uint64_t lag_max;     /* of any SSE reader, in events */
	uint64_t left;        /* events that such readers had not been sent when the server ended their streams; 0 before */
	uint64_t left_behind; /* such readers */
};
void push_read(struct push *p, struct push_figures *out);

#endif
