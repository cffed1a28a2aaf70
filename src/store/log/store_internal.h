/* The inside of the store, shared by the files of store/log and store/open; history, verify and the transfer and repair
 * rooms use its parts. */
#ifndef STORE_LOG_STORE_INTERNAL_H
#define STORE_LOG_STORE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/system/clock.h"
#include "base/system/path.h"
#include "store/archive/lineage.h"
#include "store/archives/archive_set.h"
#include "store/archives/lost_ranges.h"
#include "store/index/catalog.h"
#include "store/index/forgotten.h"
#include "store/index/index_tail.h"
#include "store/index/stream_order.h"
#include "store/log/committed.h"
#include "store/log/store.h"
#include "store/sqlite/insert_vtab.h"
#include "store/sqlite/store_files.h"

enum {
	/* Bytes of the data directory's path from the root on: SQLite takes 512 with the names of its files. */
	STORE_DIR_MAX = 512 - (int)sizeof "/tidemark.db-journal" + 1,
	STORE_ROWS = 1024, /* events that one statement inserts, at most */
	/* Ids with the same hash that an id is compared with, at most. By chance 10^9 ids have one such pair with a
	 * probability of 3 %, but clients can make any number (docs/decisions/0023-keyed-hash-tables.md). */
	STORE_SAME_KEYS = 8,
};

/* Every statement of the writing connection. */
enum statement {
	S_BEGIN,
	S_COMMIT,
	S_INSERT,
	S_APPEND,
	S_TOPIC,
	S_TOPICS,
	S_TOPICS_APPEND,
	S_TOPIC_LAST,
	S_KEY,
	S_EVENT,
	S_SESSION_PUT,
	S_SESSION_DELETE,
	S_NOTE_PUT,
	S_NOTE_DELETE,
	S_NOTE_TRIM,
	S_PROBE,
	S_EXPIRED_PUT,
	S_EXPIRED_FIND,
	S_EXPIRED_DROP,
	S_KEY_DELETE,
	S_EVICTING,
	S_EVICT,
	S_POSTING_EVICT,
	S_POSTING_NEXT,
	S_TOPIC_REDUCE,
	S_TOPIC_DELETE,
	S_TOPICS_END,
	S_FORGOTTEN_PUT,
	S_FORGOTTEN_DROP,
	S_LOST_UNKNOWN,
	S_CHAIN,
	S_EVENT_ROW,
	S_LAST_PUT,
	S_LAST_FIND,
	STATEMENTS
};

/* What look_up has found for an event of the batch. */
struct known {
	struct id_key key;
	uint64_t seq; /* of the stored event with the same id; 0: there is none */
	uint32_t topic;
	size_t new_topic; /* index + 1 in `new_topics`, if it is the first event of that topic; else 0 */
};

/* An event of the open transaction, to be counted once it is committed. */
struct pending {
	uint32_t topic;
	uint32_t bytes;
	bool in_row; /* the row of its topic counts it already */
};

/* A topic that loses events by the open transaction, with its figures after the commit. */
struct reduced {
	uint32_t topic;
	struct figures figures;
};

struct store {
	char dir[PATH_MAX];
	char path[PATH_MAX];    /* of the database */
	struct lineage lineage; /* not empty once the store is open */
	struct store_options options;
	int lock_fd;
	struct catalog *catalog;
	struct stream_order *order;
	struct index_tail *tail;

	struct archive_set *archives;
	struct forgotten forgotten;

	pthread_mutex_t lock; /* guards what follows */
	uint64_t head;
	uint64_t log_first;        /* the lowest seq in the log; head + 1 if it is empty */
	bool committing;           /* the writing thread waits for the disk, or is about to */
	struct fault back_fault;   /* the error of a write-back, until store_maintain has returned it */
	struct fault back_failing; /* the error of the last write-back; ERR_NONE: it succeeded */
	struct fault damage;       /* damage that reads have found last; ERR_NONE: none */

	pthread_cond_t commit_done; /* `committing` is false again */

