/* Access control: the current tokens, what a request may do with its token, and a record of denials. Without a file of
 * tokens everything is permitted. Any thread. */
#ifndef SERVER_ACCESS_ACCESS_H
#define SERVER_ACCESS_ACCESS_H

#include <stdint.h>

#include "event/filter.h"
#include "server/access/token.h"

/* The permission that a route or a WebSocket needs. Those ending in ALL are about more than some streams: a token that is
 * limited to streams does not have them. The first is the default of a route. */
enum permission {
	PERMISSION_UNSAID,
	PERMISSION_NOTHING,
	PERMISSION_PUBLISH,
	PERMISSION_READ,
	PERMISSION_PUBLISH_ALL,
	PERMISSION_READ_ALL,
	PERMISSION_ADMIN
};

struct access;

/* The permissions of a request or a connection. Zeroed: none. */
struct grant {
	struct access *access;
	struct tokens *tokens;     /* reference; NULL: there is no file of tokens */
	const struct token *token; /* points into `tokens`; NULL: everything is permitted */
};

/* Reads the file of tokens `path`; NULL: none. */
enum err access_create(const char *path, struct access **out, struct fault *fault);
void access_destroy(struct access *a); /* NULL is fine; all grants must be dropped */
/* Reads the file again. On failure the old tokens stay. */
enum err access_reload(struct access *a, struct fault *fault);

/* Grants what the token `text` permits; false: the token is unknown. The caller calls grant_drop. */
bool access_grant(struct access *a, struct slice text, struct grant *out);
/* Is the grant still valid after a reload? */
bool access_holds(const struct grant *g);

enum denial { DENIAL_TOKEN, DENIAL_SCOPE, DENIAL_STREAM, DENIAL_ORIGIN, DENIAL_HOST, DENIAL_COUNT };

/* Counts a denial, and logs at most one per second, with the number of unlogged ones. `what` may contain any bytes of the
 * client's. */
void access_denied(struct access *a, enum denial why, const char *token_name, uint64_t peer, struct slice what);

struct access_figures {
	uint64_t tokens;
	uint64_t reloads;
	uint64_t reloads_failed;
	uint64_t denied[DENIAL_COUNT];
};
void access_read(struct access *a, struct access_figures *out);
/* "token", "scope", … */
const char *denial_name(enum denial why);

/* --- grants --- */

void grant_drop(struct grant *g);
/* A copy of the grant, to be dropped separately. */
struct grant grant_share(const struct grant *g);
bool grant_may(const struct grant *g, enum permission permission);
/* Is the token limited to some streams? */
bool grant_is_limited(const struct grant *g);
bool grant_has_stream(const struct grant *g, struct slice stream);
/* For a limited token: the smallest name after `stream` at which a stream of the token may be; false: there is none. *out
 * lives as long as the grant. */
bool grant_next_stream(const struct grant *g, struct slice stream, struct slice *out);
/* Narrows the filter to the streams of the grant; false: no memory. */
bool grant_narrow(const struct grant *g, struct filter *f);
/* A limited token has only sessions named NAME or NAME/…, NAME being its own name; other tokens have all. */
bool grant_has_session(const struct grant *g, struct slice session);
/* May all events of the batch be published? ERR_DENIED names the first that may not. */
struct batch;
enum err grant_publish(const struct grant *g, const struct batch *b, uint64_t peer, struct fault *fault);
/* The same for a single stream. */
enum err grant_publish_to(const struct grant *g, struct slice stream, uint64_t peer, struct fault *fault);
/* The client that limits count: the token, or else the peer. */
uint64_t grant_client(const struct grant *g, uint64_t peer);
/* The token's name; "" without a token. */
const char *grant_name(const struct grant *g);

#endif
