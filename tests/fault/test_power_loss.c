/* The power goes at any change of any file, again and again, and takes what was not synced (disk.h), also what an fsync was
 * to sync that failed: what was acknowledged is there, batches are whole, `seq` has no hole, archives and their manifests
 * belong together. `test_power_loss [SEED [COUNT]]`.
 *
 * It fails without the protection: one test here runs without fsync at each commit (--durability relaxed) and wants to
 * see acknowledged events missing. Without db_copy_anew it finds a malformed database, and so it does where a process is
 * killed that gathers headers of frames below the end of the log, as soon as a transaction is larger than SQLite's cache. */
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/system/log.h"
#include "disk.h"
#include "store/archives/archive_set.h"
#include "store/log/store_internal.h"
#include "store/sqlite/db.h"
#include "store/transfer/seal.h"
#include "unit/temp_dir.h"

enum {
	SEEDS = 1000,
	LIVES = 3,
	BATCHES_MAX = 400,
	BATCH_MAX = 30,
	CHANGES_MAX = 260,
	STEPS = 60,
	RELAXED_SEEDS = 100,
	KILLED_SEEDS = 300,
	LARGE_SEEDS = 3,
	LARGE_EVERY = 4,
	LARGE_PAD = 900 * 1000,
	LARGE_MIN = 10, /* events: 9 MB, which is more than SQLite's cache */
	LARGE_MORE = 26,
	CACHE_PAGES = 4, /* so that a transaction is written to the log before it ends, some of it twice */
	INDEX_EVERY = 80
};

static const struct batch_limits limits = {1 << 20, 1 << 20};
static const struct archive_options archives = {.level = 2, .threads = 0};

/* What must be there: batches by their numbers, in order, so many events each. */
struct model {
	uint32_t numbers[BATCHES_MAX];
	uint32_t sizes[BATCHES_MAX];
	uint32_t count;
	uint64_t head;
	uint32_t next;    /* number of the next batch */
	uint32_t maybe;   /* size of the batch after these that was not acknowledged; 0: there was none */
	uint64_t session; /* what the session has acknowledged for good, and what perhaps */
	uint64_t session_maybe;
};

static char dir[TEMP_DIR_LEN];
static uint64_t random_state;
static uint64_t current; /* seed */
static struct fault fault;
static struct store *store;
static struct reader *reader;
static sqlite3 *other; /* somebody who reads an older state, so that not all of the log can be copied */
static bool relaxed;
static bool killed;      /* it is not the power that goes, but the process */
static bool small_cache; /* of SQLite's writing connection */
static bool large;       /* every few requests one that does not fit into that */

static uint64_t below(uint64_t n)
{
	return disk_random(&random_state) % n;
}

/* --- a life --- */

static bool open_all(void)
{
	store = NULL;
	reader = NULL;
	struct store_options options = {.relaxed = relaxed, .index_every = INDEX_EVERY};
	if (store_open(dir, options, &store, &fault) != ERR_NONE || reader_open(store, &reader, &fault) != ERR_NONE)
		return false;
	if (small_cache) {
		char sql[40];
		snprintf(sql, sizeof sql, "PRAGMA cache_size=%d", CACHE_PAGES);
		CHECK(db_exec(store->db, sql, &fault) == ERR_NONE);
	}
	return true;
}

static void close_other(void)
{
	db_close(other);
	other = NULL;
}

static void open_other(void)
{
	char path[96];
	sqlite3_int64 last;
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	CHECK(db_open(path, DB_READ, &other, &fault) == ERR_NONE && db_exec(other, "BEGIN", &fault) == ERR_NONE &&
	      db_integer(other, "SELECT max(seq) FROM event", 0, &last, &fault) == ERR_NONE);
}

static void close_all(void)
{
	close_other();
	reader_close(reader);
	store_close(store);
	store = NULL;
	reader = NULL;
}

static bool is_large(uint32_t number)
{
	return large && number % LARGE_EVERY == LARGE_EVERY - 1;
}

static void put_event(struct buf *out, uint32_t number, uint32_t i, uint32_t of)
{
	buf_printf(out, "{\"stream\":\"s%u\",\"id\":\"%u.%u\",\"data\":{\"batch\":%u,\"i\":%u,\"of\":%u,\"pad\":\"",
		   number % 5, number, i, number, i, of);
	uint32_t pad = is_large(number) ? LARGE_PAD : number * 37 % 700;
	for (uint32_t n = 0; n < pad; n++)
		buf_addc(out, (char)('a' + (n + number) % 26));
	buf_adds(out, "\"}}\n");
}

static bool commit(void)
{
	struct committed *c = NULL;
	bool fine = store_commit(store, &c, &fault) == ERR_NONE;
	committed_destroy(c);
	return fine;
}

