/* One TLS connection: moves decrypted bytes from the client to the server, and encrypts those from the server. */

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
	atomic_fetch_sub(&t->handshaking_count, !opened);
	close(c->fd);
	if (opened)
		close(c->inner);
	c->fd = -1;
	list_remove(&c->link);
	list_remove(&c->in_busy);
	list_append(&t->ended, &c->link);
	t->lingering -= c->linger_ms != 0;
	atomic_fetch_sub(&t->open, 1);
	if (opened)
		return;
	atomic_fetch_add(&t->failed, 1);
	t->options.on_failed(t->options.arg, &c->address);
}

void tls_conn_free_ended(struct tls *t)
{
	LIST_EACH (link, &t->ended) {
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

/* Keeps bytes that the other side did not take. False: no memory. */
static bool keep_unsent(struct unsent *r, const char *bytes, size_t n)
{
	r->bytes = malloc(n);
	if (r->bytes == NULL)
		return false;
	memcpy(r->bytes, bytes, n);
	r->at = 0;
	r->len = n;
	return true;
}

static void took(struct unsent *r, size_t n)
{
	r->at += n;
	if (r->at < r->len)
		return;
	free(r->bytes);
	*r = (struct unsent){0};
}

/* The result of one step. */
enum step { STEP_BLOCKED, STEP_MOVED, STEP_BROKEN };

static enum step blocked_or_broken(const struct tls_conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? STEP_BLOCKED : STEP_BROKEN;
}

/* Sends bytes to one side; *given: how many it took. */
typedef enum step give_fn(struct tls_conn *c, const char *bytes, size_t n, size_t *given);

static enum step give_inner(struct tls_conn *c, const char *bytes, size_t n, size_t *given)
{
	ssize_t sent = c->discards_in ? (ssize_t)n : send(c->inner, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	c->discards_in = c->discards_in || (sent < 0 && errno != EAGAIN && errno != EINTR);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 || c->discards_in ? STEP_MOVED : STEP_BLOCKED; /* bytes from the server may still have to be sent */
}

static enum step give_client(struct tls_conn *c, const char *bytes, size_t n, size_t *given)
{
	int sent = SSL_write(c->ssl, bytes, (int)n);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 ? STEP_MOVED : blocked_or_broken(c, sent);
}

static enum step give_unsent(struct tls_conn *c, struct unsent *unsent, give_fn *give)
{
	size_t given;
	enum step step = give(c, unsent->bytes + unsent->at, unsent->len - unsent->at, &given);
	took(unsent, given);
	return step;
}

/* Bytes that are not taken are kept in `unsent`. */
static enum step pass_on(struct tls_conn *c, struct unsent *unsent, give_fn *give, const char *bytes, size_t n)
{
	size_t given;
	enum step step = give(c, bytes, n, &given);
	bool kept = step == STEP_BROKEN || given == n || keep_unsent(unsent, bytes + given, n - given);
	return kept ? step : STEP_BROKEN;
}

/* From the client to the server. */
static enum step pump_in(struct tls *t, struct tls_conn *c)
{
	if (c->in.bytes != NULL)
		return give_unsent(c, &c->in, give_inner);
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

/* The server has closed and all its bytes are sent. Closing while the client still sends would reset the connection and
 * lose bytes that it has not read: so the client gets LINGER_MS to close first, up to LINGERING_MAX connections at a
 * time. */
static enum step linger(struct tls *t, struct tls_conn *c)
{
	SSL_shutdown(c->ssl); /* sends close_notify and does not wait for the client's */
	if (c->in_ended || t->ending || t->lingering == LINGERING_MAX)
		return STEP_BROKEN;
	shutdown(c->fd, SHUT_WR);
	t->lingering++;
	c->linger_ms = clock_mono_ms() + LINGER_MS;
	c->discards_in = true;
	return STEP_MOVED;
}

/* From the server to the client. */
static enum step pump_out(struct tls *t, struct tls_conn *c)
{
	if (c->linger_ms != 0)
		return STEP_BLOCKED;
	if (c->out.bytes != NULL)
		return give_unsent(c, &c->out, give_client);
	ssize_t n = recv(c->inner, t->chunk, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		return pass_on(c, &c->out, give_client, t->chunk, (size_t)n);
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? STEP_BLOCKED : linger(t, c);
}

/* The handshake is done: hands the other end of the socket pair to the listener. */
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
	atomic_fetch_sub(&t->handshaking_count, 1);
	atomic_fetch_add(&t->handshakes, 1);
	t->options.on_decrypted(t->options.arg, pair[1], &c->address, c->address_len);
	return true;
}

/* Answers a client that sends plain HTTP with an error in plain HTTP. */
static void answer_plain_http(const struct tls_conn *c)
{
	static const char body[] = "{\"type\":\"/problems/invalid-request\",\"title\":\"Bad Request\",\"status\":400,"
				   "\"detail\":\"this port speaks TLS: use https:// or wss://\"}";
	char text[320];
	int n = snprintf(text, sizeof text,
			 "HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 sizeof body - 1, body);
	(void)!send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(c->fd, SHUT_WR);
	(void)!recv(c->fd, text, sizeof text, MSG_DONTWAIT); /* closing over unread bytes would reset the connection */
}

static enum step handshake(struct tls *t, struct tls_conn *c)
{
	int rc = SSL_do_handshake(c->ssl);
	if (rc != 1 && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
		answer_plain_http(c);
	if (rc != 1)
		return blocked_or_broken(c, rc);
	return open_inner(t, c) ? STEP_MOVED : STEP_BROKEN;
}

void tls_conn_pump(struct tls *t, struct tls_conn *c)
{
	list_remove(&c->in_busy);
	for (int i = 0; i < STEPS_MAX; i++) {
		enum step in = c->inner < 0 ? handshake(t, c) : pump_in(t, c);
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
