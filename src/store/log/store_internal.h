/* The inside of the store: store.c (appending, committing), store_query.c (asking), store_evict.c (what leaves the log),
 * note.c (notes), store_open.c (opening, closing, recovering), store_archives.c (its archives) and store_upkeep.c (between
 * commits) share it; history and verify ask it for its parts. */
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
	STORE_DIR_MAX = 992, /* bytes of the path of the data directory */
	STORE_ROWS = 1024,   /* events that one statement inserts at the most */
	/* Other ids with the same hash that an id is compared with at the most. By chance 10^9 ids have one such pair at 3
	 * %, but anybody can make as many as they like (docs/decisions/0023-keyed-hash-tables.md). */
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
	S_WHOLE,
	S_LAST_PUT,
	S_LAST_FIND,
	STATEMENTS
};

/* What is known of an event before it is stored. */
struct known {
	struct id_key key;
	uint64_t seq; /* of the stored event with its id; 0: there is none */
	uint32_t topic;
	size_t new_topic; /* which of `new_topics` it is the first event of, from 1 on; 0: none */
};

/* An event of the open transaction: what is counted once it is committed. */
struct pending {
	uint32_t topic;
	uint32_t bytes;
	bool in_row; /* the row of its topic was stored with its figures */
};

/* A topic some of whose events are gone for good, once the open transaction is committed. */
struct reduced {
	uint32_t topic;
	struct figures figures;
};

struct store {
	char dir[PATH_MAX];
	char path[PATH_MAX];    /* of the database */
	struct lineage lineage; /* of more than none, once it is open */
	struct store_options options;
	int lock_fd;
	struct catalog *catalog;
	struct stream_order *order;
	struct index_tail *tail;

	struct archive_set *archives;
	struct forgotten forgotten;

	pthread_mutex_t lock; /* guards what follows */
	uint64_t head;
	uint64_t log_first;      /* the lowest seq in the database; head + 1 where there is none */
	bool committing;         /* the writing thread waits for the disk, or is about to */
	struct fault back_fault; /* what the last write-back failed with, until the writing thread has been told */
	struct fault back_ails;  /* the same, until one has worked; ERR_NONE: it has */
	struct fault damage;     /* what reading the database has found last; ERR_NONE: nothing */

	pthread_cond_t commit_done; /* `committing` is false again */

	pthread_mutex_t back_lock; /* before `lock`; held during a write-back */
	sqlite3 *back;             /* its connection; NULL: none yet */

	atomic_bool hurry;           /* store_hurry */
	atomic_llong room_within;    /* see store_measure_room; may be negative */
	atomic_ullong discarded_seq; /* of the newest event that retention has discarded, where its time is known; set
					  after it */
	atomic_llong discarded_ms;   /* its time */
	atomic_ullong unknown;       /* what is gone up to here may be of any topic: it was not counted out of them */

	/* The writing thread's own. */
	struct store_files files;
	uint64_t noted; /* what was acknowledged, as the note beside the database said when it was opened; 0: nothing */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int wal_pages;             /* as the last commit left it */
	int told_pages;            /* as the log was told of last; 0: it was not too long */
	int asked_pages;           /* how many they were when a write-back was last due */
	atomic_llong last_time_ms; /* of the newest event; any thread may read it */
	int64_t patience_ms;       /* with whoever has locked the database */
	int64_t waiting_since_ms;  /* for him */

	uint64_t expired_ids;  /* rows of id_past */
	uint64_t last_unknown; /* stream_last_unknown */
	bool flush_wanted;     /* the trailing index has to be written before more can leave */
	bool brisk;            /* store_keep_brisk */

