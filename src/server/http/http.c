#include "server/http/http.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/kind.h"
#include "base/list.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "engine/work/fair_queue.h"
#include "server/access/origin.h"
#include "server/http/builtin_replies.h"
#include "server/http/http_conn.h"
#include "server/http/path_hint.h"
#include "server/message/field.h"
#include "server/message/peer.h"
#include "server/message/problem.h"
#include "json/json.h"

enum {
	STREAM_BLOCK = 1024, /* of a client that takes no chunks */
	IDLE_TIMEOUT_S = 30,
	BODY_PATIENCE = 3,
	REPLY_HEADERS_MAX = 10,
	PACK_MIN = 1024,            /* bytes of a reply that it is worth while to pack */
	PACK_MAX = 4 * 1024 * 1024, /* and of one that does not keep a thread of the pool for long */
	SEGMENT_MAX = 1024,
	REFUSE_POLL_US = 100,
	DISCARD_MAX = 64 * 1024 * 1024,     /* of a body that is refused, before the connection is cut */
	ROOM_SHARE = 64,                    /* as much of all replies' memory has to be free for one more */
	SMALL_ROOM = QUOTA_SMALL_REPLY / 2, /* for what is written until it is more than that; one event comes on top */
	ROOM_WAIT_MS = 20000,               /* then a request is refused for want of it */
	SERVED_AT_ONCE = 2,                 /* of those who have waited for room */
	SEARCH_TURNS = 20,                  /* on the pool: more than the longest page needs that finds all it looks at */
	RECLAIMED_SHARE = 4,                /* as much of that memory is taken from who takes nothing, at a time */
};

struct http {
	struct MHD_Daemon *daemon;
	struct http_loop *loop;
	int stub; /* a socket whose other end is closed: what libmicrohttpd has in place of one that was taken */
	struct pool *pool;
	struct http_options options;
	atomic_bool refusing;
	atomic_int handing_over;   /* threads that are about to hand something to the pool */
	pthread_mutex_t lock;      /* guards what follows */
	struct fair_queue waiting; /* exchanges that wait for room among the replies, of each client the oldest first */
	unsigned turn;             /* whose it is */
	int served;                /* that have waited, and whose reply is being made */
	struct http_conns conns;
};

/*   READING ─▶ RUNNING ─▶ DONE ─▶ SENT
 *      │          └─▶ TAKEN ▲   (the socket: there is no reply)
 *      └────────────────────┘   (errors seen before the handler) */
enum stage { READING, RUNNING, TAKEN, DONE, SENT };

struct reply_header {
	const char *name;
	char *value;
};

struct http_request {
	struct http *http;
	struct MHD_Connection *connection;
	enum stage stage;
	struct http_conn *conn; /* NULL: there was no memory for it */
	struct grant grant;
	uint64_t client;              /* whom limits count it for; 0: not known yet */
	struct quota_hold place;      /* among the requests that are under way */
	struct quota_hold long_place; /* and among those of them that stay */
	struct quota_hold search;     /* and among those that have had many turns */
	struct pool_job job;
	http_handler *deferred;   /* what the job runs */
	struct list in_waiting;   /* http.waiting */
	int64_t waiting_since_ms; /* monotonic; 0: has never waited */
	bool served;              /* has waited, and its reply is being made */
	bool slow;                /* runs on the pool's slow thread */
	bool had_turn;            /* has run on the pool */
	int turns;                /* how often, since it has last waited for something to answer */
	bool resumes;             /* has waited since, for something to answer */
	const struct http_route *route;

	struct request_peek head;
	struct url url;
	enum url_result url_result;
	struct slice access_token; /* of the URL, where it is not left: nothing repeats it */
	size_t access_tokens;      /* how many there were */
	const char *method;
	char *segment; /* NULL: none */
	size_t segment_len;
	bool starved; /* there was no memory to look at the path */
	struct buf body;
	struct quota_hold upload; /* what it counts for */
	bool discard;             /* the reply is an error already: the rest of the body is thrown away */
	size_t discarded;
	bool closes; /* the connection, with the reply */

	bool open;   /* see ROUTE_OPEN */
	bool shared; /* pages of the Origin that was sent may read the reply */
	int status;
	const char *content_type;
	struct reply_header headers[REPLY_HEADERS_MAX];
	int header_count;
	struct buf out;
	bool small;     /* is made in the room for small ones, */
	bool not_small; /* or has turned out not to be one */
	size_t held;
	enum quota held_kind; /* QUOTA_REPLIES or QUOTA_SMALL_REPLIES */
	struct slice fixed;
	http_read *read;
	uint64_t length; /* of the stream; 0: unknown */
	void *state;
	void (*state_destroy)(void *state);
};

/* --- room for replies --- */

static bool has_room(const struct http *h, uint64_t client)
{
	uint64_t all = quota_read(h->options.quotas, QUOTA_REPLIES).limit;
	return quota_room(h->options.quotas, QUOTA_REPLIES, client) > all / ROOM_SHARE;
}

/* The pool may end once http_refuse has returned: what the daemon's threads hand to it comes between these two. */
static bool begin_handing_over(struct http *h)
{
	atomic_fetch_add(&h->handing_over, 1);
	if (!h->refusing)
		return true;
	atomic_fetch_sub(&h->handing_over, 1);
	return false;
}

static void end_handing_over(struct http *h)
{
	atomic_fetch_sub(&h->handing_over, 1);
}

/* One that waits, if there is room for it or it has waited since `late_ms` or longer. Few at a time, so that each
 * finds what the one before it has left. */
