/* What every request passes, WebSockets as well: its Host, its Origin, its token. One place decides, for the door and for
 * the HTTP server. Any thread. */
#ifndef SERVER_ACCESS_REQUEST_GUARD_H
#define SERVER_ACCESS_REQUEST_GUARD_H

#include "base/options.h"
#include "server/access/access.h"
#include "server/access/origin.h"
#include "server/message/proxy.h"

/* Borrowed, and only read. */
struct request_guard {
	struct access *access;
	const struct option_texts *listen;
	const struct option_texts *allow_hosts;
	const struct option_texts *allow_origins;
	const struct proxies *proxies;
	struct own_ports own; /* known once the door is there */
	const char *base;     /* of our paths as clients see them (--base-path): "" or "/…", without a slash at its end */
};

/* Takes the base off a path that begins with it; a proxy may have done so before. */
struct slice request_guard_path(const struct request_guard *g, struct slice path);

/* What a request says of itself. */
struct guard_input {
	struct slice path;
	struct slice host; /* these three: empty where there is no such header */
	struct slice origin;
	struct slice authorization;
	struct slice access_token; /* of the URL; p is NULL where there is none */
	struct slice subprotocol;  /* the token among those of a WebSocket; likewise */
	uint64_t peer;
	bool local;   /* came in over the loopback */
	bool guarded; /* changes something, or is a WebSocket: pages of other origins may not */
	enum permission permission;
};

/* 0, or the status of the answer, and why. These count and log nothing. */
int request_guard_host(const struct request_guard *g, const struct guard_input *v, struct fault *fault);
/* On 0 the grant is the caller's to drop. */
int request_guard_pass(const struct request_guard *g, const struct guard_input *v, struct grant *grant, struct fault *fault);
/* Counts and logs that a visit was refused with `status`. */
void request_guard_refused(const struct request_guard *g, const struct guard_input *v, int status);

/* The token of "Bearer TOKEN"; empty where it is something else. */
struct slice request_guard_bearer(struct slice authorization);

#endif
