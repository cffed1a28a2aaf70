#include "server/access/request_guard.h"

#include "base/kind.h"
#include "server/message/field.h"
#include "server/message/host.h"

enum { SHOWN = 100 };

struct slice request_guard_bearer(struct slice authorization)
{
	struct slice none = {"", 0};
	if (authorization.len == 0) /* `p` may be NULL */
		return none;
	struct slice rest = field_trim(authorization);
	struct slice scheme = field_cut(&rest, ' ');
	struct slice token = field_trim(rest);
	bool one = memchr(token.p, ' ', token.len) == NULL && memchr(token.p, ',', token.len) == NULL;
	return field_is(scheme, slice_of("Bearer")) && one ? token : none;
}

struct slice request_guard_path(const struct request_guard *g, struct slice path)
{
	size_t n = strlen(g->base);
	bool below = n > 0 && slice_begins(path, slice_of(g->base)) && path.len > n && path.p[n] == '/';
	return below ? (struct slice){path.p + n, path.len - n} : path;
}

int request_guard_host(const struct request_guard *g, const struct guard_input *v, struct fault *fault)
{
	if (!v->local || host_is_fine(v->host, g->listen, g->allow_hosts))
		return 0;
	fault_set(fault, ERR_DENIED, "%.*s is not a name of this server (--allow-host)",
		  (int)(v->host.len < SHOWN ? v->host.len : SHOWN), v->host.p);
	return 421;
}

/* The number of ways in which a token was sent. */
static int ways(const struct guard_input *v)
{
	return (v->authorization.len > 0) + (v->access_token.p != NULL) + (v->subprotocol.p != NULL);
}

/* The token of the request; none if it was sent in more than one way (RFC 6750, 2). */
static struct slice token_of(const struct guard_input *v)
{
	if (ways(v) != 1)
		return (struct slice){"", 0};
	if (v->subprotocol.p != NULL)
		return v->subprotocol;
	return v->access_token.p != NULL ? v->access_token : request_guard_bearer(v->authorization);
}

int request_guard_pass(const struct request_guard *g, const struct guard_input *v, struct grant *grant, struct fault *fault)
{
	*grant = (struct grant){0};
	if (v->guarded && !origin_is_fine(v->origin, v->host, g->allow_origins, &g->own)) {
		fault_set(fault, ERR_DENIED, "pages of this Origin may not do this (--allow-origin)");
		fault->kind = KIND_ORIGIN;
		return 403;
	}
	if (v->permission == PERMISSION_NOTHING)
		return 0;
	if (!access_grant(g->access, token_of(v), grant)) {
		fault_set(fault, ERR_DENIED,
			  ways(v) > 0 ? "the token is unknown, or was sent in more than one way"
				      : "a token is needed: send Authorization: Bearer, or, where headers cannot be set, "
					"?access_token= or (WebSocket) the subprotocol bearer.TOKEN");
		return 401;
	}
	if (grant_may(grant, v->permission))
		return 0;
	bool narrow =
		grant_is_limited(grant) && (v->permission == PERMISSION_READ_ALL || v->permission == PERMISSION_PUBLISH_ALL);
	fault_set(fault, ERR_DENIED,
		  narrow ? "this needs access to all streams, but the token is limited to some"
			 : "the token's scopes (publish, read, admin) do not cover this");
	grant_drop(grant);
	return 403;
}

void request_guard_refused(const struct request_guard *g, const struct guard_input *v, int status)
{
	struct grant grant;
	enum denial why = status == 421 ? DENIAL_HOST : status == 401 ? DENIAL_TOKEN : DENIAL_SCOPE;
	if (status == 403 && v->guarded && !origin_is_fine(v->origin, v->host, g->allow_origins, &g->own))
		why = DENIAL_ORIGIN;
	/* If the token is known, the log may name it. */
	bool known = access_grant(g->access, token_of(v), &grant);
	access_denied(g->access, why, known ? grant_name(&grant) : "", v->peer, v->path);
	grant_drop(&grant);
}