static struct http_request *next_waiting(struct http *h, int64_t late_ms)
{
	struct http_request *x = NULL;
	pthread_mutex_lock(&h->lock);
	for (int lanes = fair_queue_filled(&h->waiting); x == NULL && lanes > 0 && h->served < SERVED_AT_ONCE; lanes--) {
		struct list *lane = fair_queue_current(&h->waiting, &h->turn);
		struct http_request *first = LIST_ITEM(lane->next, struct http_request, in_waiting);
		if (has_room(h, first->client) || first->waiting_since_ms <= late_ms)
			x = first;
		if (x != NULL)
			fair_queue_remove(&h->waiting, h->turn, &x->in_waiting);
		fair_queue_next(&h->turn);
	}
	if (x != NULL) {
		quota_wait_end(h->options.quotas, QUOTA_REPLIES);
		x->served = true;
		h->served++;
	}
	pthread_mutex_unlock(&h->lock);
	return x;
}

/* Lets go on who finds room, or has waited for too long. */
static void serve_waiting(struct http *h, int64_t late_ms)
{
	if (!begin_handing_over(h))
		return;
	for (struct http_request *x; (x = next_waiting(h, late_ms)) != NULL;)
		pool_submit(h->pool, &x->job);
	end_handing_over(h);
}

/* Is there room for a small one, where there is none for others? Then this is to be one. */
static bool begin_small(struct http_request *x)
{
	x->small = (x->route->flags & ROUTE_BRIEF) != 0 && !x->not_small && x->read == NULL &&
		   quota_room(x->http->options.quotas, QUOTA_SMALL_REPLIES, x->client) >= QUOTA_SMALL_REPLY;
	if (x->small)
		request_hold(x, QUOTA_SMALL_REPLY);
	return x->small;
}

/* Waits where there is no room for its client. */
static bool wait_for_room(struct http_request *x)
{
	struct http *h = x->http;
	pthread_mutex_lock(&h->lock);
	int64_t now = clock_mono_ms();
	bool late = x->served && now - x->waiting_since_ms >= ROOM_WAIT_MS;
	bool waits = !h->refusing && !late && !has_room(h, x->client) && !begin_small(x);
	if (waits) {
		h->served -= x->served; /* another that was served at the same time has taken the room */
		x->waiting_since_ms = x->served ? x->waiting_since_ms : now;
		x->served = false;
		fair_queue_append(&h->waiting, x->client, &x->in_waiting);
		quota_wait(h->options.quotas, QUOTA_REPLIES);
	}
	pthread_mutex_unlock(&h->lock);
	return waits;
}

/* --- making and ending exchanges --- */

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct http_request *x = calloc(1, sizeof *x);
	if (x == NULL)
		return NULL; /* told in on_request */
	x->http = arg;
	x->connection = connection;
	list_init(&x->in_waiting);
	x->held_kind = QUOTA_REPLIES;
	x->upload.quotas = x->place.quotas = x->long_place.quotas = x->search.quotas = x->http->options.quotas;
	x->conn = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	x->url_result = url_parse(&x->url, slice_of(uri));
	x->url.path = request_guard_path(x->http->options.guard, x->url.path);
	if (x->url_result == URL_FINE)
		x->access_tokens = url_take(&x->url, "access_token", &x->access_token);
	return x;
}

static void drop_headers(struct http_request *x)
{
	for (int i = 0; i < x->header_count; i++)
		free(x->headers[i].value);
	x->header_count = 0;
}

static void request_destroy(struct http_request *x)
{
	if (x->state_destroy != NULL)
		x->state_destroy(x->state);
	if (x->conn != NULL)
		http_conn_holds(&x->http->conns, x->conn, NULL);
	grant_drop(&x->grant);
	quota_hold_upload(&x->upload, 0, NULL);
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL);
	quota_hold(&x->long_place, QUOTA_LONG_REQUESTS, 0, NULL);
	quota_hold(&x->place, QUOTA_REQUESTS, 0, NULL);
	request_hold(x, 0);
	buf_finish(&x->body);
	buf_finish(&x->out);
	url_finish(&x->url);
	free(x->segment);
	drop_headers(x);
	free(x);
}

static void set_answering(struct http_request *x, bool answering)
{
	if (x->conn != NULL)
		http_conn_answers(&x->http->conns, x->conn, answering);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	(void)arg;
	(void)connection;
	(void)why;
	if (*state == NULL)
		return;
	set_answering(*state, false);
	request_destroy(*state);
	*state = NULL;
}

static const struct sockaddr *address_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
}

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http *h = arg;
	struct http_conn *c = *socket_context;
	uint64_t peer = proxies_counted(h->options.guard->proxies, address_of(connection));
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
		*socket_context = http_conns_add(&h->conns, fd);
		return;
	}
	bool taken = c != NULL && c->taken;
	if (c != NULL)
		http_conns_remove(&h->conns, c);
	if (!taken)
		h->options.on_close(h->options.on_close_arg, peer);
}

/* --- the reply --- */

void request_status(struct http_request *x, int status, const char *content_type)
{
	x->status = status;
	x->content_type = content_type;
}

void request_add_header(struct http_request *x, const char *name, const char *value)
{
	assert(x->header_count < REPLY_HEADERS_MAX);
	char *copy = strdup(value);
	if (copy != NULL)
		x->headers[x->header_count++] = (struct reply_header){name, copy};
}

struct buf *request_out(struct http_request *x)
{
	return &x->out;
}

enum err request_stay(struct http_request *x, struct fault *fault)
{
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL); /* it was one until now, perhaps */
	x->long_place.client = x->client;
	return quota_hold(&x->long_place, QUOTA_LONG_REQUESTS, 1, fault);
}

size_t request_room(const struct http_request *x, struct fault *fault)
{
	struct quotas *quotas = x->http->options.quotas;
	if (x->small)
		return SMALL_ROOM;
	uint64_t room = quota_room(quotas, QUOTA_REPLIES, x->client);
	if (room == 0)
		quota_refuse(quotas, QUOTA_REPLIES, x->client, fault);
	return (size_t)(room - room / 2); /* for others are being answered at the same time, and more will come */
}

size_t request_room_long(const struct http_request *x)
{
	struct quotas *quotas = x->http->options.quotas;
	struct quota_figures all = quota_read(quotas, QUOTA_REPLIES);
	uint64_t left = all.held < all.limit / 2 ? all.limit / 2 - all.held : 0;
	uint64_t room = quota_room(quotas, QUOTA_REPLIES, x->client);
	room = room < left ? room : left;
	return (size_t)(room - room / 2);
}

