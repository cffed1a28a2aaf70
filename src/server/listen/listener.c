#include "server/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/units.h"
#include "server/message/peer.h"
#include "server/message/problem.h"
#include "server/message/request_peek.h"
#include "server/stream/reader_query.h"
#include "server/ws/ws.h"

enum {
	LISTENERS_MAX = 8,
	PEEK_MAX = 8 * 1024,        /* a longer head is the HTTP server's to refuse */
	STREAM_HEAD_MAX = 2 * 1024, /* of a request that goes to the HTTP server for streams, with its little memory */
	EVENTS = 64,
	BACKLOG = 4096,
	ACCEPTED_AT_ONCE = 64, /* then those have a turn whose request has come */
	SWEEP_MS = 500,
	OUT_OF_FDS_MS = 50, /* how long to leave the queue alone when there is no descriptor left */
	TELL_MS = 1000,     /* how often the log hears of that */
	/* A peer that vanished without a word is noticed after two minutes. */
	KEEPALIVE_IDLE_S = 60,
	KEEPALIVE_EVERY_S = 15,
	KEEPALIVE_COUNT = 4,
};

/* Somebody who was let in and has not said yet what he wants. Oldest first in door.waiting, so that the deadlines are
 * in order. */
struct guest {
	struct arrival a; /* first: the HTTP server gets the guest as that */
	int64_t deadline_ms;
};

struct listen_socket {
	int fd;
	bool encrypted;
	char address[80];
};

struct listener {
	struct listener_options options;
	struct listen_socket sockets[LISTENERS_MAX];
	int socket_count;
	int epoll;
	int wake; /* eventfd */
	pthread_t thread;
	bool running;
	struct http *http;
	struct http *streams;
	struct ws *ws;
	struct tls *tls;     /* NULL: nothing is encrypted */
	struct list waiting; /* the thread's own */
	int64_t swept_ms;
	int64_t paused_until_ms;
	bool paused;
	int spare;            /* a descriptor to give up when there is no other: somebody can then be told so */
	int64_t told_ms;      /* when the log last heard that there is none */
	pthread_mutex_t lock; /* guards the two that follow */
	struct list incoming; /* guests that were decrypted */
	bool closing;
	atomic_ullong accepted;
	atomic_ullong refused;
	atomic_ullong timed_out;
};

/* --- listening --- */

/* "HOST:PORT" or "[HOST]:PORT". */
static bool split_address(const char *text, char *host, size_t size, const char **port)
{
	const char *colon = strrchr(text, ':');
	if (colon == NULL || colon[1] == '\0')
		return false;
	const char *from = text;
	const char *to = colon;
	if (text[0] == '[' && to > text && to[-1] == ']') {
		from++;
		to--;
	}
	if (to <= from || (size_t)(to - from) >= size)
		return false;
	snprintf(host, size, "%.*s", (int)(to - from), from);
	*port = colon + 1;
	return true;
}

bool listener_address_fits(const char *text)
{
	char host[256];
	const char *port;
	int64_t number;
	return split_address(text, host, sizeof host, &port) && units_integer(slice_of(port), &number) && number <= 65535;
}

