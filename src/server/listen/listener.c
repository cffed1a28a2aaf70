#include "server/listen/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "server/http/http.h"
#include "server/listen/listener_internal.h"
#include "server/listen/tls.h"
#include "server/message/problem.h"

enum {
	EVENTS = 64,
	ACCEPTED_AT_ONCE = 64, /* then pending connections are served first */
	SWEEP_MS = 500,
	OUT_OF_FDS_MS = 50,   /* pause before the next accept when no descriptor is left */
	WARN_EVERY_MS = 1000, /* at most one warning about that per interval */
	/* A peer that vanished without closing is detected after two minutes. */
	KEEPALIVE_IDLE_S = 60,
	KEEPALIVE_EVERY_S = 15,
	KEEPALIVE_COUNT = 4,
};

static void on_decrypted(void *arg, int fd, const struct sockaddr_storage *address, socklen_t address_len);
static void on_handshake_failed(void *arg, const struct sockaddr_storage *address);

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

enum err listener_create(struct listener_options options, struct listener **out, struct fault *fault)
{
	*out = NULL;
	struct listener *l = calloc(1, sizeof *l);
	if (l == NULL)
		return fault_nomem(fault);
	l->options = options;
	list_init(&l->waiting);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->incoming);
	l->spare = open_spare();
	enum err err = l->epoll >= 0 && l->wake >= 0
			       ? ERR_NONE
			       : fault_set(fault, ERR_IO, "cannot create an epoll instance: %s", strerror(errno));
	if (!err && options.listen->count > LISTENERS_MAX)
		err = fault_set(fault, ERR_INVALID, "--listen: at most %d addresses", LISTENERS_MAX);
	for (int i = 0; !err && i < options.listen->count; i++)
		err = listen_socket_open(l, options.listen->items[i], options.encrypted[i], fault);
	if (!err)
		err = listener_watch(l, l->wake, EPOLLIN, &l->wake, fault);
	struct tls_options tls = {options.cert, options.key, options.handshake_ms, on_decrypted, on_handshake_failed, l};
	if (!err && options.cert != NULL)
		err = tls_create(tls, &l->tls, fault);
	if (err) {
		listener_destroy(l);
		return err;
	}
	*out = l;
	return ERR_NONE;
}

bool listener_url(const struct listener *l, int index, char *out, size_t size)
{
	if (index >= l->socket_count)
		return false;
	snprintf(out, size, "%s://%s", l->sockets[index].encrypted ? "https" : "http", l->sockets[index].address);
	return true;
}

enum err listener_reload(struct listener *l, struct fault *fault)
{
	return l->tls != NULL ? tls_reload(l->tls, fault) : ERR_NONE;
}

int listener_port(const struct listener *l)
{
	return l->socket_count > 0 ? listen_socket_port(&l->sockets[0]) : 0;
}

void listener_ports(const struct listener *l, struct own_ports *out)
{
	out->count = l->socket_count < OWN_PORTS_MAX ? l->socket_count : OWN_PORTS_MAX;
	for (int i = 0; i < out->count; i++)
		out->ports[i] = listen_socket_port(&l->sockets[i]);
}

/* --- accepting --- */

static void refuse(struct listener *l, const struct listen_socket *s, int fd, const struct fault *why)
{
	if (s->encrypted)
		tls_refuse(fd);
	else
		pending_answer(l, fd, problem_status(why->code), why);
	close(fd);
	atomic_fetch_add(&l->refused, 1);
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

/* Called on the TLS thread. */
static void on_decrypted(void *arg, int fd, const struct sockaddr_storage *address, socklen_t address_len)
{
	struct listener *l = arg;
	uint64_t one = 1;
	struct pending_conn *p = pending_create(l, fd, address, address_len);
	pthread_mutex_lock(&l->lock);
	bool closing = l->closing;
	if (p != NULL && !closing)
		list_append(&l->incoming, &p->a.link);
	pthread_mutex_unlock(&l->lock);
	if (p == NULL || closing) {
		close(fd);
		free(p);
		listener_on_close(l, listener_counted(l, address));
		return;
	}
	(void)!write(l->wake, &one, sizeof one); /* a counter that small cannot be full */
}

static void on_handshake_failed(void *arg, const struct sockaddr_storage *address)
{
	struct listener *l = arg;
	listener_on_close(l, listener_counted(l, address));
}

/* Takes over the connections that were decrypted. False: the listener is closing. */
static bool take_incoming(struct listener *l)
{
	struct list incoming;
	uint64_t count;
	(void)!read(l->wake, &count, sizeof count);
	list_init(&incoming);
	pthread_mutex_lock(&l->lock);
	list_move_all(&incoming, &l->incoming);
	bool closing = l->closing;
	pthread_mutex_unlock(&l->lock);
	LIST_EACH (link, &incoming) {
		list_remove(link);
		pending_watch(l, LIST_ITEM(link, struct pending_conn, a.link));
	}
	return !closing;
}

static void accept_conn(struct listener *l, const struct listen_socket *s, int fd, const struct sockaddr_storage *address,
			socklen_t address_len)
{
	struct pending_conn *p = NULL;
	struct fault fault;
	if (!s->encrypted && (p = pending_create(l, fd, address, address_len)) == NULL) {
		listener_on_close(l, listener_counted(l, address));
		fault_nomem(&fault);
		refuse(l, s, fd, &fault);
		return;
	}
	set_options(fd);
	atomic_fetch_add(&l->accepted, 1);
	if (p != NULL)
		pending_watch(l, p);
	else
		tls_take(l->tls, fd, address, address_len);
}

static void set_paused(struct listener *l, bool paused)
{
	l->paused = paused;
	for (int i = 0; i < l->socket_count; i++) {
		struct epoll_event e = {.events = paused ? 0 : EPOLLIN, .data.ptr = &l->sockets[i]};
		epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->sockets[i].fd, &e);
	}
}