void request_hold(struct http_request *x, size_t bytes)
{
	struct quotas *quotas = x->http->options.quotas;
	enum quota kind = x->small && bytes <= QUOTA_SMALL_REPLY ? QUOTA_SMALL_REPLIES : QUOTA_REPLIES;
	size_t before = kind == x->held_kind ? x->held : 0;
	bool less = bytes < before || before < x->held;
	if (bytes > before)
		quota_charge(quotas, kind, x->client, bytes - before);
	else
		quota_give(quotas, kind, x->client, before - bytes);
	quota_give(quotas, x->held_kind, x->client, x->held - before);
	x->held = bytes;
	x->held_kind = kind;
	if (x->conn != NULL)
		atomic_store(&x->conn->held, bytes);
	if (less)
		serve_waiting(x->http, 0);
}

void request_static(struct http_request *x, const void *bytes, size_t len)
{
	x->fixed = (struct slice){bytes, len};
}

static bool speaks_lines(const struct http_request *x)
{
	return memmem(request_header(x, "Content-Type").p, request_header(x, "Content-Type").len, "ndjson", 6) != NULL;
}

static bool has_header(const struct http_request *x, const char *name)
{
	bool found = false;
	for (int i = 0; i < x->header_count; i++)
		found = found || strcmp(x->headers[i].name, name) == 0;
	return found;
}

static void put_problem(struct http_request *x, int status, const struct fault *fault)
{
	request_status(x, status, "application/problem+json");
	buf_finish(&x->out);
	problem_write(&x->out, status, fault, (struct problem_form){x->http->options.guard->base, speaks_lines(x)});
	int seconds = problem_retry_after(status);
	if (seconds == 0 || has_header(x, "Retry-After"))
		return;
	char text[16];
	snprintf(text, sizeof text, "%d", seconds);
	request_add_header(x, "Retry-After", text);
}

void request_fault(struct http_request *x, const struct fault *fault)
{
	put_problem(x, problem_status(fault->code), fault);
}

void request_problem(struct http_request *x, int status, const char *detail)
{
	struct fault fault;
	fault_set(&fault, ERR_INVALID, "%s", detail);
	put_problem(x, status, &fault);
}

void request_nothing(struct http_request *x)
{
	char detail[PATH_HINT_LEN];
	path_hint(x->http->options.routes, x->http->options.guard->base, x->url.path, detail);
	request_problem(x, 404, detail);
}

static ssize_t on_read(void *arg, uint64_t position, char *out, size_t max)
{
	(void)position;
	struct http_request *x = arg;
	long n = x->read(x, x->state, out, max);
	if (n == HTTP_END)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == HTTP_BROKEN)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	return n;
}

void request_stream(struct http_request *x, http_read *read)
{
	x->read = read;
	if (!x->small)
		return;
	x->small = false; /* what it is made of piece by piece has no such room */
	request_hold(x, x->held_kind == QUOTA_SMALL_REPLIES ? 0 : x->held);
}

void request_length(struct http_request *x, uint64_t bytes)
{
	x->length = bytes;
}

/* What is said when there is no memory to say anything. */
static struct MHD_Response *no_memory_response(void)
{
	static char text[] = "{\"type\":\"/problems/unavailable\",\"title\":\"Service Unavailable\",\"status\":503,"
			     "\"detail\":\"the server is out of memory\"}";
	return MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *make_response(struct http_request *x)
{
	if (x->read != NULL)
		return MHD_create_response_from_callback(x->length > 0 ? x->length : MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read,
							 x, NULL);
	if (x->fixed.p != NULL)
		return MHD_create_response_from_buffer(x->fixed.len, (void *)x->fixed.p, MHD_RESPMEM_PERSISTENT);
	if (buf_failed(&x->out)) {
		x->status = 503;
		x->content_type = "application/problem+json";
		return no_memory_response();
	}
	struct MHD_Response *r = MHD_create_response_from_buffer(x->out.len, x->out.data, MHD_RESPMEM_MUST_FREE);
	if (r != NULL)
		x->out = (struct buf){0};
	return r;
}

/* Lets pages of other origins read the reply, where they may (Fetch standard, CORS). */
static void share(const struct http_request *x, struct MHD_Response *r)
{
	struct slice origin = request_header(x, "Origin");
	if (x->open) {
		MHD_add_response_header(r, "Access-Control-Allow-Origin", "*");
	} else if (origin.len > 0) {
		MHD_add_response_header(r, "Vary", "Origin");
		if (x->shared)
			MHD_add_response_header(r, "Access-Control-Allow-Origin", origin.p);
		if (x->shared && origin_may_send_credentials(origin, x->http->options.guard->allow_origins))
			MHD_add_response_header(r, "Access-Control-Allow-Credentials", "true");
	}
	if (x->open || x->shared)
		MHD_add_response_header(r, "Access-Control-Expose-Headers",
					"Link, Location, Retry-After, Content-Disposition, ETag, Tidemark-Epoch");
}

/* What is not said otherwise is not to be kept: a proxy must not give an old page for a new one. */
static void add_headers(const struct http_request *x, struct MHD_Response *r)
{
	MHD_add_response_header(r, "Content-Type", x->content_type);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	for (int i = 0; i < x->header_count; i++)
		MHD_add_response_header(r, x->headers[i].name, x->headers[i].value);
	if (!has_header(x, "Cache-Control"))
		MHD_add_response_header(r, "Cache-Control", "no-store");
}

static enum MHD_Result send_reply(struct http_request *x)
{
	struct MHD_Response *r = make_response(x);
	if (r == NULL)
		return MHD_NO;
	set_answering(x, true);
	/* A slow reader is not an idle one. */
	if (x->read != NULL)
		MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	add_headers(x, r);
	share(x, r);
	if (x->closes || (x->http->options.once && x->read == NULL))
		MHD_add_response_header(r, "Connection", "close");
	if (request_peek_upgrade(&x->head, NULL) == 0)
		x->http->options.on_unopened(x->http->options.on_unopened_arg);
	enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->status, r);
	MHD_destroy_response(r);
	x->stage = SENT;
	return result;
}

