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
#include "base/system/log.h"

enum {
	CHUNK = 16 * 1024, /* a TLS record holds no more */
	EVENTS = 64,
	TURNS = 16, /* of one connection before others have theirs */
	SWEEP_MS = 250,
	DRAIN_MS = 2000,
	LINGER_MS = 1000,
	LINGERING_MAX = 64,
};

/* What one side sent and the other has not taken. */
struct rest {
	char *bytes; /* NULL: nothing */
	size_t at;
	size_t len;
};

struct conn {
	struct list link; /* in tls.incoming, tls.shaking, tls.conns or tls.dead */
	struct list in_busy;
	int fd;
	int inner; /* our end of the pair; -1 before the handshake is done */
	SSL *ssl;
	int64_t deadline_ms; /* of the handshake */
	bool in_ended;       /* the client sends nothing more */
	bool deaf;           /* the server takes nothing more: what the client sends is thrown away */
	int64_t linger_ms;   /* monotonic: everything is said, and the client has until then to close; 0: not yet */
	struct rest in;      /* for the server behind the door */
	struct rest out;     /* for the client */
	struct sockaddr_storage address;
	socklen_t address_len;
};

struct tls {
	struct tls_options options;
	pthread_t thread;
	bool running;
	int epoll;
	int wake; /* eventfd */

	pthread_mutex_t lock; /* guards what follows */
	SSL_CTX *context;
	struct list incoming;
	bool closing;

	/* The thread's own. */
	struct list shaking; /* are in their handshake, the oldest first */
	struct list conns;   /* have had it */
	struct list busy;    /* were not done when their turns were over */
	struct list dead;    /* freed when the events at hand are */
	int lingering;
	bool ending; /* the server stops */
	char chunk[CHUNK];

	atomic_llong oldest_ms;       /* monotonic: when the first in `shaking` came, */
	atomic_int shaking_count;     /* how many there are, with those in `incoming`, */
	atomic_int handshakes_to_end; /* how many of them are to be closed, to make room for other connections */

	atomic_ullong open;
	atomic_ullong handshakes;
	atomic_ullong failed;
	atomic_ullong reloads;
};

/* --- certificates --- */

static enum err openssl_fault(const char *file, const char *what, struct fault *fault)
{
	char text[160];
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);
	ERR_clear_error();
	snprintf(text, sizeof text, "%s", reason != NULL ? reason : "it cannot be read");
	return fault_set(fault, ERR_INVALID, "%s: %s: %s", file, what, text);
}

