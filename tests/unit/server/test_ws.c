/* Rules of WebSocket connections that need no client. */
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/ws/ws.h"
#include "server/ws/ws_conn.h"
#include "unit/engine/held_writer.h"
#include "unit/temp_dir.h"

/* What a websocket server stands on. */
struct house {
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct access *access;
	struct ws *ws;
};

static void house_open(struct house *h, void (*on_close)(void *arg, uint64_t peer))
{
	enum { RING = 64 << 20, CACHE = 1 << 20 };
	struct fault fault;
	temp_dir_make(h->dir);
	CHECK(store_open(h->dir, (struct store_options){0}, &h->store, &fault) == ERR_NONE);
	CHECK(pool_create(h->store, 1, &h->pool, &fault) == ERR_NONE);
	CHECK(feed_create(h->store, h->pool, (struct feed_options){RING, CACHE}, &h->feed, &fault) == ERR_NONE);
	CHECK(access_create(NULL, &h->access, &fault) == ERR_NONE);
	struct ws_options options = {.feed = h->feed, .base = "", .ping_ms = 20000, .on_close = on_close};
	CHECK(ws_create(options, &h->ws, &fault) == ERR_NONE);
}

static void house_close(struct house *h)
{
	ws_close(h->ws);
	ws_destroy(h->ws);
	pool_destroy(h->pool);
	feed_destroy(h->feed);
	access_destroy(h->access);
	store_close(h->store);
	temp_dir_remove(h->dir);
}

#define REQUEST(query)                                                                                                      \
	"GET /v1/ws?" query " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                 \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

/* Hands over a socket that a request has come from. */
static void add(struct house *h, int fd, const char *text)
{
	static const struct option_texts none;
	const struct request_guard guard = {
		.access = h->access, .listen = &none, .allow_hosts = &none, .allow_origins = &none, .base = ""};
	struct request_peek head;
	struct fault fault;
	struct ws_request *request = NULL;
	CHECK(request_peek_read(slice_of(text), &head) == PEEK_WEBSOCKET);
	struct guard_input visit = {.host = head.host, .local = true, .guarded = true};
	CHECK(ws_request_create(&head, &guard, &visit, &request, &fault) == ERR_NONE);
	ws_add_take(h->ws, fd, request, 0);
}

static void begin_task(struct house *h, struct ws_task *task, void (*finish)(struct ws_task *task))
{
	*task = (struct ws_task){.ws = h->ws, .finish = finish};
	list_init(&task->in_inbox);
	ws_wake(h->ws, &h->ws->done, &task->in_inbox);
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
static void add_newcomer(struct house *h)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	add(h, fd, REQUEST("after=head"));
}

/* Fails when newcomers are admitted until there are no more: the task comes after all of them then. */
static void who_is_in_does_not_wait_for_all_newcomers(void)
{
	struct house h;
	struct ws_task task;
	house_open(&h, on_close);
	sem_init(&first_came, 0, 0);
	sem_init(&go_on, 0, 0);
	sem_init(&task_ran, 0, 0);
	add_newcomer(&h);
	sem_wait(&first_came);
	for (int i = 1; i < NEWCOMERS; i++)
		add_newcomer(&h);
	begin_task(&h, &task, on_task);
	sem_post(&go_on);
	sem_wait(&task_ran);
	CHECK(seen_off_before > 0 && seen_off_before <= NEWCOMERS_AT_ONCE);
	house_close(&h);
	CHECK(atomic_load(&seen_off) == NEWCOMERS);
}

/* A herd that replays, and who is live. The websocket thread publishes and looks, at the end of each turn of its loop. */
enum { HERD = 30 /* are admitted at once */, PAST = 3000, HELLO_MAX = 1024 /* bytes, and no event */ };

static struct {
	struct house house;
	int live; /* our ends of the sockets */
	int readers[HERD];
	sem_t held;
	sem_t come;
	sem_t over;
	struct ev_prepare turn;
	int served;       /* readers who had something when the last event was published */
	int helpings_max; /* from an event until the end of the turn */
	bool late;        /* it had ended before the live reader had the event */
} herd;

static void publish(struct store *store, struct feed *feed, int count)
{
	struct batch *batch;
	struct fault fault;
	struct receipt receipt;
	struct committed *committed;
	struct buf text;
	buf_init(&text);
	for (int i = 0; i < count; i++)
		buf_printf(&text, "{\"data\":\"%01000d\"}\n", i);
	CHECK(batch_parse(text.data, text.len, BATCH_LINES, (struct batch_limits){2000, PAST}, &batch, &fault) == ERR_NONE);
	CHECK(store_append(store, batch, NULL, &receipt, &fault) == ERR_NONE);
	CHECK(store_commit(store, &committed, &fault) == ERR_NONE);
	feed_publish_take(feed, committed, 0);
	receipt_finish(&receipt);
	batch_destroy(batch);
	buf_finish(&text);
}