static enum MHD_Result on_reply_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	buf_printf(arg, "%s: %s\r\n", name, value);
	return MHD_YES;
}

/* The bytes of a reply that ends its connection. */
static enum MHD_Result write_reply(struct http_request *x, struct buf *text)
{
	struct buf body;
	buf_init(&body);
	buf_add(&body, x->out.data, x->out.len);
	struct MHD_Response *r = make_response(x);
	if (r == NULL) {
		buf_finish(&body);
		return MHD_NO;
	}
	add_headers(x, r);
	share(x, r);
	builtin_replies_begin(text, x->status, body.len);
	MHD_get_response_headers(r, on_reply_header, text);
	MHD_destroy_response(r);
	buf_adds(text, "\r\n");
	if (strcmp(x->method, MHD_HTTP_METHOD_HEAD) != 0)
		buf_add(text, body.data, body.len);
	bool failed = buf_failed(&body) || buf_failed(text);
	buf_finish(&body);
	return failed ? MHD_NO : MHD_YES;
}

/* Sends the reply to a request whose body is still to come, and says that nothing follows; what comes is thrown away. When
 * libmicrohttpd answers before the body, it reads no more, and a client that is sending is cut off, often before it has read
 * why. The socket has room: all replies before this one are through. */
static enum MHD_Result send_ahead(struct http_request *x)
{
	struct buf text;
	buf_init(&text);
	enum MHD_Result result = write_reply(x, &text);
	if (result == MHD_YES && send(x->conn->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)text.len)
		result = MHD_NO;
	buf_finish(&text);
	shutdown(x->conn->fd, SHUT_WR);
	x->stage = SENT;
	return result;
}

/* --- the request --- */

const struct url *request_url(const struct http_request *x)
{
	return &x->url;
}

const struct request_peek *request_head(const struct http_request *x)
{
	return &x->head;
}

struct url request_url_take(struct http_request *x)
{
	struct url url = x->url;
	x->url = (struct url){0};
	return url;
}

struct slice request_segment(const struct http_request *x)
{
	return x->segment != NULL ? (struct slice){x->segment, x->segment_len} : (struct slice){"", 0};
}

struct slice request_header(const struct http_request *x, const char *name)
{
	const char *value = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
	return value != NULL ? slice_of(value) : (struct slice){"", 0};
}

struct header_walk {
	const char *prefix;
	header_visit *visit;
	void *arg;
};

static enum MHD_Result on_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	const struct header_walk *w = arg;
	size_t n = strlen(w->prefix);
	if (strncasecmp(name, w->prefix, n) == 0)
		w->visit(w->arg, slice_of(name + n), slice_of(value != NULL ? value : ""));
	return MHD_YES;
}

void request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg)
{
	struct header_walk w = {prefix, visit, arg};
	MHD_get_connection_values(x->connection, MHD_HEADER_KIND, on_header, &w);
}

const struct grant *request_grant(const struct http_request *x)
{
	return &x->grant;
}

uint64_t request_connection(const struct http_request *x)
{
	return (uint64_t)(uintptr_t)x->conn;
}

uint64_t request_client(const struct http_request *x)
{
	return x->client;
}

uint64_t request_peer(const struct http_request *x)
{
	return proxies_peer(x->http->options.guard->proxies, address_of(x->connection), &x->head.forwarded);
}

size_t request_body_len(const struct http_request *x)
{
	return x->body.len;
}

char *request_body_take(struct http_request *x, size_t *len)
{
	char *body = x->body.data;
	*len = x->body.len;
	quota_hold_upload(&x->upload, 0, NULL);
	x->body = (struct buf){0};
	return body;
}

void request_keep(struct http_request *x, void *state, void (*destroy)(void *state))
{
	x->state = state;
	x->state_destroy = destroy;
}

void *request_state(const struct http_request *x)
{
	return x->state;
}

/* Does the path fit the pattern? What {} or {+} stands for is decoded into the exchange. */
static bool path_fits(struct http_request *x, const char *pattern)
{
	struct slice path = x->url.path;
	size_t before = strcspn(pattern, "{");
	if (pattern[before] == '\0')
		return slice_is(path, pattern);
	bool all = pattern[before + 1] == '+';
	const char *behind = strchr(pattern, '}') + 1;
	size_t after = strlen(behind);
	if (path.len <= before + after || memcmp(path.p, pattern, before) != 0 ||
	    memcmp(path.p + path.len - after, behind, after) != 0)
		return false;
	struct slice part = {path.p + before, path.len - before - after};
	if ((!all && memchr(part.p, '/', part.len) != NULL) || part.len >= SEGMENT_MAX)
		return false;
	free(x->segment);
	x->segment = strndup(part.p, part.len);
	x->starved = x->starved || x->segment == NULL;
	return x->segment != NULL && url_decode(x->segment, part.len, false, &x->segment_len);
}

/* Answers OPTIONS: what the path takes, and to a browser's preflight, what a page may send. */
static void answer_options(struct http_request *x, const char *allow)
{
	request_status(x, 204, "text/plain");
	request_add_header(x, "Allow", allow);
	request_add_header(x, "Access-Control-Allow-Methods", allow);
	/* Any: those of CloudEvents have names of the publisher's own, and a wildcard does not count with credentials. */
	struct slice wanted = request_header(x, "Access-Control-Request-Headers");
	request_add_header(x, "Access-Control-Allow-Headers",
			   wanted.len > 0 ? wanted.p : "Authorization, Content-Type, Content-Encoding, Last-Event-ID");
	request_add_header(x, "Access-Control-Max-Age", "600");
}

