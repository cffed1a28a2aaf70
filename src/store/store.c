#include "tidemark/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "store/committed.h"
#include "store/db.h"
#include "store/store_inside.h"
#include "store/sum.h"

enum {
	PATH_LEN = 1024,
	/* Pages of WAL after which it is written back. 16 MiB: large enough to make the cost of the second fsync small
	 * beside that of the commits, small enough to read back in a moment after a crash. */
	CHECKPOINT_PAGES = 4096,
	/* Past this a passive checkpoint has been held up by readers again and again: wait for them once. */
	CHECKPOINT_FORCED_PAGES = 4 * CHECKPOINT_PAGES,
};

/* Every statement of the writing connection. */
enum statement {
	S_BEGIN,
	S_COMMIT,
	S_INSERT,
	S_TOPIC,
	S_KEY,
	S_EVENT,
	S_SESSION_PUT,
	S_SESSION_DELETE,
	S_PROBE,
	STATEMENTS
};

static const char *const statement_sql[STATEMENTS] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_INSERT] = "INSERT INTO event(seq, time, topic, id, data, sum) VALUES (?, ?, ?, ?, ?, ?)",
	[S_TOPIC] = "INSERT INTO topic(id, stream, type) VALUES (?, ?, ?)",
	[S_KEY] = "SELECT seq FROM id_key WHERE key = ? ORDER BY seq",
	[S_EVENT] = "SELECT topic, id FROM event WHERE seq = ?",
	[S_SESSION_PUT] = "INSERT OR REPLACE INTO session(name, acked, updated) VALUES (?, ?, ?)",
	[S_SESSION_DELETE] = "DELETE FROM session WHERE name = ?",
	[S_PROBE] = "INSERT OR REPLACE INTO meta(key, value) VALUES ('probe', ?)",
};

/* An event of the open transaction: what is counted once it is committed. */
struct pending {
	uint32_t topic;
	uint32_t bytes;
};

struct store {
	char dir[PATH_LEN];
	char path[PATH_LEN];
	char epoch[STORE_EPOCH_LEN + 1];
	struct store_options options;
	int lock_fd;
	struct catalog *catalog;
	struct trail *trail;

	pthread_mutex_t lock; /* guards head and first */
	uint64_t head;
	uint64_t first;

	/* The writing thread's own. */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int wal_pages;    /* as the last commit left it */
	int copied_pages; /* how many of them the last checkpoint saw */
	int64_t last_time_ms;

	/* The open transaction. */
	bool open;
	uint64_t next_seq;
	int64_t time_ms;
	char time_text[CLOCK_TEXT_LEN];
	size_t keys_before;
	struct pending *pending;
	size_t pending_count;
	size_t pending_cap;
	struct page_builder *builder;
	struct committed *committed;
};

void receipt_finish(struct receipt *r)
{
	free(r->seqs);
	r->seqs = NULL;
}

/* --- opening --- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	struct store *s = arg;
	if (pages < s->wal_pages)
		s->copied_pages = 0;
	s->wal_pages = pages;
	return SQLITE_OK;
}

static void close_db(struct store *s)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(s->statements[i]);
		s->statements[i] = NULL;
	}
	db_close(s->db);
	s->db = NULL;
}

static enum err open_db(struct store *s, struct fault *fault)
{
	bool write = s->options.access == STORE_WRITE;
	enum db_mode mode = !write ? DB_READ : s->options.relaxed ? DB_WRITE_RELAXED : DB_WRITE;
	enum err err = db_open(s->path, mode, &s->db, fault);
	if (err || !write)
		return err;
	sqlite3_wal_hook(s->db, on_wal, s);
	for (int i = 0; !err && i < STATEMENTS; i++)
		err = db_prepare(s->db, statement_sql[i], &s->statements[i], fault);
	return err;
}

/* A directory entry is on stable storage only when its directory was synced. */
static enum err sync_dir(const char *dir, struct fault *fault)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 || fsync(fd) != 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	return failed ? fault_set(fault, ERR_IO, "cannot sync %s: %s", dir, strerror(why)) : ERR_NONE;
}

