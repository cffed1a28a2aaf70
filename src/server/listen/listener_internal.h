/* The internals of the listener, shared by listener.c (accepting, the thread), listen_socket.c (addresses) and pending.c
 * (connections without a request). All functions run on the listener's thread unless stated otherwise. */
#ifndef SERVER_LISTEN_LISTENER_INTERNAL_H
#define SERVER_LISTEN_LISTENER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/system/thread.h"
#include "server/listen/listener.h"

enum { LISTENERS_MAX = 8 };

/* An accepted connection whose request has not arrived. listener.waiting is ordered by age, and so by deadline. */
struct pending_conn {
	struct accepted_socket a; /* first member: http_add_take gets a pointer to it */
	int64_t deadline_ms;
};

struct listen_socket {
	int fd;
	bool encrypted;
	char address[80];
};

struct listener {
	struct listener_options options;
	struct listen_socket sockets[LISTENERS_MAX];
	int socket_count;
	int epoll;
	int wake; /* eventfd */
	struct thread thread;
	struct http *http;
	struct http *streams;
	struct ws *ws;
	struct tls *tls;     /* NULL: nothing is encrypted */
	struct list waiting; /* of pending_conn; used by the thread only */
	int64_t swept_ms;
	int64_t paused_until_ms;
	bool paused;
	int spare;            /* descriptor to close when no other is left, so that clients can be refused with an answer */
	int64_t warned_ms;    /* monotonic: when the log last warned that none is left */
	pthread_mutex_t lock; /* guards `incoming` and `closing` */
	struct list incoming; /* pending connections from the TLS thread */
	bool closing;
	atomic_ullong accepted;
	atomic_ullong refused;
	atomic_ullong timed_out;
};

/* listen_socket.c */

/* Listens on every address that HOST:PORT resolves to. ERR_INVALID, ERR_IO. */
enum err listen_socket_open(struct listener *l, const char *text, bool encrypted, struct fault *fault);
int listen_socket_port(const struct listen_socket *s);

/* pending.c */

enum err listener_watch(struct listener *l, int fd, uint32_t events, void *what, struct fault *fault);
/* The peer that limits count; 0 for a trusted proxy. */
uint64_t listener_counted(const struct listener *l, const struct sockaddr_storage *address);
/* NULL: no memory. Any thread. */
struct pending_conn *pending_create(const struct listener *l, int fd, const struct sockaddr_storage *address,
				    socklen_t address_len);
/* Appends `p` to the waiting connections and watches its socket. */
void pending_watch(struct listener *l, struct pending_conn *p);
/* Peeks at the bytes received so far. `ended`: the client sends no more. True: the connection was handed on or closed,
 * and `p` is no longer the listener's. */
bool pending_peek(struct listener *l, struct pending_conn *p, bool ended);
/* Closes the socket, frees `p` and gives its quota back. */
void pending_drop(struct listener *l, struct pending_conn *p);
/* Sends a complete error response to a connection that does not reach the HTTP server. */
void pending_answer(const struct listener *l, int fd, int status, const struct fault *fault);

#endif
