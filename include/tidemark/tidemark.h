/* libtidemark: a persistent event store inside a program.
 *
 *     struct tm_store *store;
 *     struct tm_error error;
 *     struct tm_new_event event = {.stream = "orders", .type = "created", .data = "{\"n\":1}"};
 *     if (tm_open("data", NULL, &store, &error) != TM_OK || tm_append(store, &event, 1, NULL, NULL, &error) != TM_OK)
 *             fprintf(stderr, "%s\n", error.text);
 *     tm_close(store);
 *
 * A store is one directory with one log of events. Each event has a number, its seq: they are counted from 1 without holes,
 * and the order is the same for every reader. The directory is that of the server `tidemark serve`: either may use it after
 * the other, and every command of `tidemark` works on it. One process at a time writes to it.
 *
 * Texts are UTF-8. Those that a function takes are borrowed until it returns. Names (of streams, types, ids and positions)
 * have 1 to TM_NAME_MAX bytes without control characters. Times are Unix milliseconds, durations milliseconds.
 *
 * Errors: a function that can fail returns TM_OK or another code, and fills `error`, which may be NULL, only when it fails.
 * Results that a failed function was to hand out are NULL or zero. Every function may also return TM_NOMEM and TM_IO.
 *
 * Threads: any function may be called from any thread at any time, also on the same store. A reader, an archive and a
 * transaction are used by one thread at a time. Nothing here may be used in a child process after fork. */
#ifndef TIDEMARK_TIDEMARK_H
#define TIDEMARK_TIDEMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TM_VERSION_MAJOR 0
#define TM_VERSION_MINOR 1
#define TM_VERSION_PATCH 0
#define TM_VERSION "0.1.0"

#if defined(__GNUC__)
#define TM_API __attribute__((visibility("default")))
#else
#define TM_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { TM_NAME_MAX = 255, TM_EPOCH_LEN = 16, TM_PATH_SIZE = 4096, TM_DIGEST_LEN = 64 };

/* --- errors, version, log --- */

enum tm_err {
	TM_OK = 0,
	TM_NOMEM = 1,        /* no memory: nothing was changed */
	TM_INVALID = 2,      /* an argument or an event breaks a rule */
	TM_TOO_LARGE = 3,    /* an event or a request is over a limit */
	TM_NOT_FOUND = 4,    /* it never existed */
	TM_GONE = 5,         /* it existed and was discarded */
	TM_CONFLICT = 6,     /* an expectation does not hold */
	TM_BUSY = 7,         /* another thread or process is using it: try again later */
	TM_FULL = 8,         /* the disk is full */
	TM_IO = 9,           /* the operating system refused */
	TM_CORRUPT = 10,     /* what is stored is not what was written */
	TM_NEWER = 11,       /* made by a newer version of Tidemark */
	TM_LOCKED = 12,      /* another store handle, here or in another process, writes to this directory */
	TM_INTERRUPTED = 13, /* stopped by tm_reader_interrupt or by a tm_watch */
	TM_END = 14,         /* no event follows, now or within the timeout */
	TM_READ_ONLY = 15    /* the store was opened with read_only */
};

struct tm_error {
	enum tm_err code;
	long place;        /* of the event at fault: its index (from 0), or its line (from 1) in TM_LINES; -1: none */
	uint64_t expected; /* TM_CONFLICT of an append: expect_last, */
	uint64_t actual;   /* and the last seq of the stream */
	char text[512];    /* for people: what is wrong, and where */
};

/* The version of the library that is running, as TM_VERSION. A static string. */
TM_API const char *tm_version(void);
/* What a code means, such as "not found". A static string. */
TM_API const char *tm_error_name(enum tm_err code);

enum tm_log_level { TM_LOG_DEBUG = 0, TM_LOG_INFO = 1, TM_LOG_WARN = 2, TM_LOG_ERROR = 3 };
/* `text` is one line of logfmt (msg="…" key=value …) without time and level. Called on whichever thread is at work; it must
 * not call functions of this library. */
typedef void tm_log_fn(void *arg, enum tm_log_level level, const char *text);
/* From now on messages of at least this level go to `fn`, for all stores of the process. NULL: messages are dropped, as at
 * the start. When it returns, the function that was set before is not running any more. */
TM_API void tm_set_log(tm_log_fn *fn, void *arg, enum tm_log_level least);

/* --- the store --- */