	pthread_mutex_t back_lock; /* before `lock`; held during a write-back */
	sqlite3 *back;             /* its connection; NULL: none yet */

	atomic_bool hurry;           /* store_hurry */
	atomic_llong room_within;    /* see store_measure_room; may be negative */
	atomic_ullong discarded_seq; /* of the newest event that retention has discarded, where its time is known; set
					  after it */
	atomic_llong discarded_ms;   /* its time */
	atomic_ullong unknown;       /* lost events up to here may be of any topic: they were not subtracted from figures */

	/* The writing thread's own. */
	struct store_files files;
	uint64_t saved_head; /* the last acknowledged seq that the file `head` had when the store was opened; 0: none */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int wal_pages;             /* as the last commit left it */
	int warned_pages;          /* wal_pages when a long log was last logged; 0: it is not long */
	int asked_pages;           /* wal_pages when a write-back was last due */
	atomic_llong last_time_ms; /* of the newest event; any thread may read it */
	int64_t busy_wait_ms;      /* how long to wait for a program that has locked the database */
	int64_t busy_since_ms;     /* monotonic: since when */

	uint64_t expired_ids;  /* rows of id_past */
	uint64_t last_unknown; /* stream_last_unknown */
	bool flush_wanted;     /* the index tail must be flushed before more events can be evicted */
	bool defer_flush;      /* store_defer_flush */

	/* The open transaction. */
	bool open;
	uint64_t log_first_before; /* log_first when it was opened */
	uint64_t expired_before;
	struct reduced *reduced; /* EVICT_MAX of them, allocated when needed; ascending by topic */
	size_t reduced_count;
	uint32_t *removed; /* topics whose rows it has removed; ascending */
	size_t removed_count;
	size_t removed_cap;
	bool unused_topics; /* some new topics have no event */
	bool empty_rows;    /* a topic without events was loaded */
	uint64_t next_seq;
	int64_t time_ms;
	char time_text[CLOCK_TEXT_LEN];
	size_t keys_before;
	struct insert_rows incoming; /* what S_INSERT and S_APPEND insert: */
	struct insert_row rows[STORE_ROWS];
	struct known *known; /* of the batch that is being appended */
	size_t known_cap;
	struct insert_rows new_topics_left; /* what S_TOPICS inserts: the part of `new_topics` that is not stored yet */
	struct insert_topic *new_topics;
	size_t new_topic_count;
	size_t new_topics_stored;
	size_t new_topic_cap;
	struct pending *pending;
	size_t pending_count;
	size_t pending_cap;
	struct page_builder *builder;
	struct committed *committed;
};

const char *store_path(const struct store *s);
struct catalog *store_catalog(const struct store *s);
struct index_tail *store_index_tail(const struct store *s);
/* The last seq of those that retention has discarded, if that event is older than time_ms; else 0. */
uint64_t store_lost_before(const struct store *s, int64_t time_ms);
/* STORE_READ: updates log_first (`db` is a reader's connection) and the archives, since a server may be moving events from
 * the log to archives. STORE_WRITE: nothing. Any thread. */
enum err store_refresh(struct store *s, sqlite3 *db, struct fault *fault);

/* --- for the files of the store --- */

/* store_transaction.c */

/* Runs COMMIT, with `committing` set meanwhile. */
enum err store_commit_transaction(struct store *s, struct fault *fault);
/* ERR_IO: the clock is past the last time that an event can have. */
enum err store_check_clock(const struct store *s, struct fault *fault);

void store_bind(sqlite3_stmt *st, int at, struct slice text);

/* store_lookup.c */

