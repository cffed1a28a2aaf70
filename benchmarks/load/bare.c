/* SQLite alone: a loop that inserts `batch` events a commit into the log's table, as durable as the server does it,
 * `rate` events a second (0: as fast as it goes); with query_rate=, a second thread asks for pages of one topic by a full
 * index. What no server can beat. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "load/command.h"
#include "load/histogram.h"
#include "load/meter.h"

struct bare {
	const char *path;
	struct payload payload;
	uint64_t first; /* seq of the first event that is inserted: after those that are there */
	uint64_t batch;
	uint64_t rate;
	uint64_t query_rate;
	int64_t end_us;
	uint64_t inserted;
	struct histogram times;
};

static sqlite3 *open_db(const char *path)
{
	sqlite3 *db;
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db,
			 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096;"
			 "PRAGMA secure_delete=OFF; PRAGMA busy_timeout=10000;"
			 "CREATE TABLE IF NOT EXISTS event(seq INTEGER PRIMARY KEY, time INTEGER NOT NULL,"
			 " topic INTEGER NOT NULL, id TEXT, data TEXT NOT NULL, sum INTEGER NOT NULL) STRICT",
			 NULL, NULL, NULL) != SQLITE_OK)
		die("%s: %s", path, sqlite3_errmsg(db));
	return db;
}

static uint64_t next_seq(const char *path)
{
	sqlite3 *db = open_db(path);
	sqlite3_stmt *s;
	if (sqlite3_prepare_v2(db, "SELECT coalesce(max(seq), 0) + 1 FROM event", -1, &s, NULL) != SQLITE_OK ||
	    sqlite3_step(s) != SQLITE_ROW)
		die("%s", sqlite3_errmsg(db));
	uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return seq;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		die("%s", sqlite3_errmsg(db));
	return s;
}

static void insert(struct bare *b)
{
	sqlite3 *db = open_db(b->path);
	sqlite3_stmt *s = prepare(db, "INSERT INTO event(seq, time, topic, data, sum) VALUES (?, ?, ?, ?, ?)");
	struct buf data;
	buf_init(&data);
	payload_put(&data, &b->payload, 1);
	unsigned topics = b->payload.streams * b->payload.types;
	int64_t start_us = clock_mono_us();
	while (clock_mono_us() < b->end_us) {
		sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
		for (uint64_t i = 0; i < b->batch; i++) {
			sqlite3_int64 seq = (sqlite3_int64)(b->first + b->inserted++);
			sqlite3_bind_int64(s, 1, seq);
			sqlite3_bind_int64(s, 2, 1795372988850);
			sqlite3_bind_int64(s, 3, seq % topics + 1);
			sqlite3_bind_text(s, 4, data.data, (int)data.len, SQLITE_STATIC);
			sqlite3_bind_int64(s, 5, (int32_t)(seq * 2654435761));
			if (sqlite3_step(s) != SQLITE_DONE)
				die("insert: %s", sqlite3_errmsg(db));
			sqlite3_reset(s);
		}
		if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
			die("commit: %s", sqlite3_errmsg(db));
		int64_t early_us = b->rate ? start_us + (int64_t)(b->inserted * 1000000 / b->rate) - clock_mono_us() : 0;
		if (early_us > 0)
			usleep((useconds_t)early_us);
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	buf_finish(&data);
}

static void *query(void *arg)
{
	struct bare *b = arg;
	sqlite3 *db = open_db(b->path);
	sqlite3_stmt *s = prepare(
		db, "SELECT seq, time, topic, id, data FROM event WHERE topic = ? AND seq > ? ORDER BY seq LIMIT 100");
	int64_t due_us = clock_mono_us();
	while (clock_mono_us() < b->end_us) {
		int64_t start_us = clock_mono_us();
		sqlite3_bind_int64(s, 1, random() % (b->payload.streams * b->payload.types) + 1);
		sqlite3_bind_int64(s, 2, (sqlite3_int64)((uint64_t)random() % (b->first - b->first / 10)));
		int rows = 0;
		while (sqlite3_step(s) == SQLITE_ROW)
			rows += sqlite3_column_bytes(s, 4) > 0;
		sqlite3_reset(s);
		if (rows != 100)
			die("a page of %d events", rows);
		histogram_add(&b->times, clock_mono_us() - start_us);
		due_us += 1000000 / (int64_t)b->query_rate;
		if (due_us > clock_mono_us())
			usleep((useconds_t)(due_us - clock_mono_us()));
	}
	sqlite3_finalize(s);
	sqlite3_close(db);
	return NULL;
}

void bare_command(const struct args *a)
{
	static struct bare b;
	pthread_t thread;
	struct meter meter;
	b.path = args_text(a, "db", "bare.db");
	b.payload = args_payload(a);
	b.first = next_seq(b.path);
	b.batch = args_number(a, "batch", 1000);
	b.rate = args_number(a, "rate", 0);
	b.query_rate = args_number(a, "query_rate", 0);
	b.end_us = clock_mono_us() + (int64_t)args_number(a, "seconds", 5) * 1000000;
	meter_start(&meter, a);
	if (b.query_rate > 0)
		pthread_create(&thread, NULL, query, &b);
	insert(&b);
	if (b.query_rate > 0)
		pthread_join(thread, NULL);
	figure("rate", (double)b.inserted / meter_stop(&meter));
	figure("p50_us", (double)histogram_at(&b.times, 0.5));
	figure("p99_us", (double)histogram_at(&b.times, 0.99));
}
