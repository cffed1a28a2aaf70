/* The store: one directory, one log, one writer.
 *
 *     struct store *s;
 *     store_open("data", (struct store_options){0}, &s, &fault);
 *     store_append(s, batch, NULL, &receipt, &fault);      once or more: one transaction
 *     store_commit(s, &committed, &fault);                 on stable storage from here on
 *
 * Threads: one thread at a time calls what changes the store (append, commit, rollback, maintain, recover, sessions);
 * what only asks may be called from any thread. Readers are in history.h. */
#ifndef STORE_LOG_STORE_H
#define STORE_LOG_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/event.h"
#include "event/page.h"
#include "store/archive/lineage.h"

struct store;

enum store_access {
	STORE_WRITE, /* makes the directory where there is none, and locks it */
	STORE_READ,  /* looks at a store that may be in use by another process, as it is at this moment */
};

struct store_options {
	enum store_access access;
	bool relaxed; /* do not wait for the disk at each commit: a power loss may take the newest events */
	/* For whoever keeps the archives: where they are; "": in `archives` in the store's directory. NULL: where the last
	 * keeper said. Borrowed until store_open returns. A keeper does not start (ERR_CONFLICT) where there is an archive
	 * that reaches past the log's end. */
	const char *archive_dir;
	/* STORE_WRITE: events that should be in archives, and are in none, are gone from now on, and streams whose last seq
	 * is not known are new. */
	bool accept_loss;
	bool salvaged; /* with accept_loss: nobody has said that of streams */
	/* STORE_WRITE: for whoever repairs: pages whose sum is wrong are read all the same, marks and notes may contradict
	 * the events, and the newest events are in no index. Nothing can be appended. */
	bool unchecked;
	/* With STORE_WRITE: set by code that makes or repairs a copy, which stays a copy. Without it, opening a copy begins
	 * a line of history with the first event after the copied ones. */
	bool copies;
	/* STORE_WRITE: the index that trails is written whenever it lags by so many events; 0: 16,384
	 * (docs/decisions/0002-trailing-index.md). */
	uint32_t index_every;
	/* STORE_WRITE: a topic was forgotten that somebody (append_options.owner) has begun. The writing thread; NULL: none.
	 */
	void (*on_forgotten)(void *arg, uint64_t owner);
	void *arg;
};

/* ERR_LOCKED: another process writes to it; ERR_NEWER; ERR_CORRUPT; ERR_NOT_FOUND (STORE_READ only); ERR_IO. */
enum err store_open(const char *dir, struct store_options options, struct store **out, struct fault *fault);
/* Flushes what trails and closes. Everything committed is safe without it. */
void store_close(struct store *s);
/* It is closed soon: from now on a program that has locked the database is not waited for, or not for long. Any thread. */
void store_hurry(struct store *s);

/* --- the writing thread --- */

struct append_options {
	bool expect;           /* refuse unless the last seq of the batch's only stream is expect_last */
	uint64_t expect_last;  /* 0: the stream is new */
	uint64_t *topics_left; /* how many pairs of stream and type it may begin, less those it has; NULL: any number */
	uint64_t owner;        /* whose these are: told when they are forgotten */
	/* Asked of each event whose id is not stored yet, before anything of the batch is stored: ERR_INVALID refuses it. It
	 * may be asked again after a rollback. NULL: none is refused. */
	enum err (*check)(void *arg, const struct event *e, struct fault *fault);
	void *check_arg;
};

/* What became of a batch. */
struct receipt {
	uint64_t first; /* of the new events; of the originals where all were duplicates */
	uint64_t last;
	uint64_t count;      /* new events */
	uint64_t duplicates; /* events whose id was stored before */
	uint64_t topics;     /* pairs of stream and type that are new */
	uint64_t *seqs;      /* where there were duplicates: the seq of each event, batch_count of them. Owned. */
	int64_t time_ms;
};
void receipt_finish(struct receipt *r);

/* Opens a transaction where none is open; what is stored opens one itself. */
enum err store_begin(struct store *s, struct fault *fault);

/* Adds the batch to the open transaction, or opens one. `options` may be NULL. When it fails with ERR_INVALID,
 * ERR_CONFLICT, ERR_BUSY or ERR_RATE (it would begin more than options.topics_left) nothing of the batch was added, and the
 * transaction goes on; after any other error the transaction has to be rolled back. */