static enum err make_dir(const char *dir, struct fault *fault)
{
	char path[PATH_LEN];
	snprintf(path, sizeof path, "%s", dir);
	for (char *slash = path + 1;; slash++) {
		slash = strchrnul(slash, '/');
		bool end = *slash == '\0';
		*slash = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return fault_set(fault, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot make the directory %s: %s",
					 path, strerror(errno));
		if (end)
			return ERR_NONE;
		*slash = '/';
	}
}

/* The lock of a directory is the kernel's lock on its file `lock`: it goes when the process goes. */
static enum err take_lock(struct store *s, struct fault *fault)
{
	char path[PATH_LEN + 8];
	snprintf(path, sizeof path, "%s/lock", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return fault_set(fault, errno == ENOSPC ? ERR_FULL : ERR_IO, "cannot open %s: %s", path, strerror(errno));
	char owner[32] = "";
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t n = read(s->lock_fd, owner, sizeof owner - 1);
		owner[n > 0 ? n : 0] = '\0';
		owner[strcspn(owner, "\n")] = '\0';
		return fault_set(fault, ERR_LOCKED, "%s is in use by another Tidemark server (process %s)", s->dir,
				 owner[0] != '\0' ? owner : "unknown");
	}
	int n = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
	/* Only for the message above: the lock holds without it. */
	if (ftruncate(s->lock_fd, 0) == 0 && pwrite(s->lock_fd, owner, (size_t)n, 0) != n)
		(void)ftruncate(s->lock_fd, 0);
	return ERR_NONE;
}

static enum err load_epoch(struct store *s, struct fault *fault)
{
	static const char select[] = "SELECT value FROM meta WHERE key = 'epoch'";
	sqlite3_stmt *st;
	if (s->options.access == STORE_WRITE) {
		char epoch[STORE_EPOCH_LEN + 1];
		char sql[128];
		random_hex(epoch, STORE_EPOCH_LEN / 2);
		snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO meta(key, value) VALUES ('epoch', '%s')", epoch);
		enum err err = db_exec(s->db, sql, fault);
		if (err)
			return err;
	}
	enum err err = db_prepare(s->db, select, &st, fault);
	if (err)
		return err;
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(st, 0) == STORE_EPOCH_LEN)
		memcpy(s->epoch, sqlite3_column_text(st, 0), STORE_EPOCH_LEN);
	else
		err = fault_set(fault, ERR_CORRUPT, "%s has no epoch", s->path);
	sqlite3_finalize(st);
	return err;
}

static enum err load_topic(struct store *s, sqlite3_stmt *st, struct fault *fault)
{
	struct slice stream = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
	struct slice type = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	uint32_t topic;
	bool is_new;
	enum err err = catalog_intern(s->catalog, stream, type, &topic, &is_new);
	if (err)
		return fault_set(fault, err, "cannot load the topics: %s", err_name(err));
	if (!is_new || topic != sqlite3_column_int64(st, 0))
		return fault_set(fault, ERR_CORRUPT, "topic %lld is damaged", sqlite3_column_int64(st, 0));
	struct figures f = {(uint64_t)sqlite3_column_int64(st, 3), (uint64_t)sqlite3_column_int64(st, 4),
			    (uint64_t)sqlite3_column_int64(st, 5), (uint64_t)sqlite3_column_int64(st, 6)};
	catalog_restore(s->catalog, topic, f);
	return ERR_NONE;
}

/* Topics that the catalog does not know yet. */
static enum err load_topics(struct store *s, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err =
		db_prepare(s->db, "SELECT id, stream, type, first, last, count, bytes FROM topic WHERE id >= ? ORDER BY id",
			   &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, catalog_topics(s->catalog));
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE)
		err = rc == SQLITE_ROW ? load_topic(s, st, fault) : db_fault(s->db, rc, "loading the topics", fault);
	sqlite3_finalize(st);
	catalog_commit(s->catalog);
	return err;
}

static void set_head(struct store *s, uint64_t head, uint64_t first)
{
	pthread_mutex_lock(&s->lock);
	s->head = head;
	s->first = first;
	pthread_mutex_unlock(&s->lock);
}

