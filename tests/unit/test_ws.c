/* Rules of WebSocket connections that need no client. */
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/acks.h"
#include "net/ws.h"
#include "net/ws_conn.h"
#include "temp_dir.h"

static void a_publisher_may_be_silent_for_an_hour(void)
{
	enum { HOUR_MS = 3600 * 1000, SPOKE_MS = 5000 };
	struct ws w = {.options.silence_ms = HOUR_MS};
	struct ws_conn c = {.ws = &w, .profile = &ws_ingest, .spoke_ms = SPOKE_MS};
	CHECK(!ws_is_silent(&c, SPOKE_MS));
	CHECK(!ws_is_silent(&c, SPOKE_MS + HOUR_MS - 1));
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
	c.heard_ms = SPOKE_MS + HOUR_MS; /* pongs are no messages */
	CHECK(ws_is_silent(&c, SPOKE_MS + HOUR_MS));
}

static void readers_may_be_silent_for_ever(void)
{
	struct ws_conn dashboard = {.profile = &ws_dashboard};
	struct ws_conn reader = {.profile = &ws_v1};
	CHECK(!ws_is_silent(&dashboard, INT64_MAX) && !ws_is_silent(&reader, INT64_MAX));
}

static struct ack take(struct acks *a, struct buf *text)
{
	struct ack ack;
	acks_take(a, &ack, text);
	return ack;
}

static void answers_come_back_as_they_were(void)
{
	enum { COUNT = 20000 };
	struct acks a;
	struct buf own;
	size_t all = 0;
	char text[ACKS_TEXT_MAX + 1];
	buf_init(&own);
	acks_init(&a, &all);
	for (int turn = 0; turn < 3; turn++) {
		for (uint64_t i = 0; i < COUNT; i++) { /* more texts than have a number, long ones and none */
			int len = snprintf(text, sizeof text, "\"%0*d\"", (int)(i % 7 * 150 + 1), (int)(i % 100));
			struct slice words = i % 3 == 0 ? (struct slice){NULL, 0} : (struct slice){text, (size_t)len};
			struct ack ack = {(enum ack_kind)(i % 3), i * i % 9007199254740991u, words};
			CHECK(acks_add(&a, &ack));
		}
		CHECK(all == a.bytes && all > 0);
		for (uint64_t i = 0; i < COUNT; i++) {
			int len = snprintf(text, sizeof text, "\"%0*d\"", (int)(i % 7 * 150 + 1), (int)(i % 100));
			CHECK(!acks_empty(&a));
			struct ack ack = take(&a, &own);
			CHECK(ack.kind == (enum ack_kind)(i % 3));
			CHECK(ack.kind == ACK_REFUSED || ack.seq == i * i % 9007199254740991u);
			CHECK(i % 3 == 0 ? ack.text.p == NULL : slice_eq(ack.text, (struct slice){text, (size_t)len}));
		}
		CHECK(acks_empty(&a) && all == 0);
	}
	acks_finish(&a);
	buf_finish(&own);
}

static void an_hour_of_answers_is_small(void)
{
	enum { HOUR = 3600 * 1000 };
	struct acks a;
	size_t all = 0;
	acks_init(&a, &all);
	for (uint64_t i = 0; i < HOUR; i++) { /* a thousand a second, and as many of others in between */
		struct ack ack = {ACK_STORED, 2 * i, slice_of(i % 2 == 0 ? "\"api_request\"" : "\"error\"")};
		CHECK(acks_add(&a, &ack));
	}
	CHECK(all < 8 * 1024 * 1024);
	acks_finish(&a);
	CHECK(all == 0);
}

enum { NEWCOMERS = 100, NEWCOMERS_AT_ONCE = 40 };

static sem_t first_came;
static sem_t go_on;
static sem_t task_ran;
static atomic_int seen_off;
static int seen_off_before; /* the task ran */

/* On the websocket thread, which waits in the first one. */
static void on_close(void *arg, uint64_t peer)
{
	(void)arg;
	(void)peer;
	if (atomic_fetch_add(&seen_off, 1) > 0)
		return;
	sem_post(&first_came);
	sem_wait(&go_on);
}

static void on_task(struct ws_task *task)
{
	(void)task;
	seen_off_before = atomic_load(&seen_off);
	sem_post(&task_ran);
}

/* Somebody who has gone again before it is his turn, and is seen off when it comes. */
static void add_newcomer(struct ws *w, struct access *access)
{
	static const char text[] = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	static const struct option_texts none;
	const struct gate gate = {.access = access, .listen = &none, .allow_hosts = &none, .allow_origins = &none};
	struct head head;
	struct fault fault;
	struct ws_request *request = NULL;
	CHECK(head_read(slice_of(text), &head) == HEAD_WEBSOCKET);
	struct visit visit = {.host = head.host, .local = true, .guarded = true};
	CHECK(ws_request_create(&head, &gate, &visit, "", &request, &fault) == ERR_NONE);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	CHECK(ws_add_take(w, fd, request, 0));
}

/* Fails when newcomers are admitted until there are no more: the task comes after all of them then. */
static void who_is_in_does_not_wait_for_all_newcomers(void)
{
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct access *access;
	struct ws *w;
	struct fault fault;
	temp_dir_make(dir);
	CHECK(store_open(dir, (struct store_options){0}, &store, &fault) == ERR_NONE);
	CHECK(pool_create(store, 1, &pool, &fault) == ERR_NONE);
	CHECK(feed_create(store, pool, (struct feed_options){1 << 20, 1 << 20}, &feed, &fault) == ERR_NONE);
	CHECK(access_create(NULL, &access, &fault) == ERR_NONE);
	CHECK(ws_create((struct ws_options){.feed = feed, .ping_ms = 20000, .on_close = on_close}, &w, &fault) == ERR_NONE);
	struct ws_task task = {.ws = w, .finish = on_task};
	list_init(&task.in_inbox);
	sem_init(&first_came, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&task_ran, 0, 0);
	add_newcomer(w, access);
	sem_wait(&first_came);
	for (int i = 1; i < NEWCOMERS; i++)
		add_newcomer(w, access);
	ws_wake(w, &w->done, &task.in_inbox);
	sem_post(&go_on);
	sem_wait(&task_ran);
	CHECK(seen_off_before > 0 && seen_off_before <= NEWCOMERS_AT_ONCE);
	ws_close(w);
	ws_destroy(w);
	CHECK(atomic_load(&seen_off) == NEWCOMERS);
	pool_destroy(pool);
	feed_destroy(feed);
	access_destroy(access);
	store_close(store);
	temp_dir_remove(dir);
}

int main(void)
{
	RUN(who_is_in_does_not_wait_for_all_newcomers);
	RUN(answers_come_back_as_they_were);
	RUN(an_hour_of_answers_is_small);
	RUN(a_publisher_may_be_silent_for_an_hour);
	RUN(readers_may_be_silent_for_ever);
}
