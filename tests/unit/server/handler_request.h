/* A request without an HTTP server: a handler that is called with it finds its functions replaced (-Wl,--wrap, by CMake),
 * and what it defers is run by the test, one part at a time. */
#ifndef TESTS_UNIT_SERVER_HANDLER_REQUEST_H
#define TESTS_UNIT_SERVER_HANDLER_REQUEST_H

#include <semaphore.h>
#include <stdbool.h>

#include "server/http/reply_stream.h"
#include "server/http/request.h"

struct http_request {
	struct url url;
	struct buf out;
	struct buf fault;
	struct grant grant;
	void *state;
	void (*destroy)(void *state);
	http_handler *put_off;
	int parts; /* how often it was put off */
	int status;
	size_t held;
	bool waits; /* for an event: a long poll */
	bool slow;
	uint64_t client;
	char why[200];
	reply_stream_fill *fill;
	bool ended; /* with the first piece */
	void *source;
	bool done;
};

/* Posted by each request that is deferred. */
extern sem_t handler_deferred;

/* Before the first request. */
void handler_requests_init(void);
void handler_request_finish(struct http_request *x);
/* Whether `text` is in the answer. */
bool handler_request_says(const struct http_request *x, const char *text);

#endif
