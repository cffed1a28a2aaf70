/* Who may do what: the tokens in force, what a request may do with the one it brought, and a record of what was denied.
 * Without a file of tokens everybody may do everything. Any thread. */
#ifndef SERVER_ACCESS_ACCESS_H
#define SERVER_ACCESS_ACCESS_H

#include <stdint.h>

#include "event/filter.h"
#include "server/access/token.h"

/* What a route or a WebSocket wants. Those that end in ALL show or change more than some streams: a token that is limited
 * to streams does not get there. The first is what a route has that says nothing. */
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

/* What somebody may do, for as long as they are here. Zeroed: nothing was granted. */
struct grant {
	struct access *access;
	struct tokens *tokens;     /* counted; NULL: there are none */
	const struct token *token; /* NULL: everything is allowed */
};

/* `path`: the file of tokens, NULL for none. It is read. */
enum err access_create(const char *path, struct access **out, struct fault *fault);
void access_destroy(struct access *a); /* NULL is fine; no grants are left */
/* Reads the file anew. On failure the tokens stay as they are. */
enum err access_reload(struct access *a, struct fault *fault);

/* What the token `text` is good for; false: nothing, for it is unknown. */
bool access_grant(struct access *a, struct slice text, struct grant *out);
/* Is it still so, after a reload? */
bool access_holds(const struct grant *g);

enum denial { DENIAL_TOKEN, DENIAL_SCOPE, DENIAL_STREAM, DENIAL_ORIGIN, DENIAL_HOST, DENIAL_COUNT };

/* Counts it, and tells the log, which hears of one a second and of how many more there were. `what` may be anything that a
 * client sent. */
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
/* The same once more, for another who may have it for longer. */
struct grant grant_share(const struct grant *g);
bool grant_may(const struct grant *g, enum permission permission);
/* To some streams. */
bool grant_is_limited(const struct grant *g);
bool grant_has_stream(const struct grant *g, struct slice stream);
/* Of a limited token: where, in the order of names, the next stream after `stream` may be that it has; false: there is none.
 * Lives as long as the grant. */
bool grant_next_stream(const struct grant *g, struct slice stream, struct slice *out);
/* Lets nothing through `f` but what the grant covers; false: no memory. */
bool grant_narrow(const struct grant *g, struct filter *f);
/* Sessions belong to nobody, but to a limited token only those that begin with its name: NAME, or NAME/ and more. */
bool grant_has_session(const struct grant *g, struct slice session);
/* May all the events be published? ERR_DENIED names the first that may not. */
struct batch;
enum err grant_publish(const struct grant *g, const struct batch *b, uint64_t peer, struct fault *fault);
/* The same for one stream that events are put into. */
enum err grant_publish_to(const struct grant *g, struct slice stream, uint64_t peer, struct fault *fault);
/* Whom limits count it for: the token, else the peer. */
uint64_t grant_client(const struct grant *g, uint64_t peer);
/* The token's name; "" without one. */
const char *grant_name(const struct grant *g);

#endif