enum err store_append(struct store *s, const struct batch *batch, const struct append_options *options,
		      struct receipt *receipt, struct fault *fault);

/* Events that a commit succeeded in storing: nothing else makes one, and only this can be delivered. */
struct committed;

/* Commits. *out is NULL where there were no new events. On failure the transaction is rolled back; what was appended
 * may be in the file all the same (a disk that fails does not say how far it got), so that the next thing to call is
 * store_recover. */
enum err store_commit(struct store *s, struct committed **out, struct fault *fault);
/* Commits are kept brisk from now on, or not any more: the trailing index goes along only where it lags four times as much
 * as it should. */
void store_keep_brisk(struct store *s, bool brisk);
void store_rollback(struct store *s);
/* Opens the file anew after a failure. *out holds the events that turned out to be stored although their commit
 * failed, NULL where there are none. */
enum err store_recover(struct store *s, struct committed **out, struct fault *fault);

void committed_destroy(struct committed *c); /* NULL is fine */
uint64_t committed_count(const struct committed *c);
uint32_t committed_pages(const struct committed *c);
/* A page of it, borrowed. */
struct page *committed_page(const struct committed *c, uint32_t index);

/* Sessions (durable readers), in the open transaction. The slices are borrowed for the call. */
struct stored_session {
	struct slice name;
	uint64_t acked;
	int64_t updated_ms;  /* Unix */
	struct slice filter; /* filter_write; empty: everything passes. p NULL (put): as it is */
	struct slice epoch;  /* the line that `acked` is on; empty: not known */
};
enum err store_session_put(struct store *s, const struct stored_session *session, struct fault *fault);
typedef enum err store_session_fn(void *arg, const struct stored_session *session);
/* Calls back with each stored session, until one call fails. */
enum err store_session_each(struct store *s, store_session_fn *each, void *arg, struct fault *fault);
enum err store_session_delete(struct store *s, struct slice name, struct fault *fault);

/* Notes: small documents beside the log, in the open transaction. `kind` is the owner's; `at` orders those of a kind. */
enum err store_note_put(struct store *s, const char *kind, struct slice key, int64_t at, struct slice value,
			struct fault *fault);
enum err store_note_delete(struct store *s, const char *kind, struct slice key, struct fault *fault);
/* Deletes those of a kind whose `at` is before. */
enum err store_note_trim(struct store *s, const char *kind, int64_t before, struct fault *fault);
typedef enum err store_note_fn(void *arg, struct slice key, int64_t at, struct slice value);
/* Calls back with each note of a kind in the order of `at`, until one call fails. */
enum err store_note_each(struct store *s, const char *kind, store_note_fn *each, void *arg, struct fault *fault);

/* Takes the oldest events out of the log, in the open transaction: those up to `upto`, but no more than EVICT_MAX of them,
 * none that the trailing index has not caught up with (it is written soon: ask again), and never the newest event. `chain`
 * (NULL: they are in no archive, and are gone) is the chain of the archive that holds them, which ends at `chain_seq`. *left
 * says up to where they have left. Their ids are remembered, the newest EVICTED_IDS_MAX of them. */
enum { EVICT_MAX = 2000, EVICTED_IDS_MAX = 1000000 };
enum err store_evict(struct store *s, uint64_t upto, uint64_t chain_seq, const char *chain, uint64_t *left,
		     struct fault *fault);

/* What is due between commits: start the write-ahead log anew. `idle`: there is nothing else to do, so shrink it as well.
 * Also says what a write-back has failed with. */
enum err store_maintain(struct store *s, bool idle, struct fault *fault);
/* Does the write-ahead log hold anything? Not after a store_maintain that had nothing in its way, when idle. */
bool store_has_log(const struct store *s);
/* By how many pages the log has grown since this last said so, if that is enough for another store_write_back; or 0. */
int store_write_back_due(struct store *s);
/* Writes the write-ahead log back into the database: how many pages it held, and how many of them this has copied, which
 * were not copied before. Then its file is emptied. Readers in the way are no error. Outside of a transaction. */