/* Everybody may read what a GET of an open path says; what changes something is only for pages that may do it. */
static bool opens(const struct http_request *x, const struct http_route *r, bool options)
{
	struct slice wanted = request_header(x, "Access-Control-Request-Method");
	bool get = strcmp(r->method, MHD_HTTP_METHOD_GET) == 0;
	bool asks = !options || wanted.len == 0 || slice_is(wanted, "GET") || slice_is(wanted, "HEAD");
	return (r->flags & ROUTE_OPEN) != 0 && get && asks;
}

/* Finds the route; where there is none, the reply says why. */
static bool find_route(struct http_request *x)
{
	char allow[64] = "";
	bool head = strcmp(x->method, MHD_HTTP_METHOD_HEAD) == 0;
	bool options = strcmp(x->method, MHD_HTTP_METHOD_OPTIONS) == 0;
	if (options && slice_is(x->url.path, "*")) { /* the server as a whole (RFC 9110, 9.3.7) */
		answer_options(x, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
		return false;
	}
	for (const struct http_route *r = x->http->options.routes; r->method != NULL; r++) {
		if (!path_fits(x, r->path))
			continue;
		if (strcmp(head ? MHD_HTTP_METHOD_GET : x->method, r->method) == 0) {
			x->route = r;
			x->open = opens(x, r, false);
			return true;
		}
		bool nothing = (r->flags & ROUTE_CATCHALL) != 0 && !(options && allow[0] == '\0');
		size_t used = nothing ? sizeof allow : strlen(allow);
		if (used < sizeof allow)
			snprintf(allow + used, sizeof allow - used, "%s%s", used > 0 ? ", " : "",
				 strcmp(r->method, MHD_HTTP_METHOD_GET) == 0 ? "GET, HEAD" : r->method);
		x->open = x->open || (options && opens(x, r, true));
	}
	if (x->starved) {
		request_problem(x, 503, "out of memory");
	} else if (allow[0] == '\0') {
		request_nothing(x);
	} else if (options) {
		answer_options(x, allow);
	} else {
		char detail[128];
		snprintf(detail, sizeof detail, "this path does not take the method: it takes %s", allow);
		request_problem(x, 405, detail);
		request_add_header(x, "Allow", allow);
	}
	return false;
}

/* What the gate wants to know; before the route is known, only what matters until then. */
static struct guard_input visit_of(const struct http_request *x)
{
	const struct http_route *r = x->route;
	bool socket = r != NULL && (r->flags & ROUTE_SOCKET) != 0;
	return (struct guard_input){
		.path = x->url.path,
		.host = x->head.host,
		.origin = x->head.origin,
		.authorization = x->head.authorization,
		.access_token = x->access_token,
		.peer = request_peer(x),
		.local = x->conn->local,
		.subprotocol = socket ? x->head.bearer : (struct slice){0},
		.guarded = socket || (r != NULL && strcmp(r->method, MHD_HTTP_METHOD_GET) != 0),
		.permission = r != NULL ? r->permission : PERMISSION_NOTHING,
	};
}

static bool let_pass(struct http_request *x, int status, const struct guard_input *v, const struct fault *fault)
{
	if (status == 0)
		return true;
	request_guard_refused(x->http->options.guard, v, status);
	put_problem(x, status, fault);
	if (status == 401)
		request_add_header(x, "WWW-Authenticate", "Bearer realm=\"tidemark\"");
	return false;
}

static bool check_host(struct http_request *x)
{
	struct fault fault;
	struct guard_input v = visit_of(x);
	return let_pass(x, request_guard_host(x->http->options.guard, &v, &fault), &v, &fault);
}

static bool check_rights(struct http_request *x)
{
	struct fault fault;
	struct guard_input v = visit_of(x);
	int status = request_guard_pass(x->http->options.guard, &v, &x->grant, &fault);
	if (status == 0 && !http_conn_holds(&x->http->conns, x->conn, &x->grant)) {
		fault_set(&fault, ERR_DENIED, "the token was revoked");
		status = 401;
	}
	x->client = x->upload.client = grant_client(&x->grant, v.peer);
	return let_pass(x, status, &v, &fault);
}

static void too_large(struct http_request *x)
{
	char detail[96];
	snprintf(detail, sizeof detail, "the body is larger than %zu bytes (see --max-request)", x->http->options.body_max);
	request_problem(x, 413, detail);
}

static unsigned long long content_length(const struct http_request *x)
{
	return strtoull(request_header(x, "Content-Length").p, NULL, 10);
}

/* Is the body of a refused request announced as too large? It may never come, but a client that sends it must get to read
 * why it is refused. */
static bool answers_ahead(const struct http_request *x)
{
	return !x->closes && x->conn != NULL && request_header(x, "Expect").len == 0 &&
	       content_length(x) > x->http->options.body_max;
}

/* Will the rest of a refused request not come, be too much to wait for, or have no certain end? Then the answer goes out at
 * once, and the connection ends with it. */
static bool answers_at_once(const struct http_request *x)
{
	return x->closes || request_header(x, "Expect").len > 0 || content_length(x) > DISCARD_MAX;
}

static enum MHD_Result on_field(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len, const char *value,
				size_t value_len)
{
	(void)kind;
	request_peek_add(arg, (struct slice){name, name_len}, (struct slice){value != NULL ? value : "", value_len});
	return MHD_YES;
}

static void read_head(struct http_request *x, const char *method, const char *version)
{
	x->method = method;
	x->head.get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
	x->head.http_1_1 = strcmp(version, MHD_HTTP_VERSION_1_0) != 0; /* and not before that: this has no headers */
	MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_field, &x->head);
	if (x->url.authority.p != NULL) /* RFC 9112, 3.2.2 */
		x->head.host = x->url.authority;
	const struct request_guard *guard = x->http->options.guard;
	x->shared = origin_is_fine(x->head.origin, x->head.host, guard->allow_origins, &guard->own);
}

/* The base without a slash: relative links in the page at the root would miss it. */
static bool redirect_to_root(struct http_request *x)
{
	char root[160];
	const char *base = x->http->options.guard->base;
	if (base[0] == '\0' || !slice_is(x->url.path, base))
		return false;
	snprintf(root, sizeof root, "%s/", base);
	request_status(x, 308, "text/plain");
	request_add_header(x, "Location", root);
	return true;
}

