/* Requests that take long come back to the pool again and again, behind whatever else waits there. The HTTP server is not
 * there: its functions are replaced (-Wl,--wrap), and what a handler puts off is run here, one part at a time. */
#include <semaphore.h>
#include <stdlib.h>

#include "held_writer.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "server/api/api.h"
#include "server/http/reply_stream.h"
#include "store/read/history.h"
#include "temp_dir.h"

enum { TOPICS = 1100 /* more than are looked up in the index */, OTHERS = 200000, BATCH = 20000, LOOKED_AT_ONCE = 65536 };

struct http_request {
	struct url url;
	struct buf out;
	struct buf fault;
	struct grant grant;
	void *state;
	void (*destroy)(void *state);
	http_handler *put_off;
	int parts; /* how often it was put off */
	int status;
	size_t held;
	bool waits; /* for an event: a long poll */
	bool slow;
	uint64_t client;
	char why[200];
	reply_stream_fill *fill;
	bool ended; /* with the first piece */
	void *source;
	bool done;
};

static struct store *store;
static struct reader *reader;
static struct api api;
static struct monitoring monitoring = {.api = &api};
static char filled[TEMP_DIR_LEN];
static char dir[TEMP_DIR_LEN];
static struct fault fault;
static sem_t put_off;

const struct url *__wrap_request_url(const struct http_request *x);
struct buf *__wrap_request_out(struct http_request *x);
const struct grant *__wrap_request_grant(const struct http_request *x);
struct slice __wrap_request_header(const struct http_request *x, const char *name);
void __wrap_request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg);
void __wrap_request_keep(struct http_request *x, void *state, void (*destroy)(void *state));
void *__wrap_request_state(const struct http_request *x);
void __wrap_request_status(struct http_request *x, int status, const char *content_type);
void __wrap_request_add_header(struct http_request *x, const char *name, const char *value);
size_t __wrap_request_room(const struct http_request *x, struct fault *f);
void __wrap_request_hold(struct http_request *x, size_t bytes);
void __wrap_request_fault(struct http_request *x, const struct fault *f);
void __wrap_request_defer(struct http_request *x, http_handler *run);
void __wrap_request_done(struct http_request *x);
enum err __wrap_long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select,
			       int64_t wait_ms, long_poll_again *again, void *arg);
uint64_t __wrap_request_client(const struct http_request *x);
enum err __wrap_request_stay(struct http_request *x, struct fault *why);
void __wrap_request_slow_down(struct http_request *x);
enum err __wrap_reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
				  size_t held, void (*destroy)(void *source));

uint64_t __wrap_request_client(const struct http_request *x)
{
	return x->client;
}

enum err __wrap_request_stay(struct http_request *x, struct fault *why)
{
	(void)x;
	(void)why;
	return ERR_NONE;
}

void __wrap_request_slow_down(struct http_request *x)
{
	x->slow = true;
}

enum err __wrap_reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
				  size_t held, void (*destroy)(void *source))
{
	(void)held;
	x->ended = first->end;
	buf_finish(&first->bytes);
	x->fill = fill;
	x->source = x->state = source;
	x->destroy = destroy;
	return ERR_NONE;
}

const struct url *__wrap_request_url(const struct http_request *x)
{
	return &x->url;
}

struct buf *__wrap_request_out(struct http_request *x)
{
	return &x->out;
}

const struct grant *__wrap_request_grant(const struct http_request *x)
{
	return &x->grant;
}

struct slice __wrap_request_header(const struct http_request *x, const char *name)
{
	(void)x;
	(void)name;
	return (struct slice){"", 0};
}

void __wrap_request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg)
{
	(void)x;
	(void)prefix;
	(void)visit;
	(void)arg;
}

void __wrap_request_keep(struct http_request *x, void *state, void (*destroy)(void *state))
{
	x->state = state;
	x->destroy = destroy;
}

void *__wrap_request_state(const struct http_request *x)
{
	return x->state;
}

void __wrap_request_status(struct http_request *x, int status, const char *content_type)
{
	(void)content_type;
	x->status = status;
}

void __wrap_request_add_header(struct http_request *x, const char *name, const char *value)
{
	(void)x;
	(void)name;
	(void)value;
}

