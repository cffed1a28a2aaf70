#include "server/listen/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/list.h"
#include "base/system/clock.h"
#include "server/listen/tls_internal.h"

enum err tls_reload(struct tls *t, struct fault *fault)
{
	SSL_CTX *made;
	enum err err = tls_context_create(&t->options, &made, fault);
	if (err)
		return err;
	pthread_mutex_lock(&t->lock);
	SSL_CTX *before = t->context;
	t->context = made;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(before); /* connections that use it hold references */
	atomic_fetch_add(&t->reloads, 1);
	return ERR_NONE;
}

static void begin(struct tls *t, struct tls_conn *c)
{
	list_append(&t->handshaking, &c->link);
	atomic_fetch_add(&t->open, 1);
	pthread_mutex_lock(&t->lock);
	c->ssl = SSL_new(t->context);
	pthread_mutex_unlock(&t->lock);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || !tls_conn_watch(t, c->fd, c)) {
		tls_conn_end(t, c);
		return;
	}
	SSL_set_accept_state(c->ssl);
	tls_conn_pump(t, c);
}

void tls_take(struct tls *t, int fd, const struct sockaddr_storage *address, socklen_t len)
{
	struct tls_conn *c = calloc(1, sizeof *c);
	if (c == NULL) {
		close(fd);
		t->options.on_failed(t->options.arg, address);
		return;
	}
	c->fd = fd;
	c->inner = -1;
	c->deadline_ms = clock_mono_ms() + t->options.handshake_ms;
	c->address = *address;
	c->address_len = len;
	list_init(&c->in_busy);
	if (atomic_fetch_add(&t->handshaking_count, 1) == 0)
		atomic_store(&t->oldest_ms, c->deadline_ms - t->options.handshake_ms);
	uint64_t one = 1;
	pthread_mutex_lock(&t->lock);
	list_append(&t->incoming, &c->link);
	pthread_mutex_unlock(&t->lock);
	(void)!write(t->wake, &one, sizeof one); /* a counter that small cannot be full */
}

void tls_refuse(int fd)
{
	/* A record of type alert, TLS 1.2, two bytes: fatal, internal_error (RFC 8446, 5.1 and 6.2). */
	static const unsigned char alert[] = {21, 3, 3, 0, 2, 2, 80};
	(void)!send(fd, alert, sizeof alert, MSG_DONTWAIT | MSG_NOSIGNAL); /* the client may have closed */
}

/* Takes over newly accepted sockets. False: the thread must end. */
static bool take_incoming(struct tls *t)
{
	struct list incoming;
	uint64_t count;
	(void)!read(t->wake, &count, sizeof count);
	list_init(&incoming);
	pthread_mutex_lock(&t->lock);
	list_move_all(&incoming, &t->incoming);
	bool closing = t->closing;
	pthread_mutex_unlock(&t->lock);
	LIST_EACH (link, &incoming) {
		list_remove(link);
		begin(t, LIST_ITEM(link, struct tls_conn, link));
	}
	return !closing;
}

/* Ends connections whose handshake has timed out, or that do not close after the last byte. */
static void expire(struct tls *t)
{
	int64_t now = clock_mono_ms();
	LIST_EACH (link, &t->handshaking) {
		struct tls_conn *c = LIST_ITEM(link, struct tls_conn, link);
		if (c->deadline_ms > now)
			break;
		tls_conn_end(t, c);
	}
	LIST_EACH (link, &t->conns) {
		struct tls_conn *c = LIST_ITEM(link, struct tls_conn, link);
		if (c->linger_ms != 0 && c->linger_ms <= now)
			tls_conn_end(t, c);
	}
}

/* Ends as many handshakes as tls_end_idle asked for, and publishes the age of the oldest that is left. */
static void end_requested(struct tls *t)
{
	for (; atomic_load(&t->handshakes_to_end) > 0 && !list_empty(&t->handshaking);
	     atomic_fetch_sub(&t->handshakes_to_end, 1))
		tls_conn_end(t, LIST_ITEM(t->handshaking.next, struct tls_conn, link));
	if (!list_empty(&t->handshaking))
		atomic_store(&t->oldest_ms,
			     LIST_ITEM(t->handshaking.next, struct tls_conn, link)->deadline_ms - t->options.handshake_ms);
	int requested = atomic_load(&t->handshakes_to_end);
	if (requested > atomic_load(&t->handshaking_count)) /* some handshakes completed first */
		atomic_compare_exchange_strong(&t->handshakes_to_end, &requested, atomic_load(&t->handshaking_count));
}

