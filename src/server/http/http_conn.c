#include "server/http/http_conn.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/system/clock.h"
#include "server/message/peer.h"

void http_conns_init(struct http_conns *cs, int64_t head_ms, int64_t body_ms)
{
	pthread_mutex_init(&cs->lock, NULL);
	list_init(&cs->all);
	list_init(&cs->idle);
	cs->head_ms = head_ms;
	cs->body_ms = body_ms;
	cs->slow = 0;
}

void http_conns_finish(struct http_conns *cs)
{
	pthread_mutex_destroy(&cs->lock);
}

struct http_conn *http_conns_add(struct http_conns *cs, int fd)
{
	struct http_conn *c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->fd = fd;
	list_init(&c->in_idle);
	c->local = peer_is_local(fd);
	c->deadline_ms = clock_mono_ms() + cs->head_ms;
	pthread_mutex_lock(&cs->lock);
	list_append(&cs->all, &c->link);
	pthread_mutex_unlock(&cs->lock);
	return c;
}

void http_conns_remove(struct http_conns *cs, struct http_conn *c)
{
	pthread_mutex_lock(&cs->lock);
	list_remove(&c->link);
	list_remove(&c->in_idle);
	pthread_mutex_unlock(&cs->lock);
	free(c);
}

void http_conn_reads(struct http_conns *cs, struct http_conn *c)
{
	pthread_mutex_lock(&cs->lock);
	list_remove(&c->in_idle);
	c->received = 0;
	c->deadline_ms = clock_mono_ms() + cs->body_ms;
	pthread_mutex_unlock(&cs->lock);
}

void http_conn_received(struct http_conns *cs, struct http_conn *c, size_t bytes)
{
	pthread_mutex_lock(&cs->lock);
	c->received += bytes;
	if (c->received >= HTTP_CONN_PROGRESS) {
		c->received = 0;
		c->deadline_ms = clock_mono_ms() + cs->body_ms;
	}
	pthread_mutex_unlock(&cs->lock);
}

void http_conn_answers(struct http_conns *cs, struct http_conn *c, bool answering)
{
	pthread_mutex_lock(&cs->lock);
	c->answering = answering;
	c->progress_ms = clock_mono_ms();
	c->deadline_ms = c->progress_ms + cs->head_ms;
	list_remove(&c->in_idle);
	if (!answering && !c->taken) {
		c->idle_ms = c->progress_ms;
		list_append(&cs->idle, &c->in_idle);
	}
	pthread_mutex_unlock(&cs->lock);
}

/* The grant is stored before it is checked: a reload in between finds it here. */
bool http_conn_holds(struct http_conns *cs, struct http_conn *c, const struct grant *grant)
{
	pthread_mutex_lock(&cs->lock);
	c->grant = grant;
	pthread_mutex_unlock(&cs->lock);
	return grant == NULL || access_holds(grant);
}

/* Has the peer closed its sending side? */
static bool has_ended(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool http_conn_has_ended(const struct http_conn *c)
{
	return has_ended(c->fd);
}

/* A number that changes when the peer takes bytes: how many bytes it has acknowledged, or (for the socket pair of tls.h)
 * how many are still queued. */
static uint64_t progress_of(int fd, int queued)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 ? info.tcpi_bytes_acked : (uint64_t)queued;
}

/* With an empty send queue the server is the slow side. */
static bool is_stuck(struct http_conn *c, int64_t now)
{
	int queued = 0;
	ioctl(c->fd, SIOCOUTQ, &queued);
	uint64_t progress = progress_of(c->fd, queued);
	if (progress != c->progress || queued == 0)
		c->progress_ms = now;
	c->progress = progress;
	return now - c->progress_ms >= HTTP_CONN_STUCK_MS;
}

/* Has the client sent bytes that were not read yet? */
static bool has_unread_bytes(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

int64_t http_conns_idle_since(struct http_conns *cs)
{
	pthread_mutex_lock(&cs->lock);
	int64_t since = list_empty(&cs->idle) ? INT64_MAX : LIST_ITEM(cs->idle.next, struct http_conn, in_idle)->idle_ms;
	pthread_mutex_unlock(&cs->lock);
	return since;
}

bool http_conns_end_idle(struct http_conns *cs)
{
	bool ended = false;
	pthread_mutex_lock(&cs->lock);
	while (!ended && !list_empty(&cs->idle)) {
		struct http_conn *c = LIST_ITEM(cs->idle.next, struct http_conn, in_idle);
		list_remove(&c->in_idle);
		ended = !has_unread_bytes(c->fd);
		if (!ended)
			continue;
		cs->slow++;
		shutdown(c->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&cs->lock);
	return ended;
}

void http_conns_sweep(struct http_conns *cs, size_t short_of)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&cs->lock);
	LIST_EACH (link, &cs->all) {
		struct http_conn *c = LIST_ITEM(link, struct http_conn, link);
		size_t held = c->answering ? atomic_load(&c->held) : 0;
		if (held > 0 && is_stuck(c, now) && short_of > 0) {
			short_of -= held < short_of ? held : short_of;
			c->progress_ms = now; /* counted once, though closing may take a while */
			cs->slow++;
			shutdown(c->fd, SHUT_RDWR);
		}
		if (c->answering)
			continue;
		if (now > c->deadline_ms) {
			c->deadline_ms = now + cs->head_ms; /* counted once, though closing may take a while */
			cs->slow++;
			shutdown(c->fd, SHUT_RDWR);
		} else if (has_ended(c->fd)) {
			shutdown(c->fd, SHUT_RD); /* wakes libmicrohttpd without discarding bytes that are being sent */
		}
	}
	pthread_mutex_unlock(&cs->lock);
}

void http_conns_recheck(struct http_conns *cs)
{
	pthread_mutex_lock(&cs->lock);
	LIST_EACH (link, &cs->all) {
		struct http_conn *c = LIST_ITEM(link, struct http_conn, link);
		if (c->grant != NULL && !access_holds(c->grant))
			shutdown(c->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&cs->lock);
}

uint64_t http_conns_slow(struct http_conns *cs)
{
	pthread_mutex_lock(&cs->lock);
	uint64_t slow = cs->slow;
	pthread_mutex_unlock(&cs->lock);
	return slow;
}
