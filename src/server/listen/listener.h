/* The listener: one listening port for everything. It accepts, looks at the request's head without taking it out of
 * the socket (MSG_PEEK), and hands the socket on: a WebSocket upgrade to ws, anything else to one of two http. A connection
 * that does not say within the deadline what it wants is closed. A thread of its own. */
#ifndef SERVER_LISTEN_LISTENER_H
#define SERVER_LISTEN_LISTENER_H

#include "base/options.h"
#include "engine/work/quota.h"
#include "server/http/http.h"
#include "server/listen/tls.h"

struct listener;
struct ws;

struct listener_options {
	const struct option_texts *listen; /* HOST:PORT, each */
	const bool *encrypted;             /* of each listener: is it TLS? */
	const char *cert;                  /* NULL: none is */
	const char *key;
	int64_t handshake_ms;
	struct quotas *quotas; /* of connections: where there are too many, those without a request make room */
	const struct request_guard *guard;
};

/* Is it HOST:PORT, with a port from 0 to 65535? */
bool listener_address_fits(const char *text);

/* Listens; nothing is accepted yet. */
enum err listener_create(struct listener_options options, struct listener **out, struct fault *fault);
/* `streams` serves endless streams, `http` all other requests. */
enum err listener_start(struct listener *l, struct http *http, struct http *streams, struct ws *ws, struct fault *fault);
/* Accepts nothing more and closes connections that have not said what they want. What is encrypted goes on until
 * listener_destroy. */
void listener_close(struct listener *l);
void listener_destroy(struct listener *l);

/* Where a listener is, with the port that was really taken: "http://127.0.0.1:8080". False past the last. */
bool listener_url(const struct listener *l, int index, char *out, size_t size);
/* Reads certificate and key anew; nothing where there are none. Any thread. */
enum err listener_reload(struct listener *l, struct fault *fault);

/* The port of the first listener. */
int listener_port(const struct listener *l);
/* All of them. */
void listener_ports(const struct listener *l, struct own_ports *out);

/* A connection that came through the door has ended. Any thread. */
void listener_leave(void *listener, uint64_t peer);

struct listener_figures {
	uint64_t open;
	uint64_t max;
	uint64_t accepted;
	uint64_t refused;   /* over a limit, or without a descriptor */
	uint64_t timed_out; /* never said what they want, or took too long to say it */
	struct tls_figures tls;
};
void listener_read(struct listener *l, struct listener_figures *out);

#endif
