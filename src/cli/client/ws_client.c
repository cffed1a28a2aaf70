#include "cli/client/ws_client.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/units.h"
#include "server/access/token.h"
#include "json/json.h"

enum {
	MESSAGE_MAX = 128 * 1024 * 1024, /* the maximum of --max-event is 64 MiB */
	READ_BYTES = 64 * 1024,
	TIMEOUT_S = 10, /* for each step of the handshake, and for the server's side of a close */
	PING_S = 30,    /* a server that has been silent for this long is pinged */
	HANGUP_S = 60,  /* the connection is closed after this long */
	PORT_HTTP = 80,
	PORT_HTTPS = 443,
	PORT_MAX = 65535,
	HOST_LEN = 264, /* 255 of a name, brackets and a port */
	/* libwebsockets 4.1 writes the request line to 2048 bytes, and truncates a longer one silently. */
	PATH_MAX_LEN = 2000,
	REASON_LEN = 128,
};

/* The path on Debian and others; the default of libwebsockets differs. */
static const char ca_file[] = "/etc/ssl/certs/ca-certificates.crt";

struct message {
	struct list link;
	size_t len;
	unsigned char bytes[]; /* the first LWS_PRE belong to libwebsockets */
};

struct ws_client {
	struct ws_client_handlers handlers;
	struct lws_context *context;
	struct lws *wsi;
	enum ws_client_state state;
	lws_sorted_usec_list_t timer;
	struct list queue; /* messages to send */
	struct buf in;     /* fragments of the message being received */
	const char *token; /* borrowed */
	int code;
	char reason[REASON_LEN];
};

/* --- the end of a connection --- */

static void drop_queue(struct ws_client *c)
{
	LIST_EACH (link, &c->queue) {
		list_remove(link);
		free(LIST_ITEM(link, struct message, link));
	}
}

/* libwebsockets reports an end in several ways, and some ends twice: only the first report counts. */
static void end(struct ws_client *c, const char *text)
{
	if (c->state == WS_CLIENT_IDLE)
		return;
	struct ws_client_end how = {c->state != WS_CLIENT_CONNECTING, c->code, c->reason[0] != '\0' ? c->reason : text};
	c->state = WS_CLIENT_IDLE;
	if (c->wsi != NULL)
		/* libwebsockets may call back for it once more, when the next connection is under way. */
		lws_set_opaque_user_data(c->wsi, NULL);
	c->wsi = NULL;
	drop_queue(c);
	buf_finish(&c->in);
	c->handlers.on_close(c->handlers.arg, how);
}

static void on_close_frame(struct ws_client *c, const unsigned char *bytes, size_t len)
{
	if (len < 2)
		return;
	c->code = bytes[0] << 8 | bytes[1];
	struct slice reason = {(const char *)bytes + 2, len - 2};
	if (reason.len < sizeof c->reason && json_plain_text(reason)) {
		slice_copy(c->reason, reason);
		c->reason[reason.len] = '\0';
	}
}

/* --- messages --- */

/* Non-zero closes the connection. */
static int on_receive(struct ws_client *c, const void *bytes, size_t len)
{
	buf_add(&c->in, bytes, len);
	if (buf_failed(&c->in) || c->in.len > MESSAGE_MAX)
		return -1;
	if (lws_remaining_packet_payload(c->wsi) > 0 || !lws_is_final_fragment(c->wsi))
		return 0;
	if (!lws_frame_is_binary(c->wsi))
		c->handlers.on_text(c->handlers.arg, c->in.data, c->in.len);
	c->in.len = 0;
	return 0;
}

/* Sends one message, or the close frame after the last. */
static int on_writable(struct ws_client *c)
{
	if (!list_empty(&c->queue)) {
		struct message *m = LIST_ITEM(c->queue.next, struct message, link);
		list_remove(&m->link);
		int written = lws_write(c->wsi, m->bytes + LWS_PRE, m->len, LWS_WRITE_TEXT);
		free(m);
		lws_callback_on_writable(c->wsi);
		return written < 0 ? -1 : 0;
	}
	if (c->state != WS_CLIENT_CLOSING)
		return 0;
	lws_close_reason(c->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
	return -1;
}

enum err ws_client_send(struct ws_client *c, struct slice text)
{
	assert(c->state == WS_CLIENT_OPEN);
	struct message *m = malloc(sizeof *m + LWS_PRE + text.len);
	if (m == NULL)
		return ERR_NOMEM;
	m->len = text.len;
	memcpy(m->bytes + LWS_PRE, text.p, text.len);
	list_append(&c->queue, &m->link);
	lws_callback_on_writable(c->wsi);
	return ERR_NONE;
}

void ws_client_close(struct ws_client *c)
{
	if (c->state != WS_CLIENT_OPEN)
		return;
	c->state = WS_CLIENT_CLOSING;
	lws_callback_on_writable(c->wsi);
}

/* --- libwebsockets --- */

/* `at`: where libwebsockets writes its request, with space for `len` bytes. Non-zero closes the connection. */
static int add_token(const struct ws_client *c, unsigned char **at, size_t len)
{
	char bearer[8 + TOKEN_TEXT_MAX];
	int n = snprintf(bearer, sizeof bearer, "Bearer %s", c->token);
	if (c->token[0] == '\0')
		return 0;
	return lws_add_http_header_by_token(c->wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)bearer, n, at, *at + len);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	(void)user;
	struct ws_client *c = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;
	if (c == NULL || c->state == WS_CLIENT_IDLE)
		return 0;
	if (c->wsi == NULL)
		c->wsi = wsi; /* it can fail before lws_client_connect_via_info has returned it */
	if (wsi != c->wsi)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return add_token(c, in, len);
	case LWS_CALLBACK_CLIENT_ESTABLISHED: c->state = WS_CLIENT_OPEN; return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE: return on_receive(c, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE: return on_writable(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: on_close_frame(c, in, len); return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: end(c, in != NULL ? in : "no connection"); return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY: end(c, "the connection was lost"); return 0;
	default: return 0;
	}
}

static const struct lws_protocols protocols[] = {
	{.name = "tidemark-client", .callback = on_event, .rx_buffer_size = READ_BYTES}, {0}};

static const lws_retry_bo_t idle_policy = {.secs_since_valid_ping = PING_S, .secs_since_valid_hangup = HANGUP_S};

enum err ws_client_create(struct ws_client_handlers handlers, struct ws_client **out, struct fault *fault)
{
	struct ws_client *c = calloc(1, sizeof *c);
	*out = c;
	if (c == NULL)
		return fault_nomem(fault);
	c->handlers = handlers;
	list_init(&c->queue);
	lws_set_log_level(0, NULL);
	/* libwebsockets would use this proxy, which is meant for the web and not for local services. */
	unsetenv("http_proxy");
	unsetenv("socks_proxy");
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.client_ssl_ca_filepath = access(ca_file, R_OK) == 0 ? ca_file : NULL,
		.pt_serv_buf_size = READ_BYTES,
		.timeout_secs = TIMEOUT_S,
		.connect_timeout_secs = TIMEOUT_S,
		.retry_and_idle_policy = &idle_policy,
		.gid = -1,
		.uid = -1,
	};
	c->context = lws_create_context(&info);
	if (c->context != NULL)
		return ERR_NONE;
	ws_client_destroy(c);
	*out = NULL;
	return fault_set(fault, ERR_IO, "cannot start the WebSocket client");
}

