/* The front door: one listening port for everything. It accepts, looks at the request's head without taking it out of
 * the socket (MSG_PEEK), and hands the socket on: a WebSocket upgrade to ws, anything else to one of two http. A connection
 * that does not say within the deadline what it wants is closed. A thread of its own. */
#ifndef NET_DOOR_H
#define NET_DOOR_H

#include "base/options.h"
#include "base/quota.h"
#include "net/http.h"
#include "net/tls.h"

struct door;
struct ws;

struct door_options {
	const struct option_texts *listen; /* HOST:PORT, each */
	const bool *encrypted;             /* of each listener: is it TLS? */
	const char *cert;                  /* NULL: none is */
	const char *key;
	int64_t handshake_ms;
	struct quotas *quotas; /* of connections: where there are too many, those without a request make room */
	const struct gate *gate;
};

/* Is it HOST:PORT, with a port from 0 to 65535? */
bool door_address_fits(const char *text);

/* Listens; nothing is accepted yet. */
enum err door_create(struct door_options options, struct door **out, struct fault *fault);
/* `streams` serves endless streams, `http` all other requests. */
enum err door_start(struct door *d, struct http *http, struct http *streams, struct ws *ws, struct fault *fault);
/* Accepts nothing more and closes who has not said what he wants. What is encrypted goes on until door_destroy. */
void door_close(struct door *d);
void door_destroy(struct door *d);

/* Where a listener is, with the port that was really taken: "http://127.0.0.1:8080". False past the last. */
bool door_url(const struct door *d, int index, char *out, size_t size);
/* Reads certificate and key anew; nothing where there are none. Any thread. */
enum err door_reload(struct door *d, struct fault *fault);

/* The port of the first listener. */
int door_port(const struct door *d);
/* All of them. */
void door_ports(const struct door *d, struct own_ports *out);

/* A connection that came through the door has ended. Any thread. */
void door_leave(void *door, uint64_t peer);

struct door_figures {
	uint64_t open;
	uint64_t max;
	uint64_t accepted;
	uint64_t refused;   /* over a limit, or without a descriptor */
	uint64_t timed_out; /* never said what they want, or took too long to say it */
	struct tls_figures tls;
};
void door_read(struct door *d, struct door_figures *out);

#endif