/* No descriptor is left: gives up the spare one, so that waiting clients get an answer and do not hang. */
static void accept_none(struct listener *l, struct listen_socket *s, int why)
{
	int64_t now = clock_mono_ms();
	if (l->warned_ms == 0 || now - l->warned_ms >= WARN_EVERY_MS)
		log_warn("cannot accept", "error=%s", log_text(strerror(why)));
	l->warned_ms = now - l->warned_ms >= WARN_EVERY_MS ? now : l->warned_ms;
	struct fault none;
	fault_set(&none, ERR_BUSY, "the server has no file descriptor left: raise the limit of open files");
	bool any = l->spare >= 0;
	while (any) {
		close(l->spare);
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			refuse(l, s, fd, &none);
		l->spare = open_spare();
		any = fd >= 0 && l->spare >= 0;
	}
	l->paused_until_ms = now + OUT_OF_FDS_MS;
	set_paused(l, true);
}

/* Closes the pending connection that has waited longest; false when its request has just incoming. */
static bool end_pending(struct listener *l)
{
	struct pending_conn *p = LIST_ITEM(l->waiting.next, struct pending_conn, a.link);
	if (pending_peek(l, p, false))
		return false;
	list_remove(&p->a.link);
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->a.fd, NULL);
	pending_drop(l, p);
	atomic_fetch_add(&l->timed_out, 1);
	return true;
}

static int64_t pending_since(const struct listener *l)
{
	if (list_empty(&l->waiting))
		return INT64_MAX;
	return LIST_ITEM(l->waiting.next, struct pending_conn, a.link)->deadline_ms - l->options.handshake_ms;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Closes the connection that has been idle longest. False: every connection has a request. */
static bool close_idle(struct listener *l)
{
	for (;;) {
		int64_t pending = pending_since(l);
		int64_t http = http_idle_since(l->http);
		int64_t stream = http_idle_since(l->streams);
		int64_t first = earlier(earlier(pending, http), earlier(stream, tls_idle_since(l->tls)));
		if (first == INT64_MAX)
			return false;
		bool ended = first == pending  ? end_pending(l)
			     : first == http   ? http_end_idle(l->http)
			     : first == stream ? http_end_idle(l->streams)
					       : tls_end_idle(l->tls);
		if (ended)
			return true;
	}
}

/* Counts a connection against its limits. At the total limit an idle connection is closed for it, which may take a
 * moment. */
static enum err take_connection(struct listener *l, uint64_t peer, struct fault *fault)
{
	struct quotas *q = l->options.quotas;
	struct quota_figures all = quota_read(q, QUOTA_CONNECTIONS);
	if (all.held < all.limit)
		return quota_take(q, QUOTA_CONNECTIONS, peer, 1, fault);
	enum err err = quota_take_early(q, QUOTA_CONNECTIONS, peer, 1, fault);
	if (err || close_idle(l))
		return err;
	quota_give(q, QUOTA_CONNECTIONS, peer, 1);
	return quota_refuse(q, QUOTA_CONNECTIONS, peer, fault);
}

/* Accepts a connection, or refuses it with the reason. */
static void admit(struct listener *l, const struct listen_socket *s, int fd, const struct sockaddr_storage *address,
		  socklen_t address_len)
{
	struct fault fault;
	if (take_connection(l, listener_counted(l, address), &fault) != ERR_NONE)
		refuse(l, s, fd, &fault);
	else
		accept_conn(l, s, fd, address, address_len);
}

/* Accepts a bounded number of connections; epoll reports the rest of the backlog again. */
static void accept_some(struct listener *l, struct listen_socket *s)
{
	for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
		struct sockaddr_storage address;
		socklen_t len = sizeof address;
		int fd = accept4(s->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			accept_none(l, s, errno);
		if (fd < 0)
			return; /* EAGAIN, or the connection was aborted: epoll reports the next one */
		admit(l, s, fd, &address, len);
	}
}

/* Closes pending connections past their deadline. Returns the milliseconds to wait for the next event. */
static int expire(struct listener *l)
{
	int64_t now = clock_mono_ms();
	int64_t next = SWEEP_MS;
	if (now - l->swept_ms >= SWEEP_MS) {
		http_sweep(l->http);
		http_sweep(l->streams);
		l->swept_ms = now;
	}
	LIST_EACH (link, &l->waiting) {
		struct pending_conn *p = LIST_ITEM(link, struct pending_conn, a.link);
		if (p->deadline_ms > now) {
			next = p->deadline_ms - now < next ? p->deadline_ms - now : next;
			break;
		}
		list_remove(link);
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, p->a.fd, NULL);
		pending_drop(l, p);
		atomic_fetch_add(&l->timed_out, 1);
	}
	if (l->spare < 0)
		l->spare = open_spare();
	if (l->paused && now >= l->paused_until_ms)
		set_paused(l, false);
	return l->paused ? OUT_OF_FDS_MS : (int)next;
}