/* Whatever a path may name is text. */
static enum url_result check_path(struct slice path)
{
	size_t len;
	if (memchr(path.p, '%', path.len) == NULL) /* as nearly all are */
		return json_utf8(path) ? URL_FINE : URL_MALFORMED;
	char *text = malloc(path.len + 1);
	if (text == NULL)
		return URL_NO_MEMORY;
	slice_copy(text, path);
	bool fine = url_decode(text, path.len, false, &len) && json_utf8((struct slice){text, len});
	free(text);
	return fine ? URL_FINE : URL_MALFORMED;
}

static void refuse_unready(struct http_request *x)
{
	struct fault fault;
	if (x->conn == NULL)
		fault_set(&fault, ERR_NOMEM, "out of memory");
	else
		fault_set(&fault, ERR_CLOSED, "the server is shutting down");
	request_fault(x, &fault);
}

/* Where the handler reads no parameters, there is none that it would heed. False when the reply is ready. */
static bool check_params(struct http_request *x)
{
	struct fault fault;
	if ((x->route->flags & ROUTE_PARAMS) != 0 || x->url.param_count == 0)
		return true;
	struct slice name = x->url.params[0].name;
	fault_set(&fault, ERR_INVALID, "%.*s: there is no such parameter; this path takes none",
		  (int)(name.len < 64 ? name.len : 64), name.p);
	request_fault(x, &fault);
	return false;
}

/* Looks at the headers. False when the reply is ready: an error. */
static bool accept_request(struct http_request *x)
{
	struct fault fault;
	int status = request_peek_refusal(&x->head, &fault);
	if (status != 0) {
		request_problem(x, status, fault.text);
		x->closes = true;
		return false;
	}
	if (x->url_result == URL_FINE)
		x->url_result = check_path(x->url.path);
	switch (x->url_result) {
	case URL_FINE: break;
	case URL_NO_MEMORY: request_problem(x, 503, "out of memory"); return false;
	case URL_MALFORMED:
		request_problem(x, 400,
				"the URL holds a broken percent-encoding, a path that is not UTF-8, or an authority with a "
				"user or without a host");
		return false;
	case URL_TOO_MANY_PARAMS: request_problem(x, 400, "the URL has more than 100 parameters"); return false;
	}
	if (x->access_tokens > 1) {
		request_problem(x, 400, "access_token: given twice");
		return false;
	}
	if (x->http->refusing || x->conn == NULL) {
		refuse_unready(x);
		return false;
	}
	http_conn_reads(&x->http->conns, x->conn);
	if (redirect_to_root(x))
		return false;
	if (!check_host(x) || !find_route(x) || !check_rights(x) || !check_params(x))
		return false;
	if (content_length(x) > x->http->options.body_max) {
		too_large(x);
		return false;
	}
	return true;
}

/* Until it has ended the request counts for its client, refused or not: its body may take its time. False when the reply is
 * ready: it is one too many, and nothing more of it is waited for. */
static bool take_place(struct http_request *x)
{
	struct fault fault;
	x->place.client = x->client != 0 ? x->client : request_peer(x);
	if (quota_hold(&x->place, QUOTA_REQUESTS, 1, &fault) == ERR_NONE)
		return true;
	request_fault(x, &fault);
	x->closes = true;
	return false;
}

static void take_body(struct http_request *x, const char *bytes, size_t n)
{
	struct http *h = x->http;
	if (x->discard) {
		x->discarded += n;
		return;
	}
	if (x->body.len + n > h->options.body_max) {
		too_large(x);
		x->discard = true;
		return;
	}
	struct fault fault;
	buf_add(&x->body, bytes, n);
	if (buf_failed(&x->body))
		fault_set(&fault, ERR_NOMEM, "out of memory");
	else if (quota_hold_upload(&x->upload, x->body.cap, &fault) == ERR_NONE)
		return;
	request_fault(x, &fault);
	x->discard = true;
	buf_finish(&x->body);
	quota_hold_upload(&x->upload, 0, NULL);
}

/* --- running handlers --- */

/* A server that stops does not go on with what takes long. */
static void end_long(struct http_request *x)
{
	refuse_unready(x);
	request_hold(x, 0);
	request_done(x);
}

/* It is one that takes many turns. */
static bool is_search(const struct http_request *x)
{
	return x->read == NULL && x->turns >= SEARCH_TURNS;
}

/* Who has waited for the answer, or has it take long, and has closed meanwhile is taken for gone: thousands may have. */
static bool has_gone(const struct http_request *x)
{
	bool waited = x->resumes || x->waiting_since_ms != 0 || is_search(x);
	return waited && x->read == NULL && x->conn != NULL && http_conn_has_ended(x->conn);
}

/* False: its client has as many searches as it may, and this one has ended. */
static bool go_on_searching(struct http_request *x)
{
	struct fault fault;
	x->search.client = x->client;
	if (!is_search(x) || quota_hold(&x->search, QUOTA_SEARCHES, 1, &fault) == ERR_NONE)
		return true;
	request_hold(x, 0);
	request_fault(x, &fault);
	request_done(x);
	return false;
}

static void end_gone(struct http_request *x)
{
	request_cut(x);
	end_long(x);
}

static void run_deferred(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	struct http *h = x->http;
	bool served = x->served;
	bool ends = h->refusing && x->had_turn && x->read == NULL;
	bool gone = has_gone(x);
	x->had_turn = true;
	x->turns = x->resumes ? 0 : x->turns + 1;
	x->resumes = false;
	x->waiting_since_ms = 0;
	x->served = false;
	if (gone)
		end_gone(x);
	else if (ends)
		end_long(x);
	else if (go_on_searching(x))
		x->deferred(h->options.arg, x, reader); /* the exchange may be gone */
	if (!served)
		return;
	pthread_mutex_lock(&h->lock);
	h->served--;
	pthread_mutex_unlock(&h->lock);
	serve_waiting(h, 0);
}

