/* Writer, feed, cursors and sessions on a real store, without sockets. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "engine/read/cursor.h"
#include "engine/read/subscription.h"
#include "engine/write/writer.h"
#include "event/page_build.h"
#include "server/ws/metrics/ws_metrics.h"
#include "temp_dir.h"

static const struct batch_limits limits = {1 << 20, 1 << 20};
static char dir[TEMP_DIR_LEN];
static struct store *store;
static struct pool *pool;
static struct feed *feed;
static struct sessions *sessions;
static struct writer *writer;
static struct fault fault;

/* Something that was woken. */
struct bell {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int rings;
};

static void bell_init(struct bell *b)
{
	b->rings = 0;
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->cond);
}

static void ring(void *arg)
{
	struct bell *b = arg;
	pthread_mutex_lock(&b->lock);
	b->rings++;
	pthread_cond_signal(&b->cond);
	pthread_mutex_unlock(&b->lock);
}

static int rings_of(struct bell *b)
{
	pthread_mutex_lock(&b->lock);
	int rings = b->rings;
	pthread_mutex_unlock(&b->lock);
	return rings;
}

static void wait_for(struct bell *b, int rings)
{
	int64_t end = clock_mono_ms() + 60000;
	pthread_mutex_lock(&b->lock);
	while (b->rings < rings && clock_mono_ms() < end)
		clock_cond_wait(&b->cond, &b->lock, 100);
	CHECK(b->rings >= rings);
	pthread_mutex_unlock(&b->lock);
}

static void open_hub(size_t ring_bytes, struct writer_options options)
{
	enum err err = store_open(dir, (struct store_options){0}, &store, &fault);
	if (!err)
		err = pool_create(store, 2, &pool, &fault);
	if (!err)
		err = feed_create(store, pool, (struct feed_options){ring_bytes, 256 * 1024}, &feed, &fault);
	if (!err)
		err = sessions_create(store, NULL, &sessions, &fault);
	if (!err)
		err = writer_create(store, feed, sessions, options, &writer, &fault);
	if (err)
		fprintf(stderr, "%s\n", fault.text);
	CHECK(!err);
}

static void close_hub(void)
{
	writer_destroy(writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	store_close(store);
}

static const struct writer_options roomy = {0};

static void fresh_hub(size_t ring_bytes)
{
	temp_dir_make(dir);
	open_hub(ring_bytes, roomy);
}

static void remove_dir(void)
{
	temp_dir_remove(dir);
}

struct op {
	struct write_op op;
	struct bell bell;
};

static void on_done(struct write_op *op)
{
	ring(&((struct op *)op)->bell);
}

static void prepare(struct op *o, uint64_t client, const char *lines)
{
	*o = (struct op){.op = {.client = client, .done = on_done}};
	bell_init(&o->bell);
	list_init(&o->op.link);
	if (lines != NULL)
		CHECK(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &o->op.batch, &fault) == ERR_NONE);
}

enum { LINE_LEN = 11 };

static void put_lines(char *out, int count)
{
	for (int i = 0; i < count; i++)
		memcpy(out + (size_t)i * LINE_LEN, "{\"data\":1}\n", LINE_LEN + 1);
}

static enum err submit(struct op *o, const char *lines)
{
	prepare(o, 0, lines);
	return writer_submit(writer, &o->op, &fault);
}

static void finish(struct op *o)
{
	receipt_finish(&o->op.receipt);
	batch_destroy(o->op.batch);
}

/* Publishes and waits. */
static enum err publish(const char *lines)
{
	struct op o;
	enum err err = submit(&o, lines);
	if (!err) {
		wait_for(&o.bell, 1);
		err = o.op.err;
	}
	finish(&o);
	return err;
}

/* Reads on from the cursor and checks that its events are the next ones of `step`. Returns the last seq. */
static uint64_t read_on(struct cursor *c, struct bell *bell, uint64_t after, uint64_t until, unsigned step)
{
	while (after < until) {
		struct chunk chunks[8];
		int count;
		int rings = rings_of(bell);
		switch (cursor_fill(c, chunks, 8, 1 + (size_t)rand() % 20000, &count)) {
		case CURSOR_READY: break;
		case CURSOR_LOAD:
			cursor_load(c);
			wait_for(bell, rings + 1);
			continue;
		case CURSOR_LIVE: usleep(200); continue;
		default: CHECK(false);
		}
		size_t all = 0;
		for (int i = 0; i < count; i++)
			all += chunks[i].len;
		/* Sometimes the socket takes less, in the middle of a record. */
		size_t sent = rand() % 2 ? all : (size_t)rand() % (all + 1);
		const char *rest;
		size_t rest_len = cursor_record_rest(c, chunks, count, sent, &rest);
		if (rand() % 2)
			sent += rest_len;
		uint64_t before = cursor_after(c);
		cursor_advance(c, chunks, count, sent);
		for (int i = 0; i < count; i++)
			for (uint32_t k = 0; k < chunks[i].count; k++) {
				uint64_t seq = page_entry(chunks[i].page, chunks[i].index + k).seq;
				if (seq <= before || seq > cursor_after(c))
					continue;
				uint64_t next = after + 1;
				while (step > 1 && next % step != 0)
					next++;
				CHECK(seq == next);
				after = seq;
			}
		cursor_release(chunks, count);
	}
	return after;
}

enum { EVENTS = 20000, BATCH = 50, STEP = 5 };

static void *publish_all(void *arg)
{
	(void)arg;
	for (int seq = 1; seq <= EVENTS;) {
		char lines[BATCH * 128];
		size_t n = 0;
		for (int i = 0; i < BATCH; i++, seq++)
			n += (size_t)sprintf(lines + n, "{\"stream\":\"%s\",\"data\":\"%060d\"}\n",
					     seq % STEP == 0 ? "few" : "many", seq);
		CHECK(publish(lines) == ERR_NONE);
	}
	return NULL;
}

static void *follow(void *arg)
{
	unsigned step = *(unsigned *)arg;
	struct bell bell;
	struct cursor *c;
	bell_init(&bell);
	for (uint64_t start = 0; start < EVENTS - STEP; start += 1 + (uint64_t)rand() % (EVENTS / 4)) {
		struct filter *f = filter_create();
		CHECK(step == 1 || filter_add_stream(f, slice_of("few")) == ERR_NONE);
		struct position position = {.after = start};
		while (feed_head(feed) < start)
			usleep(100);
		CHECK(cursor_create(feed, position, 0, history_select_take(store, f), ENCODING_WS, ring, &bell, &c) ==
		      ERR_NONE);
		read_on(c, &bell, start, EVENTS, step);
		cursor_destroy(c);
	}
	return NULL;
}

