/* Sessions (durable readers): a name, and the position up to which its reader has acknowledged the log. Kept in memory,
 * written with the next commit (writer.h). Any thread. */
#ifndef ENGINE_READ_SESSION_H
#define ENGINE_READ_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/read/cursor.h"
#include "engine/work/quota.h"
#include "event/filter.h"
#include "store/log/store.h"

struct sessions;

enum err sessions_create(struct store *store, struct quotas *quotas, struct sessions **out, struct fault *fault);
void sessions_destroy(struct sessions *s);

/* What a connected reader is notified of. After TAKEN and DELETED it does not hold the session any more. After MOVED it
 * takes the new position (sessions_take_move); until then its acknowledgements are ignored. */
enum session_news { SESSION_TAKEN = 1 << 0, SESSION_DELETED = 1 << 1, SESSION_MOVED = 1 << 2 };

/* The reader that is connected to a session: a part of its connection, which outlives the attachment. */
struct session_reader {
	/* Called with the registry locked, from any thread: it must only wake the reader's own thread. */
	void (*on_news)(struct session_reader *r, enum session_news news);
	atomic_ullong sent; /* the last position that was sent to the connection: no more may be acknowledged */
};

struct session_state {
	uint64_t acked;
	/* Where its reader resumes: at `acked`, or past the end of a line of history; then the reader gets a gap. */
	struct position at;
	int64_t updated_ms;
	bool connected;
	bool is_new;
};

/* Who takes a session. */
struct session_claim {
	struct slice name;
	uint64_t client; /* a new session counts for it (engine/work/quota.h) */
	struct session_reader *reader;
	const struct filter *filter; /* by which the session's lag is counted from now on; NULL: everything passes */
	uint64_t start;              /* of a new session */
};

/* Its reader becomes the connected reader of the session; the previous one gets SESSION_TAKEN. ERR_RATE, ERR_BUSY: a limit
 * on sessions or on their filters is reached; ERR_NOMEM. */
enum err sessions_attach(struct sessions *s, const struct session_claim *claim, struct session_state *out,
			 struct fault *fault);
/* No effect where the reader does not hold it any more. */
void sessions_detach(struct sessions *s, struct slice name, struct session_reader *r);
/* *after: the position that the reader's session was moved to, from which the reader goes on. False: it was not moved. */
bool sessions_take_move(struct sessions *s, struct slice name, struct session_reader *r, uint64_t *after);

/* Acknowledges everything up to `seq`; a seq not above the last acknowledgement changes nothing. `r`: the reader that
 * acknowledges; NULL: any client that knows the name. ERR_GONE: the reader does not hold the session any more;
 * ERR_NOT_FOUND: there is no such session; ERR_INVALID: its reader was sent less, up to *sent. */
enum err sessions_ack(struct sessions *s, struct slice name, const struct session_reader *r, uint64_t seq, uint64_t *sent);
/* May the client make the session, if it does not exist? To be asked before it is stored. ERR_RATE, ERR_BUSY. */
enum err sessions_check(struct sessions *s, struct slice name, uint64_t client, struct fault *fault);
/* Moves a session, forward or back, or makes it (whatever the limit is: it is stored already). A connected reader gets
 * SESSION_MOVED. ERR_NOMEM. */
enum err sessions_set(struct sessions *s, struct slice name, uint64_t client, uint64_t acked);
/* False when there is none. A connected reader gets SESSION_DELETED. */
bool sessions_delete(struct sessions *s, struct slice name);
/* Deletes the sessions without a reader that were not used for idle_ms; returns how many. */
uint64_t sessions_expire(struct sessions *s, int64_t idle_ms);
/* The machine's clock has counted `ms` too much before the start (age_clock.h): sessions are that much less idle. */
void sessions_forgive(struct sessions *s, int64_t ms);

/* Is everything about the session on stable storage? */
bool sessions_saved(struct sessions *s, struct slice name);
bool sessions_get(struct sessions *s, struct slice name, struct session_state *out);
uint64_t sessions_count(struct sessions *s);

typedef void session_each_fn(void *arg, struct slice name, const struct session_state *state);
/* Calls back with each session, in no order, with the registry locked. */
void sessions_each(struct sessions *s, session_each_fn *each, void *arg);

/* How many events pass the session's filter and are not acknowledged. ERR_NOT_FOUND: there is no such session. Reads the
 * index and, for sessions that have fallen behind that far, archives; the count is kept with the session. On a thread that
 * may wait for the disk. */
struct reader;
enum err sessions_lag(struct sessions *s, struct slice name, struct reader *reader, uint64_t *lag, struct fault *fault);

/* --- the writer --- */

bool sessions_dirty(struct sessions *s);
/* Puts what has changed into the store's open transaction; `sessions_written` says whether that was committed. */
enum err sessions_write(struct sessions *s, struct store *store, struct fault *fault);
void sessions_written(struct sessions *s, bool committed);

#endif
