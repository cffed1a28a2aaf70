/* Reads the head of a request as far as it decides how the request is handled: where its body ends, whether it asks for a
 * WebSocket, and what the request guard checks. It takes one header at a time. The first request of a connection is read
 * from bytes that stay in the socket, requests in the HTTP server from its parsed headers: the same rules apply to both. */
#ifndef SERVER_MESSAGE_REQUEST_PEEK_H
#define SERVER_MESSAGE_REQUEST_PEEK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "server/message/proxy.h"

/* The subprotocol of this server's WebSockets (RFC 6455, 1.9). */
#define PEEK_SUBPROTOCOL "tidemark.v1"

enum { PEEK_LINES_MAX = 100 }; /* headers; url.h limits parameters */

enum peek_kind {
	PEEK_INCOMPLETE, /* the head is incomplete */
	PEEK_GARBAGE,    /* not HTTP */
	PEEK_TOO_LARGE,  /* more headers or parameters than the HTTP server can take */
	PEEK_REFUSED,    /* see request_peek_refusal */
	PEEK_HTTP,       /* a complete head for the HTTP server */
	PEEK_STREAM,     /* the same: a GET for an endless stream of events */
	PEEK_WEBSOCKET,  /* see request_peek_upgrade */
};

struct request_peek {
	size_t len; /* bytes of the head in the socket, with empty lines around it; 0: it was read out */
	struct slice target;
	bool get;
	bool http_1_1;     /* or a later 1.x */
	struct slice host; /* these three: empty if there is no such header */
	struct slice origin;
	struct slice authorization;
	int hosts; /* number of header lines of each */
	int origins;
	int authorizations;
	struct forwarded forwarded;
	bool stream;      /* text/event-stream is accepted */
	int lengths;      /* number of Content-Length lines */
	int codings;      /* number of Transfer-Encoding lines */
	bool bad_framing; /* one of the two is invalid */
	bool bad_field;   /* a line is not a header */
	bool has_body;
	bool connection_upgrade;
	bool websocket; /* the last Upgrade header lists websocket */
	int upgrades;
	bool version_13; /* the last Sec-WebSocket-Version is 13 */
	int versions;
	struct slice key; /* of the last Sec-WebSocket-Key */
	int keys;
	int protocols;       /* number of offered subprotocols */
	bool protocol_v1;    /* PEEK_SUBPROTOCOL is offered */
	struct slice bearer; /* the token of an offered "bearer.TOKEN"; p NULL: none */
	int bearers;
};

/* Takes in one header line; keeps the slices. */
void request_peek_add(struct request_peek *h, struct slice name, struct slice value);
/* Reads a head. `bytes` begin at the start of a request; the slices in `out` point into them. */
enum peek_kind request_peek_read(struct slice bytes, struct request_peek *out);

/* 0, or the status with which to refuse a head that two servers may understand differently, such as this one and a proxy
 * in front. `fault` may be NULL. */
int request_peek_refusal(const struct request_peek *h, struct fault *fault);
/* 0: a complete request for a WebSocket of version 13. Otherwise the error: 426 if the request should be one, 400 if it
 * is malformed. `fault` may be NULL. */
int request_peek_upgrade(const struct request_peek *h, struct fault *fault);

#endif
