/* The store: one directory, one log, one writer.
 *
 *     struct store *s;
 *     store_open("data", (struct store_options){0}, &s, &fault);
 *     store_append(s, batch, NULL, &receipt, &fault);      once or more: one transaction
 *     store_commit(s, &committed, &fault);                 on stable storage from here on
 *
 * Threads: functions that change the store (append, commit, rollback, maintain, recover, sessions) are called by one thread
 * at a time, the writing thread; functions that only read may be called from any thread. Readers are in history.h. */
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
	STORE_WRITE, /* makes the directory if there is none, and locks it */
	STORE_READ,  /* reads a store that may be in use by another process, as it is at this moment */
};

struct store_options {
	enum store_access access;
	bool relaxed; /* do not wait for the disk at each commit: a power loss may take the newest events */
	/* The directory of archives; "": `archives` in the store's directory. NULL: the one that was set last. Borrowed
	 * until store_open returns. ERR_CONFLICT where an archive there has events after the log's end. */
	const char *archive_dir;
	/* STORE_WRITE: events that should be in an archive but are in none count as lost from now on, and streams whose last
	 * seq is not known count as new. */
	bool accept_loss;
	bool salvaged; /* with accept_loss: not for streams */
	/* STORE_WRITE, for repairs: pages with a wrong sum are read all the same, metadata may contradict the events, and
	 * the newest events are in no index. Nothing can be appended. */
	bool unchecked;
	/* STORE_WRITE: set by code that makes or repairs a copy, which stays a copy. Without it, opening a copy begins a
	 * line of history with the first event after the copied ones. */
	bool copies;
	/* STORE_WRITE: the index tail is flushed when it has this many events; 0: 16,384
	 * (docs/decisions/0002-trailing-index.md). */
	uint32_t index_every;
	/* STORE_WRITE: called on the writing thread when a topic is forgotten, with the owner that created it
	 * (append_options.owner). NULL: none. */
	void (*on_forgotten)(void *arg, uint64_t owner);
	void *arg;
};

/* ERR_LOCKED: another process writes to it; ERR_NEWER; ERR_CORRUPT; ERR_NOT_FOUND (STORE_READ only); ERR_IO. */
enum err store_open(const char *dir, struct store_options options, struct store **out, struct fault *fault);
/* Flushes the index tail and closes; NULL is fine. Everything committed is safe without it. */
void store_close(struct store *s);
/* The store will be closed soon: from now on the store waits at most 500 ms for a program that has locked the database. Any
 * thread. */
void store_hurry(struct store *s);

/* --- the writing thread --- */

struct append_options {
	bool expect;           /* refuse unless the last seq of the batch's only stream is expect_last */
	uint64_t expect_last;  /* 0: the stream is new */
	uint64_t *topics_left; /* how many topics (pairs of stream and type) the batch may create; lowered; NULL: no limit */
	uint64_t owner;        /* of these topics, for store_options.on_forgotten */
	/* Called for each event whose id is not stored yet, before anything of the batch is stored: ERR_INVALID refuses the
	 * batch. It may be called again after a rollback. NULL: none is refused. */
	enum err (*check)(void *arg, const struct event *e, struct fault *fault);
	void *check_arg;
};

/* The result of an append. */
struct receipt {
	uint64_t first; /* seq of the first new event; of the originals where all were duplicates */
	uint64_t last;
	uint64_t count;      /* new events */
	uint64_t duplicates; /* events whose id was stored before */
	uint64_t topics;     /* pairs of stream and type that are new */
	uint64_t *seqs;      /* owned: if there were duplicates, the seq of each event, batch_count of them; else NULL */
	int64_t time_ms;
};
void receipt_finish(struct receipt *r);

/* Opens a transaction if none is open; the functions that store something do so themselves. */
enum err store_begin(struct store *s, struct fault *fault);

/* Adds the batch, which is not empty, to the open transaction, or opens one. `options` may be NULL. After ERR_INVALID,
 * ERR_CONFLICT, ERR_BUSY or ERR_RATE (it would create more topics than options.topics_left) nothing of the batch was added,
 * and the transaction goes on; after any other error the transaction must be rolled back. */