struct tm_store;

/* Zeroed: the defaults. */
struct tm_options {
	bool read_only; /* read a store as it is now, also while another process writes to it; later events are not seen */
	bool relaxed;   /* do not wait for the disk at each commit: a power loss may take the newest events */
	/* Where archives are kept; "": in `archives` in the store's directory. NULL: where they were the last time, at first
	 * in `archives`. */
	const char *archive_dir;
	size_t data_max;   /* bytes of one event's data; 0: 1 MiB */
	size_t events_max; /* events in one append; 0: 250,000 */
};

/* Opens the store in `dir`, and makes one where there is none (not with read_only). `options` may be NULL. The caller owns
 * *out. TM_LOCKED, TM_NOT_FOUND (read_only), TM_NEWER, TM_CORRUPT, TM_CONFLICT (the directory has archives of later events
 * than its log), TM_INVALID (the path is too long), TM_FULL. */
TM_API enum tm_err tm_open(const char *dir, const struct tm_options *options, struct tm_store **out, struct tm_error *error);
/* Closes the store; NULL is fine. Everything committed is safe without it. Its readers are closed, its transactions ended,
 * and no other call on it is under way; anything else aborts the program. */
TM_API void tm_close(struct tm_store *store);

struct tm_info {
	uint64_t first;     /* the lowest seq that can be read; head + 1 where there is none */
	uint64_t head;      /* the highest seq given; 0 in a new store */
	uint64_t log_first; /* the lowest seq that is not in archives alone; head + 1 where there is none */
	int64_t last_time;  /* of the newest event; 0 where there never was one */
	uint32_t streams;   /* that have events */
	uint32_t archives;
	uint64_t archive_bytes;       /* of their files */
	uint64_t log_bytes;           /* of the database and its write-ahead log */
	char epoch[TM_EPOCH_LEN + 1]; /* the name of the newest line of history: see docs/library.md */
};
/* Figures of this moment. Does not wait for the disk. */
TM_API void tm_get_info(struct tm_store *store, struct tm_info *out);
/* tm_info.head alone. */
TM_API uint64_t tm_head(struct tm_store *store);

struct tm_stream {
	char name[TM_NAME_MAX + 1];
	uint64_t first; /* seq of the oldest event of the stream that was not discarded */
	uint64_t last;
	uint64_t count;
	uint64_t bytes; /* of data */
};
/* The figures of one stream; `name` may be the one in *out. TM_NOT_FOUND: it has no event. */
TM_API enum tm_err tm_find_stream(struct tm_store *store, const char *name, struct tm_stream *out, struct tm_error *error);
/* The stream whose name comes next after `after` in the order of bytes; "": the first. `after` may be the one in *out.
 * TM_END: there is none. TM_BUSY: another thread is sorting very many new ones. */
TM_API enum tm_err tm_next_stream(struct tm_store *store, const char *after, struct tm_stream *out, struct tm_error *error);

/* --- writing --- */

struct tm_new_event {
	const char *stream; /* NULL: "default" */
	const char *type;   /* NULL: "event" */
	const char *id;     /* NULL: none. An event whose id is in its stream already is not stored again. */
	const char *data;   /* any JSON value */
	size_t data_len;    /* 0: strlen(data) */
};

/* Zeroed: the defaults. */
struct tm_append_options {
	bool expect;          /* refuse (TM_CONFLICT) unless the last seq of the events' only stream is expect_last */
	uint64_t expect_last; /* 0: the stream is new */
	uint64_t *seqs;       /* gets the seq of each event, of the first seqs_max; NULL: not wanted */
	size_t seqs_max;
};

struct tm_receipt {
	uint64_t first; /* of the new events; of the originals where all were duplicates */
	uint64_t last;
	uint64_t count;      /* of new events */
	uint64_t duplicates; /* events whose id was stored before */
	int64_t time;        /* of the new events */
};

enum tm_form {
	TM_JSON = 0,       /* one event {"stream":…,"type":…,"id":…,"data":…}, or an array of events */
	TM_LINES = 1,      /* one such event a line */
	TM_CLOUDEVENT = 2, /* one CloudEvent 1.0 */
	TM_CLOUDEVENTS = 3 /* an array of them */
};

/* Events as text; it is copied. */
struct tm_text {
	const char *text;
	size_t len;
	enum tm_form form;
};

