/* Durable readers: under a name, how far somebody has handled the log. Kept in memory, written along with the next
 * commit (writer.h). Any thread. */
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

/* What a connected reader has to know of its session. After TAKEN and DELETED the reader does not hold it any more; after
 * MOVED it takes the new position (sessions_take_move), and until then its acknowledgements change nothing. */
enum session_news { SESSION_TAKEN = 1 << 0, SESSION_DELETED = 1 << 1, SESSION_MOVED = 1 << 2 };

/* The reader that is connected to a session: a part of its connection, which outlives the attachment. */
struct session_reader {
	/* Called with the registry locked, from any thread: it must only wake the reader's own thread. */
	void (*on_news)(struct session_reader *r, enum session_news news);
	atomic_ullong sent; /* the last position that the connection was sent: as much may be acknowledged */
};

struct session_state {
	uint64_t acked;
	/* Where its reader resumes: at `acked`, or past the end of a line of history, and then the reader gets a gap. */
	struct position at;
	int64_t updated_ms;
	bool connected;
	bool is_new;
};

/* `r` becomes the connected reader of the session; one that was gets SESSION_TAKEN. A new session starts at `start` and
 * counts for `client` (engine/work/quota.h). The session remembers `filter` (NULL: everything passes), by which its lag is
 * counted. ERR_RATE, ERR_BUSY: there are as many sessions as there may be, or filters; ERR_NOMEM. */
enum err sessions_attach(struct sessions *s, struct slice name, uint64_t client, struct session_reader *r,
			 const struct filter *filter, uint64_t start, struct session_state *out, struct fault *fault);
/* No effect where the reader does not hold it any more. */
void sessions_detach(struct sessions *s, struct slice name, struct session_reader *r);
/* The position that the session of a reader was moved to, from which it goes on; false where it was not. */
bool sessions_take_move(struct sessions *s, struct slice name, struct session_reader *r, uint64_t *after);

/* All up to `seq` is handled; what is not above the last acknowledgement changes nothing. `r` is the reader that says so;
 * NULL: somebody who knows the name. ERR_GONE where the reader does not hold the session any more, ERR_NOT_FOUND where there
 * is none, ERR_INVALID where its reader was not sent so much: *sent says how much. */
enum err sessions_ack(struct sessions *s, struct slice name, const struct session_reader *r, uint64_t seq, uint64_t *sent);
/* May the client have the session, where there is none yet? To be asked before it is stored. */
enum err sessions_check(struct sessions *s, struct slice name, uint64_t client, struct fault *fault);
/* Moves a session (or makes it, however many there are), back as well; a connected reader gets SESSION_MOVED. ERR_NOMEM. */
enum err sessions_set(struct sessions *s, struct slice name, uint64_t client, uint64_t acked);
/* False when there is none. A connected reader gets SESSION_DELETED. */
bool sessions_delete(struct sessions *s, struct slice name);
/* Deletes the sessions that nobody is connected to and nobody has used for so long. How many. */
uint64_t sessions_expire(struct sessions *s, int64_t idle_ms);
/* What the machine's clock says of the time before the start is too much by this (age_clock.h). */
void sessions_forgive(struct sessions *s, int64_t ms);

/* Everything about the session is durable. */
bool sessions_saved(struct sessions *s, struct slice name);
bool sessions_get(struct sessions *s, struct slice name, struct session_state *out);
uint64_t sessions_count(struct sessions *s);

typedef void session_each_fn(void *arg, struct slice name, const struct session_state *state);
/* Calls back with each session, in no order, with the registry locked. */
void sessions_each(struct sessions *s, session_each_fn *each, void *arg);

/* How many events pass the session's filter and are not acknowledged. ERR_NOT_FOUND where there is none. Reads the index
 * and, where the session is as far behind, archives: what was counted once is kept with the session. On a thread that may
 * wait for the disk. */
struct reader;
enum err sessions_lag(struct sessions *s, struct slice name, struct reader *reader, uint64_t *lag, struct fault *fault);

/* --- the writer --- */

bool sessions_dirty(struct sessions *s);
/* Puts what has changed into the store's open transaction; `sessions_written` says whether that was committed. */
enum err sessions_write(struct sessions *s, struct store *store, struct fault *fault);
void sessions_written(struct sessions *s, bool committed);

#endif