int64_t tls_idle_since(struct tls *t)
{
	bool any = t != NULL && atomic_load(&t->handshaking_count) > atomic_load(&t->handshakes_to_end);
	return any ? atomic_load(&t->oldest_ms) : INT64_MAX;
}

bool tls_end_idle(struct tls *t)
{
	uint64_t one = 1;
	if (atomic_fetch_add(&t->handshakes_to_end, 1) >= atomic_load(&t->handshaking_count)) {
		atomic_fetch_sub(&t->handshakes_to_end, 1);
		return false;
	}
	(void)!write(t->wake, &one, sizeof one); /* a counter that small cannot be full */
	return true;
}

static void run_once(struct tls *t)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(t->epoll, events, EVENTS, list_empty(&t->busy) ? SWEEP_MS : 0);
	for (int i = 0; i < n; i++) {
		struct tls_conn *c = events[i].data.ptr;
		if (c != NULL && c->fd >= 0)
			tls_conn_pump(t, c);
	}
	struct list busy;
	list_init(&busy);
	list_move_all(&busy, &t->busy);
	LIST_EACH (link, &busy)
		tls_conn_pump(t, LIST_ITEM(link, struct tls_conn, in_busy));
	tls_conn_free_ended(t);
}

static void *work(void *arg)
{
	struct tls *t = arg;
	int64_t swept_ms = 0;
	while (take_incoming(t)) {
		run_once(t);
		end_requested(t);
		tls_conn_free_ended(t);
		if (clock_mono_ms() - swept_ms < SWEEP_MS)
			continue;
		swept_ms = clock_mono_ms();
		expire(t);
	}
	t->ending = true;
	LIST_EACH (link, &t->handshaking)
		tls_conn_end(t, LIST_ITEM(link, struct tls_conn, link));
	tls_conn_free_ended(t);
	/* The servers behind the listener have closed their ends: send what they wrote last. */
	for (int64_t until = clock_mono_ms() + DRAIN_MS; !list_empty(&t->conns) && clock_mono_ms() < until;) {
		LIST_EACH (link, &t->conns)
			tls_conn_pump(t, LIST_ITEM(link, struct tls_conn, link));
		tls_conn_free_ended(t);
		run_once(t);
	}
	LIST_EACH (link, &t->conns)
		tls_conn_end(t, LIST_ITEM(link, struct tls_conn, link));
	tls_conn_free_ended(t);
	return NULL;
}

enum err tls_create(struct tls_options options, struct tls **out, struct fault *fault)
{
	*out = NULL;
	struct tls *t = calloc(1, sizeof *t);
	if (t == NULL)
		return fault_nomem(fault);
	t->options = options;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->incoming);
	list_init(&t->handshaking);
	list_init(&t->conns);
	list_init(&t->busy);
	list_init(&t->ended);
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	bool fine = t->epoll >= 0 && t->wake >= 0 && epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &e) == 0;
	enum err err = fine ? tls_context_create(&t->options, &t->context, fault)
			    : fault_set(fault, ERR_IO, "cannot create an epoll instance: %s", strerror(errno));
	if (!err)
		err = thread_start(&t->thread, "tls", work, t, fault);
	if (err) {
		tls_destroy(t);
		return err;
	}
	*out = t;
	return ERR_NONE;
}

void tls_destroy(struct tls *t)
{
	if (t == NULL)
		return;
	if (t->thread.runs) {
		uint64_t one = 1;
		pthread_mutex_lock(&t->lock);
		t->closing = true;
		pthread_mutex_unlock(&t->lock);
		(void)!write(t->wake, &one, sizeof one);
		thread_join(&t->thread);
	}
	if (t->epoll >= 0)
		close(t->epoll);
	if (t->wake >= 0)
		close(t->wake);
	SSL_CTX_free(t->context);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void tls_read(struct tls *t, struct tls_figures *out)
{
	*out = (struct tls_figures){0};
	if (t == NULL)
		return;
	*out = (struct tls_figures){atomic_load(&t->open), atomic_load(&t->handshakes), atomic_load(&t->failed),
				    atomic_load(&t->reloads)};
}