/* Takes one stored event into the memory that trails: what a commit does for a new one. */
static enum err load_event(struct store *s, uint64_t seq, sqlite3_stmt *st, struct fault *fault)
{
	if ((uint64_t)sqlite3_column_int64(st, 0) != seq)
		return fault_set(fault, ERR_CORRUPT, "event %llu is missing", (unsigned long long)seq);
	sqlite3_int64 topic = sqlite3_column_int64(st, 1);
	if (topic < 0 || topic >= catalog_topics(s->catalog))
		return fault_set(fault, ERR_CORRUPT, "event %llu names a topic that does not exist",
				 (unsigned long long)seq);
	enum err err = trail_reserve(s->trail, 1);
	struct slice id = {(const char *)sqlite3_column_text(st, 2), (size_t)sqlite3_column_bytes(st, 2)};
	if (!err && id.len > 0 && s->options.access == STORE_WRITE)
		err = trail_add_key(s->trail, sum_key(catalog_topic(s->catalog, (uint32_t)topic)->stream, id), seq);
	if (err)
		return fault_set(fault, err, "out of memory");
	trail_lock(s->trail);
	trail_add(s->trail, (uint32_t)topic);
	trail_unlock(s->trail);
	catalog_lock(s->catalog);
	catalog_count(s->catalog, (uint32_t)topic, seq, (uint64_t)sqlite3_column_int64(st, 3));
	catalog_unlock(s->catalog);
	s->last_time_ms = sqlite3_column_int64(st, 4);
	return ERR_NONE;
}

/* Events after `from`, which the memory does not know yet. */
static enum err load_events(struct store *s, uint64_t from, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(
		s->db, "SELECT seq, topic, id, length(CAST(data AS BLOB)), time FROM event WHERE seq > ? ORDER BY seq", &st,
		fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)from);
	uint64_t seq = from;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE)
		err = rc == SQLITE_ROW ? load_event(s, ++seq, st, fault)
				       : db_fault(s->db, rc, "loading the newest events", fault);
	sqlite3_finalize(st);
	return err;
}

