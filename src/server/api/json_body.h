/* JSON bodies of requests, of every kind but events: an object whose members are all known, and stand there once. What is
 * said and not understood is an error, for it may have been meant to keep something from happening. */
#ifndef SERVER_API_JSON_BODY_H
#define SERVER_API_JSON_BODY_H

#include "server/http/http.h"

struct member {
	const char *name;
	struct slice value; /* minified, in the text; p NULL: it is not there */
};

/* The body of a request, which may be none. *text is what the values are in, for the caller to free, also on failure.
 * ERR_INVALID: it is no object, or has a member that is not among these `count`, or one twice: the fault names it. */
enum err json_body_take(struct http_request *x, struct member *members, size_t count, char **text, struct fault *fault);

/* Where nothing may be said: true when a body says something, or is no JSON object. Then the refusal is sent. */
bool json_body_refuse(struct http_request *x);

#endif
