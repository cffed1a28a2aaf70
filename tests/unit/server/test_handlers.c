/* Requests that take long come back to the pool again and again, behind whatever else waits there. */
#include <stdlib.h>

#include "server/api/api.h"
#include "store/read/history.h"
#include "unit/server/handler_request.h"
#include "unit/temp_dir.h"

enum { TOPICS = 1100 /* more than are looked up in the index */, OTHERS = 200000, BATCH = 20000, LOOKED_AT_ONCE = 65536 };

static struct store *store;
static struct reader *reader;
static struct api api;
static char filled[TEMP_DIR_LEN];
static char dir[TEMP_DIR_LEN];
static struct fault fault;

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
	handler_requests_init();
	api = (struct api){.store = store, .base = ""};
}

static void tear_down(void)
{
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

/* Fails where a request walks the log to its end in one go: another then waits for all of it. */
static void a_search_that_finds_nothing_takes_turns(void)
{
	struct http_request search;
	struct http_request page;
	set_up();
	begin(&search, "/v1/events?type=rare&after=1100&before=201101");
	CHECK(!search.done && search.parts == 1);
	begin(&page, "/v1/events?after=0&limit=1");
	CHECK(page.done && page.parts == 0 && page.status == 200 && handler_request_says(&page, "\"seq\":1,"));
	while (!search.done)
		go_on(&search);
	CHECK(search.parts >= OTHERS / LOOKED_AT_ONCE && search.status == 200);
	CHECK(handler_request_says(&search, "{\"events\":[],\"next\":null,\"checkpoint\":201100,"));
	handler_request_finish(&search);
	handler_request_finish(&page);
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
	CHECK(up.parts >= OTHERS / LOOKED_AT_ONCE && handler_request_says(&up, "\"seq\":1100,") &&
	      handler_request_says(&up, "\"seq\":201101,"));
	CHECK(!handler_request_says(&up, "\"seq\":201102,") &&
	      handler_request_says(&up, "\"next\":null,\"checkpoint\":201101,\"first\":1,\"head\":201101,"));
	begin(&down, "/v1/events?type=rare&order=desc&before=201101&limit=2");
	while (!down.done)
		go_on(&down);
	CHECK(down.parts >= OTHERS / LOOKED_AT_ONCE && handler_request_says(&down, "\"seq\":1100,") &&
	      handler_request_says(&down, "\"seq\":1099,"));
	CHECK(!handler_request_says(&down, "\"seq\":1098,") && handler_request_says(&down, "\"next\":1099,"));
	handler_request_finish(&up);
	handler_request_finish(&down);
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
	handler_request_finish(&poll);
	for (int i = 0; i < OTHERS; i += BATCH)
		append("often", BATCH, 0);
	begin(&poll, "/v1/events?type=rare&after=201102&wait=60");
	while (!poll.waits && !poll.done)
		go_on(&poll);
	CHECK(poll.waits && poll.parts >= OTHERS / LOOKED_AT_ONCE);
	handler_request_finish(&poll);
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
	handler_request_finish(&x);
	/* Backwards to the last, which is far from the end, then forwards to the first, which is that one. */
	begin_export(&x, "/v1/export?type=rare&after=1098&before=201101", 1);
	while (!x.done)
		go_on(&x);
	CHECK(x.status == 200 && x.parts >= OTHERS / LOOKED_AT_ONCE + 1 && read_pieces(&x) <= 2);
	handler_request_finish(&x);
	begin_export(&x, "/v1/export?after=0&before=60000", 1);
	while (!x.done)
		go_on(&x);
	CHECK(x.status == 200 && read_pieces(&x) > 60000 / 4096 - x.parts);
	handler_request_finish(&x);
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
	handler_request_finish(&third);
	begin_export(&third, "/v1/export?level=2&after=0&before=1000", 1);
	CHECK(!third.done && !third.slow);
	handler_request_finish(&third);
	begin_export(&third, "/v1/export?level=19&after=0&before=1000", 2);
	CHECK(!third.done && third.slow);
	handler_request_finish(&third);
	while (!first.done)
		go_on(&first);
	CHECK(first.status == 200);
	handler_request_finish(&first);
	begin_export(&third, "/v1/export?level=19&after=0&before=1000", 1);
	CHECK(!third.done);
	handler_request_finish(&third);
	handler_request_finish(&second);
	CHECK(quota_read(api.quotas, QUOTA_EXPORTS).held == 0 && quota_read(api.quotas, QUOTA_SLOW_EXPORTS).held == 0);
	quotas_destroy(api.quotas);
	api.quotas = NULL;
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
	temp_dir_remove(filled);
	return check_end();
}