/* The room is looked for when it is needed: until then others may have taken it. */
static void run_with_room(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	if (has_gone(x) || !wait_for_room(x))
		run_deferred(job, reader);
}

void request_slow_down(struct http_request *x)
{
	x->slow = true;
}

static void defer(struct http_request *x, http_handler *run, void (*how)(struct pool_job *job, struct reader *reader))
{
	x->deferred = run;
	x->job.run = how;
	x->job.client = x->client;
	if (x->slow)
		pool_submit_slow(x->http->pool, &x->job);
	else if (x->had_turn)
		pool_submit_again(x->http->pool, &x->job);
	else
		pool_submit(x->http->pool, &x->job);
}

void request_defer(struct http_request *x, http_handler *run)
{
	defer(x, run, run_deferred);
}

void request_defer_reply(struct http_request *x, http_handler *run)
{
	x->resumes = x->had_turn;
	defer(x, run, run_with_room);
}

/* The connection is suspended before anybody can resume it. */
static void run_handler(struct http_request *x)
{
	x->stage = RUNNING;
	set_answering(x, true);
	MHD_suspend_connection(x->connection);
	if ((x->route->flags & ROUTE_DIRECT) != 0)
		x->route->handle(x->http->options.arg, x, NULL);
	else if ((x->route->flags & ROUTE_HELD) != 0)
		request_defer_reply(x, x->route->handle);
	else
		request_defer(x, x->route->handle);
}

/* It has turned out larger than what there was room for. */
static bool is_to_be_made_again(const struct http_request *x)
{
	return x->small && x->out.cap > QUOTA_SMALL_REPLY && !buf_failed(&x->out);
}

static void make_again(struct http_request *x)
{
	drop_headers(x);
	buf_finish(&x->out);
	request_hold(x, 0);
	x->small = false;
	x->not_small = true;
	request_defer_reply(x, x->route->handle);
}

/* Text, which becomes smaller. Pictures and fonts are packed already. */
static bool is_packable(const struct http_request *x)
{
	static const char *const types[] = {"text/", "application/json", "application/wasm", "image/svg+xml"};
	size_t len = x->fixed.p != NULL ? x->fixed.len : x->out.len;
	bool fine = false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		fine = fine || strncmp(x->content_type, types[i], strlen(types[i])) == 0;
	return fine && x->status == 200 && len >= PACK_MIN && len <= PACK_MAX && !buf_failed(&x->out);
}

/* The packed form is another one: its tag does not prove it the same byte for byte (RFC 9110, 8.8.1). */
static void weaken_tag(struct http_request *x)
{
	for (int i = 0; i < x->header_count; i++) {
		char weak[128];
		if (strcmp(x->headers[i].name, "ETag") != 0 || x->headers[i].value[0] != '"')
			continue;
		snprintf(weak, sizeof weak, "W/%s", x->headers[i].value);
		char *copy = strdup(weak);
		if (copy == NULL)
			continue; /* with the strong one it is sent no less */
		free(x->headers[i].value);
		x->headers[i].value = copy;
	}
}

/* Where there is no memory for it, the reply goes out as it is. */
static void pack_reply(struct http_request *x)
{
	struct fault unsaid;
	struct buf packed;
	enum content_coding coding = field_coding(request_header(x, "Accept-Encoding"));
	struct content_encoder *s = is_packable(x) ? content_encoder_create(coding) : NULL;
	if (s == NULL)
		return;
	buf_init(&packed);
	struct slice plain = x->fixed.p != NULL ? x->fixed : buf_slice(&x->out);
	bool fine = content_encoder_add(s, plain, true, &packed, &unsaid) == ERR_NONE && packed.len < plain.len;
	content_encoder_destroy(s);
	if (!fine) {
		buf_finish(&packed);
		return;
	}
	buf_finish(&x->out);
	buf_trim(&packed);
	x->out = packed;
	x->fixed = (struct slice){NULL, 0};
	request_add_header(x, "Content-Encoding", content_coding_name(coding));
	weaken_tag(x);
}

void request_done(struct http_request *x)
{
	buf_trim(&x->out);
	if (is_to_be_made_again(x)) {
		make_again(x);
		return;
	}
	if ((x->route->flags & ROUTE_PACKED) != 0 && x->read == NULL && (x->status == 200 || x->status == 304)) {
		request_add_header(x, "Vary", "Accept-Encoding");
		pack_reply(x);
	}
	if (x->stage != TAKEN)
		x->stage = DONE;
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL);
	request_hold(x, (x->small ? 0 : x->held) + x->out.cap);
	http_loop_resume(x->http->loop, x->connection);
}

void request_wait(struct http_request *x)
{
	MHD_suspend_connection(x->connection);
}

bool request_wait_for(struct http_request *x, http_handler *run)
{
	struct http *h = x->http;
	if (!begin_handing_over(h))
		return false;
	request_wait(x);
	request_defer_reply(x, run);
	end_handing_over(h);
	return true;
}

void request_resume(struct http_request *x)
{
	http_loop_resume(x->http->loop, x->connection);
}

void request_cut(struct http_request *x)
{
	shutdown(x->conn->fd, SHUT_RDWR);
}

/* The connection is suspended, so that libmicrohttpd has taken the descriptor out of its epoll set. What it does with the
 * number from here on, it does with the stub: a shutdown, and a close (docs/decisions/0019-upgrade-on-any-request.md). */
enum err request_take_socket(struct http_request *x, int *fd, uint64_t *peer, struct fault *fault)
{
	struct http *h = x->http;
	assert(x->stage == RUNNING && (x->route->flags & ROUTE_DIRECT) != 0);
	int number = x->conn->fd;
	int taken = fcntl(number, F_DUPFD_CLOEXEC, 0);
	if (taken < 0)
		return fault_set(fault, ERR_IO, "the server has no descriptor left (see the limit of open files)");
	int rc = dup3(h->stub, number, O_CLOEXEC);
	assert(rc == number); /* both are open */
	x->conn->taken = true;
	x->stage = TAKEN;
	*fd = taken;
	*peer = proxies_counted(h->options.guard->proxies, address_of(x->connection));
	return ERR_NONE;
}

