/* An HTTP client over libcurl, which only http.c knows. A client is one connection that stays open between requests. One
 * thread. */
#ifndef CLI_CLIENT_HTTP_H
#define CLI_CLIENT_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct http_client;

enum err http_client_open(struct http_client **out, struct fault *fault);
/* Sends this token with every request from now on; borrowed. "": none. */
void http_client_authorize(struct http_client *c, const char *token);
void http_client_close(struct http_client *c); /* NULL is fine */

/* Takes the body of a 2xx reply piece by piece; an error aborts the request with that error. */
typedef enum err http_sink(void *arg, const char *bytes, size_t len, struct fault *fault);

struct http_request {
	const char *url;
	const char *accept;       /* a media type; NULL: any */
	const char *content_type; /* of the body */
	struct slice body;        /* NULL: a GET, otherwise a POST */
	int64_t silence_ms;       /* abort when no bytes are transferred for this long; 0: never */
	bool stoppable;           /* abort when the process is asked to stop */
	http_sink *sink;          /* NULL: the body of a 2xx reply is kept in memory */
	void *arg;
};

struct http_reply {
	int status;
	int64_t retry_after_ms; /* 0: not sent */
	struct buf body;
	struct slice json; /* the body without insignificant white space; empty if it is not JSON */
};
void http_reply_finish(struct http_reply *r);

/* Sends a request and reads the reply, whatever its status. ERR_IO: there is no connection; ERR_CLOSED: it was closed. In
 * both cases the request may have been executed, because a dead connection is replaced and the request sent again.
 * ERR_INVALID: the URL is malformed. Otherwise the error of the sink, or ERR_NOMEM. The caller must always call
 * http_reply_finish. */
enum err http_send(struct http_client *c, const struct http_request *request, struct http_reply *reply, struct fault *fault);

/* The error in a reply whose status is not 2xx: detail and place of the problem document, or else the status. Returns the
 * matching error code. */
enum err http_problem(const struct http_reply *reply, struct fault *fault);

#endif
