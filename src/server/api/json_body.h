/* JSON bodies of requests other than events: an object whose members are all known, each given once. Unknown members are
 * errors: the client may have meant them to prevent something. */
#ifndef SERVER_API_JSON_BODY_H
#define SERVER_API_JSON_BODY_H

#include "server/http/http.h"

struct member {
	const char *name;
	struct slice value; /* minified, points into the text; p NULL: the member is missing */
};

/* Parses the body of a request, which may be empty. The values point into *text, which the caller frees, also on failure.
 * ERR_INVALID: the body is not an object, or has an unknown or duplicate member, which the fault names. */
enum err json_body_take(struct http_request *x, struct member *members, size_t count, char **text, struct fault *fault);

/* For requests without members: refuses a body that has any, or is not a JSON object. True: the request was refused. */
bool json_body_refuse(struct http_request *x);

#endif