/* The listening socket of an epoll event; NULL: it belongs to a pending connection. */
static struct listen_socket *find_socket(struct listener *l, const void *what)
{
	for (int i = 0; i < l->socket_count; i++)
		if (what == &l->sockets[i])
			return &l->sockets[i];
	return NULL;
}

/* New connections are accepted after all other events of a round: to admit one, a pending connection may be closed, and a
 * later event of the same round could refer to it. */
static void *work(void *arg)
{
	struct listener *l = arg;
	for (;;) {
		struct epoll_event events[EVENTS];
		struct listen_socket *ready[LISTENERS_MAX];
		int ready_count = 0;
		int n = epoll_wait(l->epoll, events, EVENTS, expire(l));
		for (int i = 0; i < n; i++) {
			void *what = events[i].data.ptr;
			if (what == &l->wake && !take_incoming(l))
				return NULL;
			if (what == &l->wake)
				continue;
			struct listen_socket *s = find_socket(l, what);
			if (s != NULL)
				ready[ready_count++] = s;
			else
				pending_peek(l, what, (events[i].events & EPOLLRDHUP) != 0);
		}
		for (int i = 0; i < ready_count; i++)
			accept_some(l, ready[i]);
	}
}

enum err listener_start(struct listener *l, struct http *http, struct http *streams, struct ws *ws, struct fault *fault)
{
	l->http = http;
	l->streams = streams;
	l->ws = ws;
	enum err err = ERR_NONE;
	for (int i = 0; !err && i < l->socket_count; i++)
		err = listener_watch(l, l->sockets[i].fd, EPOLLIN, &l->sockets[i], fault);
	if (!err)
		err = thread_start(&l->thread, "listener", work, l, fault);
	return err;
}

void listener_close(struct listener *l)
{
	if (l->thread.runs) {
		uint64_t one = 1;
		pthread_mutex_lock(&l->lock);
		l->closing = true;
		pthread_mutex_unlock(&l->lock);
		(void)!write(l->wake, &one, sizeof one);
		thread_join(&l->thread);
	}
	for (int i = 0; i < l->socket_count; i++) {
		if (l->sockets[i].fd >= 0)
			close(l->sockets[i].fd);
		l->sockets[i].fd = -1; /* the address stays readable until listener_destroy */
	}
	pthread_mutex_lock(&l->lock);
	list_move_all(&l->waiting, &l->incoming);
	pthread_mutex_unlock(&l->lock);
	LIST_EACH (link, &l->waiting) {
		struct pending_conn *p = LIST_ITEM(link, struct pending_conn, a.link);
		list_remove(link);
		pending_drop(l, p);
	}
}

void listener_destroy(struct listener *l)
{
	if (l == NULL)
		return;
	listener_close(l);
	tls_destroy(l->tls);
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->wake >= 0)
		close(l->wake);
	if (l->spare >= 0)
		close(l->spare);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void listener_read(struct listener *l, struct listener_figures *out)
{
	struct quota_figures connections = quota_read(l->options.quotas, QUOTA_CONNECTIONS);
	*out = (struct listener_figures){connections.held,
					 connections.limit,
					 atomic_load(&l->accepted),
					 atomic_load(&l->refused),
					 atomic_load(&l->timed_out) + http_slow(l->http) + http_slow(l->streams),
					 {0}};
	tls_read(l->tls, &out->tls);
}
