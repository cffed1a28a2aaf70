/* Requests that take many turns on the pool, on real connections: how many a client may have, and when they end. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/http.h"
#include "server/message/peer.h"
#include "unit/check.h"
#include "unit/temp_dir.h"

enum { PATIENCE_MS = 60000, SEARCHES = 4, ROOM = 1024 * 1024 };

/* All that a request needs. */
struct house {
	struct http_routes routes[2];
	char dir[TEMP_DIR_LEN];
	struct store *store;
	struct pool *pool;
	struct access *access;
	struct quotas *quotas;
	struct proxies proxies;
	struct request_guard guard;
	struct http *http;
	int listener;
	atomic_bool found; /* what is being looked for */
	atomic_int made;   /* answers */
	atomic_int closed; /* connections */
};

static void on_close(void *arg, uint64_t peer)
{
	(void)peer;
	atomic_fetch_add(&((struct house *)arg)->closed, 1);
}

static void on_unopened(void *arg)
{
	(void)arg;
}

static void search(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct house *h = arg;
	if (!atomic_load(&h->found)) {
		request_defer(x, search);
		return;
	}
	buf_adds(request_out(x), "found");
	request_status(x, 200, "text/plain");
	request_done(x);
}

/* An answer of as many bytes as the path ends with, kept to what there is room for where that may be. */
static void fill(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct house *h = arg;
	long bytes = strtol(request_segment(x).p, NULL, 10);
	atomic_fetch_add(&h->made, 1);
	for (long i = 0; i < bytes; i++)
		buf_addc(request_out(x), 'x');
	request_add_header(x, "X-Room", request_reply_max(x, NULL) > 0 ? "yes" : "no");
	request_status(x, 200, "text/plain");
	request_done(x);
}

static const struct http_route routes[] = {{"GET", "/search", PERMISSION_NOTHING, search, 0},
					   {"GET", "/small/{}", PERMISSION_NOTHING, fill, ROUTE_HELD | ROUTE_SMALL},
					   {"GET", "/long/{}", PERMISSION_NOTHING, fill, ROUTE_HELD},
					   {0}};

static void house_open(struct house *h)
{
	static const struct option_texts none;
	struct fault fault;
	*h = (struct house){0};
	temp_dir_make(h->dir);
	h->quotas = quotas_create((struct quota_limit[QUOTAS]){[QUOTA_REQUESTS] = {100, 0, 0},
							       [QUOTA_SEARCHES] = {SEARCHES, 0, 0},
							       [QUOTA_REPLIES] = {ROOM, 0, 0},
							       [QUOTA_SMALL_REPLIES] = {ROOM, 0, 0}});
	CHECK(h->quotas != NULL);
	CHECK(store_open(h->dir, (struct store_options){0}, &h->store, &fault) == ERR_NONE);
	CHECK(pool_create(h->store, 2, &h->pool, &fault) == ERR_NONE);
	CHECK(access_create(NULL, &h->access, &fault) == ERR_NONE);
	h->guard = (struct request_guard){h->access, &none, &none, &none, &h->proxies, {0}, ""};
	h->routes[0] = (struct http_routes){routes, h};
	struct http_options options = {.routes = h->routes,
				       .quotas = h->quotas,
				       .connections_max = 100,
				       .timeout_ms = PATIENCE_MS,
				       .connection_memory = 16 * 1024,
				       .guard = &h->guard,
				       .on_close = on_close,
				       .on_close_arg = h,
				       .on_unopened = on_unopened};
	CHECK(http_create(h->pool, options, &h->http, &fault) == ERR_NONE);
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	h->listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(h->listener, (struct sockaddr *)&any, sizeof any) == 0 && listen(h->listener, 10) == 0);
}

static void house_close(struct house *h)
{
	http_refuse(h->http);
	pool_destroy(h->pool);
	http_destroy(h->http);
	close(h->listener);
	access_destroy(h->access);
	quotas_destroy(h->quotas);
	store_close(h->store);
	temp_dir_remove(h->dir);
}