/* The ring holds a fraction: cursors start in the store, and cross into the ring while it moves. */
static void cursors_cross_the_seam_under_load(void)
{
	pthread_t threads[4];
	static unsigned steps[] = {1, STEP, 1};
	fresh_hub(64 * 1024);
	pthread_create(&threads[3], NULL, publish_all, NULL);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, follow, &steps[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	close_hub();
	remove_dir();
}

/* What is committed but not published yet is nobody's: a reader of it would be past the head, perhaps inside a record. */
static void a_load_ends_where_the_feed_does(void)
{
	static const char *const streams[] = {"a", NULL};
	fresh_hub(1);
	for (int i = 0; i < 3; i++)
		CHECK(publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"a\",\"data\":2}") == ERR_NONE);
	writer_close(writer);
	struct batch *batch;
	struct receipt receipt;
	struct committed *committed;
	const char lines[] = "{\"stream\":\"a\",\"data\":3}";
	CHECK(batch_parse_take(strdup(lines), strlen(lines), BATCH_LINES, limits, &batch, &fault) == ERR_NONE);
	CHECK(store_append(store, batch, NULL, &receipt, &fault) == ERR_NONE);
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE && store_head(store) == 7 && feed_head(feed) == 6);
	for (int i = 0; i < 2; i++) {
		struct bell bell;
		struct cursor *c;
		struct chunk chunks[8];
		int count;
		struct filter *f = filter_create();
		bell_init(&bell);
		CHECK(streams[i] == NULL || filter_add_stream(f, slice_of(streams[i])) == ERR_NONE);
		CHECK(cursor_create(feed, (struct position){.from_first = true}, 0, history_select_take(store, f),
				    ENCODING_WS, ring, &bell, &c) == ERR_NONE);
		read_on(c, &bell, 0, 6, 1);
		CHECK(cursor_after(c) == 6 && cursor_fill(c, chunks, 8, SIZE_MAX, &count) == CURSOR_LIVE);
		cursor_destroy(c);
	}
	feed_publish_take(feed, committed, 0);
	receipt_finish(&receipt);
	batch_destroy(batch);
	close_hub();
	remove_dir();
}

enum { PLACES = 20, STORE_FILES_EVENTS = 512, LOADS_AT_ONCE = 8 };

/* A job that keeps a thread of the pool busy until it is let go. */
struct hold_job {
	struct pool_job job; /* first */
	struct bell begun;
	struct bell let_go;
};

static struct bell request_ran;
static uint64_t loads_before_request;

static void run_hold(struct pool_job *job, struct reader *reader)
{
	(void)reader;
	struct hold_job *h = (struct hold_job *)job;
	ring(&h->begun);
	wait_for(&h->let_go, 1);
}

/* Both threads of the pool are busy, and wait. */
static void hold_pool(struct hold_job holds[2])
{
	for (int i = 0; i < 2; i++) {
		holds[i].job.run = run_hold;
		bell_init(&holds[i].begun);
		bell_init(&holds[i].let_go);
		pool_submit(pool, &holds[i].job);
		wait_for(&holds[i].begun, 1);
	}
}

static void run_request(struct pool_job *job, struct reader *reader)
{
	(void)job;
	(void)reader;
	struct feed_figures figures;
	feed_read(feed, &figures);
	loads_before_request = figures.loads;
	ring(&request_ran);
}

static void publish_places(void)
{
	static char lines[STORE_FILES_EVENTS * LINE_LEN + 1];
	put_lines(lines, STORE_FILES_EVENTS);
	for (int i = 0; i < PLACES; i++)
		CHECK(publish(lines) == ERR_NONE);
}

/* A hub that has just started, with nothing in memory, whose pool is held; and readers who ask for all places. */
static void let_a_herd_ask(struct hold_job holds[2], struct cursor *cursors[PLACES], struct bell *bell)
{
	struct chunk chunks[8];
	int count;
	fresh_hub(1 << 20);
	publish_places();
	close_hub();
	open_hub(1 << 20, roomy);
	hold_pool(holds);
	bell_init(bell);
	for (uint64_t i = 0; i < PLACES; i++) {
		struct position at = {.after = i * STORE_FILES_EVENTS};
		CHECK(cursor_create(feed, at, 0, NULL, ENCODING_WS, ring, bell, &cursors[i]) == ERR_NONE);
		CHECK(cursor_fill(cursors[i], chunks, 8, SIZE_MAX, &count) == CURSOR_LOAD);
		cursor_load(cursors[i]);
	}
}

/* Fails when each page that is asked for goes to the pool at once: the request then comes behind all 20. */
static void a_request_does_not_wait_for_the_pages_of_a_whole_herd(void)
{
	struct hold_job holds[2];
	struct pool_job request = {.run = run_request};
	struct cursor *cursors[PLACES];
	struct bell bell;
	let_a_herd_ask(holds, cursors, &bell);
	bell_init(&request_ran);
	pool_submit(pool, &request);
	ring(&holds[0].let_go); /* one thread, so that there is an order */
	wait_for(&request_ran, 1);
	CHECK(loads_before_request == LOADS_AT_ONCE);
	ring(&holds[1].let_go);
	wait_for(&bell, PLACES);
	for (int i = 0; i < PLACES; i++)
		cursor_destroy(cursors[i]);
	close_hub();
	remove_dir();
}

/* Fails without feed_close (the pool reads all 20), and where it does not end what waits (nobody rings for them), nor
 * refuses what comes later (it goes to a pool that has gone). */
static void a_closed_feed_reads_no_more_pages(void)
{
	struct hold_job holds[2];
	struct cursor *cursors[PLACES];
	struct bell bell;
	struct chunk chunks[8];
	struct feed_figures figures;
	int count;
	let_a_herd_ask(holds, cursors, &bell);
	feed_close(feed);
	CHECK(rings_of(&bell) == PLACES - LOADS_AT_ONCE);
	for (int i = 0; i < 2; i++)
		ring(&holds[i].let_go);
	pool_destroy(pool); /* what it had is read */
	pool = NULL;
	CHECK(rings_of(&bell) == PLACES);
	feed_read(feed, &figures);
	CHECK(figures.loads == LOADS_AT_ONCE);
	CHECK(cursor_fill(cursors[LOADS_AT_ONCE - 1], chunks, 8, SIZE_MAX, &count) ==
	      CURSOR_READY); /* and nothing prefetched */
	cursor_release(chunks, count);
	for (int i = LOADS_AT_ONCE; i < PLACES; i++)
		CHECK(cursor_fill(cursors[i], chunks, 8, SIZE_MAX, &count) == CURSOR_FAILED &&
		      cursor_fault(cursors[i])->code == ERR_CLOSED);
	for (int i = 0; i < PLACES; i++)
		cursor_destroy(cursors[i]);
	struct position last = {.after = (PLACES - 1) * STORE_FILES_EVENTS};
	struct selection *all = history_select_take(store, filter_create());
	CHECK(cursor_create(feed, last, 0, all, ENCODING_WS, ring, &bell, &cursors[0]) == ERR_NONE);
	CHECK(cursor_fill(cursors[0], chunks, 8, SIZE_MAX, &count) == CURSOR_LOAD);
	cursor_load(cursors[0]);
	CHECK(rings_of(&bell) == PLACES + 1);
	cursor_destroy(cursors[0]);
	close_hub();
	remove_dir();
}