static int no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len,
		   void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	(void)ssl;
	(void)arg;
	unsigned char *picked;
	if (SSL_select_next_proto(&picked, out_len, ours, sizeof ours - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = picked;
	return SSL_TLSEXT_ERR_OK;
}

/* TLS 1.2 with forward secrecy and authenticated ciphers, and TLS 1.3. */
static enum err make_context(const struct tls_options *o, SSL_CTX **out, struct fault *fault)
{
	*out = NULL;
	SSL_CTX *c = SSL_CTX_new(TLS_server_method());
	if (c == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
	SSL_CTX_set_default_passwd_cb(c, no_password);
	ERR_clear_error();
	enum err err = ERR_NONE;
	if (SSL_CTX_use_certificate_chain_file(c, o->cert) != 1)
		err = openssl_fault(o->cert, "no certificate", fault);
	else if (SSL_CTX_use_PrivateKey_file(c, o->key, SSL_FILETYPE_PEM) != 1)
		err = openssl_fault(o->key, "no private key", fault);
	else if (SSL_CTX_check_private_key(c) != 1)
		err = openssl_fault(o->key, "not the key of the certificate", fault);
	if (err)
		SSL_CTX_free(c);
	else
		*out = c;
	return err;
}

enum err tls_reload(struct tls *t, struct fault *fault)
{
	SSL_CTX *made;
	enum err err = make_context(&t->options, &made, fault);
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

/* --- one connection --- */

static void end(struct tls *t, struct conn *c)
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

static void bury(struct tls *t)
{
	LIST_EACH (link, &t->dead) {
		struct conn *c = LIST_ITEM(link, struct conn, link);
		list_remove(link);
		SSL_free(c->ssl);
		free(c->in.bytes);
		free(c->out.bytes);
		free(c);
	}
}

static bool watch(struct tls *t, int fd, struct conn *c)
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

static enum step blocked_or_broken(const struct conn *c, int rc)
{
	int why = SSL_get_error(c->ssl, rc);
	ERR_clear_error();
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? STEP_BLOCKED : STEP_BROKEN;
}

/* Gives one side what it takes at the moment. */
typedef enum step give_fn(struct conn *c, const char *bytes, size_t n, size_t *given);

static enum step give_inner(struct conn *c, const char *bytes, size_t n, size_t *given)
{
	ssize_t sent = c->deaf ? (ssize_t)n : send(c->inner, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	c->deaf = c->deaf || (sent < 0 && errno != EAGAIN && errno != EINTR);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 || c->deaf ? STEP_MOVED : STEP_BLOCKED; /* what the server has said before is still to be sent */
}

static enum step give_client(struct conn *c, const char *bytes, size_t n, size_t *given)
{
	int sent = SSL_write(c->ssl, bytes, (int)n);
	*given = sent > 0 ? (size_t)sent : 0;
	return sent > 0 ? STEP_MOVED : blocked_or_broken(c, sent);
}

static enum step give_rest(struct conn *c, struct rest *rest, give_fn *give)
{
	size_t given;
	enum step step = give(c, rest->bytes + rest->at, rest->len - rest->at, &given);
	took(rest, given);
	return step;
}

/* What is not taken becomes the rest. */
static enum step pass_on(struct conn *c, struct rest *rest, give_fn *give, const char *bytes, size_t n)
{
	size_t given;
	enum step step = give(c, bytes, n, &given);
	bool kept = step == STEP_BROKEN || given == n || keep(rest, bytes + given, n - given);
	return kept ? step : STEP_BROKEN;
}

/* From the client to the server. */
static enum step pump_in(struct tls *t, struct conn *c)
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
static enum step linger(struct tls *t, struct conn *c)
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
static enum step pump_out(struct tls *t, struct conn *c)
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
static bool open_inner(struct tls *t, struct conn *c)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	c->inner = pair[0];
	if (!watch(t, c->inner, c)) {
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
static void tell_plain(const struct conn *c)
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

static enum step shake(struct tls *t, struct conn *c)
{
	int rc = SSL_do_handshake(c->ssl);
	if (rc != 1 && ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST)
		tell_plain(c);
	if (rc != 1)
		return blocked_or_broken(c, rc);
	return open_inner(t, c) ? STEP_MOVED : STEP_BROKEN;
}

/* As far as both sides go, or its turns are over. */
static void pump(struct tls *t, struct conn *c)
{
	list_remove(&c->in_busy);
	for (int i = 0; i < TURNS; i++) {
		enum step in = c->inner < 0 ? shake(t, c) : pump_in(t, c);
		enum step out = in != STEP_BROKEN && c->inner >= 0 ? pump_out(t, c) : STEP_BLOCKED;
		if (in == STEP_BROKEN || out == STEP_BROKEN) {
			end(t, c);
			return;
		}
		if (in == STEP_BLOCKED && out == STEP_BLOCKED)
			return;
	}
	list_append(&t->busy, &c->in_busy);
}

/* --- the thread --- */

static void begin(struct tls *t, struct conn *c)
{
	list_append(&t->shaking, &c->link);
	atomic_fetch_add(&t->open, 1);
	pthread_mutex_lock(&t->lock);
	c->ssl = SSL_new(t->context);
	pthread_mutex_unlock(&t->lock);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || !watch(t, c->fd, c)) {
		end(t, c);
		return;
	}
	SSL_set_accept_state(c->ssl);
	pump(t, c);
}

void tls_take(struct tls *t, int fd, const struct sockaddr_storage *address, socklen_t len)
{
	struct conn *c = calloc(1, sizeof *c);
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
		begin(t, LIST_ITEM(link, struct conn, link));
	}
	return !closing;
}

/* Ends who has not ended its handshake in time, or does not go. */
static void expire(struct tls *t)
{
	int64_t now = clock_mono_ms();
	LIST_EACH (link, &t->shaking) {
		struct conn *c = LIST_ITEM(link, struct conn, link);
		if (c->deadline_ms > now)
			break;
		end(t, c);
	}
	LIST_EACH (link, &t->conns) {
		struct conn *c = LIST_ITEM(link, struct conn, link);
		if (c->linger_ms != 0 && c->linger_ms <= now)
			end(t, c);
	}
}

/* Ends as many handshakes as are to make room, and says which is the oldest now. */
static void make_room(struct tls *t)
{
	for (; atomic_load(&t->handshakes_to_end) > 0 && !list_empty(&t->shaking);
	     atomic_fetch_sub(&t->handshakes_to_end, 1))
		end(t, LIST_ITEM(t->shaking.next, struct conn, link));
	if (!list_empty(&t->shaking))
		atomic_store(&t->oldest_ms,
			     LIST_ITEM(t->shaking.next, struct conn, link)->deadline_ms - t->options.handshake_ms);
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
		struct conn *c = events[i].data.ptr;
		if (c != NULL && c->fd >= 0)
			pump(t, c);
	}
	struct list busy;
	list_init(&busy);
	list_move_all(&busy, &t->busy);
	LIST_EACH (link, &busy)
		pump(t, LIST_ITEM(link, struct conn, in_busy));
	bury(t);
}

static void *work(void *arg)
{
	struct tls *t = arg;
	int64_t swept_ms = 0;
	while (take_arrivals(t)) {
		turn(t);
		make_room(t);
		bury(t);
		if (clock_mono_ms() - swept_ms < SWEEP_MS)
			continue;
		swept_ms = clock_mono_ms();
		expire(t);
	}
	t->ending = true;
	LIST_EACH (link, &t->shaking)
		end(t, LIST_ITEM(link, struct conn, link));
	bury(t);
	/* The servers behind the door have closed their ends: what they said last goes out. */
	for (int64_t until = clock_mono_ms() + DRAIN_MS; !list_empty(&t->conns) && clock_mono_ms() < until;) {
		LIST_EACH (link, &t->conns)
			pump(t, LIST_ITEM(link, struct conn, link));
		bury(t);
		turn(t);
	}
	LIST_EACH (link, &t->conns)
		end(t, LIST_ITEM(link, struct conn, link));
	bury(t);
	return NULL;
}

enum err tls_create(struct tls_options options, struct tls **out, struct fault *fault)
{
	*out = NULL;
	struct tls *t = calloc(1, sizeof *t);
	if (t == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
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
	enum err err = fine ? make_context(&t->options, &t->context, fault)
			    : fault_set(fault, ERR_IO, "cannot make an epoll: %s", strerror(errno));
	if (!err && pthread_create(&t->thread, NULL, work, t) != 0)
		err = fault_set(fault, ERR_NOMEM, "cannot start a thread");
	t->running = !err;
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
	if (t->running) {
		uint64_t one = 1;
		pthread_mutex_lock(&t->lock);
		t->closing = true;
		pthread_mutex_unlock(&t->lock);
		(void)!write(t->wake, &one, sizeof one);
		pthread_join(t->thread, NULL);
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