static void describe(struct listen_socket *l)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	char host[64];
	char port[8];
	if (getsockname(l->fd, (struct sockaddr *)&a, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) !=
		    0)
		return;
	bool v6 = a.ss_family == AF_INET6;
	snprintf(l->address, sizeof l->address, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static int port_of(const struct listen_socket *l)
{
	const char *colon = strrchr(l->address, ':');
	return colon != NULL ? (int)strtol(colon + 1, NULL, 10) : 0;
}

/* The machine has no such protocol, or not this address of it. */
static bool is_unsupported(int why)
{
	return why == EAFNOSUPPORT || why == EADDRNOTAVAIL;
}

/* A name may stand for several addresses, such as ::1 and 127.0.0.1: they get one port, also where the system chooses it.
 * `first`: the listen_socket of the first of them. Returns an errno, or 0. */
static int listen_at(struct listener *d, const struct addrinfo *a, bool encrypted, int first)
{
	if (d->socket_count == LISTENERS_MAX)
		return ENOSPC;
	struct listen_socket *l = &d->sockets[d->socket_count];
	struct sockaddr_storage address = {0};
	int one = 1;
	memcpy(&address, a->ai_addr, a->ai_addrlen);
	in_port_t *port = a->ai_family == AF_INET6 ? &((struct sockaddr_in6 *)&address)->sin6_port
						   : &((struct sockaddr_in *)&address)->sin_port;
	if (*port == 0 && d->socket_count > first)
		*port = htons((uint16_t)port_of(&d->sockets[first]));
	l->encrypted = encrypted;
	l->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool fine = l->fd >= 0 && setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
		    bind(l->fd, (struct sockaddr *)&address, a->ai_addrlen) == 0 && listen(l->fd, BACKLOG) == 0;
	int why = fine ? 0 : errno;
	if (fine) {
		d->socket_count++;
		describe(l);
	} else if (l->fd >= 0) {
		close(l->fd);
	}
	return why;
}

static enum err listen_on(struct listener *d, const char *text, bool encrypted, struct fault *fault)
{
	char host[256];
	const char *port;
	if (!split_address(text, host, sizeof host, &port))
		return fault_set(fault, ERR_INVALID, "--listen wants HOST:PORT, not %s", text);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	int rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0)
		return fault_set(fault, ERR_INVALID, "--listen %s: %s", text, gai_strerror(rc));
	int before = d->socket_count;
	int why = 0;
	for (const struct addrinfo *a = found; a != NULL && (why == 0 || is_unsupported(why)); a = a->ai_next)
		why = listen_at(d, a, encrypted, before);
	freeaddrinfo(found);
	if (why == 0 || (is_unsupported(why) && d->socket_count > before))
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "cannot listen on %s: %s", text, strerror(why));
}

static enum err watch(struct listener *d, int fd, uint32_t events, void *what, struct fault *fault)
{
	struct epoll_event e = {.events = events, .data.ptr = what};
	if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "cannot watch a socket: %s", strerror(errno));
}

static void on_decrypted(void *arg, int fd, const struct sockaddr_storage *address, socklen_t address_len);
static void on_handshake_failed(void *arg, const struct sockaddr_storage *address);

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

enum err listener_create(struct listener_options options, struct listener **out, struct fault *fault)
{
	*out = NULL;
	struct listener *d = calloc(1, sizeof *d);
	if (d == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	d->options = options;
	list_init(&d->waiting);
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&d->lock, NULL);
	list_init(&d->incoming);
	d->spare = open_spare();
	enum err err = d->epoll >= 0 && d->wake >= 0 ? ERR_NONE
						     : fault_set(fault, ERR_IO, "cannot make an epoll: %s", strerror(errno));
	if (!err && options.listen->count > LISTENERS_MAX)
		err = fault_set(fault, ERR_INVALID, "--listen: at most %d addresses", LISTENERS_MAX);
	for (int i = 0; !err && i < options.listen->count; i++)
		err = listen_on(d, options.listen->items[i], options.encrypted[i], fault);
	if (!err)
		err = watch(d, d->wake, EPOLLIN, &d->wake, fault);
	struct tls_options tls = {options.cert, options.key, options.handshake_ms, on_decrypted, on_handshake_failed, d};
	if (!err && options.cert != NULL)
		err = tls_create(tls, &d->tls, fault);
	if (err) {
		listener_destroy(d);
		return err;
	}
	*out = d;
	return ERR_NONE;
}

bool listener_url(const struct listener *d, int index, char *out, size_t size)
{
	if (index >= d->socket_count)
		return false;
	snprintf(out, size, "%s://%s", d->sockets[index].encrypted ? "https" : "http", d->sockets[index].address);
	return true;
}

enum err listener_reload(struct listener *d, struct fault *fault)
{
	return d->tls != NULL ? tls_reload(d->tls, fault) : ERR_NONE;
}

int listener_port(const struct listener *d)
{
	return d->socket_count > 0 ? port_of(&d->sockets[0]) : 0;
}

void listener_ports(const struct listener *d, struct own_ports *out)
{
	out->count = d->socket_count < OWN_PORTS_MAX ? d->socket_count : OWN_PORTS_MAX;
	for (int i = 0; i < out->count; i++)
		out->ports[i] = port_of(&d->sockets[i]);
}

/* --- guests --- */

static uint64_t counted(const struct listener *d, const struct sockaddr_storage *address)
{
	return proxies_counted(d->options.guard->proxies, (const struct sockaddr *)address);
}