static enum err load(struct store *s, struct fault *fault)
{
	sqlite3_int64 mark = 0;
	sqlite3_int64 head = 0;
	sqlite3_int64 first = 0;
	sqlite3_int64 last = 0;
	sqlite3_int64 time = 0;
	enum err err = load_epoch(s, fault);
	if (!err)
		err = db_integer(s->db, "SELECT value FROM meta WHERE key = 'trail'", 0, &mark, fault);
	if (!err)
		err = db_integer(s->db, "SELECT value FROM meta WHERE key = 'head'", 0, &head, fault);
	if (!err)
		err = db_integer(s->db, "SELECT min(seq) FROM event", 0, &first, fault);
	if (!err)
		err = db_integer(s->db, "SELECT max(seq) FROM event", 0, &last, fault);
	if (!err)
		err = db_integer(s->db, "SELECT time FROM event ORDER BY seq DESC LIMIT 1", 0, &time, fault);
	if (err)
		return err;
	if (mark < 0 || head < mark || (last != 0 && last < head))
		return fault_set(fault, ERR_CORRUPT,
				 "the marks of %s contradict each other (trail %lld, head %lld, last event %lld)", s->path,
				 mark, head, last);
	s->last_time_ms = time;
	s->trail = trail_create((uint64_t)mark);
	if (s->trail == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	err = load_topics(s, fault);
	if (!err)
		err = load_events(s, (uint64_t)mark, fault);
	uint64_t end = (uint64_t)(last > head ? last : head);
	set_head(s, end, first != 0 ? (uint64_t)first : end + 1);
	return err;
}

static enum err open_all(struct store *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	bool fresh = access(s->path, F_OK) != 0;
	if (s->options.access == STORE_READ && fresh)
		return fault_set(fault, ERR_NOT_FOUND, "there is no Tidemark store in %s", s->dir);
	if (s->options.access == STORE_WRITE) {
		err = make_dir(s->dir, fault);
		if (!err)
			err = take_lock(s, fault);
	}
	if (!err)
		err = open_db(s, fault);
	if (!err)
		err = load(s, fault);
	if (!err && fresh)
		err = sync_dir(s->dir, fault);
	if (!err && fresh) {
		char parent[PATH_LEN + 4];
		snprintf(parent, sizeof parent, "%s/..", s->dir);
		err = sync_dir(parent, fault);
	}
	return err;
}

enum err store_open(const char *dir, struct store_options options, struct store **out, struct fault *fault)
{
	*out = NULL;
	size_t len = strlen(dir);
	if (len == 0 || len > PATH_LEN - 32)
		return fault_set(fault, ERR_INVALID, "the path of the data directory is %s",
				 len == 0 ? "empty" : "too long");
	struct store *s = calloc(1, sizeof *s);
	if (s == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->options = options;
	s->lock_fd = -1;
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	snprintf(s->path, sizeof s->path, "%.*s/tidemark.db", PATH_LEN - 16, dir);
	pthread_mutex_init(&s->lock, NULL);
	s->catalog = catalog_create();
	enum err err = s->catalog != NULL ? open_all(s, fault) : fault_set(fault, ERR_NOMEM, "out of memory");
	if (err) {
		close_db(s);
		store_close(s);
		return err;
	}
	*out = s;
	return ERR_NONE;
}

/* --- the open transaction --- */

static enum err run(struct store *s, enum statement which, const char *what, struct fault *fault)
{
	int rc = sqlite3_step(s->statements[which]);
	enum err err = rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_NONE : db_fault(s->db, rc, what, fault);
	sqlite3_reset(s->statements[which]);
	return err;
}

static void bind_slice(sqlite3_stmt *st, int at, struct slice text)
{
	sqlite3_bind_text(st, at, text.p, (int)text.len, SQLITE_STATIC);
}

/* Opens a transaction where none is open. `time` is that of the commit and never behind an earlier one. */
static enum err begin(struct store *s, struct fault *fault)
{
	if (s->open)
		return ERR_NONE;
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	enum err err = run(s, S_BEGIN, "opening a transaction", fault);
	if (err)
		return err;
	int64_t now = clock_wall_ms();
	s->open = true;
	s->next_seq = s->head + 1;
	s->time_ms = now > s->last_time_ms ? now : s->last_time_ms;
	clock_format(s->time_ms, s->time_text);
	s->keys_before = trail_keys(s->trail);
	s->pending_count = 0;
	return ERR_NONE;
}

static void forget_pages(struct store *s)
{
	page_builder_destroy(s->builder);
	s->builder = NULL;
	committed_destroy(s->committed);
	s->committed = NULL;
}

void store_rollback(struct store *s)
{
	if (!s->open)
		return;
	s->open = false;
	if (s->db != NULL && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	trail_forget_keys(s->trail, s->keys_before);
	catalog_rollback(s->catalog);
	forget_pages(s);
}

/* Is `seq` really the event with this stream and id? */
static enum err confirm(struct store *s, uint64_t seq, const struct event *e, bool *same, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_EVENT];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
	int rc = sqlite3_step(st);
	*same = false;
	enum err err = ERR_NONE;
	if (rc == SQLITE_ROW) {
		uint32_t topic = (uint32_t)sqlite3_column_int64(st, 0);
		struct slice id = {(const char *)sqlite3_column_text(st, 1), (size_t)sqlite3_column_bytes(st, 1)};
		*same = slice_eq(id, e->id) && slice_eq(catalog_topic(s->catalog, topic)->stream, e->stream);
	} else if (rc != SQLITE_DONE) {
		err = db_fault(s->db, rc, "comparing an id", fault);
	}
	sqlite3_reset(st);
	return err;
}

/* The seq of the stored event with this stream and id, 0 where there is none. */
static enum err find_id(struct store *s, const struct event *e, int64_t key, uint64_t *seq, struct fault *fault)
{
	bool same = false;
	enum err err = ERR_NONE;
	for (unsigned k = 0; !err && !same && trail_key(s->trail, key, k, seq); k++)
		err = confirm(s, *seq, e, &same, fault);
	sqlite3_stmt *st = s->statements[S_KEY];
	sqlite3_bind_int64(st, 1, key);
	int rc = SQLITE_ROW;
	while (!err && !same && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		*seq = (uint64_t)sqlite3_column_int64(st, 0);
		err = confirm(s, *seq, e, &same, fault);
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE && !err)
		err = db_fault(s->db, rc, "looking for an id", fault);
	sqlite3_reset(st);
	if (!same)
		*seq = 0;
	return err;
}

/* The last seq of a stream, with what the open transaction has added to it. */
static uint64_t last_of_stream(struct store *s, struct slice stream)
{
	for (size_t i = s->pending_count; i > 0; i--)
		if (slice_eq(catalog_topic(s->catalog, s->pending[i - 1].topic)->stream, stream))
			return s->head + i;
	return catalog_stream_last(s->catalog, stream);
}

/* Does the caller's expectation hold? A retry whose events are all stored already has nothing left to expect. */
static enum err check_expectation(struct store *s, const struct batch *batch, uint64_t expected, struct fault *fault)
{
	struct slice stream = batch_event(batch, 0)->stream;
	bool all_stored = true;
	for (size_t i = 0; i < batch_count(batch); i++) {
		const struct event *e = batch_event(batch, i);
		uint64_t seq = 0;
		if (!slice_eq(e->stream, stream))
			return fault_set(fault, ERR_INVALID, "expect goes with one stream, and there are several");
		enum err err = all_stored && e->id.len > 0 ? find_id(s, e, sum_key(stream, e->id), &seq, fault) : ERR_NONE;
		if (err)
			return err;
		all_stored = all_stored && seq != 0;
	}
	uint64_t last = last_of_stream(s, stream);
	if (all_stored || last == expected)
		return ERR_NONE;
	return fault_set(fault, ERR_CONFLICT, "the stream's last seq is %llu, not %llu", (unsigned long long)last,
			 (unsigned long long)expected);
}

static enum err topic_of(struct store *s, const struct event *e, uint32_t *topic, struct fault *fault)
{
	bool is_new;
	enum err err = catalog_intern(s->catalog, e->stream, e->type, topic, &is_new);
	if (err == ERR_BUSY)
		return fault_set(fault, err, "the store has %d topics (pairs of stream and type), the limit",
				 CATALOG_TOPICS_MAX);
	if (err)
		return fault_set(fault, err, "out of memory");
	if (!is_new)
		return ERR_NONE;
	sqlite3_bind_int64(s->statements[S_TOPIC], 1, *topic);
	bind_slice(s->statements[S_TOPIC], 2, e->stream);
	bind_slice(s->statements[S_TOPIC], 3, e->type);
	return run(s, S_TOPIC, "storing a topic", fault);
}

static enum err insert(struct store *s, const struct event *e, uint32_t topic, struct fault *fault)
{
	sqlite3_stmt *st = s->statements[S_INSERT];
	sqlite3_bind_int64(st, 1, (sqlite3_int64)s->next_seq);
	sqlite3_bind_int64(st, 2, s->time_ms);
	sqlite3_bind_int64(st, 3, topic);
	if (e->id.len > 0)
		bind_slice(st, 4, e->id);
	else
		sqlite3_bind_null(st, 4);
	bind_slice(st, 5, e->data);
	sqlite3_bind_int64(st, 6,
			   sum_event(s->next_seq, s->time_ms, catalog_topic(s->catalog, topic)->hash, e->id, e->data));
	return run(s, S_INSERT, "storing an event", fault);
}

/* Ends the page under construction. */
static enum err end_page(struct store *s)
{
	if (s->builder == NULL)
		return ERR_NONE;
	struct page *page = page_builder_take(s->builder, s->next_seq - 1);
	s->builder = NULL;
	if (s->committed == NULL)
		s->committed = committed_create();
	if (s->committed != NULL)
		return committed_add_take(s->committed, page);
	page_unref(page);
	return ERR_NOMEM;
}

/* Frames the event for the feed and notes it for the figures. */
static enum err frame(struct store *s, const struct event *e, uint32_t topic)
{
	if (s->builder == NULL)
		s->builder = page_builder_create(WIRE_WS, s->next_seq - 1);
	if (s->builder == NULL)
		return ERR_NOMEM;
	if (s->pending_count == s->pending_cap) {
		size_t cap = s->pending_cap ? s->pending_cap * 2 : 1024;
		struct pending *pending = realloc(s->pending, cap * sizeof *pending);
		if (pending == NULL)
			return ERR_NOMEM;
		s->pending = pending;
		s->pending_cap = cap;
	}
	struct wire_event w = {s->next_seq, s->time_text, catalog_topic(s->catalog, topic)->json, e->id, e->data};
	enum err err = page_builder_add(s->builder, &w, s->time_ms, topic);
	if (err)
		return err;
	s->pending[s->pending_count++] = (struct pending){topic, (uint32_t)e->data.len};
	s->next_seq++;
	return page_builder_bytes(s->builder) >= COMMITTED_PAGE_BYTES ? end_page(s) : ERR_NONE;
}

/* Stores one event, or finds that it is stored already. */
static enum err append_one(struct store *s, const struct event *e, uint64_t *seq, bool *duplicate, struct fault *fault)
{
	uint32_t topic;
	int64_t key = 0;
	*duplicate = false;
	if (e->id.len > 0) {
		key = sum_key(e->stream, e->id);
		enum err err = find_id(s, e, key, seq, fault);
		*duplicate = !err && *seq != 0;
		if (err || *duplicate)
			return err;
	}
	*seq = s->next_seq;
	enum err err = topic_of(s, e, &topic, fault);
	if (!err)
		err = insert(s, e, topic, fault);
	if (!err && e->id.len > 0 && trail_add_key(s->trail, key, *seq) != ERR_NONE)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err && frame(s, e, topic) != ERR_NONE)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	return err;
}

/* Counts an event into the receipt; seqs are listed from the first duplicate on. */
static enum err note(struct receipt *r, size_t index, size_t count, uint64_t seq, bool duplicate, uint64_t first_seq,
		     struct fault *fault)
{
	if (duplicate && r->seqs == NULL) {
		r->seqs = malloc(count * sizeof *r->seqs);
		if (r->seqs == NULL)
			return fault_set(fault, ERR_NOMEM, "out of memory");
		for (size_t i = 0; i < index; i++)
			r->seqs[i] = first_seq + i;
	}
	if (r->seqs != NULL)
		r->seqs[index] = seq;
	r->duplicates += duplicate;
	r->count += !duplicate;
	return ERR_NONE;
}

/* The range of the new events; of the originals where all were duplicates. */
static void set_range(struct receipt *r, size_t count, uint64_t first_seq)
{
	r->first = first_seq;
	r->last = first_seq + r->count - 1;
	if (r->count > 0)
		return;
	r->first = r->last = r->seqs[0];
	for (size_t i = 1; i < count; i++) {
		r->first = r->seqs[i] < r->first ? r->seqs[i] : r->first;
		r->last = r->seqs[i] > r->last ? r->seqs[i] : r->last;
	}
}

enum err store_append(struct store *s, const struct batch *batch, const struct append_options *options,
		      struct receipt *receipt, struct fault *fault)
{
	*receipt = (struct receipt){0};
	size_t count = batch_count(batch);
	enum err err = begin(s, fault);
	if (!err && options != NULL && options->expect)
		err = check_expectation(s, batch, options->expect_last, fault);
	/* Topics first: running into their limit must not leave half a batch behind. */
	for (size_t i = 0; !err && i < count; i++) {
		uint32_t topic;
		err = topic_of(s, batch_event(batch, i), &topic, fault);
	}
	if (err)
		return err;
	uint64_t first_seq = s->next_seq;
	for (size_t i = 0; !err && i < count; i++) {
		uint64_t seq;
		bool duplicate;
		err = append_one(s, batch_event(batch, i), &seq, &duplicate, fault);
		if (!err)
			err = note(receipt, i, count, seq, duplicate, first_seq, fault);
	}
	if (err) {
		receipt_finish(receipt);
		return err;
	}
	set_range(receipt, count, first_seq);
	receipt->time_ms = s->time_ms;
	return ERR_NONE;
}

/* What a commit means for everything that is kept in memory. Nothing here can fail. */
static void count_in(struct store *s)
{
	catalog_commit(s->catalog);
	catalog_lock(s->catalog);
	for (size_t i = 0; i < s->pending_count; i++)
		catalog_count(s->catalog, s->pending[i].topic, s->head + 1 + i, s->pending[i].bytes);
	catalog_unlock(s->catalog);
	trail_lock(s->trail);
	for (size_t i = 0; i < s->pending_count; i++)
		trail_add(s->trail, s->pending[i].topic);
	trail_unlock(s->trail);
	if (s->pending_count > 0)
		s->last_time_ms = s->time_ms;
	set_head(s, s->next_seq - 1, s->first);
}

enum err store_commit(struct store *s, struct committed **out, struct fault *fault)
{
	*out = NULL;
	if (!s->open)
		return ERR_NONE;
	enum err err = end_page(s);
	if (!err)
		err = trail_reserve(s->trail, s->pending_count);
	if (err)
		fault_set(fault, err, "out of memory");
	else
		err = run(s, S_COMMIT, "committing", fault);
	if (err) {
		store_rollback(s);
		return err;
	}
	s->open = false;
	count_in(s);
	*out = s->committed;
	s->committed = NULL;
	return ERR_NONE;
}

/* --- after a failure --- */

/* Frames the events after `from` again, as they are in the file. */
static enum err frame_stored(struct store *s, uint64_t from, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err =
		db_prepare(s->db, "SELECT seq, time, topic, id, data FROM event WHERE seq > ? ORDER BY seq", &st, fault);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, (sqlite3_int64)from);
	s->next_seq = from + 1;
	s->pending_count = 0;
	int rc;
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint32_t topic = (uint32_t)sqlite3_column_int64(st, 2);
		struct event e = {.id = {(const char *)sqlite3_column_text(st, 3), (size_t)sqlite3_column_bytes(st, 3)},
				  .data = {(const char *)sqlite3_column_text(st, 4), (size_t)sqlite3_column_bytes(st, 4)}};
		s->time_ms = sqlite3_column_int64(st, 1);
		clock_format(s->time_ms, s->time_text);
		err = frame(s, &e, topic);
	}
	if (!err && rc != SQLITE_DONE)
		err = db_fault(s->db, rc, "reading back what was stored", fault);
	sqlite3_finalize(st);
	if (!err)
		err = end_page(s);
	return err;
}

