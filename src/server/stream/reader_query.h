/* The query parameters of readers, the same for history, SSE and WebSocket. */
#ifndef SERVER_STREAM_READER_QUERY_H
#define SERVER_STREAM_READER_QUERY_H

#include "base/url.h"
#include "engine/read/cursor.h"
#include "server/access/access.h"

/* Which parameters a request may carry. */
enum reader_query_allowed {
	Q_AFTER = 1 << 0, /* and epoch */
	Q_BEFORE = 1 << 1,
	Q_TIME = 1 << 2,   /* since, until */
	Q_FILTER = 1 << 3, /* stream, type */
	Q_ORDER = 1 << 4,
	Q_LIMIT = 1 << 5,
	Q_WAIT = 1 << 6,
	Q_SPEED = 1 << 7,
	Q_SESSION = 1 << 8, /* and start */
	Q_SINCE = 1 << 9,   /* since only */
	Q_LEVEL = 1 << 10,
	Q_NAMES = 1 << 12,         /* for lists of names: after (a name) and prefix */
	Q_LAST_EVENT_ID = 1 << 11, /* lastEventId, for clients of event streams that cannot set headers */
	Q_WHERE = 1 << 13,
	Q_MAX_AGE = 1 << 14,
};

enum {
	READER_QUERY_LIMIT_DEFAULT = 100,
	READER_QUERY_LIMIT_MAX = 10000,
	READER_QUERY_NAMES_DEFAULT = 1000,
	READER_QUERY_WAIT_MAX_S = 60,
	READER_QUERY_LEVEL_MAX = 19
};

struct reader_query {
	struct position start;
	bool has_after;
	struct position session_start; /* where a new session starts */
	bool has_session_start;
	uint64_t before; /* 0: none */
	bool has_since;
	bool has_until;
	int64_t since_ms;
	int64_t until_ms;
	bool descending;
	uint32_t limit; /* 0: none given */
	int64_t wait_ms;
	int64_t max_age_ms;   /* 0: none given */
	uint64_t older;       /* with max_age_ms: every event up to this seq is too old; 0: not looked up yet */
	double speed;         /* 0: none given */
	int level;            /* of zstd; 0: none given */
	struct slice session; /* these three point into the URL; empty: none given */
	struct slice after_name;
	struct slice prefix;
	struct filter *filter; /* owned by the query until taken */
};

/* Parses the query of `u`. ERR_INVALID names the parameter. The caller calls reader_query_finish, also on failure. */
enum err reader_query_parse(const struct url *u, unsigned allowed, struct reader_query *q, struct fault *fault);
/* Narrows the query to the grant. ERR_DENIED if the URL names something outside the grant; then, and on ERR_NOMEM, the
 * query is finished. */
enum err reader_query_narrow(struct reader_query *q, const struct url *u, const struct grant *g, struct fault *fault);
void reader_query_finish(struct reader_query *q);

/* Parses "after" values: a seq, "first" or "head". */
bool reader_query_position(struct slice text, struct position *out);

/* Sets the start from an SSE event id, SEQ or SEQ.EPOCH, with which a reader reconnects; it takes precedence over all
 * other parameters. An id in any other format is taken for one of another store. Empty: no change. */
void reader_query_apply_event_id(struct reader_query *q, struct slice id);

#endif
