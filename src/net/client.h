/* A WebSocket client: one connection at a time, text messages both ways. All of it happens inside client_service, on
 * the one thread that calls it.
 *
 *     CLIENT_IDLE ─connect─▶ CLIENT_CONNECTING ─on_open─▶ CLIENT_OPEN ─close─▶ CLIENT_CLOSING
 *          ▲                        │                          │                     │
 *          └────────────────────────┴───────── on_close ───────┴─────────────────────┘     once per connect */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "tidemark/err.h"
#include "tidemark/slice.h"

struct client;

enum client_state { CLIENT_IDLE, CLIENT_CONNECTING, CLIENT_OPEN, CLIENT_CLOSING };

/* How a connection ended. */
struct client_end {
	bool opened;      /* it had been open */
	int code;         /* of the server's close frame; 0: there was none */
	const char *text; /* the reason, never NULL; borrowed for the call */
};

struct client_handlers {
	/* A whole message; the bytes are borrowed, and may be written over. */
	void (*on_text)(void *arg, char *text, size_t len);
	void (*on_close)(void *arg, struct client_end end);
	void *arg;
};

enum err client_create(struct client_handlers handlers, struct client **out, struct fault *fault);
/* Drops the connection without a word, and without on_close. */
void client_destroy(struct client *c); /* NULL is fine */

enum client_state client_state(const struct client *c);

/* Begins to connect to `url` (http:// or https://, with path and parameters), showing `token` ("": none; borrowed until the
 * connection is open); the state is CLIENT_IDLE. ERR_INVALID: the
 * URL is broken, ERR_TOO_LARGE: it is too long; then no handler is called. Everything else is told by on_close, perhaps
 * before this returns. */
enum err client_connect(struct client *c, const char *url, const char *token, struct fault *fault);
/* Queues a message; the state is CLIENT_OPEN. Dropped when the connection breaks. */
enum err client_send(struct client *c, struct slice text);
/* Sends what is queued, then closes and waits for the server to do the same, a few seconds at most: on_close follows. */
void client_close(struct client *c);

/* Works for one round: waits until something happens, at most `timeout_ms`. */
void client_service(struct client *c, int64_t timeout_ms);
/* Ends the waiting of client_service. Any thread, and signal handlers. */
void client_wake(struct client *c);

#endif