struct id_key store_id_key(const struct event *e);
/* *seq: the event with this stream and id among those in the index tail and in the current batch; 0: there is none. */
enum err store_find_recent(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault);
/* The same among all events that are or were in the log. */
enum err store_find_id(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault);
/* ERR_CONFLICT: `expected` is not the last seq of the batch's only stream. */
enum err store_check_expectation(struct store *s, const struct batch *batch, uint64_t expected, struct fault *fault);
/* The same among expired ids, those of evicted events. */
enum err store_find_expired_id(struct store *s, const struct event *e, int64_t key, uint64_t *seq, struct fault *fault);
/* Saves the chain of the archive that the last evicted events went to (NULL: none), in the open transaction. */
enum err store_note_chain(struct store *s, uint64_t seq, const char *chain, struct fault *fault);
/* Adds the id of an evicted event to the expired ids. */
enum err store_remember(struct store *s, uint64_t seq, struct slice stream, struct slice id, struct fault *fault);
/* Opens the archives, in the directory of the options or the one that was set last. Events below the log that are in no
 * archive become missing archives, or lost ranges if the loss was accepted. After head and log_first are known. */
enum err store_open_archives(struct store *s, struct fault *fault);
/* store_open.c */

enum err store_open_db(struct store *s, struct fault *fault);
enum err store_load_topics(struct store *s, struct fault *fault);
/* Loads the events after `from` into catalog and index tail, which do not have them yet. */
enum err store_load_events(struct store *s, uint64_t from, struct fault *fault);
/* Closes the connection, which rolls back an open transaction. */
void store_close_db(struct store *s);
/* Runs one of the prepared statements that return nothing. */
enum err store_run(struct store *s, enum statement which, const char *what, struct fault *fault);
/* The topic of an event; a new one is stored without figures, for callers that count events themselves. */
enum err store_topic_of(struct store *s, const struct event *e, uint32_t *topic, struct fault *fault);
/* The topic with the number in a row; its texts are NULL if there is none. For the writing thread, or inside catalog_enter.
 */
struct topic store_topic(const struct store *s, int64_t number);
/* Stores the event as next_seq, with time_ms. */
enum err store_insert(struct store *s, const struct event *e, uint32_t topic, struct fault *fault);
/* Adds the event with next_seq to the page under construction and to `pending`, and counts next_seq on. */
enum err store_frame(struct store *s, struct slice id, struct slice data, uint32_t topic);
/* store_topics.c */

/* The number of a topic, created if there is none (*is_new). ERR_RATE, ERR_BUSY, ERR_NOMEM. */
enum err store_intern(struct store *s, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new,
		      struct fault *fault);
/* Makes room for `count` topics in `removed`. */
enum err store_removed_room(struct store *s, size_t count, struct fault *fault);
/* Removes the rows of the topics in `removed`. */
enum err store_remove_all(struct store *s, struct fault *fault);
/* Before a commit: removes the rows of topics that will have no events. */
enum err store_remove_topics(struct store *s, struct fault *fault);
/* When opening, in its own transaction: removes topics without events that an older version or a killed process has left. */
enum err store_remove_unused(struct store *s, struct fault *fault);
/* After a commit, when everything is counted: forgets the topics in `removed`. */
void store_forget_topics(struct store *s);
/* After a commit: sets the figures of the topics in `reduced`. */
void store_count_out(struct store *s);
/* Ends the page under construction. ERR_NOMEM. */
enum err store_end_page(struct store *s);
void store_forget_pages(struct store *s);
void store_set_head(struct store *s, uint64_t head);
void store_set_log_first(struct store *s, uint64_t log_first);
void store_set_lost(struct store *s, struct lost_ranges_last newest);
/* The error of a write-back since the last call. */
enum err store_written_back(struct store *s, struct fault *fault);
/* Records the result of copying the write-ahead log into the database. Returns `err`. */
enum err store_note_back(struct store *s, enum err err, const struct fault *fault);
/* Records the error of a read if it is damage. */
void store_note_damage(struct store *s, const struct fault *fault);
/* Waits for a write-back under way, and closes its connection. */
void store_stop_write_back(struct store *s);
/* `mode`: one of SQLITE_CHECKPOINT_…. Readers in the way are not an error. Not in a transaction. */
enum err store_checkpoint(struct store *s, int mode, struct fault *fault);

#endif