enum err store_append(struct store *s, const struct batch *batch, const struct append_options *options,
		      struct receipt *receipt, struct fault *fault);

/* Events that are on stable storage. Only a successful commit makes one, and only this can be delivered. */
struct committed;

/* Commits. *out, owned by the caller, is NULL if there were no new events. On failure the transaction is rolled back; its
 * events may be in the file all the same (a disk that fails does not say how far it got), so call store_recover next. */
enum err store_commit(struct store *s, struct committed **out, struct fault *fault);
/* true: commits flush the index tail only when it is four times as long as index_every, to keep them short. */
void store_defer_flush(struct store *s, bool defer_flush);
void store_rollback(struct store *s);
/* Opens the database again after a failure. *out: the events that turned out to be stored although their commit failed;
 * NULL: none. */
enum err store_recover(struct store *s, struct committed **out, struct fault *fault);

void committed_destroy(struct committed *c); /* NULL is fine */
uint64_t committed_count(const struct committed *c);
uint32_t committed_pages(const struct committed *c);
/* Page `index` of the batch, borrowed. */
struct page *committed_page(const struct committed *c, uint32_t index);

/* Sessions (durable readers), in the open transaction. The slices are borrowed for the call. */
struct stored_session {
	struct slice name;
	uint64_t acked;
	int64_t updated_ms;  /* Unix */
	struct slice filter; /* as filter_write writes it; empty: everything passes. When put, p NULL keeps the old one */
	struct slice epoch;  /* the line of history of `acked`; empty: not known */
};
enum err store_session_put(struct store *s, const struct stored_session *session, struct fault *fault);
typedef enum err store_session_fn(void *arg, const struct stored_session *session);
/* Calls back with each stored session, until one call fails. */
enum err store_session_each(struct store *s, store_session_fn *each, void *arg, struct fault *fault);
enum err store_session_delete(struct store *s, struct slice name, struct fault *fault);

/* Notes: small documents that other modules keep in the store, in the open transaction. `kind` names the owner; `at` orders
 * the notes of a kind. */
enum err store_note_put(struct store *s, const char *kind, struct slice key, int64_t at, struct slice value,
			struct fault *fault);
enum err store_note_delete(struct store *s, const char *kind, struct slice key, struct fault *fault);
/* Deletes the notes of a kind whose `at` is less than `before`. */
enum err store_note_trim(struct store *s, const char *kind, int64_t before, struct fault *fault);
typedef enum err store_note_fn(void *arg, struct slice key, int64_t at, struct slice value);
/* Calls back with each note of a kind in the order of `at`, until one call fails. */
enum err store_note_each(struct store *s, const char *kind, store_note_fn *each, void *arg, struct fault *fault);

/* Evicts the oldest events from the log, in the open transaction: those up to `upto`, but at most EVICT_MAX of them, none
 * that the index tail still has (it is flushed with the next commit: call again), and never the newest event. `chain` is the
 * chain of the archive that holds them, which ends with event `chain_seq`; NULL: they are in no archive, and are lost.
 * *evicted_upto: the last seq that is not in the log any more. The ids of evicted events are remembered, the newest
 * EVICTED_IDS_MAX of them. */
enum { EVICT_MAX = 2000, EVICTED_IDS_MAX = 1000000 };
enum err store_evict(struct store *s, uint64_t upto, uint64_t chain_seq, const char *chain, uint64_t *evicted_upto,
		     struct fault *fault);

/* The upkeep that is due between commits: resets the write-ahead log when it is long. `idle`: there is no other work, so the
 * log is emptied. Also returns the error of a failed write-back. */
enum err store_maintain(struct store *s, bool idle, struct fault *fault);
/* Does the write-ahead log hold anything? After an idle store_maintain it does if a reader was in the way. */
bool store_has_log(const struct store *s);
/* How many pages the write-ahead log has grown since the last call that returned more than 0; 0: too few for a
 * store_write_back. */
int store_write_back_due(struct store *s);
/* Writes the write-ahead log back into the database and empties its file. *pages: how many pages it held; *copied: how many
 * of them this call has copied. Readers in the way are not an error. Not in a transaction. */