enum err store_flush(struct store *s, uint64_t *pages, uint64_t *copied, struct fault *fault);
/* Finds out what store_room has to know of the database: how much of it events have left, and by how much it grows once the
 * write-ahead log is written back. */
enum err store_measure_room(struct store *s);
/* A small write of its own: can the store commit? */
enum err store_probe(struct store *s, struct fault *fault);

/* --- any thread --- */

/* Copies what the write-ahead log holds into the database, while commits go on, and waits for the disk in pieces of what
 * store_write_back_due has said. Without it store_maintain does so when the log has become long, and every commit waits
 * meanwhile. Failures are told by store_maintain. */
void store_write_back(struct store *s, int pages);
/* Opens the connection that it uses, which it else does itself: under load a server then opens nothing more. */
enum err store_write_back_open(struct store *s, struct fault *fault);

uint64_t store_head(struct store *s);      /* the highest seq given; 0 in an empty store */
uint64_t store_first(struct store *s);     /* the lowest seq there is; head + 1 where there is none */
uint64_t store_log_first(struct store *s); /* the lowest seq that is not in archives alone; head + 1 likewise */
/* The lowest seq after `after` that can be read: after + 1, unless something is missing there; past the head all can. */
uint64_t store_next(struct store *s, uint64_t after);
/* The highest below `before` that can be read; 0 where there is none. */
uint64_t store_previous(struct store *s, uint64_t before);
/* How many archives there are, and the bytes of their files. */
void store_archive_figures(struct store *s, uint32_t *count, uint64_t *bytes);
const char *store_epoch(const struct store *s); /* of the newest line: LINE_EPOCH_LEN characters and a NUL */

/* The lines of history, for as long as the store is open. */
const struct lineage *store_lineage(const struct store *s);
/* Oldest first; false when there are no more. */
bool store_line(const struct store *s, uint32_t index, struct line *out);
/* The last event of the line of that name, UINT64_MAX where it goes on. False: it is no line of this store. */
bool store_line_end(const struct store *s, const char *epoch, uint64_t *end);
const char *store_dir(const struct store *s);
struct archive_set *store_archives(const struct store *s); /* lives as long as the store */
/* Bytes that can still be written: free ones of the file system and of the database, less those that the write-ahead log
 * needs when it is written back, as of the last store_measure_room. */
enum err store_room(const struct store *s, uint64_t *bytes);
/* Is something wrong with the database that commits do not notice? Reading has found it damaged since it was opened, or it
 * could not be written back the last time. */
bool store_ails(struct store *s, struct fault *why);
/* Free bytes on the file system that are not reserved. */
enum err store_disk_free(const struct store *s, uint64_t *bytes);
/* The time of the newest event, Unix milliseconds; 0 where there never was one. Any thread. */
int64_t store_last_time(const struct store *s);
/* Bytes of the database file and of its write-ahead log. */
void store_sizes(const struct store *s, uint64_t *db, uint64_t *wal);

struct stream_figures {
	struct slice name; /* what was asked for, or in `text` of the structure that it was found with */
	uint64_t first;
	uint64_t last;
	uint64_t count;
	uint64_t bytes; /* of payload */
	char text[EVENT_NAME_MAX];
};
/* The stream of a topic (struct page_entry), written to `text`; empty where the topic was forgotten with its last event. */
struct slice store_topic_stream(const struct store *s, uint32_t topic, char text[EVENT_NAME_MAX]);
/* How many topics (pairs of stream and type) there are. */
uint32_t store_topics(const struct store *s);
/* The number that the next new one gets: it only grows. */
uint32_t store_topics_end(const struct store *s);
/* How many streams have events. store_stream_from lists them. */
uint32_t store_streams(struct store *s);
/* False when there is no such stream, or no event in it. */
bool store_find_stream(struct store *s, struct slice name, struct stream_figures *out);
/* The first stream whose name is `from` or comes after it, in the order of their bytes; `after`: comes after it. Its count
 * is 0 where it has no events at this moment. Costs the logarithm of how many there are, and sorting those that are new
 * since the last time. *there is false where there is none. ERR_NOMEM. ERR_BUSY: another thread is sorting very many. */
enum err store_stream_from(struct store *s, struct slice from, bool after, struct stream_figures *out, bool *there,
			   struct fault *fault);

#endif