/* A request from 127.0.0.`client`. */
static int ask(struct house *h, unsigned client, const char *path)
{
	char request[100];
	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK - 1 + client)}};
	struct sockaddr_in to;
	socklen_t len = sizeof to;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(getsockname(h->listener, (struct sockaddr *)&to, &len) == 0);
	CHECK(bind(fd, (struct sockaddr *)&from, sizeof from) == 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	struct accepted_socket *a = calloc(1, sizeof *a);
	a->address_len = sizeof a->address;
	a->fd = accept4(h->listener, (struct sockaddr *)&a->address, &a->address_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(a->fd >= 0 && send(fd, request, strlen(request), 0) == (ssize_t)strlen(request));
	http_add_take(h->http, a);
	return fd;
}

/* The status of the answer. */
static int answer(int fd)
{
	char text[4096] = "";
	CHECK(recv(fd, text, sizeof text - 1, 0) > 12);
	return atoi(text + strlen("HTTP/1.1 "));
}

/* One that has been answered; it is taken out. */
static int any_answered(int *fds, int count)
{
	struct pollfd polled[10];
	for (int i = 0; i < count; i++)
		polled[i] = (struct pollfd){fds[i], POLLIN, 0};
	CHECK(poll(polled, (nfds_t)count, PATIENCE_MS) > 0);
	int i = 0;
	while ((polled[i].revents & POLLIN) == 0)
		i++;
	int fd = fds[i];
	fds[i] = -1;
	return fd;
}

static uint64_t searches(struct house *h)
{
	return quota_read(h->quotas, QUOTA_SEARCHES).held;
}

static void wait_for_searches(struct house *h, uint64_t count)
{
	for (int i = 0; searches(h) != count && i < PATIENCE_MS; i++)
		usleep(1000);
	CHECK(searches(h) == count);
}

static void a_client_has_so_many_searches(void)
{
	struct house h;
	int one[5];
	house_open(&h);
	for (int i = 0; i < 5; i++)
		one[i] = ask(&h, 1, "/search");
	for (int i = 0; i < 3; i++) { /* as many as it leaves free go on */
		int fd = any_answered(one, 5);
		CHECK(answer(fd) == 429);
		close(fd);
	}
	int other = ask(&h, 2, "/search");
	wait_for_searches(&h, 3);
	atomic_store(&h.found, true);
	wait_for_searches(&h, 0); /* answered, if not read */
	CHECK(answer(other) == 200);
	close(other);
	for (int i = 0; i < 5; i++) {
		if (one[i] < 0)
			continue;
		CHECK(answer(one[i]) == 200);
		close(one[i]);
	}
	struct quota_figures f = quota_read(h.quotas, QUOTA_SEARCHES);
	CHECK(f.refused_share == 3 && f.refused_all == 0);
	house_close(&h);
}

/* Nobody looks for what nobody waits for. */
static void a_search_ends_with_its_client(void)
{
	struct house h;
	house_open(&h);
	int fd = ask(&h, 1, "/search");
	wait_for_searches(&h, 1);
	close(fd);
	wait_for_searches(&h, 0);
	for (int i = 0; atomic_load(&h.closed) == 0 && i < PATIENCE_MS; i++)
		usleep(1000);
	CHECK(atomic_load(&h.closed) == 1 && quota_read(h.quotas, QUOTA_REQUESTS).held == 0);
	house_close(&h);
}

/* The length of the answer, which is read to its end. */
static long answer_len(int fd)
{
	char text[4096];
	ssize_t n = recv(fd, text, sizeof text - 1, 0);
	CHECK(n > 0);
	text[n] = '\0';
	const char *field = strstr(text, "Content-Length: ");
	const char *end = strstr(text, "\r\n\r\n");
	CHECK(field != NULL && end != NULL);
	long len = strtol(field + strlen("Content-Length: "), NULL, 10);
	for (long left = len - (text + n - end - 4); left > 0; left -= n)
		CHECK((n = recv(fd, text, sizeof text, 0)) > 0);
	return len;
}

static uint64_t held(struct house *h, enum quota kind)
{
	return quota_read(h->quotas, kind).held;
}

static bool is_answered(int fd)
{
	struct pollfd polled = {fd, POLLIN, 0};
	return poll(&polled, 1, 0) > 0;
}

/* A client has as much unread as it may: what is small is answered all the same, what is not waits, whatever it was taken
 * for. */
static void small_answers_have_room_of_their_own(void)
{
	struct house h;
	house_open(&h);
	const struct sockaddr_in one = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	uint64_t client = peer_key((const struct sockaddr *)&one);
	quota_charge(h.quotas, QUOTA_REPLIES, client, ROOM / 2);
	int waits = ask(&h, 1, "/long/10");
	int large = ask(&h, 1, "/small/100000");
	for (int i = 0; atomic_load(&h.made) == 0 && i < PATIENCE_MS; i++)
		usleep(1000);
	for (int i = 0; i < 3; i++) {
		int fd = ask(&h, 1, "/small/10");
		CHECK(answer_len(fd) == 10);
		close(fd);
	}
	CHECK(atomic_load(&h.made) == 4 && !is_answered(waits) && !is_answered(large));
	CHECK(held(&h, QUOTA_REPLIES) == ROOM / 2);
	quota_give(h.quotas, QUOTA_REPLIES, client, ROOM / 2);
	http_sweep(h.http);
	CHECK(answer_len(large) == 100000 && answer_len(waits) == 10 && atomic_load(&h.made) == 6);
	close(waits);
	close(large);
	for (int i = 0; atomic_load(&h.closed) < 5 && i < PATIENCE_MS; i++)
		usleep(1000);
	CHECK(held(&h, QUOTA_REPLIES) == 0 && held(&h, QUOTA_SMALL_REPLIES) == 0);
	house_close(&h);
}

int main(void)
{
	RUN(small_answers_have_room_of_their_own);
	RUN(a_client_has_so_many_searches);
	RUN(a_search_ends_with_its_client);
	return check_end();
}