/* Nobody reads what they are sent: each has one helping, as much as the socket takes. */
static int served(void)
{
	int count = 0;
	for (int i = 0; i < HERD; i++) {
		int bytes;
		CHECK(ioctl(herd.readers[i], FIONREAD, &bytes) == 0);
		count += bytes > HELLO_MAX;
	}
	return count;
}

/* The end of a turn: that of what was published at the end of the one before. */
static void on_turn(struct ev_loop *loop, struct ev_prepare *watcher, int events)
{
	(void)events;
	char event[2000];
	int helpings = served() - herd.served;
	herd.late = herd.late || recv(herd.live, event, sizeof event, MSG_DONTWAIT) <= 0;
	herd.helpings_max = helpings > herd.helpings_max ? helpings : herd.helpings_max;
	herd.served += helpings;
	if (herd.served < HERD) {
		publish(herd.house.store, herd.house.feed, 1);
		return;
	}
	ev_prepare_stop(loop, watcher);
	sem_post(&herd.over);
}

static void on_held(struct ws_task *task)
{
	sem_post(&herd.held);
	sem_wait(&herd.come);
	ev_prepare_init(&herd.turn, on_turn);
	ev_prepare_start(task->ws->loop, &herd.turn);
	publish(herd.house.store, herd.house.feed, 1);
}