size_t __wrap_request_room(const struct http_request *x, struct fault *f)
{
	(void)x;
	(void)f;
	return 64 << 20;
}

void __wrap_request_hold(struct http_request *x, size_t bytes)
{
	x->held = bytes;
}

void __wrap_request_fault(struct http_request *x, const struct fault *f)
{
	snprintf(x->why, sizeof x->why, "%.199s", f->text);
	x->status = 500;
}

void __wrap_request_defer(struct http_request *x, http_handler *run)
{
	CHECK(x->put_off == NULL && !x->done && !x->waits);
	x->put_off = run;
	x->parts++;
	sem_post(&put_off);
}

void __wrap_request_done(struct http_request *x)
{
	CHECK(x->put_off == NULL && !x->done && !x->waits && x->held == 0);
	x->done = true;
}

enum err __wrap_long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select,
			       int64_t wait_ms, long_poll_again *again, void *arg)
{
	struct http_request *x = (struct http_request *)p;
	(void)query;
	(void)wait_ms;
	(void)again;
	(void)arg;
	selection_destroy(select);
	CHECK(x->put_off == NULL && !x->done && !x->waits);
	x->waits = true;
	return ERR_NONE;
}

static void append(const char *line_format, int count, int from)
{
	struct batch *batch;
	struct receipt receipt;
	struct committed *committed;
	struct buf text;
	buf_init(&text);
	for (int i = 0; i < count; i++) {
		char line[80];
		int len = snprintf(line, sizeof line, "{\"stream\":\"s%d\",\"type\":\"%s\",\"data\":1}\n",
				   from + i * (count == TOPICS), line_format);
		buf_add(&text, line, (size_t)len);
	}
	struct batch_limits limits = {1 << 20, BATCH};
	CHECK(batch_parse(text.data, text.len, BATCH_LINES, limits, &batch, &fault) == ERR_NONE);
	CHECK(store_append(store, batch, NULL, &receipt, &fault) == ERR_NONE);
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE);
	CHECK(store_maintain(store, false, &fault) == ERR_NONE);
	committed_destroy(committed);
	receipt_finish(&receipt);
	batch_destroy(batch);
	buf_finish(&text);
}