enum err store_recover(struct store *s, struct committed **out, struct fault *fault)
{
	*out = NULL;
	store_rollback(s);
	close_db(s);
	uint64_t known = s->head;
	sqlite3_int64 last = 0;
	enum err err = open_db(s, fault);
	/* The kernel may take pages for clean that a failed fsync did not write: copying all of the WAL into the database
	 * makes them dirty again, and only when that was synced is the file what it seems to be. */
	if (!err) {
		int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		if (rc != SQLITE_OK)
			err = db_fault(s->db, rc, "writing the log back", fault);
	}
	if (!err)
		err = db_integer(s->db, "SELECT max(seq) FROM event", 0, &last, fault);
	if (!err)
		err = load_topics(s, fault);
	if (!err && (uint64_t)last > known)
		err = frame_stored(s, known, fault);
	if (!err)
		err = load_events(s, known, fault);
	if (err) {
		forget_pages(s);
		close_db(s);
		return err;
	}
	if ((uint64_t)last > known)
		set_head(s, (uint64_t)last, s->first);
	*out = s->committed;
	s->committed = NULL;
	return ERR_NONE;
}

/* --- sessions, upkeep --- */

enum err store_session_put(struct store *s, struct slice name, uint64_t acked, int64_t updated_ms, struct fault *fault)
{
	enum err err = begin(s, fault);
	if (err)
		return err;
	bind_slice(s->statements[S_SESSION_PUT], 1, name);
	sqlite3_bind_int64(s->statements[S_SESSION_PUT], 2, (sqlite3_int64)acked);
	sqlite3_bind_int64(s->statements[S_SESSION_PUT], 3, updated_ms);
	return run(s, S_SESSION_PUT, "storing a session", fault);
}