static bool publish(struct model *m)
{
	uint32_t size = (uint32_t)(is_large(m->next) ? LARGE_MIN + below(LARGE_MORE) : 1 + below(BATCH_MAX));
	struct buf lines;
	struct batch *b;
	struct receipt r = {0};
	CHECK(m->count < BATCHES_MAX);
	buf_init(&lines);
	for (uint32_t i = 0; i < size; i++)
		put_event(&lines, m->next, i, size);
	CHECK(batch_parse_take(lines.data, lines.len, BATCH_LINES, limits, &b, &fault) == ERR_NONE);
	m->maybe = size;
	bool fine = store_append(store, b, NULL, &r, &fault) == ERR_NONE && commit();
	if (fine) {
		CHECK(r.first == m->head + 1 && r.last == m->head + size && r.duplicates == 0);
		m->numbers[m->count] = m->next;
		m->sizes[m->count++] = size;
		m->head += size;
		m->maybe = 0;
		m->next++;
	}
	batch_destroy(b);
	receipt_finish(&r);
	return fine;
}

static bool acknowledge(struct model *m)
{
	m->session_maybe = m->head;
	if (store_session_put(store, &(struct stored_session){slice_of("me"), m->head, 1, {NULL, 0}, {NULL, 0}}, &fault) !=
		    ERR_NONE ||
	    !commit())
		return false;
	m->session = m->session_maybe;
	return true;
}

/* As the archiver does it. */
static bool take_out(void)
{
	uint64_t log_first = store_log_first(store);
	uint64_t upto = log_first + below(60);
	struct manifest made;
	uint64_t left;
	if (upto >= store_head(store))
		return true;
	if (archive_set_find(store_archives(store), log_first, &made) && made.last >= log_first) {
		log_first = made.first;
		upto = made.last;
	}
	if (seal_range(reader, (struct seq_range){log_first, upto}, archives, NULL, &made, &fault) != ERR_NONE)
		return false;
	while (store_log_first(store) <= upto)
		if (store_evict(store, upto, made.last, made.chain, &left, &fault) != ERR_NONE || !commit() ||
		    store_maintain(store, false, &fault) != ERR_NONE)
			return false;
	return true;
}

static enum err see_session(void *arg, const struct stored_session *stored)
{
	struct model *m = arg;
	uint64_t acked = stored->acked;
	CHECK(slice_is(stored->name, "me") && acked <= store_head(store));
	CHECK((relaxed && !killed) || acked == m->session || acked == m->session_maybe);
	m->session = m->session_maybe = acked;
	return ERR_NONE;
}

/* What was not acknowledged is there as a whole or not at all. False when acknowledged events are missing. */
static bool settle(struct model *m)
{
	uint64_t head = store_head(store);
	if (head < m->head)
		return false;
	if (m->maybe > 0 && head == m->head + m->maybe) {
		m->numbers[m->count] = m->next;
		m->sizes[m->count++] = m->maybe;
		m->head = head;
	}
	CHECK(head == m->head);
	m->next++;
	m->maybe = 0;
	return true;
}

static void fail_a_sync(void)
{
	disk_fail_sync_at(!killed && below(3) == 0 ? 1 + below(60) : 0);
}

/* As the writer does it. */
static bool recover(struct model *m)
{
	struct committed *c = NULL;
	close_other();
	bool opened = store != NULL && reader != NULL;
	if (!opened)
		close_all();
	if (opened ? store_recover(store, &c, &fault) != ERR_NONE : !open_all())
		return false;
	committed_destroy(c);
	CHECK(settle(m) && store_session_each(store, see_session, m, &fault) == ERR_NONE);
	fail_a_sync();
	return true;
}

static bool step(struct model *m)
{
	switch (below(19)) {
	case 0:
	case 1: return acknowledge(m);
	case 2:
	case 3: return store_maintain(store, below(2) == 0, &fault) == ERR_NONE;
	case 4: return store_maintain(store, true, &fault) == ERR_NONE;
	case 5: return take_out();
	case 6: close_all(); return open_all();
	case 7:
	case 8: store_write_back(store, 0); return store_maintain(store, false, &fault) == ERR_NONE;
	case 9:
		if (other == NULL)
			open_other();
		else
			close_other();
		return true;
	default: return publish(m);
	}
}

/* Until the power goes. */
static void live(struct model *m)
{
	uint64_t unsynced = disk_figures.unsynced;
	bool fine = open_all();
	for (int i = 0; i < STEPS && !disk_is_cut(); i++) {
		fine = fine && step(m);
		if (!fine && !disk_is_cut() && disk_figures.unsynced > unsynced)
			fine = recover(m);
		unsynced = disk_figures.unsynced;
		if (!fine && !disk_is_cut())
			fprintf(stderr, "failed with the power on: %s\n", fault.text);
		CHECK(fine || disk_is_cut());
	}
	close_all();
}

/* --- what is there then --- */

static void see_event(struct model *m, uint32_t batch, uint32_t i, uint64_t seq, struct slice envelope)
{
	struct buf wanted;
	buf_init(&wanted);
	put_event(&wanted, m->numbers[batch], i, m->sizes[batch]);
	const char *data = memmem(wanted.data, wanted.len, "\"data\":", 7);
	const char *got = memmem(envelope.p, envelope.len, "\"data\":", 7);
	size_t len = wanted.len - (size_t)(data - wanted.data) - 1;
	CHECK(got != NULL && (size_t)(envelope.p + envelope.len - got) == len && memcmp(got, data, len) == 0);
	char start[40];
	int n = snprintf(start, sizeof start, "{\"seq\":%llu,", (unsigned long long)seq);
	CHECK(memcmp(envelope.p, start, (size_t)n) == 0);
	buf_finish(&wanted);
}