static void open_store(const char *at)
{
	CHECK(store_open(at, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(reader_open(store, &reader, &fault) == ERR_NONE);
}

static void close_store(void)
{
	reader_close(reader);
	store_close(store);
}

/* Many topics of one type, then very many events of another, and one more of the first. */
static void fill_store(void)
{
	temp_dir_make(filled);
	open_store(filled);
	append("rare", TOPICS, 0);
	for (int i = 0; i < OTHERS; i += BATCH)
		append("often", BATCH, 0);
	append("rare", 1, 7);
	close_store();
}

/* A copy of that store, for one test. */
static void set_up(void)
{
	char command[3 * TEMP_DIR_LEN];
	temp_dir_make(dir);
	snprintf(command, sizeof command, "cp -r %s/. %s", filled, dir);
	CHECK(system(command) == 0);
	open_store(dir);
	sem_init(&put_off, 0, 0);
	api = (struct api){.store = store, .base = ""};
	CHECK(flags_create(store, NULL, &monitoring.flags, &fault) == ERR_NONE);
}

static void tear_down(void)
{
	flags_destroy(monitoring.flags);
	close_store();
	temp_dir_remove(dir);
}

static void begin(struct http_request *x, const char *target)
{
	*x = (struct http_request){0};
	CHECK(url_parse(&x->url, slice_of(target)) == URL_FINE);
	api.waiters = (struct waiters *)x;
	api_history(&api, x, reader);
}

/* The next part of a request that was put off. */
static void go_on(struct http_request *x)
{
	http_handler *run = x->put_off;
	CHECK(run != NULL);
	x->put_off = NULL;
	run(&api, x, reader);
}

static void finish(struct http_request *x)
{
	if (x->destroy != NULL)
		x->destroy(x->state);
	url_finish(&x->url);
	buf_finish(&x->out);
}

static bool says(const struct http_request *x, const char *text)
{
	return memmem(x->out.data, x->out.len, text, strlen(text)) != NULL;
}

/* Fails where a request walks the log to its end in one go: another then waits for all of it. */
static void a_search_that_finds_nothing_takes_turns(void)
{
	struct http_request search;
	struct http_request page;
	set_up();
	begin(&search, "/v1/events?type=rare&after=1100&before=201101");
	CHECK(!search.done && search.parts == 1);
	begin(&page, "/v1/events?after=0&limit=1");
	CHECK(page.done && page.parts == 0 && page.status == 200 && says(&page, "\"seq\":1,"));
	while (!search.done)
		go_on(&search);
	CHECK(search.parts >= OTHERS / LOOKED_AT_ONCE && search.status == 200);
	CHECK(says(&search, "{\"events\":[],\"next\":null,\"checkpoint\":201100,"));
	finish(&search);
	finish(&page);
	tear_down();
}

/* The same from the newest to the oldest, and with something at the end; what comes meanwhile is not part of it. */
static void a_search_finds_what_is_far_away(void)
{
	struct http_request up;
	struct http_request down;
	set_up();
	begin(&up, "/v1/events?type=rare&after=1099");
	CHECK(!up.done);
	append("rare", 1, 8);
	while (!up.done)
		go_on(&up);
	CHECK(up.parts >= OTHERS / LOOKED_AT_ONCE && says(&up, "\"seq\":1100,") && says(&up, "\"seq\":201101,"));
	CHECK(!says(&up, "\"seq\":201102,") &&
	      says(&up, "\"next\":null,\"checkpoint\":201101,\"first\":1,\"head\":201101,"));
	begin(&down, "/v1/events?type=rare&order=desc&before=201101&limit=2");
	while (!down.done)
		go_on(&down);
	CHECK(down.parts >= OTHERS / LOOKED_AT_ONCE && says(&down, "\"seq\":1100,") && says(&down, "\"seq\":1099,"));
	CHECK(!says(&down, "\"seq\":1098,") && says(&down, "\"next\":1099,"));
	finish(&up);
	finish(&down);
	tear_down();
}

/* A long poll looks first whether it has to wait. */
static void a_long_poll_takes_turns_before_it_waits(void)
{
	struct http_request poll;
	set_up();
	append("rare", 1, 8);
	begin(&poll, "/v1/events?type=rare&after=201102&wait=60");
	CHECK(poll.waits && poll.parts == 0);
	finish(&poll);
	for (int i = 0; i < OTHERS; i += BATCH)
		append("often", BATCH, 0);
	begin(&poll, "/v1/events?type=rare&after=201102&wait=60");
	while (!poll.waits && !poll.done)
		go_on(&poll);
	CHECK(poll.waits && poll.parts >= OTHERS / LOOKED_AT_ONCE);
	finish(&poll);
	tear_down();
}

/* --- exports --- */

static void begin_export(struct http_request *x, const char *target, uint64_t client)
{
	*x = (struct http_request){.client = client};
	CHECK(url_parse(&x->url, slice_of(target)) == URL_FINE);
	api_export(&api, x, reader);
}

/* The rest of an export; returns how many pieces there were, with the empty ones. */
static int read_pieces(struct http_request *x)
{
	int pieces = 1;
	for (bool end = x->ended; !end; pieces++) {
		struct buf piece;
		buf_init(&piece);
		CHECK(x->fill(x->source, reader, &piece, &end, &fault) == ERR_NONE);
		buf_finish(&piece);
	}
	return pieces;
}

/* Fails where the pages are looked at in one go until there is something to send. */
static void an_export_takes_turns(void)
{
	struct http_request x;
	set_up();
	begin_export(&x, "/v1/export?type=rare&after=1100&before=201101", 1);
	CHECK(!x.done && !x.slow);
	while (!x.done)
		go_on(&x);
	CHECK(x.status == 500 && strstr(x.why, "no events") != NULL && x.parts >= OTHERS / LOOKED_AT_ONCE);
	finish(&x);
	/* Backwards to the last, which is far from the end, then forwards to the first, which is that one. */
	begin_export(&x, "/v1/export?type=rare&after=1098&before=201101", 1);
	while (!x.done)
		go_on(&x);
	CHECK(x.status == 200 && x.parts >= OTHERS / LOOKED_AT_ONCE + 1 && read_pieces(&x) <= 2);
	finish(&x);
	begin_export(&x, "/v1/export?after=0&before=60000", 1);
	while (!x.done)
		go_on(&x);
	CHECK(x.status == 200 && read_pieces(&x) > 60000 / 4096 - x.parts);
	finish(&x);
	tear_down();
}

/* Fails where a level above the usual one is packed on the thread that pages are read on, or one client may have any number
 * of those. */
static void higher_levels_are_slow_and_few(void)
{
	struct http_request first;
	struct http_request second;
	struct http_request third;
	set_up();
	api.quotas = quotas_create((struct quota_limit[QUOTAS]){
		[QUOTA_EXPORTS] = {.all = 16}, [QUOTA_SLOW_EXPORTS] = {.all = 16, .client = 2}});
	CHECK(api.quotas != NULL);
	begin_export(&first, "/v1/export?level=19&after=0&before=1000", 1);
	begin_export(&second, "/v1/export?level=3&after=0&before=1000", 1);
	CHECK(!first.done && first.slow && first.parts == 1 && !second.done && second.slow);
	begin_export(&third, "/v1/export?level=19&after=0&before=1000", 1);
	CHECK(third.done && third.status == 500 && strstr(third.why, "exports above the default level") != NULL);
	finish(&third);
	begin_export(&third, "/v1/export?level=2&after=0&before=1000", 1);
	CHECK(!third.done && !third.slow);
	finish(&third);
	begin_export(&third, "/v1/export?level=19&after=0&before=1000", 2);
	CHECK(!third.done && third.slow);
	finish(&third);
	while (!first.done)
		go_on(&first);
	CHECK(first.status == 200);
	finish(&first);
	begin_export(&third, "/v1/export?level=19&after=0&before=1000", 1);
	CHECK(!third.done);
	finish(&third);
	finish(&second);
	CHECK(quota_read(api.quotas, QUOTA_EXPORTS).held == 0 && quota_read(api.quotas, QUOTA_SLOW_EXPORTS).held == 0);
	quotas_destroy(api.quotas);
	api.quotas = NULL;
	tear_down();
}

/* --- health --- */

/* Fails (for want of a WebSocket server to write of) where the handler waits for the disk itself. */
static void health_waits_for_the_disk_without_a_thread(void)
{
	enum { ASKED = 3 };
	struct http_request asked[ASKED];
	struct feed *feed;
	struct sessions *sessions;
	struct pool *pool;
	set_up();
	CHECK(pool_create(store, 1, &pool, &fault) == ERR_NONE);
	CHECK(feed_create(store, pool, (struct feed_options){1 << 20, 1 << 20}, &feed, &fault) == ERR_NONE);
	CHECK(sessions_create(store, NULL, &sessions, &fault) == ERR_NONE);
	CHECK(writer_create(store, feed, sessions, (struct writer_options){0}, &api.writer, &fault) == ERR_NONE);
	CHECK((monitoring.probe = probe_create(api.writer, monitoring.flags)) != NULL);
	hold_writer(api.writer);
	for (int i = 0; i < ASKED; i++) {
		asked[i] = (struct http_request){0};
		monitoring_health(&monitoring, &asked[i], reader);
		CHECK(!asked[i].done);
	}
	sem_post(&writer_goes_on);
	for (int i = 0; i < ASKED; i++)
		sem_wait(&put_off);
	for (int i = 0; i < ASKED; i++) {
		CHECK(asked[i].put_off != NULL && asked[i].parts == 1 && !asked[i].done);
		finish(&asked[i]);
	}
	writer_close(api.writer);
	probe_close(monitoring.probe);
	asked[0] = (struct http_request){0};
	monitoring_health(&monitoring, &asked[0], reader); /* is answered at once */
	CHECK(asked[0].put_off != NULL);
	finish(&asked[0]);
	probe_destroy(monitoring.probe);
	writer_destroy(api.writer);
	pool_destroy(pool);
	sessions_destroy(sessions);
	feed_destroy(feed);
	tear_down();
}

int main(void)
{
	fill_store();
	RUN(a_search_that_finds_nothing_takes_turns);
	RUN(a_search_finds_what_is_far_away);
	RUN(a_long_poll_takes_turns_before_it_waits);
	RUN(an_export_takes_turns);
	RUN(higher_levels_are_slow_and_few);
	RUN(health_waits_for_the_disk_without_a_thread);
	temp_dir_remove(filled);
	return check_end();
}