enum err store_session_each(struct store *s, store_session_fn *each, void *arg, struct fault *fault)
{
	sqlite3_stmt *st;
	enum err err = db_prepare(s->db, "SELECT name, acked, updated FROM session", &st, fault);
	if (err)
		return err;
	int rc;
	while (!err && (rc = sqlite3_step(st)) != SQLITE_DONE) {
		struct slice name = {(const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0)};
		err = rc == SQLITE_ROW ? each(arg, name, (uint64_t)sqlite3_column_int64(st, 1), sqlite3_column_int64(st, 2))
				       : db_fault(s->db, rc, "loading the sessions", fault);
	}
	sqlite3_finalize(st);
	return err;
}

enum err store_session_delete(struct store *s, struct slice name, struct fault *fault)
{
	enum err err = begin(s, fault);
	if (err)
		return err;
	bind_slice(s->statements[S_SESSION_DELETE], 1, name);
	return run(s, S_SESSION_DELETE, "deleting a session", fault);
}

static enum err flush_trail(struct store *s, struct fault *fault)
{
	enum err err = db_exec(s->db, "BEGIN IMMEDIATE", fault);
	if (!err)
		err = trail_flush(s->trail, s->db, s->catalog, fault);
	if (!err)
		err = db_exec(s->db, "COMMIT", fault);
	if (err) {
		if (!sqlite3_get_autocommit(s->db))
			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		return err;
	}
	trail_flushed(s->trail);
	return ERR_NONE;
}