static void positions_that_cannot_be_honoured_are_gaps(void)
{
	struct gap gap;
	uint64_t after;
	fresh_hub(1 << 20);
	CHECK(publish("{\"data\":1}\n{\"data\":2}") == ERR_NONE);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.after = 2}, NULL, &after, &gap) &&
	      after == 2);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.from_head = true}, NULL, &after,
				&gap) &&
	      after == 2);
	CHECK(!position_resolve(feed_store(feed), feed_head(feed), (struct position){.from_first = true}, NULL, &after,
				&gap) &&
	      after == 0);
	CHECK(position_resolve(feed_store(feed), feed_head(feed), (struct position){.after = 3}, NULL, &after, &gap) &&
	      after == 2 && gap.reason == GAP_AHEAD);
	struct position other = {.after = 1};
	position_set_epoch(&other, slice_of("another"));
	CHECK(position_resolve(feed_store(feed), feed_head(feed), other, NULL, &after, &gap));
	CHECK(after == 0 && gap.reason == GAP_EPOCH && gap.requested == 1 && gap.first == 1);
	close_hub();
	remove_dir();
}

static void a_full_queue_refuses_and_forgets_nothing(void)
{
	enum { OPS = 200 };
	static struct op ops[OPS];
	static bool taken[OPS];
	char lines[4096];
	size_t n = 0;
	uint64_t accepted = 0;
	fresh_hub(1 << 20);
	close_hub();
	struct quotas *quotas = quotas_create((struct quota_limit[QUOTAS]){
		[QUOTA_QUEUE_EVENTS] = {.all = 100},
		[QUOTA_QUEUE_BYTES] = {.all = 1 << 20},
	});
	CHECK(quotas != NULL);
	open_hub(1 << 20, (struct writer_options){.quotas = quotas});
	for (int i = 0; i < 60; i++)
		n += (size_t)sprintf(lines + n, "{\"data\":%d}\n", i);
	for (int i = 0; i < OPS; i++) {
		enum err err = submit(&ops[i], lines);
		CHECK(!err || err == ERR_BUSY);
		taken[i] = !err;
		accepted += taken[i];
	}
	for (int i = 0; i < OPS; i++) {
		if (taken[i])
			wait_for(&ops[i].bell, 1);
		CHECK(!taken[i] || ops[i].op.err == ERR_NONE);
		finish(&ops[i]);
	}
	CHECK(accepted > 0 && feed_head(feed) == accepted * 60);
	struct writer_figures w;
	writer_read(writer, &w);
	CHECK(w.refused == OPS - accepted && w.queued_bytes == 0 && w.queued_events == 0);
	CHECK(quota_read(quotas, QUOTA_QUEUE_EVENTS).held == 0 && quota_read(quotas, QUOTA_QUEUE_BYTES).held == 0);
	close_hub();
	quotas_destroy(quotas);
	remove_dir();
}

static bool metrics_have(struct ws_metrics *m, const char *text)
{
	struct buf out;
	buf_init(&out);
	struct document d;
	ws_metrics_write(m, document_begin(&d), 0, writer);
	document_end(&d, &out);
	CHECK(!buf_failed(&out));
	buf_addc(&out, '\0');
	bool found = strstr(out.data, text) != NULL;
	buf_finish(&out);
	return found;
}

/* A disk that takes no more (here: a limit on the size of files) fails every waiting publisher and delivers nothing;
 * when it takes again, publishing goes on by itself. */
