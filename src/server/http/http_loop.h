/* The thread that runs a libmicrohttpd daemon, and the sockets on their way to it.
 *
 * It is not libmicrohttpd's own thread: when exactly 128 events are pending, that thread (0.9.75, MHD_epoll) waits for more
 * before it handles them, until connections time out. In this loop libmicrohttpd never waits. */
#ifndef SERVER_HTTP_HTTP_LOOP_H
#define SERVER_HTTP_HTTP_LOOP_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"

struct MHD_Connection;
struct MHD_Daemon;
struct http_loop;

/* An accepted socket on its way to the daemon; the first member of a block from malloc. */
struct accepted_socket {
	struct list link;
	int fd;
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* Adds a socket to the daemon, which closes it if it cannot take it. On the thread of the loop. */
typedef void http_loop_add(void *arg, const struct accepted_socket *a);

/* Starts the thread. The daemon uses epoll, has no thread of its own, and outlives the loop. ERR_NOMEM, ERR_IO. */
enum err http_loop_start(struct MHD_Daemon *daemon, http_loop_add *add, void *arg, struct http_loop **out,
			 struct fault *fault);
/* When it returns, nothing runs the daemon any more; it has all sockets that came in before. */
void http_loop_stop(struct http_loop *l);

/* Takes the socket and the block that begins with it. Any thread. */
void http_loop_take(struct http_loop *l, struct accepted_socket *a);
/* Resumes a suspended connection. Any thread. */
void http_loop_resume(struct http_loop *l, struct MHD_Connection *connection);

#endif