	/* The open transaction. */
	bool open;
	uint64_t log_first_before; /* what `hot` was when it opened */
	uint64_t expired_before;
	struct reduced *reduced; /* EVICT_MAX of them, made when needed */
	size_t reduced_count;
	uint32_t *removed; /* topics whose rows it has removed */
	size_t removed_count;
	size_t removed_cap;
	bool unused_topics; /* some that are new have no event */
	bool empty_rows;    /* a topic was loaded that had no event by its figures */
	uint64_t next_seq;
	int64_t time_ms;
	char time_text[CLOCK_TEXT_LEN];
	size_t keys_before;
	struct insert_rows incoming; /* what S_INSERT and S_APPEND insert: */
	struct insert_row rows[STORE_ROWS];
	struct known *known; /* of the batch that is being appended */
	size_t known_cap;
	struct insert_rows new_topics_left; /* what S_TOPICS inserts: those of `new_topics` that are not stored yet */
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
/* STORE_READ: looks again where the log begins (`db` is a reader's connection), and which archives there are: a server may
 * be moving events from one to the other. Any thread. */
/* Everything up to this seq is gone, and is older than that; 0: that cannot be said of anything. */
uint64_t store_lost_before(const struct store *s, int64_t time_ms);
enum err store_refresh(struct store *s, sqlite3 *db, struct fault *fault);

/* --- for the files of the store --- */

/* store_transaction.c */

/* Runs COMMIT; other threads see meanwhile that the disk is waited for. */
enum err store_commit_transaction(struct store *s, struct fault *fault);
/* ERR_IO when no event can have the time that it is. */
enum err store_check_clock(const struct store *s, struct fault *fault);

void store_bind(sqlite3_stmt *st, int at, struct slice text);

/* store_lookup.c */

struct id_key store_id_key(const struct event *e);
/* The seq of an event with this id among those that the tail of the index remembers; 0: there is none. */
enum err store_find_recent(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault);
/* The same wherever it may be. */
enum err store_find_id(struct store *s, const struct event *e, struct id_key key, uint64_t *seq, struct fault *fault);
/* ERR_CONFLICT: `expected` is not the last seq of the batch's only stream. */
enum err store_check_expectation(struct store *s, const struct batch *batch, uint64_t expected, struct fault *fault);
/* The seq of an event that has left the log, by its id; 0 where there is none that is remembered. */
enum err store_find_expired_id(struct store *s, const struct event *e, int64_t key, uint64_t *seq, struct fault *fault);
/* Notes which archive the last events that have left the log went to (NULL: none), in the open transaction. */
enum err store_note_chain(struct store *s, uint64_t seq, const char *chain, struct fault *fault);
/* Remembers the id of an event that is in the log no longer. */
enum err store_remember(struct store *s, uint64_t seq, struct slice stream, struct slice id, struct fault *fault);
/* The archives, where the last writer has said or the options say. What is below the log, and should be in one and is not,
 * is expected of them, or noted as gone where that loss was accepted. After head and hot are known. */
enum err store_open_archives(struct store *s, struct fault *fault);
/* store_open.c */

enum err store_open_db(struct store *s, struct fault *fault);
enum err store_load_topics(struct store *s, struct fault *fault);
/* Loads the events after `from`, which the memory does not know yet. */
enum err store_load_events(struct store *s, uint64_t from, struct fault *fault);
/* Closes the connection; what was not committed is gone. */
void store_close_db(struct store *s);
/* Runs one of the prepared statements that return nothing. */
enum err store_run(struct store *s, enum statement which, const char *what, struct fault *fault);
/* The topic of an event, stored without figures where it is new: for those who count it themselves. */
enum err store_topic_of(struct store *s, const struct event *e, uint32_t *topic, struct fault *fault);
/* What a row has as its topic; its texts are NULL where there is none. For the writer's thread, or inside of the catalog. */
struct topic store_topic(const struct store *s, int64_t number);
/* Stores the event as next_seq, with time_ms. */
enum err store_insert(struct store *s, const struct event *e, uint32_t topic, struct fault *fault);
/* Frames the event that gets next_seq for the feed, and notes it for the figures. */
enum err store_frame(struct store *s, struct slice id, struct slice data, uint32_t topic);
/* store_topics.c */

/* The number of a topic, which is new where there is none. ERR_RATE, ERR_BUSY, ERR_NOMEM. */
enum err store_intern(struct store *s, const struct topic_wanted *wanted, uint32_t *topic, bool *is_new,
		      struct fault *fault);
/* Room for so many in `removed`. */
enum err store_removed_room(struct store *s, size_t count, struct fault *fault);
/* Removes the rows of those in `removed`. */
enum err store_remove_all(struct store *s, struct fault *fault);
/* Before a commit: removes the rows of topics that are without events after it. */
enum err store_remove_topics(struct store *s, struct fault *fault);
/* The same at the start, in a transaction of its own: an older version, or a kill, has left some. */
enum err store_remove_unused(struct store *s, struct fault *fault);
/* After a commit, once all is counted: forgets these. */
void store_forget_topics(struct store *s);
/* Counts what the last transaction has taken out of the log for good, once it was made. */
void store_count_out(struct store *s);
/* Ends the page under construction. */
enum err store_end_page(struct store *s);
void store_forget_pages(struct store *s);
void store_set_head(struct store *s, uint64_t head);
void store_set_log_first(struct store *s, uint64_t log_first);
void store_set_lost(struct store *s, struct lost_ranges_last newest);
/* What a write-back failed with since it was last asked. */
enum err store_written_back(struct store *s, struct fault *fault);
/* What came of copying the write-ahead log into the database. Returns `err`. */
enum err store_note_back(struct store *s, enum err err, const struct fault *fault);
/* Reading the database has failed: damage is remembered. */
void store_note_damage(struct store *s, const struct fault *fault);
/* Waits for the write-back that is under way, and closes its connection. */
void store_stop_write_back(struct store *s);
/* `mode`: one of SQLITE_CHECKPOINT_…; readers in the way are no error. */
enum err store_checkpoint(struct store *s, int mode, struct fault *fault);

#endif
