/* Durable readers: under a name, how far somebody has handled the log. Kept in memory, written along with the next
 * commit (writer.h). Any thread. */
#ifndef HUB_SESSION_H
#define HUB_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/store.h"

struct sessions;

enum { SESSIONS_MAX = 100000 };

enum err sessions_create(struct store *store, struct sessions **out, struct fault *fault);
void sessions_destroy(struct sessions *s);

/* Called when a holder has lost its session; with the registry locked, from any thread. */
typedef void session_lost_fn(void *holder, const char *why);

struct session_state {
	uint64_t acked;
	int64_t updated_ms;
	bool connected;
	bool is_new;
};

/* `holder` becomes the connected reader of the session; one that was is told so. A new session starts at `start`.
 * ERR_BUSY when there are SESSIONS_MAX, ERR_NOMEM. */
enum err sessions_attach(struct sessions *s, struct slice name, void *holder, session_lost_fn *lost, uint64_t start,
			 struct session_state *out);
/* No effect where the holder has lost it already. */
void sessions_detach(struct sessions *s, struct slice name, const void *holder);

/* All up to `seq` is handled; what is not above the last acknowledgement changes nothing. ERR_GONE where the holder
 * has lost the session. */
enum err sessions_ack(struct sessions *s, struct slice name, const void *holder, uint64_t seq);
/* Moves a session (or makes it), back as well. */
enum err sessions_set(struct sessions *s, struct slice name, uint64_t acked);
/* False when there is none. A connected reader loses it. */
bool sessions_delete(struct sessions *s, struct slice name);

/* Everything about the session is durable. */
bool sessions_saved(struct sessions *s, struct slice name);
bool sessions_get(struct sessions *s, struct slice name, struct session_state *out);
typedef void session_each_fn(void *arg, struct slice name, const struct session_state *state);
void sessions_each(struct sessions *s, session_each_fn *each, void *arg);

/* --- the writer --- */

bool sessions_dirty(struct sessions *s);
/* Puts what has changed into the store's open transaction; `sessions_written` says whether that was committed. */
enum err sessions_write(struct sessions *s, struct store *store, struct fault *fault);
void sessions_written(struct sessions *s, bool committed);

#endif