enum err store_flush(struct store *s, uint64_t *pages, uint64_t *copied, struct fault *fault);
/* Measures, for store_room, the free pages of the database and how much it will grow when the write-ahead log is written
 * back. */
enum err store_measure_room(struct store *s);
/* Commits a small write, to find out whether the store can commit. */
enum err store_probe(struct store *s, struct fault *fault);

/* --- any thread --- */

/* Copies the write-ahead log into the database while commits go on, with several syncs; `pages`: from store_write_back_due.
 * Without it store_maintain does so when the log has become long, and every commit waits meanwhile. store_maintain returns
 * its errors. */
void store_write_back(struct store *s, int pages);
/* Opens the connection for store_write_back in advance, so that a server under load need not open files. */
enum err store_write_back_open(struct store *s, struct fault *fault);

uint64_t store_head(struct store *s);      /* the highest seq given; 0 in an empty store */
uint64_t store_first(struct store *s);     /* the lowest seq that can be read; head + 1 if there is none */
uint64_t store_log_first(struct store *s); /* the lowest seq in the log; head + 1 if it is empty */
/* The lowest seq after `after` that can be read: after + 1, unless events are missing there. Seqs after the head count as
 * readable. */
uint64_t store_next(struct store *s, uint64_t after);
/* The highest seq below `before` (not 0) that can be read; 0: there is none. */
uint64_t store_previous(struct store *s, uint64_t before);
/* How many archives there are, and the bytes of their files. */
void store_archive_figures(struct store *s, uint32_t *count, uint64_t *bytes);
const char *store_epoch(const struct store *s); /* of the newest line: LINE_EPOCH_LEN characters and a NUL */

/* The lines of history, for as long as the store is open. */
const struct lineage *store_lineage(const struct store *s);
/* Oldest first; false when there are no more. */
bool store_line(const struct store *s, uint32_t index, struct line *out);
/* *end: the last event of the line of that name; UINT64_MAX: it is the current one. False: the store has no such line. */
bool store_line_end(const struct store *s, const char *epoch, uint64_t *end);
const char *store_dir(const struct store *s);
struct archive_set *store_archives(const struct store *s); /* lives as long as the store */
/* Bytes that can still be written: free bytes of the file system and of the database, less what the database will grow when
 * the write-ahead log is written back, as of the last store_measure_room. */
enum err store_room(const struct store *s, uint64_t *bytes);
/* Is the database damaged, as reads since it was opened have found, or did the last write-back fail? Commits may work all
 * the same. */
bool store_unhealthy(struct store *s, struct fault *why);
/* Free bytes on the file system that are not reserved. */
enum err store_disk_free(const struct store *s, uint64_t *bytes);
/* The time of the newest event, Unix milliseconds; 0: there never was one. */
int64_t store_last_time(const struct store *s);
/* Bytes of the database file and of its write-ahead log. */
void store_sizes(const struct store *s, uint64_t *db, uint64_t *wal);

struct stream_figures {
	struct slice name; /* the name that was asked for, or one in `text` */
	uint64_t first;
	uint64_t last;
	uint64_t count;
	uint64_t bytes; /* of payload */
	char text[EVENT_NAME_MAX];
};
/* The stream of a topic (struct page_entry), copied to `text`; empty if the topic was forgotten with its last event. */
struct slice store_topic_stream(const struct store *s, uint32_t topic, char text[EVENT_NAME_MAX]);
/* How many topics (pairs of stream and type) there are. */
uint32_t store_topics(const struct store *s);
/* The number that the next new topic gets. It only grows. */
uint32_t store_topics_end(const struct store *s);
/* How many streams have events. store_stream_from lists them. */
uint32_t store_streams(struct store *s);
/* False when there is no such stream, or no event in it. */
bool store_find_stream(struct store *s, struct slice name, struct stream_figures *out);
/* The first stream, in byte order of names, that is not before `from` (`after`: that is after it). Its count is 0 if it has
 * no events at this moment. *there: whether there is one. Takes time logarithmic in the number of streams, and sorts the new
 * ones. ERR_NOMEM. ERR_BUSY: another thread is sorting very many new ones. */
enum err store_stream_from(struct store *s, struct slice from, bool after, struct stream_figures *out, bool *there,
			   struct fault *fault);

#endif
