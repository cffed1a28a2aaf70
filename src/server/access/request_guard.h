/* The checks that every request passes, WebSockets as well: Host, Origin and token. The listener and the HTTP server use
 * the same ones. Any thread. */
#ifndef SERVER_ACCESS_REQUEST_GUARD_H
#define SERVER_ACCESS_REQUEST_GUARD_H

#include "base/options.h"
#include "server/access/access.h"
#include "server/access/origin.h"
#include "server/message/proxy.h"

/* All members are borrowed and only read. */
struct request_guard {
	struct access *access;
	const struct option_texts *listen;
	const struct option_texts *allow_hosts;
	const struct option_texts *allow_origins;
	const struct proxies *proxies;
	struct own_ports own; /* filled in once the listener is there */
	/* Prefix of this server's paths as clients see them (--base-path): "" or "/…", without a slash at its end. */
	const char *base;
};

/* Removes the base path from a path that begins with it; a proxy may have removed it before. */
struct slice request_guard_path(const struct request_guard *g, struct slice path);

/* What the checks need to know of a request. */
struct guard_input {
	struct slice path;
	struct slice host; /* these three: empty if there is no such header */
	struct slice origin;
	struct slice authorization;
	struct slice access_token; /* from the URL; p NULL: none */
	struct slice subprotocol;  /* bearer token among the subprotocols of a WebSocket; p NULL: none */
	uint64_t peer;
	bool local;   /* came in over the loopback */
	bool guarded; /* changes something, or is a WebSocket: pages of other origins may not do it */
	enum permission permission;
};

/* Checks the Host header. 0, or the status of the refusal, and why. Counts and logs nothing. */
int request_guard_host(const struct request_guard *g, const struct guard_input *v, struct fault *fault);
/* Checks Origin and token. On 0 the caller owns the grant (grant_drop). */
int request_guard_pass(const struct request_guard *g, const struct guard_input *v, struct grant *grant, struct fault *fault);
/* Counts and logs that a request was refused with `status`. */
void request_guard_refused(const struct request_guard *g, const struct guard_input *v, int status);

/* The token of "Bearer TOKEN"; empty for any other value. */
struct slice request_guard_bearer(struct slice authorization);

#endif