static void a_failed_commit_is_told_and_recovered_from(void)
{
	static char line[300000];
	struct rlimit small = {256 * 1024, RLIM_INFINITY};
	struct rlimit large = {RLIM_INFINITY, RLIM_INFINITY};
	signal(SIGXFSZ, SIG_IGN);
	fresh_hub(1 << 20);
	CHECK(publish("{\"id\":\"a\",\"data\":1}") == ERR_NONE);
	snprintf(line, sizeof line, "{\"id\":\"b\",\"stream\":\"new\",\"data\":\"%0*d\"}", 290000, 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	enum err err = publish(line);
	CHECK(err == ERR_FULL || err == ERR_IO);
	CHECK(feed_head(feed) == 1 && store_head(store) == 1);
	struct writer_figures w;
	writer_read(writer, &w);
	CHECK(w.breaker_opens == 1 && w.failed == 1);
	struct ws_metrics *metrics = ws_metrics_create(1);
	CHECK(metrics != NULL && metrics_have(metrics, "\"opens\":1,")); /* and it may have closed again already */
	CHECK(setrlimit(RLIMIT_FSIZE, &large) == 0);
	int64_t end = clock_mono_ms() + 60000;
	while ((err = publish("{\"id\":\"c\",\"data\":3}")) != ERR_NONE && clock_mono_ms() < end)
		usleep(10000);
	CHECK(!err);
	/* The big one may be there after all, whole: then it is a duplicate now. Either way it ends up there once. */
	CHECK(publish(line) == ERR_NONE);
	CHECK(feed_head(feed) == 3 && store_head(store) == 3);
	writer_read(writer, &w);
	CHECK(w.breaker == BREAKER_CLOSED && w.reason[0] == '\0');
	CHECK(w.breaker_half_opens >= 1 && w.breaker_closes == 1);
	CHECK(metrics_have(metrics, "\"circuit_breaker\":{\"state\":\"closed\"") && metrics_have(metrics, "\"closes\":1}"));
	ws_metrics_destroy(metrics);
	struct reader *reader;
	struct history_verified checked;
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
	CHECK(history_verify(reader, NULL, NULL, &checked, &fault) == ERR_NONE && checked.events == 3);
	reader_close(reader);
	close_hub();
	remove_dir();
}

static void figures_of_an_idle_session_are_dropped_after_an_hour(void)
{
	enum { HOUR_MS = 3600 * 1000 };
	struct ws_metrics *m = ws_metrics_create(HOUR_MS);
	CHECK(m != NULL);
	fresh_hub(1 << 20);
	int64_t before = clock_mono_ms();
	ws_metrics_count(m, slice_of("idle"), WSM_EXPIRED, 7);
	int64_t after = clock_mono_ms();
	ws_metrics_forget(m, before + HOUR_MS - 1);
	CHECK(metrics_have(m, "\"idle\":{") && metrics_have(m, "\"expired\":7"));
	ws_metrics_forget(m, after + HOUR_MS);
	CHECK(!metrics_have(m, "\"idle\":{") && metrics_have(m, "\"expired\":7")); /* the total keeps it */
	ws_metrics_destroy(m);
	close_hub();
	remove_dir();
}

/* A connected reader that only counts. */
struct counted {
	struct session_reader reader;
	int taken;
	int deleted;
	int moved;
};

static void on_news(struct session_reader *r, enum session_news news)
{
	struct counted *c = LIST_ITEM(r, struct counted, reader);
	c->taken += news == SESSION_TAKEN;
	c->deleted += news == SESSION_DELETED;
	c->moved += news == SESSION_MOVED;
}

static struct counted *reader_of(struct counted *c)
{
	*c = (struct counted){.reader.on_news = on_news};
	atomic_store(&c->reader.sent, 100);
	return c;
}

static enum err attach(const char *name, struct counted *c, uint64_t start, struct session_state *out)
{
	return sessions_attach(sessions, slice_of(name), 0, &c->reader, NULL, start, out, &fault);
}

static enum err ack(const char *name, const struct counted *c, uint64_t seq)
{
	uint64_t sent;
	return sessions_ack(sessions, slice_of(name), c != NULL ? &c->reader : NULL, seq, &sent);
}

static void sessions_are_taken_over_and_survive(void)
{
	struct session_state s;
	struct counted first;
	struct counted second;
	uint64_t after;
	reader_of(&first);
	reader_of(&second);
	fresh_hub(1 << 20);
	CHECK(publish("{\"data\":1}\n{\"data\":2}\n{\"data\":3}") == ERR_NONE);
	CHECK(attach("s", &first, 3, &s) == ERR_NONE && s.is_new && s.acked == 3);
	CHECK(sessions_set(sessions, slice_of("s"), 0, 1) == ERR_NONE && first.moved == 1);
	CHECK(ack("s", &first, 3) == ERR_NONE); /* what it had said before it knew: changes nothing */
	CHECK(sessions_take_move(sessions, slice_of("s"), &first.reader, &after) && after == 1);
	CHECK(!sessions_take_move(sessions, slice_of("s"), &first.reader, &after));
	CHECK(ack("s", &first, 2) == ERR_INVALID); /* it was not sent since */
	atomic_store(&first.reader.sent, 2);
	CHECK(ack("s", &first, 2) == ERR_NONE);
	CHECK(ack("s", &first, 1) == ERR_NONE); /* changes nothing */
	CHECK(attach("s", &second, 3, &s) == ERR_NONE && !s.is_new && s.acked == 2);
	CHECK(first.taken == 1 && second.taken == 0);
	CHECK(ack("s", &first, 3) == ERR_GONE);
	sessions_detach(sessions, slice_of("s"), &first.reader); /* it is the second's now */
	CHECK(sessions_get(sessions, slice_of("s"), &s) && s.connected && s.acked == 2);
	CHECK(ack("nobody", NULL, 1) == ERR_NOT_FOUND);
	reader_of(&first);
	CHECK(attach("t", &first, 3, &s) == ERR_NONE);
	CHECK(sessions_delete(sessions, slice_of("t")) && first.deleted == 1 && !sessions_get(sessions, slice_of("t"), &s));
	CHECK(!sessions_delete(sessions, slice_of("t")));
	CHECK(writer_wait(writer, NULL, 10000) && sessions_saved(sessions, slice_of("s")));
	close_hub();
	open_hub(1 << 20, roomy);
	CHECK(sessions_get(sessions, slice_of("s"), &s) && !s.connected && s.acked == 2);
	CHECK(!sessions_get(sessions, slice_of("t"), &s));
	close_hub();
	remove_dir();
}

static void a_closed_writer_has_done_what_it_accepted(void)
{
	struct op o[10];
	fresh_hub(1 << 20);
	for (int i = 0; i < 10; i++)
		CHECK(submit(&o[i], "{\"data\":1}") == ERR_NONE);
	writer_close(writer);
	for (int i = 0; i < 10; i++) {
		CHECK(rings_of(&o[i].bell) == 1 && o[i].op.err == ERR_NONE);
		finish(&o[i]);
	}
	struct op late;
	CHECK(submit(&late, "{\"data\":1}") == ERR_CLOSED && rings_of(&late.bell) == 0);
	finish(&late);
	CHECK(store_head(store) == 10);
	close_hub();
	remove_dir();
}

enum { LONG_EVENTS = 1000, LONGS = 20, BRIEFS = 5000 };

static struct bell held;
static struct bell hold;
static struct op briefs[BRIEFS];

/* Keeps the writer busy until it is let go. */
static enum err on_hold(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	(void)s;
	(void)f;
	ring(&held);
	wait_for(&hold, 1);
	return ERR_NONE;
}

static void hold_writer(struct op *holder, uint64_t client, const char *lines)
{
	bell_init(&held);
	bell_init(&hold);
	prepare(holder, client, lines);
	holder->op.change = on_hold;
	CHECK(writer_submit(writer, &holder->op, &fault) == ERR_NONE);
	wait_for(&held, 1);
}

static uint64_t head_held;

static void on_held_done(struct write_op *op)
{
	head_held = store_head(store);
	ring(&((struct op *)op)->bell);
}

static int briefs_sent;
static int longs_left;
static struct bell briefs_end;

static void on_long_done(struct write_op *op)
{
	longs_left--;
	ring(&((struct op *)op)->bell);
}

/* The next one comes as soon as this one is answered, until all that is long is. */
static void on_brief_done(struct write_op *op)
{
	(void)op;
	if (longs_left > 0 && briefs_sent < BRIEFS)
		CHECK(writer_submit(writer, &briefs[briefs_sent++].op, &fault) == ERR_NONE);
	else
		ring(&briefs_end);
}

static int briefs_between(uint64_t after, uint64_t before)
{
	int n = 0;
	for (int i = 0; i < briefs_sent; i++)
		n += briefs[i].op.receipt.first > after && briefs[i].op.receipt.first < before;
	return n;
}

/* Fails when writer.c takes the lanes in turn only, or what is brief and what is not by the same turn: the second brief one
 * then has seq 1002. When brief ones always go first: the long ones then come last. When what comes during an append waits
 * for the next commit. And when a long one need not wait after another: there are then two brief ones between two of them.
 */
static void brief_requests_do_not_wait_for_long_ones_nor_hold_them_up(void)
{
	static struct op longs[LONGS];
	static char lines[LONG_EVENTS * LINE_LEN + 1];
	struct op holder;
	put_lines(lines, LONG_EVENTS);
	fresh_hub(1 << 20);
	bell_init(&briefs_end);
	hold_writer(&holder, 2, NULL); /* whose turn is over then */
	holder.op.done = on_held_done;
	longs_left = LONGS;
	for (int i = 0; i < LONGS; i++) {
		prepare(&longs[i], 1, lines);
		longs[i].op.done = on_long_done;
		CHECK(writer_submit(writer, &longs[i].op, &fault) == ERR_NONE);
	}
	for (int i = 0; i < BRIEFS; i++) {
		prepare(&briefs[i], 2, "{\"data\":2}");
		briefs[i].op.done = on_brief_done;
	}
	briefs_sent = 1;
	CHECK(writer_submit(writer, &briefs[0].op, &fault) == ERR_NONE);
	ring(&hold);
	wait_for(&briefs_end, 1);
	CHECK(longs_left == 0 && head_held == 1 && briefs[0].op.receipt.first == 1);
	CHECK(briefs[1].op.receipt.first == 2);
	CHECK(briefs_between(longs[0].op.receipt.last, longs[LONGS - 1].op.receipt.first) > 2 * (LONGS - 1));
	for (int i = 0; i < LONGS; i++) {
		wait_for(&longs[i].bell, 1);
		finish(&longs[i]);
	}
	for (int i = 0; i < BRIEFS; i++)
		finish(&briefs[i]);
	finish(&holder);
	close_hub();
	remove_dir();
}

/* Fails where each of many is as good as one alone: all of them then come before those of the clients behind. */
static void brief_requests_that_pile_up_are_no_less_than_a_long_one(void)
{
	enum { PILE = 100, OTHERS = 8, BRIEF_EVENTS = 16 };
	static struct op pile[PILE];
	struct op others[OTHERS];
	struct op holder;
	fresh_hub(1 << 20);
	hold_writer(&holder, 2, NULL); /* whose turn is over then */
	for (int i = 0; i < PILE; i++) {
		prepare(&pile[i], 1, "{\"data\":1}");
		CHECK(writer_submit(writer, &pile[i].op, &fault) == ERR_NONE);
	}
	for (int i = 0; i < OTHERS; i++) {
		prepare(&others[i], (uint64_t)i + 2, "{\"data\":2}");
		CHECK(writer_submit(writer, &others[i].op, &fault) == ERR_NONE);
	}
	ring(&hold);
	for (int i = 0; i < OTHERS; i++) {
		wait_for(&others[i].bell, 1);
		CHECK(others[i].op.receipt.first <= BRIEF_EVENTS + OTHERS);
		finish(&others[i]);
	}
	for (int i = 0; i < PILE; i++) {
		wait_for(&pile[i].bell, 1);
		CHECK(i == 0 || pile[i].op.receipt.first > pile[i - 1].op.receipt.first);
		finish(&pile[i]);
	}
	finish(&holder);
	close_hub();
	remove_dir();
}

static const struct op *answered[3];
static int answers;

static void on_answer(struct write_op *op)
{
	struct op *o = (struct op *)op;
	answered[answers++] = o;
	ring(&o->bell);
}

/* Fails when a commit's answers come in the order of its events, or when all that is brief is answered first. */
static void who_publishes_little_is_answered_before_what_is_long(void)
{
	static char lines[LONG_EVENTS * LINE_LEN + 1];
	struct op o[3];
	put_lines(lines, LONG_EVENTS);
	fresh_hub(1 << 20);
	hold_writer(&o[0], 1, lines);
	o[0].op.done = on_answer;
	for (int i = 1; i < 3; i++) {
		prepare(&o[i], (uint64_t)i, "{\"data\":2}");
		o[i].op.done = on_answer;
		CHECK(writer_submit(writer, &o[i].op, &fault) == ERR_NONE);
	}
	ring(&hold);
	for (int i = 0; i < 3; i++)
		wait_for(&o[i].bell, 1);
	CHECK(answered[0] == &o[2] && answered[1] == &o[0] && answered[2] == &o[1]);
	CHECK(o[0].op.receipt.last < o[1].op.receipt.first && o[0].op.receipt.last < o[2].op.receipt.first);
	for (int i = 0; i < 3; i++)
		finish(&o[i]);
	close_hub();
	remove_dir();
}

static bool saved_when_told;

static void on_saved(struct write_op *op)
{
	saved_when_told = sessions_saved(sessions, slice_of("s"));
	ring(&((struct op *)op)->bell);
}

/* Fails when such a request goes along with a commit that began before the session moved. */
static void who_waits_for_a_session_is_told_when_it_is_durable(void)
{
	struct op holder;
	struct op waiter;
	struct session_state s;
	struct counted me;
	reader_of(&me);
	fresh_hub(1 << 20);
	CHECK(publish("{\"data\":1}\n{\"data\":2}") == ERR_NONE);
	CHECK(attach("s", &me, 0, &s) == ERR_NONE);
	hold_writer(&holder, 1, NULL);
	CHECK(ack("s", &me, 2) == ERR_NONE);
	prepare(&waiter, 0, NULL);
	waiter.op.done = on_saved;
	CHECK(writer_submit(writer, &waiter.op, &fault) == ERR_NONE);
	ring(&hold);
	wait_for(&waiter.bell, 1);
	CHECK(saved_when_told);
	finish(&holder);
	finish(&waiter);
	close_hub();
	remove_dir();
}

/* Fails when its own long request counts as somebody else's: it then gets 128 events a commit. */
static void one_client_alone_gets_long_commits(void)
{
	static struct op o[1000];
	static char lines[LONG_EVENTS * LINE_LEN + 1];
	struct op holder;
	struct writer_figures before;
	struct writer_figures after;
	put_lines(lines, LONG_EVENTS);
	fresh_hub(1 << 20);
	writer_read(writer, &before);
	hold_writer(&holder, 1, lines);
	for (int i = 0; i < 1000; i++) {
		prepare(&o[i], 1, "{\"data\":2}");
		CHECK(writer_submit(writer, &o[i].op, &fault) == ERR_NONE);
	}
	ring(&hold);
	for (int i = 0; i < 1000; i++) {
		wait_for(&o[i].bell, 1);
		finish(&o[i]);
	}
	writer_read(writer, &after);
	CHECK(after.commits - before.commits <= 2);
	finish(&holder);
	close_hub();
	remove_dir();
}

enum { CLIENTS = 24, REQUESTS = 80, REQUEST_EVENTS = 16 };
enum { MIDDLE_CLIENTS = 3, MIDDLE_REQUESTS = 12, MIDDLE_EVENTS = 100, LONG_CLIENTS = 2, LONG_REQUESTS = 6 };

static int by_first(const void *a, const void *b)
{
	const struct op *x = *(struct op *const *)a;
	const struct op *y = *(struct op *const *)b;
	return x->op.receipt.first < y->op.receipt.first ? -1 : x->op.receipt.first > y->op.receipt.first;
}

static void add_requests(struct op **all, size_t *count, uint64_t first_client, int clients, int requests, const char *lines)
{
	for (int i = 0; i < clients * requests; i++) {
		struct op *o = malloc(sizeof *o);
		CHECK(o != NULL);
		prepare(o, first_client + (uint64_t)(i % clients), lines);
		CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
		all[(*count)++] = o;
	}
}

static struct op chain[CLIENTS * REQUESTS]; /* each client's one after the other */

/* The client's next one comes as soon as this one is answered. */
static void on_chained_done(struct write_op *op)
{
	size_t i = (size_t)((struct op *)op - chain);
	if (i % REQUESTS + 1 < REQUESTS)
		CHECK(writer_submit(writer, &chain[i + 1].op, &fault) == ERR_NONE);
	ring(&((struct op *)op)->bell);
}

static void add_chains(struct op **all, size_t *count, uint64_t first_client, const char *lines)
{
	for (int i = 0; i < CLIENTS * REQUESTS; i++) {
		prepare(&chain[i], first_client + (uint64_t)(i / REQUESTS), lines);
		chain[i].op.done = on_chained_done;
		all[(*count)++] = &chain[i];
	}
	for (int i = 0; i < CLIENTS; i++)
		CHECK(writer_submit(writer, &chain[i * REQUESTS].op, &fault) == ERR_NONE);
}

/* Nobody of `clients` is further ahead of another than `ahead` requests, for as long as all have some. */
static void check_pace(struct op **all, size_t count, uint64_t first_client, int clients, int requests, int ahead)
{
	int had[CLIENTS] = {0};
	int most = 0;
	for (size_t i = 0; i < count && most < requests; i++) {
		uint64_t client = all[i]->op.client - first_client;
		if (client >= (uint64_t)clients)
			continue;
		most = ++had[client] > most ? had[client] : most;
		for (int k = 0; k < clients; k++)
			CHECK(most - had[k] <= ahead);
	}
}

/* Fails when a turn goes on in the next transaction though it has had something: with 100 events it then never ends. */
static void all_have_their_turns_among_many_of_both_kinds(void)
{
	static struct op *all[CLIENTS * REQUESTS + MIDDLE_CLIENTS * MIDDLE_REQUESTS + LONG_CLIENTS * LONG_REQUESTS];
	static char lines[LONG_EVENTS * LINE_LEN + 1];
	struct op holder;
	size_t count = 0;
	put_lines(lines, LONG_EVENTS);
	fresh_hub(1 << 20);
	hold_writer(&holder, 999, NULL);
	add_requests(all, &count, 100, LONG_CLIENTS, LONG_REQUESTS, lines);
	put_lines(lines, MIDDLE_EVENTS);
	add_requests(all, &count, 200, MIDDLE_CLIENTS, MIDDLE_REQUESTS, lines);
	put_lines(lines, REQUEST_EVENTS);
	add_chains(all, &count, 1, lines);
	ring(&hold);
	for (size_t i = 0; i < count; i++)
		wait_for(&all[i]->bell, 1);
	qsort(all, count, sizeof *all, by_first);
	check_pace(all, count, 1, CLIENTS, REQUESTS, REQUESTS / 4);
	check_pace(all, count, 200, MIDDLE_CLIENTS, MIDDLE_REQUESTS, 2);
	check_pace(all, count, 100, LONG_CLIENTS, LONG_REQUESTS, 1);
	for (size_t i = 0; i < count; i++) {
		finish(all[i]);
		if (all[i]->op.client >= 100)
			free(all[i]);
	}
	finish(&holder);
	close_hub();
	remove_dir();
}

/* A reader at the head, and how often a commit woke it. */
struct follower {
	struct subscription subscription;
	struct cursor *cursor;
	struct bell bell;
	int woken;
};

static bool wait_at_head(struct subscriptions *t, struct follower *f)
{
	struct chunk chunks[8];
	int count;
	while (cursor_fill(f->cursor, chunks, 8, SIZE_MAX, &count) == CURSOR_READY) {
		size_t all = 0;
		for (int i = 0; i < count; i++)
			all += chunks[i].len;
		cursor_advance(f->cursor, chunks, count, all);
		cursor_release(chunks, count);
	}
	return subscription_park(t, &f->subscription, f->cursor);
}

static void follower_init(struct subscriptions *t, struct follower *f, const char *stream)
{
	struct filter *filter = filter_create();
	CHECK(stream == NULL || filter_add_stream(filter, slice_of(stream)) == ERR_NONE);
	*f = (struct follower){0};
	bell_init(&f->bell);
	subscription_init(&f->subscription);
	CHECK(cursor_create(feed, (struct position){.from_head = true}, 0, history_select_take(store, filter), ENCODING_WS,
			    ring, &f->bell, &f->cursor) == ERR_NONE);
	CHECK(wait_at_head(t, f));
}

static void follower_finish(struct subscriptions *t, struct follower *f)
{
	subscription_unpark(t, &f->subscription);
	subscription_finish(&f->subscription);
	cursor_destroy(f->cursor);
}

static void on_woken(void *arg, struct subscription *s)
{
	struct follower *f = LIST_ITEM(s, struct follower, subscription);
	CHECK(!subscription_waits(s));
	f->woken++;
	if (arg != NULL)
		CHECK(wait_at_head(arg, f));
}

static void a_commit_wakes_whom_it_concerns(void)
{
	fresh_hub(4096);
	CHECK(publish("{\"stream\":\"a\",\"data\":1}\n{\"stream\":\"b\",\"data\":1}") == ERR_NONE);
	struct subscriptions *t;
	struct follower a, b, later, all;
	CHECK(subscriptions_create(feed, &t) == ERR_NONE);
	follower_init(t, &a, "a");
	follower_init(t, &b, "b");
	follower_init(t, &later, "later");
	follower_init(t, &all, NULL);
	CHECK(publish("{\"stream\":\"a\",\"data\":2}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t); /* the first one wakes everybody: it does not know the topics yet */
	a.woken = b.woken = later.woken = all.woken = 0;

	/* Many commits, more than the ring holds, that do not concern `b`. */
	for (int i = 0; i < 100; i++) {
		CHECK(publish("{\"stream\":\"a\",\"data\":\"................................................\"}") ==
		      ERR_NONE);
		subscriptions_dispatch(t, on_woken, t);
	}
	CHECK(a.woken == 100 && all.woken == 100 && b.woken == 0 && later.woken == 0);

	/* What `b` waited for comes at once, and not by way of the store. */
	CHECK(publish("{\"stream\":\"b\",\"data\":2}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, NULL);
	struct chunk chunk;
	int count;
	CHECK(b.woken == 1 && cursor_fill(b.cursor, &chunk, 1, SIZE_MAX, &count) == CURSOR_READY && chunk.count == 1);
	CHECK(page_entry(chunk.page, chunk.index).seq == 104);
	cursor_release(&chunk, count);
	CHECK(a.woken == 100 && wait_at_head(t, &b) && wait_at_head(t, &all));

	/* A new topic concerns whoever filters. */
	CHECK(publish("{\"stream\":\"later\",\"data\":1}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t);
	CHECK(later.woken == 1 && cursor_after(later.cursor) == 105);
	CHECK(publish("{\"stream\":\"later\",\"data\":2}") == ERR_NONE);
	int before = a.woken;
	subscriptions_dispatch(t, on_woken, t);
	CHECK(later.woken == 2 && a.woken == before);

	/* Who decided to wait before something was dispatched must look again. */
	subscription_unpark(t, &later.subscription);
	CHECK(publish("{\"stream\":\"later\",\"data\":3}") == ERR_NONE);
	subscriptions_dispatch(t, on_woken, t);
	CHECK(!subscription_park(t, &later.subscription, later.cursor) && wait_at_head(t, &later));
	follower_finish(t, &a);
	follower_finish(t, &b);
	follower_finish(t, &later);
	follower_finish(t, &all);
	subscriptions_destroy(t);
	close_hub();
	remove_dir();
}

/* --- changes that fail --- */

static int changes_run;

static enum err on_note(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	changes_run++;
	return store_note_put(s, "test", slice_of("fine"), 1, slice_of("{}"), f);
}

/* Fails when half of it is done. */
static enum err on_half_note(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	changes_run++;
	enum err err = store_note_put(s, "test", slice_of("half"), 1, slice_of("{}"), f);
	return err ? err : fault_set(f, ERR_CORRUPT, "a page is damaged");
}

enum { LEAVING = 500 };

static enum err on_leave(struct write_op *op, struct store *s, struct fault *f)
{
	(void)op;
	uint64_t left;
	changes_run++;
	return store_evict(s, LEAVING, LEAVING, NULL, &left, f);
}

static bool has_note_fine;
static bool has_note_half;

static enum err on_stored_note(void *arg, struct slice key, int64_t at, struct slice value)
{
	(void)arg;
	(void)at;
	(void)value;
	has_note_fine = has_note_fine || slice_is(key, "fine");
	has_note_half = has_note_half || slice_is(key, "half");
	return ERR_NONE;
}

static void submit_change(struct op *o, uint64_t client, write_change *change)
{
	prepare(o, client, NULL);
	o->op.change = change;
	CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
}

static void submit_of(struct op *o, uint64_t client, const char *lines)
{
	prepare(o, client, lines);
	CHECK(writer_submit(writer, &o->op, &fault) == ERR_NONE);
}

static void let_go_and_finish(struct op *holder, struct op *ops, int count)
{
	ring(&hold);
	for (int i = 0; i < count; i++)
		wait_for(&ops[i].bell, 1);
	wait_for(&holder->bell, 1);
	finish(holder);
}

static void check_breaker_stayed_closed(uint64_t failed)
{
	struct writer_figures f;
	writer_read(writer, &f);
	CHECK(f.breaker == BREAKER_CLOSED && f.breaker_opens == 0 && f.breaker_failures == 0 && f.failed == failed);
	CHECK(f.queued_events == 0 && f.queued_bytes == 0 && f.queued_requests == 0);
}

/* Fails when a change that fails takes the requests with it that are in the same transaction, or opens the breaker; and when
 * the half of it that was done stays. */
static void a_change_that_fails_fails_alone(void)
{
	enum { CLIENT = 1, OTHER = 2, CHANGES = 3 };
	struct op holder;
	struct op ops[7];
	fresh_hub(1 << 20);
	CHECK(publish("{\"data\":1}") == ERR_NONE);
	changes_run = 0;
	hold_writer(&holder, OTHER, NULL);
	submit_of(&ops[0], CLIENT,
		  "{\"id\":\"x\",\"stream\":\"new\",\"data\":1}\n{\"id\":\"x\",\"stream\":\"new\",\"data\":1}");
	submit_change(&ops[1], CLIENT, on_half_note);
	submit_change(&ops[2], CLIENT, on_note);
	submit_of(&ops[3], CLIENT, "{\"id\":\"x\",\"stream\":\"new\",\"data\":1}");
	submit_change(&ops[4], CLIENT, on_half_note);
	submit_of(&ops[5], CLIENT, "{\"id\":\"y\",\"stream\":\"new\",\"data\":1}");
	prepare(&ops[6], 0, NULL);
	ops[6].op.session = slice_of("s");
	ops[6].op.session_acked = 1;
	CHECK(writer_submit(writer, &ops[6].op, &fault) == ERR_NONE);
	let_go_and_finish(&holder, ops, 7);
	CHECK(ops[0].op.err == ERR_NONE && ops[0].op.receipt.first == 2 && ops[0].op.receipt.duplicates == 1);
	CHECK(ops[1].op.err == ERR_CORRUPT && strstr(ops[1].op.fault.text, "damaged") != NULL);
	CHECK(ops[2].op.err == ERR_NONE && ops[4].op.err == ERR_CORRUPT);
	CHECK(ops[3].op.err == ERR_NONE && ops[3].op.receipt.duplicates == 1 && ops[3].op.receipt.first == 2);
	CHECK(ops[5].op.err == ERR_NONE && ops[5].op.receipt.first == 3 && ops[6].op.err == ERR_NONE);
	CHECK(rings_of(&ops[0].bell) == 1 && rings_of(&ops[1].bell) == 1 && rings_of(&ops[2].bell) == 1);
	CHECK(changes_run == CHANGES); /* each once: those behind the first wait for a transaction of their own */
	check_breaker_stayed_closed(2);
	CHECK(store_head(store) == 3);
	for (int i = 0; i < 7; i++)
		finish(&ops[i]);
	close_hub();
	open_hub(1 << 20, roomy);
	struct session_state state;
	has_note_fine = has_note_half = false;
	CHECK(store_note_each(store, "test", on_stored_note, NULL, &fault) == ERR_NONE);
	CHECK(has_note_fine && !has_note_half && store_head(store) == 3);
	CHECK(sessions_get(sessions, slice_of("s"), &state) && state.acked == 1);
	close_hub();
	remove_dir();
}

/* Changes a byte in the database where `text` is. */
static void damage(const char *text)
{
	char path[TEMP_DIR_LEN + 32];
	static char all[1 << 20];
	snprintf(path, sizeof path, "%s/tidemark.db", dir);
	FILE *f = fopen(path, "r+");
	CHECK(f != NULL);
	size_t len = fread(all, 1, sizeof all, f);
	char *at = memmem(all, len, text, strlen(text));
	CHECK(at != NULL && fseek(f, at - all, SEEK_SET) == 0 && fputc('#', f) == '#' && fclose(f) == 0);
}

/* SQLite rolls back the whole transaction at a page that cannot be read: fails with a savepoint, too. */
static void events_that_cannot_leave_disturb_no_publisher(void)
{
	enum { CLIENT = 1, OTHER = 2, STORED = 400, DAMAGED = STORED + 1, ALL = DAMAGED + STORED };
	struct op holder;
	struct op ops[3];
	static char lines[STORED * LINE_LEN + 1];
	fresh_hub(1 << 20);
	put_lines(lines, STORED);
	CHECK(publish(lines) == ERR_NONE);
	CHECK(publish("{\"data\":\"an event that is damaged\"}") == ERR_NONE);
	CHECK(publish(lines) == ERR_NONE);
	close_hub(); /* all of it is indexed, and in the database */
	damage("an event that is damaged");
	open_hub(1 << 20, roomy);
	hold_writer(&holder, OTHER, NULL);
	submit_of(&ops[0], CLIENT, "{\"data\":2}");
	submit_change(&ops[1], CLIENT, on_leave);
	submit_of(&ops[2], CLIENT, "{\"data\":3}");
	let_go_and_finish(&holder, ops, 3);
	CHECK(ops[0].op.err == ERR_NONE && ops[0].op.receipt.first == ALL + 1);
	CHECK(ops[1].op.err != ERR_NONE);
	CHECK(ops[2].op.err == ERR_NONE && ops[2].op.receipt.first == ALL + 2);
	check_breaker_stayed_closed(1);
	CHECK(store_log_first(store) == 1 && store_head(store) == ALL + 2);
	for (int i = 0; i < 3; i++)
		finish(&ops[i]);
	close_hub();
	remove_dir();
}

/* --- the pool --- */

struct slow_job {
	struct pool_job job;
	struct bell held;
	struct bell hold;
	int nice;
};

static void run_slow(struct pool_job *job, struct reader *reader)
{
	struct slow_job *s = (struct slow_job *)job;
	CHECK(reader != NULL);
	s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	ring(&s->held);
	wait_for(&s->hold, 1);
}

static struct bell usual_ran;

static void run_usual(struct pool_job *job, struct reader *reader)
{
	(void)job;
	CHECK(reader != NULL);
	ring(&usual_ran);
}

/* Hangs where slow jobs are run by the threads for the usual ones: two of them keep both. */
static void slow_jobs_keep_no_usual_ones_waiting(void)
{
	enum { SLOW = 3, LOWEST = 19 };
	static struct slow_job slow[SLOW];
	struct pool_job usual = {.run = run_usual};
	fresh_hub(1 << 20);
	bell_init(&usual_ran);
	for (int i = 0; i < SLOW; i++) {
		slow[i].job.run = run_slow;
		list_init(&slow[i].job.link);
		bell_init(&slow[i].held);
		bell_init(&slow[i].hold);
		pool_submit_slow(pool, &slow[i].job);
	}
	wait_for(&slow[0].held, 1);
	list_init(&usual.link);
	pool_submit(pool, &usual);
	wait_for(&usual_ran, 1);
	CHECK(slow[0].nice == LOWEST && rings_of(&slow[1].held) == 0);
	for (int i = 0; i < SLOW; i++)
		ring(&slow[i].hold);
	close_hub(); /* runs them all */
	for (int i = 0; i < SLOW; i++)
		CHECK(rings_of(&slow[i].held) == 1);
	remove_dir();
}

struct turn_job {
	struct pool_job job;
	int number;
};

static int turns[8];
static int turn_count;

static void run_turn(struct pool_job *job, struct reader *reader)
{
	(void)reader;
	turns[turn_count++] = ((struct turn_job *)job)->number;
}

/* Fails where what is new waits for the next part of everything that is long, or what is long for all that is new. */
static void what_is_new_waits_for_one_part_of_what_is_long(void)
{
	enum { LONG = 4, NEW = 3 };
	static const int order[LONG + NEW] = {10, 0, 11, 1, 12, 2, 3};
	struct slow_job holder = {.job.run = run_slow};
	struct turn_job jobs[LONG + NEW];
	struct pool *one;
	fresh_hub(1 << 20);
	CHECK(pool_create(store, 1, &one, &fault) == ERR_NONE);
	bell_init(&holder.held);
	bell_init(&holder.hold);
	list_init(&holder.job.link);
	pool_submit(one, &holder.job);
	wait_for(&holder.held, 1);
	turn_count = 0;
	for (int i = 0; i < LONG + NEW; i++) {
		jobs[i] = (struct turn_job){.job.run = run_turn, .number = i < LONG ? i : 10 + i - LONG};
		list_init(&jobs[i].job.link);
		if (i < LONG)
			pool_submit_again(one, &jobs[i].job);
		else
			pool_submit(one, &jobs[i].job);
	}
	ring(&holder.hold);
	pool_destroy(one);
	CHECK(turn_count == LONG + NEW && memcmp(turns, order, sizeof order) == 0);
	close_hub();
	remove_dir();
}

int main(void)
{
	RUN(what_is_new_waits_for_one_part_of_what_is_long);
	RUN(slow_jobs_keep_no_usual_ones_waiting);
	RUN(a_change_that_fails_fails_alone);
	RUN(events_that_cannot_leave_disturb_no_publisher);
	RUN(a_commit_wakes_whom_it_concerns);
	RUN(a_request_does_not_wait_for_the_pages_of_a_whole_herd);
	RUN(a_closed_feed_reads_no_more_pages);
	RUN(positions_that_cannot_be_honoured_are_gaps);
	RUN(cursors_cross_the_seam_under_load);
	RUN(a_load_ends_where_the_feed_does);
	RUN(a_full_queue_refuses_and_forgets_nothing);
	RUN(a_failed_commit_is_told_and_recovered_from);
	RUN(figures_of_an_idle_session_are_dropped_after_an_hour);
	RUN(sessions_are_taken_over_and_survive);
	RUN(who_publishes_little_is_answered_before_what_is_long);
	RUN(who_waits_for_a_session_is_told_when_it_is_durable);
	RUN(one_client_alone_gets_long_commits);
	RUN(all_have_their_turns_among_many_of_both_kinds);
	RUN(brief_requests_that_pile_up_are_no_less_than_a_long_one);
	RUN(brief_requests_do_not_wait_for_long_ones_nor_hold_them_up);
	RUN(a_closed_writer_has_done_what_it_accepted);
	return check_end();
}
