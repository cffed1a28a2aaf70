/* The inside of libtidemark: see README.md for what is where. */
#ifndef LIBRARY_LIBRARY_H
#define LIBRARY_LIBRARY_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "store/read/history.h"
#include "store/transfer/seal.h"
#include "tidemark/tidemark.h"

struct tm_store {
	struct store *store;
	bool read_only;
	struct batch_limits limits;
	atomic_uint readers; /* open ones */

	pthread_mutex_t lock; /* guards what follows, up to `failed` */
	pthread_cond_t turn;  /* the first of the queue is another, or is done, or `writing` is false */
	struct list queue;    /* struct write_request */
	bool writing;         /* a thread has the turn: it is the store's writing thread for now */
	bool owned;           /* the turn is held by a transaction, begun by: */
	pthread_t owner;

	pthread_cond_t committed; /* the head has moved, or a reader was interrupted */

	bool failed; /* a commit has failed: store_recover comes next. Used with the turn */

	pthread_mutex_t archive_lock; /* one seals, discards or deletes at a time; before `lock` */
};

/* --- library.c --- */

/* Before any other work: from here on the library is silent, unless tm_set_log has said otherwise. */
void library_enter(void);
/* Fills `out` (which may be NULL) and returns the code of the library for `err`. */
enum tm_err library_fault(enum err err, const struct fault *fault, struct tm_error *out);
enum tm_err library_error(enum tm_err code, struct tm_error *out, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum tm_err library_read_only(struct tm_error *out);
/* ERR_INVALID where a text cannot be a name. */
enum err library_check_name(const char *what, const char *name, struct fault *fault);

/* --- write.c --- */

/* A write request; requests of several threads may share a commit. */
struct write_request {
	struct list link;
	/* In the open transaction, on the thread of any of the requests. ERR_INVALID, ERR_TOO_LARGE, ERR_CONFLICT: it has
	 * changed nothing, and the others go on; any other error fails all. */
	enum err (*run)(struct write_request *request, struct store *store, struct fault *fault);
	size_t weight; /* bytes, roughly */
	bool alone;    /* it has the turn for itself, and no `run` */
	bool done;
	enum err err;
	struct fault fault;
};

/* Runs and commits it. ERR_INVALID where this thread has a transaction open. */
enum err write_run(struct tm_store *s, struct write_request *request);
/* Has changed nothing of the transaction? */
bool write_is_refusal(enum err err);

/* Takes the turn, and recovers the store if a commit has failed; write_give releases it. On failure the turn is not taken.
 * `owned`: for a transaction of this thread. */
enum err write_take(struct tm_store *s, bool owned, struct fault *fault);
void write_give(struct tm_store *s);
/* With the turn: commits (or, after an error, rolls back), does what is due, and wakes readers. Returns the error. */
enum err write_end(struct tm_store *s, enum err err, struct fault *fault);

/* --- position.c --- */

/* Saves a position in the open transaction, in which `added` is the last event (0: none). ERR_INVALID. */
enum err position_put(struct store *store, const char *name, uint64_t seq, uint64_t added, struct fault *fault);

/* --- page.c --- */

/* A page under construction, with room for `count` events whose envelopes have `bytes` altogether; NULL: no memory. */
struct tm_page *page_make(uint32_t count, size_t bytes);
/* Adds an event. False where the text is no envelope. */
bool page_take(struct tm_page *page, struct slice envelope);

#endif
