/* Percent-encoding and query strings: one reader for HTTP and WebSocket requests. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { URL_PARAMS_MAX = 100 };

struct url_param {
	struct slice name;
	struct slice value;
};

/* A request target, split and decoded. The slices point into `text`, which the struct owns, as it does `params`. */
struct url {
	char *text;
	struct slice authority; /* of an absolute form, "http://HOST:PORT/…"; p is NULL where there is none */
	struct slice path;
	size_t param_count;
	struct url_param *params;
};

enum url_result { URL_FINE, URL_NO_MEMORY, URL_MALFORMED, URL_TOO_MANY_PARAMS };

/* Decodes `target` ("/v1/events?after=3"). `+` in the query means a space. Broken escapes are malformed, and so is an
 * authority that is empty or names a user.
 * The path stays encoded where it holds %2F, so that a name with a slash is one segment: decode segments with
 * `url_decode`. */
enum url_result url_parse(struct url *u, struct slice target);
void url_finish(struct url *u);
/* Takes the parameters of that name out, and gives the value of the last; how many there were. */
size_t url_take(struct url *u, const char *name, struct slice *value);

/* Decodes %XX (and + where `plus`) in place; false when malformed. */
bool url_decode(char *text, size_t len, bool plus, size_t *out_len);
/* Appends `text` encoded for use as one path segment or parameter value. */
void url_encode(struct buf *out, struct slice text);

#endif
