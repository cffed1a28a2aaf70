/* The thread that runs a libmicrohttpd daemon, and the sockets on their way to it.
 *
 * It is not libmicrohttpd's own thread: where exactly 128 events are waiting, that one (0.9.75, MHD_epoll) waits for more
 * before it looks at them, if need be until its connections have timed out. Here libmicrohttpd never waits. */
#ifndef SERVER_HTTP_HTTP_LOOP_H
#define SERVER_HTTP_HTTP_LOOP_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"

struct MHD_Connection;
struct MHD_Daemon;
struct http_loop;

/* An accepted socket on its way to the daemon, at the beginning of a piece of memory from malloc. */
struct arrival {
	struct list link;
	int fd;
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* Hands a socket to the daemon, which closes it where it cannot have it; on the thread of the loop. */
typedef void http_loop_add(void *arg, const struct arrival *a);

/* The daemon polls with epoll, has no thread of its own, and outlives the loop. */
enum err http_loop_start(struct MHD_Daemon *daemon, http_loop_add *add, void *arg, struct http_loop **out,
			 struct fault *fault);
/* When it returns, nothing runs the daemon any more; the sockets that were on their way are with it. */
void http_loop_stop(struct http_loop *l);

/* From any thread. */
void http_loop_take(struct http_loop *l, struct arrival *a);
/* Resumes a suspended connection. From any thread. */
void http_loop_resume(struct http_loop *l, struct MHD_Connection *connection);

#endif