/* Stores events, all or none, and returns when they are on stable storage. Threads that append at the same time share a
 * commit. `options`, `receipt` may be NULL. TM_INVALID, TM_TOO_LARGE and TM_CONFLICT: nothing was stored; tm_error.place
 * says which event. TM_READ_ONLY. TM_INVALID also where this thread has a transaction open. TM_FULL, TM_IO: the commit
 * failed, and the events are stored or not; give them ids, and append them again. */
TM_API enum tm_err tm_append(struct tm_store *store, const struct tm_new_event *events, size_t count,
			     const struct tm_append_options *options, struct tm_receipt *receipt, struct tm_error *error);
/* The same for events as JSON text. */
TM_API enum tm_err tm_append_json(struct tm_store *store, struct tm_text text, const struct tm_append_options *options,
				  struct tm_receipt *receipt, struct tm_error *error);

/* Several appends and positions that are committed together or not at all. */
struct tm_transaction;
/* Waits until no other thread writes, and begins a transaction; others that write wait until it ends. It may be handed to
 * another thread. Every transaction is ended by tm_commit or tm_rollback, which free it. TM_READ_ONLY; TM_INVALID where this
 * thread has one open. */
TM_API enum tm_err tm_begin(struct tm_store *store, struct tm_transaction **out, struct tm_error *error);
/* As tm_append, but nothing is stored or seen before tm_commit. After TM_INVALID, TM_TOO_LARGE and TM_CONFLICT the
 * transaction goes on without these events; after any other error it can only be rolled back. */
TM_API enum tm_err tm_add(struct tm_transaction *transaction, const struct tm_new_event *events, size_t count,
			  const struct tm_append_options *options, struct tm_receipt *receipt, struct tm_error *error);
TM_API enum tm_err tm_add_json(struct tm_transaction *transaction, struct tm_text text,
			       const struct tm_append_options *options, struct tm_receipt *receipt, struct tm_error *error);
/* As tm_position_save, but in the transaction: a reader that stores what it makes of events, and its position, in one
 * transaction handles each event exactly once. */
TM_API enum tm_err tm_add_position(struct tm_transaction *transaction, const char *name, uint64_t seq,
				   struct tm_error *error);
/* Commits, and frees the transaction whatever it returns. On TM_OK everything is on stable storage. Errors as tm_append. */
TM_API enum tm_err tm_commit(struct tm_transaction *transaction, struct tm_error *error);
/* Gives the transaction up and frees it; NULL is fine. */
TM_API void tm_rollback(struct tm_transaction *transaction);

/* Positions: what a named reader has handled, kept in the store. They are the sessions of the server. */

/* Saves a position on stable storage. TM_READ_ONLY; TM_INVALID: the name, or `seq` is after the head. */
TM_API enum tm_err tm_position_save(struct tm_store *store, const char *name, uint64_t seq, struct tm_error *error);
/* The saved position: everything up to it was handled. Where the store was restored from a copy and went another way since,
 * it is where the two ways part. TM_NOT_FOUND. */
TM_API enum tm_err tm_position(struct tm_store *store, const char *name, uint64_t *seq, struct tm_error *error);
/* Forgets a position. Success also where there is none. TM_READ_ONLY. */
TM_API enum tm_err tm_position_delete(struct tm_store *store, const char *name, struct tm_error *error);

/* --- reading --- */

/* A stored event. All texts end with a NUL. */
struct tm_event {
	uint64_t seq;
	int64_t time;
	const char *stream;
	const char *type;
	const char *id;   /* "": none */
	const char *data; /* JSON, as it was appended, without insignificant white space */
	size_t data_len;
	const char *json; /* all of it as one line: {"seq":…,"time":…,"stream":…,"type":…,"id":…,"data":…} */
	size_t json_len;
};

/* Events that were read together. It does not change, and does not depend on where it was read from; any number of threads
 * may use it. Owned by the caller of tm_reader_page or tm_archive_page. */
struct tm_page;
TM_API uint32_t tm_page_count(const struct tm_page *page);
/* An event of the page, which lives as long as the page; NULL where `index` is not below the count. */
TM_API const struct tm_event *tm_page_event(const struct tm_page *page, uint32_t index);
TM_API void tm_page_free(struct tm_page *page); /* NULL is fine */