static int come(const char *request)
{
	int ends[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	CHECK(send(ends[0], request, strlen(request), 0) == (ssize_t)strlen(request));
	add(&herd.house, ends[1], request);
	return ends[0];
}

static void wait_until_live(int fd)
{
	static const char live[] = "{\"op\":\"live\"";
	char text[HELLO_MAX];
	for (size_t len = 0; memmem(text, len, live, strlen(live)) == NULL;) {
		ssize_t n = recv(fd, text + len, sizeof text - len, 0);
		CHECK(n > 0);
		len += (size_t)n;
	}
}

static void on_evicted(void *arg, uint64_t peer)
{
	(void)arg;
	(void)peer;
}

/* Fails without turns (catchup_is_due false), and where the line is served on after a commit (w->committed not looked at in
 * catchup_scheduler.c): all 30 have their helpings in the turn of one event. */
static void who_is_live_is_before_all_but_one_of_a_herd(void)
{
	struct ws_task task;
	house_open(&herd.house, on_evicted);
	sem_init(&herd.held, 0, 0);
	sem_init(&herd.come, 0, 0);
	sem_init(&herd.over, 0, 0);
	publish(herd.house.store, herd.house.feed, PAST);
	herd.live = come(REQUEST("after=head"));
	wait_until_live(herd.live);
	begin_task(&herd.house, &task, on_held);
	sem_wait(&herd.held);
	for (int i = 0; i < HERD; i++)
		herd.readers[i] = come(REQUEST("after=first"));
	sem_post(&herd.come);
	sem_wait(&herd.over);
	CHECK(!herd.late);
	CHECK(herd.helpings_max == 1);
	close(herd.live);
	for (int i = 0; i < HERD; i++)
		close(herd.readers[i]);
	house_close(&herd.house);
}

/* --- a clean close while the disk hangs --- */

enum { CLOSERS = 12, FRAME_MAX = 125 };

static struct sessions *sessions;
static struct writer *writer;
/* With a writer, sessions and one event. */
static void open_to_sessions(int64_t save_ms)
{
	enum { RING = 1 << 20, CACHE = 1 << 20, MESSAGE = 1 << 16 };
	static const struct writer_options roomy = {0};
	struct house *h = &herd.house;
	struct fault fault;
	temp_dir_make(h->dir);
	CHECK(store_open(h->dir, (struct store_options){0}, &h->store, &fault) == ERR_NONE);
	CHECK(pool_create(h->store, 1, &h->pool, &fault) == ERR_NONE);
	CHECK(feed_create(h->store, h->pool, (struct feed_options){RING, CACHE}, &h->feed, &fault) == ERR_NONE);
	CHECK(sessions_create(h->store, NULL, &sessions, &fault) == ERR_NONE);
	publish(h->store, h->feed, 1);
	CHECK(writer_create(h->store, h->feed, sessions, roomy, &writer, &fault) == ERR_NONE);
	CHECK(access_create(NULL, &h->access, &fault) == ERR_NONE);
	struct ws_options options = {.feed = h->feed,
				     .writer = writer,
				     .sessions = sessions,
				     .pool = h->pool,
				     .base = "",
				     .message_max = MESSAGE,
				     .ping_ms = 20000,
				     .save_ms = save_ms,
				     .on_close = on_evicted};
	CHECK(ws_create(options, &h->ws, &fault) == ERR_NONE);
}

static void close_to_sessions(void)
{
	struct house *h = &herd.house;
	ws_close(h->ws);
	writer_close(writer);
	ws_destroy(h->ws);
	writer_destroy(writer);
	sessions_destroy(sessions);
	pool_destroy(h->pool);
	feed_destroy(h->feed);
	access_destroy(h->access);
	store_close(h->store);
	temp_dir_remove(h->dir);
}

/* A frame of a client, masked with zeros. */
static void say(int fd, unsigned char first, const char *payload, size_t len)
{
	char frame[6 + FRAME_MAX] = {(char)first, (char)(0x80 | len)};
	CHECK(len <= FRAME_MAX);
	memcpy(frame + 6, payload, len);
	CHECK(send(fd, frame, 6 + len, 0) == (ssize_t)(6 + len));
}

static void say_text(int fd, const char *text)
{
	say(fd, 0x81, text, strlen(text));
}

/* Reads until `what` has come. */
static void read_until(int fd, const char *what)
{
	char text[8 * HELLO_MAX];
	for (size_t len = 0; memmem(text, len, what, strlen(what)) == NULL;) {
		ssize_t n = recv(fd, text + len, sizeof text - len, 0);
		CHECK(n > 0);
		len += (size_t)n;
	}
}

static const char bye[] = "\x03\xe8"
			  "bye";

static int come_to_session(int number)
{
	char request[512];
	snprintf(request, sizeof request, REQUEST("session=s%d&after=first"), number);
	int fd = come(request);
	read_until(fd, "{\"op\":\"live\"");
	return fd;
}

/* Acknowledges what has come, and closes; all that came before is read. */
static void acknowledge_and_close(int fd)
{
	say_text(fd, "{\"op\":\"ack\",\"seq\":1}");
	say_text(fd, "{\"op\":\"ping\"}");
	read_until(fd, "\"pong\"");
	say(fd, 0x88, bye, sizeof bye - 1);
}

/* The Close of the server, with the payload of the client's, and the end behind it. */
static void expect_bye(int fd)
{
	char frame[2 + FRAME_MAX];
	size_t len = sizeof bye - 1;
	CHECK(recv(fd, frame, sizeof frame, MSG_WAITALL) == (ssize_t)(2 + len));
	CHECK((unsigned char)frame[0] == 0x88 && (size_t)frame[1] == len && memcmp(frame + 2, bye, len) == 0);
	close(fd);
}

static bool has_answer(int fd)
{
	int bytes;
	CHECK(ioctl(fd, FIONREAD, &bytes) == 0);
	return bytes > 0;
}

/* Hangs where the websocket thread waits for the commit, and fails where a Close is answered before it. The session of a
 * peer that goes without waiting for the answer is saved all the same. */
static void a_clean_close_waits_for_the_commit_and_nobody_else_does(void)
{
	enum { LONG_MS = 600 * 1000 };
	char name[16];
	int closers[CLOSERS];
	open_to_sessions(LONG_MS);
	for (int i = 0; i < CLOSERS; i++)
		closers[i] = come_to_session(i);
	int other = come_to_session(CLOSERS);
	hold_writer(writer);
	for (int i = 0; i < CLOSERS; i++)
		acknowledge_and_close(closers[i]);
	for (int i = 0; i < 2; i++) {
		say_text(other, "{\"op\":\"ping\"}");
		read_until(other, "\"pong\"");
	}
	for (int i = 0; i < CLOSERS; i++)
		CHECK(!has_answer(closers[i]));
	close(closers[0]);
	sem_post(&writer_goes_on);
	for (int i = 1; i < CLOSERS; i++) {
		snprintf(name, sizeof name, "s%d", i);
		expect_bye(closers[i]);
		CHECK(sessions_saved(sessions, slice_of(name)));
	}
	CHECK(sessions_saved(sessions, slice_of("s0")));
	say_text(other, "{\"op\":\"ping\"}");
	read_until(other, "\"pong\"");
	close(other);
	close_to_sessions();
}

/* Hangs where the wait for a commit has no end. */
static void a_clean_close_does_not_wait_for_ever(void)
{
	open_to_sessions(1);
	int fd = come_to_session(0);
	hold_writer(writer);
	acknowledge_and_close(fd);
	expect_bye(fd);
	CHECK(!sessions_saved(sessions, slice_of("s0")));
	sem_post(&writer_goes_on);
	close_to_sessions();
}

/* A server that ends does not wait for a commit either. */
static void a_server_may_end_while_a_close_waits(void)
{
	enum { LONG_MS = 600 * 1000 };
	open_to_sessions(LONG_MS);
	int fd = come_to_session(0);
	hold_writer(writer);
	acknowledge_and_close(fd);
	ws_close(herd.house.ws);
	sem_post(&writer_goes_on);
	close_to_sessions();
	close(fd);
}

int main(void)
{
	RUN(a_clean_close_waits_for_the_commit_and_nobody_else_does);
	RUN(a_clean_close_does_not_wait_for_ever);
	RUN(a_server_may_end_while_a_close_waits);
	RUN(who_is_in_does_not_wait_for_all_newcomers);
	RUN(who_is_live_is_before_all_but_one_of_a_herd);
	return check_end();
}
