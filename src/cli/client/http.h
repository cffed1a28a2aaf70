/* HTTP as a client, over libcurl, which nobody outside http.c knows. One client is one connection that is kept open
 * between requests. One thread. */
#ifndef CLI_CLIENT_HTTP_H
#define CLI_CLIENT_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct http_client;

enum err http_client_open(struct http_client **out, struct fault *fault);
/* Shows this token with every request from now on; borrowed. "": none. */
void http_client_authorize(struct http_client *c, const char *token);
void http_client_close(struct http_client *c); /* NULL is fine */

/* Takes the body of a good reply piece by piece; an error ends the request with that error. */
typedef enum err http_sink(void *arg, const char *bytes, size_t len, struct fault *fault);

struct http_request {
	const char *url;
	const char *accept;       /* a media type; NULL: any */
	const char *content_type; /* of the body */
	struct slice body;        /* NULL: a GET, else a POST */
	int64_t silence_ms;       /* give up when nothing moves for so long; 0: never */
	bool stoppable;           /* give up when the process is asked to stop */
	http_sink *sink;          /* NULL: a good reply is kept like any other */
	void *arg;
};

struct http_reply {
	int status;
	int64_t retry_after_ms; /* 0: not said */
	struct buf body;
	struct slice json; /* the body without insignificant white space; empty where it is not JSON */
};
void http_reply_finish(struct http_reply *r);

/* Sends a request and reads the reply, whatever its status. ERR_IO: there is no connection. ERR_CLOSED: it
 * broke. In both cases nobody knows whether the request was obeyed, for an open connection may have died and been tried
 * anew. ERR_INVALID: the URL is broken. Else what the sink said, or ERR_NOMEM.
 * `reply` is to be finished in any case. */
enum err http_send(struct http_client *c, const struct http_request *request, struct http_reply *reply, struct fault *fault);

/* What a reply with a status other than 2xx says: detail and place of the problem document, else the status. Returns the
 * code that it stands for. */
enum err http_problem(const struct http_reply *reply, struct fault *fault);

#endif
