/* The inside of sessions: session.c (readers and positions), session_lag.c and session_save.c (what is written) share it. */
#ifndef ENGINE_READ_SESSION_INTERNAL_H
#define ENGINE_READ_SESSION_INTERNAL_H

#include <pthread.h>

#include "base/data/map.h"
#include "base/list.h"
#include "engine/read/session.h"

/*         changed                 sessions_write              sessions_written
 *  CLEAN ─────────▶ DIRTY ─────────────────────▶ WRITING ─────────────────────▶ CLEAN (DIRTY where it failed)
 *                     ▲                             │ changed meanwhile
 *                     └─────────────────────────────┘                                                     */
enum write_state { CLEAN, DIRTY, WRITING };

/* Events in (after, upto] that pass the filter: what was counted when the lag was last asked for. */
struct lag_count {
	uint64_t after;
	uint64_t upto;
	uint64_t count;
	uint64_t first; /* the first event of the store then: events removed since must not be counted */
};

struct session {
	struct map_link by_name;
	struct list in_all;
	struct list in_changed; /* DIRTY and WRITING ones */
	enum write_state state;
	bool deleted; /* stays until the deletion is written */
	bool moved;   /* its reader has not taken the new position yet */
	uint64_t acked;
	struct position at;            /* what is stored; `acked` is less where it is past the end of its line of history */
	uint64_t sent;                 /* what its last reader was sent; UINT64_MAX: not known */
	int64_t updated_ms;            /* Unix */
	int64_t used_ms;               /* since boot: the last change, or when its last reader left */
	uint64_t client;               /* the client whose quotas count it */
	struct session_reader *reader; /* NULL: none is connected */
	char *filter;                  /* as filter_write writes it; NULL: everything passes */
	struct lag_count counted;
	size_t name_len;
	char name[];
};

struct sessions {
	pthread_mutex_t lock;
	struct store *store;
	struct quotas *quotas;
	size_t count;
	bool loading; /* sessions_create is loading: quotas refuse nothing */
	struct list changed;
	struct list all; /* in the order they were made: the order of a map would reveal its secret */
	struct map by_name;
};

/* With the lock. NULL: there is none, or it is deleted. */
struct session *session_find(struct sessions *s, struct slice name);
/* The same, deleted or not. */
struct session *session_find_any(struct sessions *s, struct slice name);
struct slice session_name(const struct session *e);
bool session_has_filter(const struct session *e, struct slice filter);
/* Frees a session that is in no list any more. */
void session_free(struct sessions *s, struct session *e);

#endif
