/* One encrypted connection: what comes in goes on decrypted, and the other way round. */

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/list.h"
#include "base/system/clock.h"
#include "server/listen/tls_internal.h"

void tls_conn_end(struct tls *t, struct tls_conn *c)
{
	if (c->fd < 0)
		return;
	bool opened = c->inner >= 0;
	atomic_fetch_sub(&t->shaking_count, !opened);
	close(c->fd);
	if (opened)
		close(c->inner);
	c->fd = -1;
	list_remove(&c->link);
	list_remove(&c->in_busy);
	list_append(&t->dead, &c->link);
	t->lingering -= c->linger_ms != 0;
	atomic_fetch_sub(&t->open, 1);
	if (opened)
		return;
	atomic_fetch_add(&t->failed, 1);
	t->options.failed(t->options.arg, &c->address);
}

void tls_conn_bury(struct tls *t)
{
	LIST_EACH (link, &t->dead) {
		struct tls_conn *c = LIST_ITEM(link, struct tls_conn, link);
		list_remove(link);
		SSL_free(c->ssl);
		free(c->in.bytes);
		free(c->out.bytes);
		free(c);
	}
}

bool tls_conn_watch(struct tls *t, int fd, struct tls_conn *c)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	return epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* Keeps what was not taken. False when there is no memory. */
static bool keep(struct rest *r, const char *bytes, size_t n)
{
	r->bytes = malloc(n);
	if (r->bytes == NULL)
		return false;
	memcpy(r->bytes, bytes, n);
	r->at = 0;
	r->len = n;
	return true;
}

static void took(struct rest *r, size_t n)
{
	r->at += n;
	if (r->at < r->len)
		return;
	free(r->bytes);
	*r = (struct rest){0};
}

/* What came of one step. */
enum step { STEP_BLOCKED, STEP_MOVED, STEP_BROKEN };

static enum step blocked_or_broken(const struct tls_conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? STEP_BLOCKED : STEP_BROKEN;
}

/* Gives one side what it takes at the moment. */
typedef enum step give_fn(struct tls_conn *c, const char *bytes, size_t n, size_t *given);

static enum step give_inner(struct tls_conn *c, const char *bytes, size_t n, size_t *given)
{
	ssize_t sent = c->deaf ? (ssize_t)n : send(c->inner, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	c->deaf = c->deaf || (sent < 0 && errno != EAGAIN && errno != EINTR);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 || c->deaf ? STEP_MOVED : STEP_BLOCKED; /* what the server has said before is still to be sent */
}

static enum step give_client(struct tls_conn *c, const char *bytes, size_t n, size_t *given)
{
	int sent = SSL_write(c->ssl, bytes, (int)n);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 ? STEP_MOVED : blocked_or_broken(c, sent);
}

static enum step give_rest(struct tls_conn *c, struct rest *rest, give_fn *give)
{
	size_t given;
	enum step step = give(c, rest->bytes + rest->at, rest->len - rest->at, &given);
	took(rest, given);
	return step;
}

/* What is not taken becomes the rest. */
static enum step pass_on(struct tls_conn *c, struct rest *rest, give_fn *give, const char *bytes, size_t n)
{
	size_t given;
	enum step step = give(c, bytes, n, &given);
	bool kept = step == STEP_BROKEN || given == n || keep(rest, bytes + given, n - given);
	return kept ? step : STEP_BROKEN;
}

/* From the client to the server. */
static enum step pump_in(struct tls *t, struct tls_conn *c)
{
	if (c->in.bytes != NULL)
		return give_rest(c, &c->in, give_inner);
	if (c->in_ended)
		return c->linger_ms != 0 ? STEP_BROKEN : STEP_BLOCKED;
	int n = SSL_read(c->ssl, t->chunk, CHUNK);
	if (n > 0)
		return pass_on(c, &c->in, give_inner, t->chunk, (size_t)n);
	if (SSL_get_error(c->ssl, n) != SSL_ERROR_ZERO_RETURN)
		return blocked_or_broken(c, n);
	c->in_ended = true;
	shutdown(c->inner, SHUT_WR);
	return STEP_MOVED;
}

/* All is said. Closing while the client still sends would reset the connection, and take away what it has not read: so it
 * may close first, for a while and where not too many do. */
static enum step linger(struct tls *t, struct tls_conn *c)
{
	SSL_shutdown(c->ssl); /* says so, and waits for no answer */
	if (c->in_ended || t->ending || t->lingering == LINGERING_MAX)
		return STEP_BROKEN;
	shutdown(c->fd, SHUT_WR);
	t->lingering++;
	c->linger_ms = clock_mono_ms() + LINGER_MS;
	c->deaf = true;
	return STEP_MOVED;
}

/* From the server to the client. */
static enum step pump_out(struct tls *t, struct tls_conn *c)
{
	if (c->linger_ms != 0)
		return STEP_BLOCKED;
	if (c->out.bytes != NULL)
		return give_rest(c, &c->out, give_client);
	ssize_t n = recv(c->inner, t->chunk, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		return pass_on(c, &c->out, give_client, t->chunk, (size_t)n);
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? STEP_BLOCKED : linger(t, c);
}

/* The handshake is done: the other end of the pair goes to the door. */
static bool open_inner(struct tls *t, struct tls_conn *c)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	c->inner = pair[0];
	if (!tls_conn_watch(t, c->inner, c)) {
		close(pair[1]);
		close(c->inner);
		c->inner = -1;
		return false;
	}
	list_remove(&c->link);
	list_append(&t->conns, &c->link);
	atomic_fetch_sub(&t->shaking_count, 1);
	atomic_fetch_add(&t->handshakes, 1);
	t->options.arrived(t->options.arg, pair[1], &c->address, c->address_len);
	return true;
}

/* Somebody who speaks plain HTTP is told so in it. */
static void tell_plain(const struct tls_conn *c)
{
	static const char body[] = "{\"type\":\"/problems/invalid-request\",\"title\":\"Bad Request\",\"status\":400,"
				   "\"detail\":\"this port speaks TLS: say https:// or wss://\"}";
	char text[320];
	int n = snprintf(text, sizeof text,
			 "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 sizeof body - 1, body);
	(void)!send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(c->fd, SHUT_WR);
	(void)!recv(c->fd, text, sizeof text, MSG_DONTWAIT); /* closing over unread bytes would reset the connection */
}

static enum step shake(struct tls *t, struct tls_conn *c)
{
	int rc = SSL_do_handshake(c->ssl);
	if (rc != 1 && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
		tell_plain(c);
	if (rc != 1)
		return blocked_or_broken(c, rc);
	return open_inner(t, c) ? STEP_MOVED : STEP_BROKEN;
}

/* As far as both sides go, or its turns are over. */
void tls_conn_pump(struct tls *t, struct tls_conn *c)
{
	list_remove(&c->in_busy);
	for (int i = 0; i < TURNS; i++) {
		enum step in = c->inner < 0 ? shake(t, c) : pump_in(t, c);
		enum step out = in != STEP_BROKEN && c->inner >= 0 ? pump_out(t, c) : STEP_BLOCKED;
		if (in == STEP_BROKEN || out == STEP_BROKEN) {
			tls_conn_end(t, c);
			return;
		}
		if (in == STEP_BLOCKED && out == STEP_BLOCKED)
			return;
	}
	list_append(&t->busy, &c->in_busy);
}