/* Zeroed: everything, from the first event on. */
struct tm_reader_options {
	uint64_t after;  /* begin with the event after this seq */
	uint64_t before; /* end before this seq; 0: go on as events are committed (descending: begin at the head) */
	bool descending; /* newest first; such a reader does not wait */
	/* Only these events; each array ends with NULL; NULL: no condition. A name that ends in * stands for all that begin
	 * so. */
	const char *const *streams; /* any of these streams */
	const char *const *types;   /* and any of these types */
	const char *const *where;   /* and all of these: /POINTER=VALUE, on the data */
	uint32_t page_events;       /* in a page at the most; 0: 1,024 */
};

/* A cursor in the log: events come from the database or from archives, and then live. */
struct tm_reader;
/* The store outlives its readers. `options` may be NULL. TM_INVALID, TM_TOO_LARGE: a name or a condition is none, or there
 * are more than 256 names or 4 conditions. */
TM_API enum tm_err tm_reader_open(struct tm_store *store, const struct tm_reader_options *options, struct tm_reader **out,
				  struct tm_error *error);
TM_API void tm_reader_close(struct tm_reader *reader); /* NULL is fine; not while another thread uses it */
/* The next event that matches, which lives until the next call with this reader. Where there is none yet, it waits for
 * commits for up to timeout_ms (0: it does not wait; negative: without end). TM_END; TM_INTERRUPTED. TM_GONE: the next event
 * was discarded; tm_reader_skip goes on behind it. TM_CORRUPT: what is stored is damaged there; the position stays. */
TM_API enum tm_err tm_reader_next(struct tm_reader *reader, int64_t timeout_ms, const struct tm_event **out,
				  struct tm_error *error);
/* The same for a page: at least one event, and no more than page_events or about 256 KiB of them. The caller owns it. */
TM_API enum tm_err tm_reader_page(struct tm_reader *reader, int64_t timeout_ms, struct tm_page **out,
				  struct tm_error *error);
/* Everything up to this seq has been handed out, or did not match (descending: everything from it on). */
TM_API uint64_t tm_reader_position(const struct tm_reader *reader);
/* Goes on with the event after this seq (descending: with the one before it). */
TM_API void tm_reader_seek(struct tm_reader *reader, uint64_t seq);
/* Goes on with the first event of that time or later (descending: with the last one before it). */
TM_API enum tm_err tm_reader_seek_time(struct tm_reader *reader, int64_t time, struct tm_error *error);
/* After TM_GONE: passes over what was discarded. Returns how many seqs it has passed; 0 where the next can be read. */
TM_API uint64_t tm_reader_skip(struct tm_reader *reader);
/* Makes the call that is waiting, or else the next one that reads, return TM_INTERRUPTED. From any thread. */
TM_API void tm_reader_interrupt(struct tm_reader *reader);

/* --- archives --- */

/* Callbacks of long work. Zeroed: none. */
struct tm_watch {
	void (*progress)(void *arg, uint64_t done, uint64_t all); /* called now and then, on the thread of the call; NULL */
	bool (*stop)(void *arg);                                  /* true ends the work with TM_INTERRUPTED; NULL */
	void *arg;
};

struct tm_seal_options {
	uint64_t archive_events; /* in one archive; 0: 1,000,000, or 256 MiB of the log if that is less */
	int level;               /* of zstd, 1 to 19; 0: 2 */
	struct tm_watch watch;
};

struct tm_sealed {
	uint64_t archives; /* that hold what has left the log now */
	uint64_t events;   /* that have left the log */
};

/* Moves the events up to `upto` from the log into archives. Each archive is written, synced, read back and compared with the
 * log before its events leave the log. Whenever this is interrupted, by a crash too, every event can be read. The newest
 * event stays in the log. `options` and `out` may be NULL. Writers go on meanwhile; another seal, discard or delete waits.
 * TM_READ_ONLY, TM_INTERRUPTED, TM_FULL, TM_CORRUPT (what is in the log, or in an archive of the same events, is damaged).
 */
TM_API enum tm_err tm_seal(struct tm_store *store, uint64_t upto, const struct tm_seal_options *options,
			   struct tm_sealed *out, struct tm_error *error);
/* Removes the events up to `upto` from the log for good, into no archive; the newest event stays. Events that are in
 * archives already stay there. *discarded, which may be NULL, says how many. TM_READ_ONLY. */
TM_API enum tm_err tm_discard(struct tm_store *store, uint64_t upto, uint64_t *discarded, struct tm_error *error);