static void send_off(struct listener *d, struct guest *g)
{
	uint64_t peer = counted(d, &g->a.address);
	close(g->a.fd);
	free(g);
	listener_leave(d, peer);
}

void listener_leave(void *arg, uint64_t peer)
{
	struct listener *d = arg;
	quota_give(d->options.quotas, QUOTA_CONNECTIONS, peer, 1);
}

/* A whole answer, for those who do not get as far as the HTTP server. */
static void answer(const struct listener *d, int fd, int status, const struct fault *fault)
{
	char retry[40] = "";
	int seconds = problem_retry_after(status);
	if (seconds > 0)
		snprintf(retry, sizeof retry, "Retry-After: %d\r\n", seconds);
	struct buf body;
	struct buf reply;
	buf_init(&body);
	buf_init(&reply);
	problem_write(&body, status, fault, (struct problem_form){d->options.guard->base, false});
	buf_printf(&reply,
		   "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\n%sConnection: "
		   "close\r\nContent-Length: "
		   "%zu\r\n\r\n",
		   status, problem_title(status), retry, body.len);
	buf_add(&reply, body.data, body.len);
	if (!buf_failed(&reply) && !buf_failed(&body)) {
		ssize_t sent = send(fd, reply.data, reply.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		(void)sent; /* whoever is refused may have gone */
	}
	buf_finish(&body);
	buf_finish(&reply);
}

static void refuse(struct listener *d, const struct listen_socket *l, int fd, const struct fault *why)
{
	if (l->encrypted)
		tls_refuse(fd);
	else
		answer(d, fd, problem_status(why->code), why);
	close(fd);
	atomic_fetch_add(&d->refused, 1);
}

/* The same for a guest whose request has come. */
static void turn_away(struct listener *d, struct guest *g, int status, const struct fault *why)
{
	char bytes[PEEK_MAX];
	/* What came is taken out: closing over unread bytes would reset the connection before the answer is read. */
	(void)!recv(g->a.fd, bytes, sizeof bytes, MSG_DONTWAIT);
	answer(d, g->a.fd, status, why);
	send_off(d, g);
}

/* A WebSocket with bad parameters, without the right to it, or one too many, is left to the HTTP server, which says what is
 * wrong. */
static void hand_to_ws(struct listener *d, struct guest *g, const struct request_peek *head)
{
	struct ws_request *request = NULL;
	const struct sockaddr *from = (const struct sockaddr *)&g->a.address;
	struct guard_input visit = {.host = head->host,
				    .origin = head->origin,
				    .authorization = head->authorization,
				    .subprotocol = head->bearer,
				    .peer = proxies_peer(d->options.guard->proxies, from, &head->forwarded),
				    .local = peer_is_local(g->a.fd),
				    .guarded = true};
	struct fault fault;
	if (ws_request_create(head, d->options.guard, &visit, &request, &fault) != ERR_NONE ||
	    ws_reserve(d->ws, request, &fault) != ERR_NONE) {
		ws_request_destroy(request);
		http_add_take(d->http, &g->a);
		return;
	}
	ws_add_take(d->ws, g->a.fd, request, counted(d, &g->a.address));
	free(g);
}

static int too_large(struct fault *fault)
{
	fault_set(fault, ERR_TOO_LARGE,
		  "the head of the request is too large: 8 KiB, 100 headers and 100 parameters are the limits");
	return 431;
}

/* The status for a head that gets no further than the door, and why; 0 for any other. `ended`: nothing more comes. */
static int refusal_of(enum peek_kind kind, const struct request_peek *head, bool ended, struct fault *fault)
{
	switch (kind) {
	case PEEK_GARBAGE: fault_set(fault, ERR_INVALID, "this is no HTTP request"); return 400;
	case PEEK_REFUSED: return request_peek_refusal(head, fault);
	case PEEK_INCOMPLETE:
		if (!ended) /* as much as we look at, and no end */
			return too_large(fault);
		fault_set(fault, ERR_INVALID, "the connection ends before the head of its request does");
		return 400;
	case PEEK_TOO_LARGE: return too_large(fault);
	case PEEK_HTTP:
	case PEEK_STREAM:
	case PEEK_WEBSOCKET: break;
	}
	return 0;
}

/* Looks at what has come so far. `ended`: nothing more will. True when it is known what the guest wants, and it is gone. */
static bool look(struct listener *d, struct guest *g, bool ended)
{
	char bytes[PEEK_MAX];
	ssize_t n = recv(g->a.fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	struct request_peek head;
	enum peek_kind kind = n > 0 ? request_peek_read((struct slice){bytes, (size_t)n}, &head) : PEEK_GARBAGE;
	if (kind == PEEK_INCOMPLETE && n < PEEK_MAX && !ended)
		return false;
	list_remove(&g->a.link);
	epoll_ctl(d->epoll, EPOLL_CTL_DEL, g->a.fd, NULL);
	struct fault fault;
	int status = refusal_of(kind, &head, ended && n < PEEK_MAX, &fault);
	if (n <= 0)
		send_off(d, g);
	else if (status != 0)
		turn_away(d, g, status, &fault);
	else if (kind == PEEK_WEBSOCKET)
		hand_to_ws(d, g, &head);
	else
		http_add_take(kind == PEEK_STREAM && head.len <= STREAM_HEAD_MAX ? d->streams : d->http, &g->a);
	return true;
}

static void set_options(int fd)
{
	static const struct {
		int level;
		int name;
		int value;
	} options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
		       {SOL_SOCKET, SO_KEEPALIVE, 1},
		       {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
		       {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
		       {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT}};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

/* Edge-triggered: what was peeked at stays in the socket, and must not wake us again. */
static void seat(struct listener *d, struct guest *g)
{
	struct fault fault;
	list_append(&d->waiting, &g->a.link);
	if (watch(d, g->a.fd, EPOLLIN | EPOLLET | EPOLLRDHUP, g, &fault) == ERR_NONE)
		return;
	list_remove(&g->a.link);
	answer(d, g->a.fd, 503, &fault);
	send_off(d, g);
}

static struct guest *guest_create(const struct listener *d, int fd, const struct sockaddr_storage *address,
				  socklen_t address_len)
{
	struct guest *g = malloc(sizeof *g);
	if (g == NULL)
		return NULL;
	*g = (struct guest){.a = {.fd = fd, .address = *address, .address_len = address_len},
			    .deadline_ms = clock_mono_ms() + d->options.handshake_ms};
	list_init(&g->a.link);
	return g;
}

/* On the thread of tls.c. */
static void on_decrypted(void *arg, int fd, const struct sockaddr_storage *address, socklen_t address_len)
{
	struct listener *d = arg;
	uint64_t one = 1;
	struct guest *g = guest_create(d, fd, address, address_len);
	pthread_mutex_lock(&d->lock);
	bool closing = d->closing;
	if (g != NULL && !closing)
		list_append(&d->incoming, &g->a.link);
	pthread_mutex_unlock(&d->lock);
	if (g == NULL || closing) {
		close(fd);
		free(g);
		listener_leave(d, counted(d, address));
		return;
	}
	(void)!write(d->wake, &one, sizeof one); /* a counter that small cannot be full */
}

static void on_handshake_failed(void *arg, const struct sockaddr_storage *address)
{
	struct listener *d = arg;
	listener_leave(d, counted(d, address));
}

/* False when it is time to end. */
static bool take_arrivals(struct listener *d)
{
	struct list arrived;
	uint64_t count;
	(void)!read(d->wake, &count, sizeof count);
	list_init(&arrived);
	pthread_mutex_lock(&d->lock);
	list_move_all(&arrived, &d->incoming);
	bool closing = d->closing;
	pthread_mutex_unlock(&d->lock);
	LIST_EACH (link, &arrived) {
		list_remove(link);
		seat(d, LIST_ITEM(link, struct guest, a.link));
	}
	return !closing;
}

static void let_in(struct listener *d, const struct listen_socket *l, int fd, const struct sockaddr_storage *address,
		   socklen_t address_len)
{
	struct guest *g = NULL;
	struct fault fault;
	if (!l->encrypted && (g = guest_create(d, fd, address, address_len)) == NULL) {
		listener_leave(d, counted(d, address));
		fault_set(&fault, ERR_NOMEM, "out of memory");
		refuse(d, l, fd, &fault);
		return;
	}
	set_options(fd);
	atomic_fetch_add(&d->accepted, 1);
	if (g != NULL)
		seat(d, g);
	else
		tls_take(d->tls, fd, address, address_len);
}

static void set_paused(struct listener *d, bool paused)
{
	d->paused = paused;
	for (int i = 0; i < d->socket_count; i++) {
		struct epoll_event e = {.events = paused ? 0 : EPOLLIN, .data.ptr = &d->sockets[i]};
		epoll_ctl(d->epoll, EPOLL_CTL_MOD, d->sockets[i].fd, &e);
	}
}

/* There is no descriptor left: the spare one is given up, so that who waits is told rather than left hanging. */
static void accept_none(struct listener *d, struct listen_socket *l, int why)
{
	int64_t now = clock_mono_ms();
	if (d->told_ms == 0 || now - d->told_ms >= TELL_MS)
		log_warn("cannot accept", "error=%s", log_text(strerror(why)));
	d->told_ms = now - d->told_ms >= TELL_MS ? now : d->told_ms;
	struct fault none;
	fault_set(&none, ERR_BUSY, "the server has no descriptor left (see the limit of open files)");
	bool any = d->spare >= 0;
	while (any) {
		close(d->spare);
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			refuse(d, l, fd, &none);
		d->spare = open_spare();
		any = fd >= 0 && d->spare >= 0;
	}
	d->paused_until_ms = now + OUT_OF_FDS_MS;
	set_paused(d, true);
}

/* The one that has waited for longest; false when its request has just come. */
static bool end_guest(struct listener *d)
{
	struct guest *g = LIST_ITEM(d->waiting.next, struct guest, a.link);
	if (look(d, g, false))
		return false;
	list_remove(&g->a.link);
	epoll_ctl(d->epoll, EPOLL_CTL_DEL, g->a.fd, NULL);
	send_off(d, g);
	atomic_fetch_add(&d->timed_out, 1);
	return true;
}

static int64_t guest_since(const struct listener *d)
{
	if (list_empty(&d->waiting))
		return INT64_MAX;
	return LIST_ITEM(d->waiting.next, struct guest, a.link)->deadline_ms - d->options.handshake_ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Ends the connection without a request that has been so for longest. False when all have one. */
static bool make_room(struct listener *d)
{
	for (;;) {
		int64_t guest = guest_since(d);
		int64_t http = http_idle_since(d->http);
		int64_t stream = http_idle_since(d->streams);
		int64_t first = earlier(earlier(guest, http), earlier(stream, tls_idle_since(d->tls)));
		if (first == INT64_MAX)
			return false;
		bool ended = first == guest    ? end_guest(d)
			     : first == http   ? http_end_idle(d->http)
			     : first == stream ? http_end_idle(d->streams)
					       : tls_end_idle(d->tls);
		if (ended)
			return true;
	}
}

/* Where there are too many, another has to go; it may take a moment to be gone. */
static enum err take_place(struct listener *d, uint64_t peer, struct fault *fault)
{
	struct quotas *q = d->options.quotas;
	struct quota_figures all = quota_read(q, QUOTA_CONNECTIONS);
	if (all.held < all.limit)
		return quota_take(q, QUOTA_CONNECTIONS, peer, 1, fault);
	enum err err = quota_take_early(q, QUOTA_CONNECTIONS, peer, 1, fault);
	if (err || make_room(d))
		return err;
	quota_give(q, QUOTA_CONNECTIONS, peer, 1);
	return quota_refuse(q, QUOTA_CONNECTIONS, peer, fault);
}

/* Lets somebody in, or says why not. */
static void meet(struct listener *d, const struct listen_socket *l, int fd, const struct sockaddr_storage *address,
		 socklen_t address_len)
{
	struct fault fault;
	if (take_place(d, counted(d, address), &fault) != ERR_NONE)
		refuse(d, l, fd, &fault);
	else
		let_in(d, l, fd, address, address_len);
}

/* The rest stay in the queue, which epoll goes on telling of. */
static void accept_some(struct listener *d, struct listen_socket *l)
{
	for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof address;
		int fd = accept4(l->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			accept_none(d, l, errno);
		if (fd < 0)
			return; /* EAGAIN, or a connection that has gone again: epoll tells of the next */
		meet(d, l, fd, &address, len);
	}
}

/* Closes who has been silent for too long. Returns how long to wait for the next. */
static int expire(struct listener *d)
{
	int64_t now = clock_mono_ms();
	int64_t next = SWEEP_MS;
	if (now - d->swept_ms >= SWEEP_MS) {
		http_sweep(d->http);
		http_sweep(d->streams);
		d->swept_ms = now;
	}
	LIST_EACH (link, &d->waiting) {
		struct guest *g = LIST_ITEM(link, struct guest, a.link);
		if (g->deadline_ms > now) {
			next = g->deadline_ms - now < next ? g->deadline_ms - now : next;
			break;
		}
		list_remove(link);
		epoll_ctl(d->epoll, EPOLL_CTL_DEL, g->a.fd, NULL);
		send_off(d, g);
		atomic_fetch_add(&d->timed_out, 1);
	}
	if (d->spare < 0)
		d->spare = open_spare();
	if (d->paused && now >= d->paused_until_ms)
		set_paused(d, false);
	return d->paused ? OUT_OF_FDS_MS : (int)next;
}

/* NULL: it is a guest. */
static struct listen_socket *find_socket(struct listener *d, const void *what)
{
	for (int i = 0; i < d->socket_count; i++)
		if (what == &d->sockets[i])
			return &d->sockets[i];
	return NULL;
}

/* New connections are accepted after all other events of a round: to make room for one a guest may be closed, and a later
 * event of the same round could be that guest's. */
static void *work(void *arg)
{
	struct listener *d = arg;
	for (;;) {
		struct epoll_event events[EVENTS];
		struct listen_socket *ready[LISTENERS_MAX];
		int ready_count = 0;
		int n = epoll_wait(d->epoll, events, EVENTS, expire(d));
		for (int i = 0; i < n; i++) {
			void *what = events[i].data.ptr;
			if (what == &d->wake && !take_arrivals(d))
				return NULL;
			if (what == &d->wake)
				continue;
			struct listen_socket *l = find_socket(d, what);
			if (l != NULL)
				ready[ready_count++] = l;
			else
				look(d, what, (events[i].events & EPOLLRDHUP) != 0);
		}
		for (int i = 0; i < ready_count; i++)
			accept_some(d, ready[i]);
	}
}

enum err listener_start(struct listener *d, struct http *http, struct http *streams, struct ws *ws, struct fault *fault)
{
	d->http = http;
	d->streams = streams;
	d->ws = ws;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < d->socket_count; i++)
		err = watch(d, d->sockets[i].fd, EPOLLIN, &d->sockets[i], fault);
	if (!err && pthread_create(&d->thread, NULL, work, d) != 0)
		err = fault_set(fault, ERR_NOMEM, "cannot start a thread");
	d->running = !err;
	return err;
}

void listener_close(struct listener *d)
{
	if (d->running) {
		uint64_t one = 1;
		pthread_mutex_lock(&d->lock);
		d->closing = true;
		pthread_mutex_unlock(&d->lock);
		(void)!write(d->wake, &one, sizeof one);
		pthread_join(d->thread, NULL);
		d->running = false;
	}
	for (int i = 0; i < d->socket_count; i++) {
		if (d->sockets[i].fd >= 0)
			close(d->sockets[i].fd);
		d->sockets[i].fd = -1; /* where it was is asked for until the end */
	}
	pthread_mutex_lock(&d->lock);
	list_move_all(&d->waiting, &d->incoming);
	pthread_mutex_unlock(&d->lock);
	LIST_EACH (link, &d->waiting) {
		struct guest *g = LIST_ITEM(link, struct guest, a.link);
		list_remove(link);
		send_off(d, g);
	}
}

void listener_destroy(struct listener *d)
{
	if (d == NULL)
		return;
	listener_close(d);
	tls_destroy(d->tls);
	if (d->epoll >= 0)
		close(d->epoll);
	if (d->wake >= 0)
		close(d->wake);
	if (d->spare >= 0)
		close(d->spare);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void listener_read(struct listener *d, struct listener_figures *out)
{
	struct quota_figures connections = quota_read(d->options.quotas, QUOTA_CONNECTIONS);
	*out = (struct listener_figures){connections.held,
					 connections.limit,
					 atomic_load(&d->accepted),
					 atomic_load(&d->refused),
					 atomic_load(&d->timed_out) + http_slow(d->http) + http_slow(d->streams),
					 {0}};
	tls_read(d->tls, &out->tls);
}