static enum err checkpoint(struct store *s, int mode, struct fault *fault)
{
	int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, mode, NULL, NULL);
	if (rc == SQLITE_BUSY) /* a reader is in the way: the next time */
		return ERR_NONE;
	if (rc != SQLITE_OK)
		return db_fault(s->db, rc, "writing the log back", fault);
	/* A passive one leaves the WAL as long as it is: on_wal tells when it starts anew. */
	if (mode != SQLITE_CHECKPOINT_PASSIVE)
		s->wal_pages = 0;
	s->copied_pages = s->wal_pages;
	return ERR_NONE;
}

enum err store_maintain(struct store *s, bool idle, struct fault *fault)
{
	assert(!s->open);
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	if (trail_is_due(s->trail)) {
		enum err err = flush_trail(s, fault);
		if (err)
			return err;
	}
	if (idle && s->wal_pages > 0)
		return checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, fault);
	if (s->wal_pages > CHECKPOINT_FORCED_PAGES)
		return checkpoint(s, SQLITE_CHECKPOINT_RESTART, fault);
	if (s->wal_pages - s->copied_pages > CHECKPOINT_PAGES)
		return checkpoint(s, SQLITE_CHECKPOINT_PASSIVE, fault);
	return ERR_NONE;
}

enum err store_probe(struct store *s, struct fault *fault)
{
	if (s->db == NULL)
		return fault_set(fault, ERR_IO, "the store could not be opened again yet");
	sqlite3_bind_int64(s->statements[S_PROBE], 1, clock_wall_ms());
	return run(s, S_PROBE, "writing a probe", fault);
}