void http_sweep(struct http *h)
{
	bool wanted = quota_is_wanted(h->options.quotas, QUOTA_REPLIES) || quota_is_wanted(h->options.quotas, QUOTA_EXPORTS);
	struct quota_figures all = quota_read(h->options.quotas, QUOTA_REPLIES);
	uint64_t over = all.held > all.limit ? all.held - all.limit : 0;
	http_conns_sweep(&h->conns, wanted ? (size_t)(over + all.limit / RECLAIMED_SHARE) : 0);
	serve_waiting(h, clock_mono_ms() - ROOM_WAIT_MS);
}

int64_t http_idle_since(struct http *h)
{
	return http_conns_idle_since(&h->conns);
}

bool http_end_idle(struct http *h)
{
	return http_conns_end_idle(&h->conns);
}

void http_recheck(struct http *h)
{
	http_conns_recheck(&h->conns);
}

uint64_t http_slow(struct http *h)
{
	return http_conns_slow(&h->conns);
}

/* There is not even an exchange. */
static enum MHD_Result refuse_without_memory(struct MHD_Connection *connection)
{
	struct MHD_Response *r = no_memory_response();
	if (r == NULL)
		return MHD_NO;
	MHD_add_response_header(r, "Content-Type", "application/problem+json");
	MHD_add_response_header(r, "Connection", "close");
	enum MHD_Result result = MHD_queue_response(connection, 503, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *uri, const char *method,
				  const char *version, const char *upload, size_t *upload_len, void **state)
{
	(void)arg;
	(void)uri;
	struct http_request *x = *state;
	if (x == NULL)
		return refuse_without_memory(connection);
	if (x->method == NULL) { /* the headers are here, the body is not */
		read_head(x, method, version);
		bool accepted = accept_request(x);
		x->discard = !take_place(x) || !accepted;
		if (x->discard && answers_ahead(x))
			return send_ahead(x);
		return x->discard && answers_at_once(x) ? send_reply(x) : MHD_YES;
	}
	if (*upload_len > 0) {
		if (x->conn != NULL)
			http_conn_got(&x->http->conns, x->conn, *upload_len);
		take_body(x, upload, *upload_len);
		*upload_len = 0;
		/* An error can be told only behind the body; who sends on and on does not get it. */
		return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
	}
	if (x->stage == TAKEN || x->stage == SENT)
		return MHD_NO; /* closes the stub, or what is answered already */
	if (x->stage == DONE || x->discard)
		return send_reply(x);
	if (!begin_handing_over(x->http)) {
		refuse_unready(x);
		return send_reply(x);
	}
	run_handler(x);
	end_handing_over(x->http);
	return MHD_YES;
}

/* --- the daemon --- */

static void on_log(void *arg, const char *format, va_list args)
{
	(void)arg;
	char text[256];
	vsnprintf(text, sizeof text, format, args);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http", "detail=%s", log_text(text));
}

static void on_arrival(void *arg, const struct arrival *a)
{
	struct http *h = arg;
	const struct sockaddr *address = (const struct sockaddr *)&a->address;
	/* On failure libmicrohttpd has closed the socket, but has told nobody. */
	if (MHD_add_connection(h->daemon, a->fd, address, a->address_len) != MHD_YES)
		h->options.on_close(h->options.on_close_arg, proxies_counted(h->options.guard->proxies, address));
}

/* -1: there is none. */
static int open_stub(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	close(pair[1]);
	return pair[0];
}

enum err http_create(struct pool *pool, struct http_options options, struct http **out, struct fault *fault)
{
	*out = NULL;
	struct http *h = calloc(1, sizeof *h);
	if (h == NULL)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	h->pool = pool;
	h->options = options;
	pthread_mutex_init(&h->lock, NULL);
	builtin_replies_init(options.guard->base);
	fair_queue_init(&h->waiting);
	http_conns_init(&h->conns, IDLE_TIMEOUT_S * 1000 + options.patience_ms, BODY_PATIENCE * options.patience_ms);
	h->stub = open_stub();
	unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem items[] = {
		{MHD_OPTION_CONNECTION_LIMIT, options.connections_max, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)options.connection_memory, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	if (h->stub >= 0)
		h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
					     MHD_OPTION_URI_LOG_CALLBACK, on_uri, h, MHD_OPTION_NOTIFY_COMPLETED,
					     on_completed, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
					     MHD_OPTION_ARRAY, items, MHD_OPTION_END);
	enum err err = h->daemon != NULL ? http_loop_start(h->daemon, on_arrival, h, &h->loop, fault)
					 : fault_set(fault, ERR_IO, "cannot start the HTTP server: %s", strerror(errno));
	if (err)
		http_destroy(h);
	else
		*out = h;
	return err;
}

void http_refuse(struct http *h)
{
	h->refusing = true;
	while (h->handing_over > 0)
		usleep(REFUSE_POLL_US); /* none of them waits for anything */
	pthread_mutex_lock(&h->lock);
	struct list waiting;
	list_init(&waiting);
	fair_queue_take_all(&h->waiting, &waiting);
	LIST_EACH (link, &waiting) {
		list_remove(link);
		quota_wait_end(h->options.quotas, QUOTA_REPLIES);
		pool_submit(h->pool, &LIST_ITEM(link, struct http_request, in_waiting)->job);
	}
	pthread_mutex_unlock(&h->lock);
}

void http_destroy(struct http *h)
{
	if (h == NULL)
		return;
	if (h->loop != NULL)
		http_loop_stop(h->loop);
	if (h->daemon != NULL)
		MHD_stop_daemon(h->daemon);
	if (h->stub >= 0)
		close(h->stub);
	http_conns_finish(&h->conns);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void http_add_take(struct http *h, struct arrival *a)
{
	http_loop_take(h->loop, a);
}