struct tm_archive_info {
	char path[TM_PATH_SIZE];
	char epoch[TM_EPOCH_LEN + 1]; /* the line of history of its last event; "": not known */
	uint64_t first;
	uint64_t last;
	uint64_t count; /* last - first + 1, unless a filter decided what it holds */
	int64_t first_time;
	int64_t last_time;
	uint64_t bytes;                 /* of the file */
	uint64_t raw_bytes;             /* of its lines */
	char sha256[TM_DIGEST_LEN + 1]; /* of its lines (of the file, where it has no manifest inside) */
	char chain[TM_DIGEST_LEN + 1];  /* of this archive and all before it: docs/reliability.md */
};

/* The archives of a store, in the order of their first seq. TM_END: `index` is not below their number. */
TM_API enum tm_err tm_archive_at(struct tm_store *store, uint32_t index, struct tm_archive_info *out,
				 struct tm_error *error);
/* Deletes an archive of the store, named by its path or the last part of it, whose events are all in the log or in other
 * archives. TM_NOT_FOUND; TM_CONFLICT: it is needed; TM_READ_ONLY. */
TM_API enum tm_err tm_archive_delete(struct tm_store *store, const char *path, struct tm_error *error);

/* One archive, read without a store. */
struct tm_archive;
/* The caller owns *out. TM_NOT_FOUND: there is no such file, or it has no manifest; TM_CORRUPT, TM_NEWER. */
TM_API enum tm_err tm_archive_open(const char *path, struct tm_archive **out, struct tm_error *error);
TM_API void tm_archive_close(struct tm_archive *archive); /* NULL is fine */
/* What its manifest says; not checked against its content: see tm_archive_verify. */
TM_API void tm_archive_get_info(const struct tm_archive *archive, struct tm_archive_info *out);
/* The next event, which lives until the next call with this archive. TM_END; TM_CORRUPT. */
TM_API enum tm_err tm_archive_next(struct tm_archive *archive, const struct tm_event **out, struct tm_error *error);
/* The same for a page, of about 1 MiB. The caller owns it. */
TM_API enum tm_err tm_archive_page(struct tm_archive *archive, struct tm_page **out, struct tm_error *error);
/* Goes on with the first event after this seq. */
TM_API enum tm_err tm_archive_seek(struct tm_archive *archive, uint64_t after, struct tm_error *error);
/* Reads all of an archive, and compares it with its manifest. `out` and `watch` may be NULL; watch->stop is not asked.
 * TM_CORRUPT names the first event at fault; TM_NOT_FOUND. */
TM_API enum tm_err tm_archive_verify(const char *path, const struct tm_watch *watch, struct tm_archive_info *out,
				     struct tm_error *error);

/* --- checking and copying --- */

struct tm_verified {
	uint64_t first;
	uint64_t head;
	uint64_t events;   /* that were fine, also where the next is not */
	char skipped[160]; /* tables whose structure was not checked because another process wrote too much; "": none */
};
/* Checks every event of the store in `dir`, of its log and its archives, its index and its figures. The store may be in use,
 * here or in another process. `watch` may be NULL; watch->stop is not asked. TM_CORRUPT: error.text names the first fault.
 * TM_NOT_FOUND. TM_BUSY: another process wrote all the time. */
TM_API enum tm_err tm_verify(const char *dir, const struct tm_watch *watch, struct tm_verified *out, struct tm_error *error);

struct tm_backup_options {
	uint64_t until; /* the copy ends with this event; 0: with the newest */
	struct tm_watch watch;
};

struct tm_copied {
	uint64_t events;   /* copied now */
	uint64_t archives; /* copied now */
	uint64_t first;    /* of the copy */
	uint64_t head;
};
/* Copies the store in `dir`, which may be in use here or in another process, to the directory `dest`; every event is proven
 * on the way. The copy is a store. Done again, only what is new is copied. `options` and `out` may be NULL. TM_CONFLICT:
 * `dest` is a copy of something else, or is ahead. TM_INTERRUPTED, TM_FULL, TM_CORRUPT, TM_NOT_FOUND, TM_LOCKED (dest). */
TM_API enum tm_err tm_backup(const char *dir, const char *dest, const struct tm_backup_options *options,
			     struct tm_copied *out, struct tm_error *error);

#ifdef __cplusplus
}
#endif

#endif