/* --- closing --- */

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->db != NULL && s->options.access == STORE_WRITE) {
		store_rollback(s);
		if (trail_lags(s->trail))
			flush_trail(s, NULL);
		checkpoint(s, SQLITE_CHECKPOINT_TRUNCATE, NULL);
	}
	close_db(s);
	trail_destroy(s->trail);
	catalog_destroy(s->catalog);
	free(s->pending);
	pthread_mutex_destroy(&s->lock);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}

/* --- asking --- */

uint64_t store_head(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t head = s->head;
	pthread_mutex_unlock(&s->lock);
	return head;
}

uint64_t store_first(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t first = s->first;
	pthread_mutex_unlock(&s->lock);
	return first;
}

const char *store_epoch(const struct store *s)
{
	return s->epoch;
}

const char *store_path(const struct store *s)
{
	return s->path;
}

struct catalog *store_catalog(const struct store *s)
{
	return s->catalog;
}

struct trail *store_trail(const struct store *s)
{
	return s->trail;
}

enum err store_disk_free(const struct store *s, uint64_t *bytes)
{
	struct statvfs v;
	if (statvfs(s->dir, &v) != 0)
		return ERR_IO;
	*bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return ERR_NONE;
}

void store_sizes(const struct store *s, uint64_t *db, uint64_t *wal)
{
	char path[PATH_LEN + 8];
	struct stat st;
	*db = stat(s->path, &st) == 0 ? (uint64_t)st.st_size : 0;
	snprintf(path, sizeof path, "%s-wal", s->path);
	*wal = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void export_figures(struct figures f, struct stream_figures *out)
{
	out->first = f.first;
	out->last = f.last;
	out->count = f.count;
	out->bytes = f.bytes;
}

uint32_t store_streams(struct store *s)
{
	return catalog_streams(s->catalog);
}

bool store_stream(struct store *s, uint32_t number, struct stream_figures *out)
{
	struct figures f;
	if (!catalog_stream(s->catalog, number, &out->name, &f))
		return false;
	export_figures(f, out);
	return true;
}

bool store_find_stream(struct store *s, struct slice name, struct stream_figures *out)
{
	struct figures f;
	if (!catalog_find_stream(s->catalog, name, &f))
		return false;
	out->name = name;
	export_figures(f, out);
	return true;
}
