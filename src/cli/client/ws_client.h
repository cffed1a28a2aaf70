/* A WebSocket client: one connection at a time, text messages both ways. All handlers are called inside ws_client_service,
 * on the thread that calls it.
 *
 *     WS_CLIENT_IDLE ─connect─▶ WS_CLIENT_CONNECTING ─on_open─▶ WS_CLIENT_OPEN ─close─▶ WS_CLIENT_CLOSING
 *          ▲                        │                          │                     │
 *          └────────────────────────┴───────── on_close ───────┴─────────────────────┘     once per connect */
#ifndef CLI_CLIENT_WS_CLIENT_H
#define CLI_CLIENT_WS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct ws_client;

enum ws_client_state { WS_CLIENT_IDLE, WS_CLIENT_CONNECTING, WS_CLIENT_OPEN, WS_CLIENT_CLOSING };

/* How a connection ended. */
struct ws_client_end {
	bool opened;      /* it was open before */
	int code;         /* of the server's close frame; 0: there was none */
	const char *text; /* the reason, never NULL; borrowed for the call */
};

struct ws_client_handlers {
	/* A whole message; the bytes are borrowed and may be overwritten. */
	void (*on_text)(void *arg, char *text, size_t len);
	void (*on_close)(void *arg, struct ws_client_end end);
	void *arg;
};

enum err ws_client_create(struct ws_client_handlers handlers, struct ws_client **out, struct fault *fault);
/* Drops the connection without a close frame and without on_close. NULL is fine. */
void ws_client_destroy(struct ws_client *c); /* NULL is fine */

enum ws_client_state ws_client_state(const struct ws_client *c);

/* Begins to connect to `url` (http:// or https://, with path and parameters) with `token` ("": none; borrowed until the
 * connection is open); the state must be WS_CLIENT_IDLE. ERR_INVALID: the URL is malformed, ERR_TOO_LARGE: it is too
 * long; then no handler is called. Other errors are reported by on_close, perhaps before this function returns. */
enum err ws_client_connect(struct ws_client *c, const char *url, const char *token, struct fault *fault);
/* Queues a message; the state must be WS_CLIENT_OPEN. It is dropped if the connection is lost. */
enum err ws_client_send(struct ws_client *c, struct slice text);
/* Sends the queued messages, then closes and waits a few seconds for the server to close as well; on_close follows. */
void ws_client_close(struct ws_client *c);

/* Runs the loop once: waits until something happens, at most `timeout_ms`. */
void ws_client_service(struct ws_client *c, int64_t timeout_ms);
/* Ends the wait in ws_client_service. Any thread, and signal handlers. */
void ws_client_wake(struct ws_client *c);

#endif
