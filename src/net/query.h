/* The parameters of a reader, the same for history, SSE and WebSocket. */
#ifndef NET_QUERY_H
#define NET_QUERY_H

#include "base/url.h"
#include "hub/cursor.h"
#include "net/access.h"

/* Which parameters a request may carry. */
enum query_allowed {
	Q_AFTER = 1 << 0, /* with epoch */
	Q_BEFORE = 1 << 1,
	Q_TIME = 1 << 2,   /* since, until */
	Q_FILTER = 1 << 3, /* stream, type */
	Q_ORDER = 1 << 4,
	Q_LIMIT = 1 << 5,
	Q_WAIT = 1 << 6,
	Q_SPEED = 1 << 7,
	Q_SESSION = 1 << 8, /* with start */
	Q_SINCE = 1 << 9,   /* since alone */
	Q_LEVEL = 1 << 10,
	Q_NAMES = 1 << 12,         /* of a list of names: after (a name) and prefix */
	Q_LAST_EVENT_ID = 1 << 11, /* lastEventId: clients of event streams that cannot set headers add it */
	Q_WHERE = 1 << 13,
	Q_MAX_AGE = 1 << 14,
};

enum {
	QUERY_LIMIT_DEFAULT = 100,
	QUERY_LIMIT_MAX = 10000,
	QUERY_NAMES_DEFAULT = 1000,
	QUERY_WAIT_MAX_S = 60,
	QUERY_LEVEL_MAX = 19
};

struct query {
	struct position start;
	bool has_after;
	struct position session_start; /* where a session starts that is new */
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
	uint64_t older;       /* with max_age_ms: up to this seq all are older; 0: that was not looked for */
	double speed;         /* 0: none given */
	int level;            /* of zstd; 0: none given */
	struct slice session; /* these three point into the url; empty: none given */
	struct slice after_name;
	struct slice prefix;
	struct filter *filter; /* owned until taken */
};

/* Reads the query of `u`. ERR_INVALID names the parameter. */
enum err query_parse(const struct url *u, unsigned allowed, struct query *q, struct fault *fault);
/* Narrows it to what the grant covers. ERR_DENIED where the URL asks for more by name; then, and on ERR_NOMEM, the query is
 * finished. */
enum err query_narrow(struct query *q, const struct url *u, const struct grant *g, struct fault *fault);
void query_finish(struct query *q);

/* "after", "first" or "head" as a position. */
bool query_position(struct slice text, struct position *out);

/* The id of a block of an event stream that a reader has come back with, SEQ or SEQ.EPOCH, as where to start; it comes
 * before whatever else the query says. What is none of our ids can only be another store's. Empty: there is none, nothing
 * changes. */
void query_apply_event_id(struct query *q, struct slice id);

#endif
