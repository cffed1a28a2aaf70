/* The head of a request, as far as it decides what becomes of the request: where its body ends, whether it asks for a
 * WebSocket, what the gate asks for. It is filled line by line, of a connection's first request from the bytes that lie in
 * the socket, and of all that reach the HTTP server from what that has parsed: the same rules hold for both. */
#ifndef SERVER_MESSAGE_REQUEST_PEEK_H
#define SERVER_MESSAGE_REQUEST_PEEK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "server/message/proxy.h"

/* The subprotocol of our WebSockets (RFC 6455, 1.9). */
#define PEEK_SUBPROTOCOL "tidemark.v1"

enum { PEEK_LINES_MAX = 100 }; /* headers; parameters are limited in url.h */

enum peek_kind {
	PEEK_INCOMPLETE, /* more may come */
	PEEK_GARBAGE,    /* no HTTP at all */
	PEEK_TOO_LARGE,  /* more lines or parameters than the HTTP server could take */
	PEEK_REFUSED,    /* see request_peek_refusal */
	PEEK_HTTP,       /* a whole head, for the HTTP server */
	PEEK_STREAM,     /* the same: a GET that asks for an endless stream of events */
	PEEK_WEBSOCKET,  /* see request_peek_upgrade */
};

struct request_peek {
	size_t len; /* bytes of it that lie in the socket, with the empty lines around it; 0: it was taken out */
	struct slice target;
	bool get;
	bool http_1_1;     /* or a later 1.x */
	struct slice host; /* these three: empty where there is no such header */
	struct slice origin;
	struct slice authorization;
	int hosts; /* how many lines there are of each */
	int origins;
	int authorizations;
	struct forwarded forwarded;
	bool stream;      /* text/event-stream is wanted */
	int lengths;      /* Content-Length */
	int codings;      /* Transfer-Encoding */
	bool bad_framing; /* one of the two makes no sense */
	bool bad_field;   /* a line is no header */
	bool has_body;
	bool connection_upgrade;
	bool websocket; /* among the protocols of the last Upgrade */
	int upgrades;
	bool version_13; /* the value of the last Sec-WebSocket-Version */
	int versions;
	struct slice key; /* Sec-WebSocket-Key */
	int keys;
	int protocols;       /* subprotocols that are offered */
	bool protocol_v1;    /* PEEK_SUBPROTOCOL is one of them */
	struct slice bearer; /* the token of "bearer.TOKEN" among them; p is NULL where there is none */
	int bearers;
};

/* Takes in one header line; the slices are kept. */
void request_peek_add(struct request_peek *h, struct slice name, struct slice value);
/* `bytes` begin at the start of the connection; the slices point into them. */
enum peek_kind request_peek_read(struct slice bytes, struct request_peek *out);

/* 0, or the status of the answer to a head that two servers may understand differently, as a proxy in front of this one
 * might have. `fault` may be NULL. */
int request_peek_refusal(const struct request_peek *h, struct fault *fault);
/* 0 where this is a whole request for a WebSocket of version 13; else what is wrong with it: 426 where another request would
 * be one, 400 where this one is malformed. `fault` may be NULL. */
int request_peek_upgrade(const struct request_peek *h, struct fault *fault);

#endif
