/* The listener: one port for all protocols. It accepts a connection, peeks at the head of its first request without
 * taking it out of the socket (MSG_PEEK), and hands the socket on: a WebSocket upgrade to ws, any other request to one of
 * two HTTP servers. A connection without a complete head within handshake_ms is closed. The listener has a thread of its
 * own. */
#ifndef SERVER_LISTEN_LISTENER_H
#define SERVER_LISTEN_LISTENER_H

#include "base/options.h"
#include "engine/work/quota.h"
#include "server/http/http.h"
#include "server/listen/tls.h"

struct listener;
struct ws;

struct listener_options {
	const struct option_texts *listen; /* HOST:PORT; one per listener */
	const bool *encrypted;             /* one per listener: whether it speaks TLS */
	const char *cert;                  /* PEM file; NULL: no listener speaks TLS */
	const char *key;
	int64_t handshake_ms;
	struct quotas *quotas; /* counts connections; at the limit, connections without a request are closed first */
	const struct request_guard *guard;
};

/* Whether `text` is HOST:PORT with a port from 0 to 65535. */
bool listener_address_fits(const char *text);

/* Binds the listening sockets; accepts nothing yet. ERR_INVALID, ERR_IO. */
enum err listener_create(struct listener_options options, struct listener **out, struct fault *fault);
/* Starts accepting. `streams` serves endless streams, `http` all other requests. All three must outlive listener_close. */
enum err listener_start(struct listener *l, struct http *http, struct http *streams, struct ws *ws, struct fault *fault);
/* Stops accepting and closes pending connections. TLS connections that were handed on continue until listener_destroy. */
void listener_close(struct listener *l);
void listener_destroy(struct listener *l);

/* Writes the URL of a listener with its actual port, such as "http://127.0.0.1:8080". False: there is no listener
 * `index`. */
bool listener_url(const struct listener *l, int index, char *out, size_t size);
/* Reads certificate and key again; without TLS it does nothing. On an error the old ones stay. Any thread. */
enum err listener_reload(struct listener *l, struct fault *fault);

/* The port of the first listener. */
int listener_port(const struct listener *l);
/* The ports of all listeners. */
void listener_ports(const struct listener *l, struct own_ports *out);

/* A connection that the listener handed on has ended: gives its quota back. Any thread. */
void listener_on_close(void *listener, uint64_t peer);

struct listener_figures {
	uint64_t open;
	uint64_t max;
	uint64_t accepted;
	uint64_t refused;   /* over a limit, or no file descriptor left */
	uint64_t timed_out; /* sent no complete head in time */
	struct tls_figures tls;
};
void listener_read(struct listener *l, struct listener_figures *out);

#endif