static void read_events(struct model *m)
{
	uint64_t after = 0;
	uint32_t batch = 0;
	uint32_t i = 0;
	while (after < store_head(store)) {
		struct page *p;
		struct history_query q = {.after = after, .count_max = 200, .bytes_max = 1 << 20};
		if (history_page(reader, &q, &p, &fault) != ERR_NONE) {
			fprintf(stderr, "after %llu: %s\n", (unsigned long long)after, fault.text);
			CHECK(false);
		}
		for (uint32_t at = 0; at < page_count(p); at++) {
			CHECK(batch < m->count && page_entry(p, at).seq == after + at + 1);
			see_event(m, batch, i, after + at + 1, page_envelope(p, at));
			if (++i == m->sizes[batch]) {
				batch++;
				i = 0;
			}
		}
		CHECK(page_last(p) == after + page_count(p));
		after = page_last(p);
		page_unref(p);
	}
	CHECK(i == 0 && batch == m->count);
}

/* False when acknowledged events are missing. */
static bool look(struct model *m)
{
	if (!open_all()) {
		if (relaxed && !killed && fault.code == ERR_CONFLICT)
			return false; /* of what is missing in the log something is in an archive, and that is told */
		fprintf(stderr, "seed %llu: does not open: %s\n", (unsigned long long)current, fault.text);
		CHECK(false);
	}
	if (!settle(m))
		return false;
	read_events(m);
	uint64_t acked = m->session;
	m->session = 0;
	struct model seen = *m;
	seen.session = acked;
	CHECK(store_session_each(store, see_session, &seen, &fault) == ERR_NONE);
	m->session = seen.session;
	m->session_maybe = seen.session;
	struct history_verified checked;
	if (history_verify(reader, NULL, NULL, &checked, &fault) != ERR_NONE) {
		fprintf(stderr, "verify: %s\n", fault.text);
		CHECK(false);
	}
	return true;
}

/* --- many of them --- */

static uint64_t cuts;

/* False when acknowledged events were missing. */
static bool run(uint64_t seed)
{
	static struct model m;
	bool all = true;
	random_state = current = seed;
	small_cache = below(2) == 0;
	m = (struct model){0};
	temp_dir_make(dir);
	disk_watch(dir);
	for (int i = 0; all && i < LIVES; i++) {
		disk_cut_at(1 + below(CHANGES_MAX));
		fail_a_sync();
		live(&m);
		cuts += disk_is_cut();
		if (killed)
			disk_keep();
		else
			disk_restore(disk_random(&random_state));
		all = look(&m);
		close_all();
	}
	disk_forget();
	temp_dir_remove(dir);
	return all;
}

static uint64_t first_seed; /* others every time */
static uint64_t seeds;

static void run_all(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		if (run(first_seed + i))
			continue;
		fprintf(stderr, "seed %llu: acknowledged events are missing\n", (unsigned long long)(first_seed + i));
		CHECK(false);
	}
}

static void what_was_acknowledged_is_there(void)
{
	relaxed = killed = false;
	run_all(seeds);
	printf("%llu seeds from %llu on, %llu cuts, %llu changes of files, %llu pieces lost, %llu writes torn, %llu fsyncs "
	       "failed\n",
	       (unsigned long long)seeds, (unsigned long long)first_seed, (unsigned long long)cuts,
	       (unsigned long long)disk_figures.changes, (unsigned long long)disk_figures.lost,
	       (unsigned long long)disk_figures.damaged, (unsigned long long)disk_figures.unsynced);
}

static void without_fsync_it_is_not(void)
{
	int lost = 0;
	relaxed = true;
	killed = false;
	for (uint64_t i = 0; i < RELAXED_SEEDS; i++)
		lost += !run(i);
	CHECK(lost > 0);
	printf("without fsync: events lost in %d of %d\n", lost, RELAXED_SEEDS);
}

static void a_kill_takes_nothing_without_fsync(void)
{
	relaxed = killed = true;
	run_all(seeds * KILLED_SEEDS / SEEDS);
}

static void what_does_not_fit_into_the_cache_is_there(void)
{
	uint64_t count = seeds < SEEDS ? 0 : LARGE_SEEDS; /* with a sanitizer they would take the longest of all */
	large = true;
	relaxed = killed = false;
	run_all(count);
	relaxed = killed = true;
	run_all(count);
	large = false;
}

int main(int argc, char **argv)
{
	first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * SEEDS;
	seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)(SEEDS * test_scale());
	log_set_level(LOG_ERROR);
	setvbuf(stdout, NULL, _IONBF, 0);
	RUN(what_was_acknowledged_is_there);
	RUN(without_fsync_it_is_not);
	RUN(a_kill_takes_nothing_without_fsync);
	RUN(what_does_not_fit_into_the_cache_is_there);
	return check_end();
}