void ws_client_destroy(struct ws_client *c)
{
	if (c == NULL)
		return;
	c->state = WS_CLIENT_IDLE;
	if (c->context != NULL)
		lws_context_destroy(c->context);
	drop_queue(c);
	buf_finish(&c->in);
	free(c);
}

enum ws_client_state ws_client_state(const struct ws_client *c)
{
	return c->state;
}

/* The parts of a URL. */
struct target {
	bool tls;
	char host[HOST_LEN];    /* with the port if the URL has one, as in the Host header */
	char address[HOST_LEN]; /* without port and brackets */
	int port;
	const char *path; /* borrowed from the URL */
};

static bool read_port(const char *text, int *port)
{
	int64_t number;
	if (*text == '\0')
		return true;
	bool fine = *text == ':' && units_integer(slice_of(text + 1), &number) && number > 0 && number <= PORT_MAX;
	if (fine)
		*port = (int)number;
	return fine;
}

static bool split(const char *url, struct target *t)
{
	const char *scheme_end = strstr(url, "://");
	if (scheme_end == NULL)
		return false;
	const char *host = scheme_end + 3;
	size_t len = strcspn(host, "/?#");
	*t = (struct target){.tls = strncmp(url, "https:", 6) == 0, .path = host + len};
	t->port = t->tls ? PORT_HTTPS : PORT_HTTP;
	if (len == 0 || len >= HOST_LEN || *t->path != '/' || memchr(host, '@', len) != NULL)
		return false;
	memcpy(t->host, host, len);
	bool bracketed = t->host[0] == '[';
	const char *name = t->host + bracketed;
	size_t name_len = strcspn(name, bracketed ? "]" : ":");
	memcpy(t->address, name, name_len);
	if (bracketed && name[name_len] != ']')
		return false;
	return name_len > 0 && read_port(name + name_len + bracketed, &t->port);
}

enum err ws_client_connect(struct ws_client *c, const char *url, const char *token, struct fault *fault)
{
	assert(c->state == WS_CLIENT_IDLE);
	struct target t;
	if (!split(url, &t))
		return fault_set(fault, ERR_INVALID, "not a valid server URL: %s", url);
	if (strlen(t.path) > PATH_MAX_LEN)
		return fault_set(fault, ERR_TOO_LARGE,
				 "there are too many or too long names of streams and types: path and parameters "
				 "of the URL can have %d bytes",
				 PATH_MAX_LEN);
	struct lws_client_connect_info info = {
		.context = c->context,
		.address = t.address,
		.port = t.port,
		.ssl_connection = t.tls ? LCCSCF_USE_SSL : 0,
		.path = t.path,
		.host = t.host,
		.local_protocol_name = protocols[0].name,
		.alpn = "http/1.1", /* WebSockets over HTTP/2 are not supported */
		.opaque_user_data = c,
		.retry_and_idle_policy = &idle_policy,
	};
	c->state = WS_CLIENT_CONNECTING;
	c->token = token;
	c->wsi = NULL;
	c->code = 0;
	c->reason[0] = '\0';
	struct lws *wsi = lws_client_connect_via_info(&info);
	if (c->state == WS_CLIENT_IDLE)
		return ERR_NONE; /* the connection has failed already */
	c->wsi = wsi;
	if (wsi == NULL)
		end(c, "no connection");
	return ERR_NONE;
}

static void on_time(lws_sorted_usec_list_t *timer)
{
	(void)timer; /* the purpose is to end the wait */
}

void ws_client_service(struct ws_client *c, int64_t timeout_ms)
{
	lws_sul_schedule(c->context, 0, &c->timer, on_time, timeout_ms > 0 ? timeout_ms * LWS_US_PER_MS : 1);
	lws_service(c->context, 0);
	lws_sul_schedule(c->context, 0, &c->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
}

void ws_client_wake(struct ws_client *c)
{
	lws_cancel_service(c->context);
}
