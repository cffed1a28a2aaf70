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
	SSL_CTX_free(before); /* connections hold it as long as they need it */
	atomic_fetch_add(&t->reloads, 1);
	return ERR_NONE;
}

static void begin(struct tls *t, struct tls_conn *c)
{
	list_append(&t->shaking, &c->link);
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
		t->options.failed(t->options.arg, address);
		return;
	}
	c->fd = fd;
	c->inner = -1;
	c->deadline_ms = clock_mono_ms() + t->options.handshake_ms;
	c->address = *address;
	c->address_len = len;
	list_init(&c->in_busy);
	if (atomic_fetch_add(&t->shaking_count, 1) == 0)
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
	(void)!send(fd, alert, sizeof alert, MSG_DONTWAIT | MSG_NOSIGNAL); /* whoever is refused may have gone */
}

/* False when it is time to end. */
static bool take_arrivals(struct tls *t)
{
	struct list arrived;
	uint64_t count;
	(void)!read(t->wake, &count, sizeof count);
	list_init(&arrived);
	pthread_mutex_lock(&t->lock);
	list_move_all(&arrived, &t->incoming);
	bool closing = t->closing;
	pthread_mutex_unlock(&t->lock);
	LIST_EACH (link, &arrived) {
		list_remove(link);
		begin(t, LIST_ITEM(link, struct tls_conn, link));
	}
	return !closing;
}

/* Ends who has not ended its handshake in time, or does not go. */
static void expire(struct tls *t)
{
	int64_t now = clock_mono_ms();
	LIST_EACH (link, &t->shaking) {
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

/* Ends as many handshakes as are to make room, and says which is the oldest now. */
static void make_room(struct tls *t)
{
	for (; atomic_load(&t->handshakes_to_end) > 0 && !list_empty(&t->shaking);
	     atomic_fetch_sub(&t->handshakes_to_end, 1))
		tls_conn_end(t, LIST_ITEM(t->shaking.next, struct tls_conn, link));
	if (!list_empty(&t->shaking))
		atomic_store(&t->oldest_ms,
			     LIST_ITEM(t->shaking.next, struct tls_conn, link)->deadline_ms - t->options.handshake_ms);
	int doomed = atomic_load(&t->handshakes_to_end);
	if (doomed > atomic_load(&t->shaking_count)) /* some have had their handshake instead */
		atomic_compare_exchange_strong(&t->handshakes_to_end, &doomed, atomic_load(&t->shaking_count));
}

int64_t tls_idle_since(struct tls *t)
{
	bool any = t != NULL && atomic_load(&t->shaking_count) > atomic_load(&t->handshakes_to_end);
	return any ? atomic_load(&t->oldest_ms) : INT64_MAX;
}

bool tls_end_idle(struct tls *t)
{
	uint64_t one = 1;
	if (atomic_fetch_add(&t->handshakes_to_end, 1) >= atomic_load(&t->shaking_count)) {
		atomic_fetch_sub(&t->handshakes_to_end, 1);
		return false;
	}
	(void)!write(t->wake, &one, sizeof one); /* a counter that small cannot be full */
	return true;
}

static void turn(struct tls *t)
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
	tls_conn_bury(t);
}

static void *work(void *arg)
{
	struct tls *t = arg;
	int64_t swept_ms = 0;
	while (take_arrivals(t)) {
		turn(t);
		make_room(t);
		tls_conn_bury(t);
		if (clock_mono_ms() - swept_ms < SWEEP_MS)
			continue;
		swept_ms = clock_mono_ms();
		expire(t);
	}
	t->ending = true;
	LIST_EACH (link, &t->shaking)
		tls_conn_end(t, LIST_ITEM(link, struct tls_conn, link));
	tls_conn_bury(t);
	/* The servers behind the door have closed their ends: what they said last goes out. */
	for (int64_t until = clock_mono_ms() + DRAIN_MS; !list_empty(&t->conns) && clock_mono_ms() < until;) {
		LIST_EACH (link, &t->conns)
			tls_conn_pump(t, LIST_ITEM(link, struct tls_conn, link));
		tls_conn_bury(t);
		turn(t);
	}
	LIST_EACH (link, &t->conns)
		tls_conn_end(t, LIST_ITEM(link, struct tls_conn, link));
	tls_conn_bury(t);
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
	list_init(&t->shaking);
	list_init(&t->conns);
	list_init(&t->busy);
	list_init(&t->dead);
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	bool fine = t->epoll >= 0 && t->wake >= 0 && epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->wake, &e) == 0;
	enum err err = fine ? tls_context_create(&t->options, &t->context, fault)
			    : fault_set(fault, ERR_IO, "cannot make an epoll: %s", strerror(errno));
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
