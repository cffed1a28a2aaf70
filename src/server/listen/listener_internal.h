/* The inside of the listener: listener.c (accepting, the thread), listen_socket.c (addresses) and pending.c (connections
 * that have not said yet what they want) share it. The listener's thread, but where it says otherwise. */
#ifndef SERVER_LISTEN_LISTENER_INTERNAL_H
#define SERVER_LISTEN_LISTENER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/system/thread.h"
#include "server/listen/listener.h"

enum { LISTENERS_MAX = 8 };

/* A connection that was accepted and has not said yet what it wants. Oldest first in listener.waiting, so that the deadlines
 * are in order. */
struct pending_conn {
	struct arrival a; /* first: the HTTP server gets the connection as that */
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
	struct list waiting; /* the thread's own */
	int64_t swept_ms;
	int64_t paused_until_ms;
	bool paused;
	int spare;            /* a descriptor to give up when there is no other: somebody can then be told so */
	int64_t told_ms;      /* when the log last heard that there is none */
	pthread_mutex_t lock; /* guards the two that follow */
	struct list incoming; /* pending connections that were decrypted */
	bool closing;
	atomic_ullong accepted;
	atomic_ullong refused;
	atomic_ullong timed_out;
};

/* listen_socket.c */

/* Listens on every address that HOST:PORT stands for. ERR_INVALID, ERR_IO. */
enum err listen_socket_open(struct listener *l, const char *text, bool encrypted, struct fault *fault);
int listen_socket_port(const struct listen_socket *s);

/* pending.c */

enum err listener_watch(struct listener *l, int fd, uint32_t events, void *what, struct fault *fault);
/* The peer as it is counted: proxies that are trusted are not. */
uint64_t listener_counted(const struct listener *l, const struct sockaddr_storage *address);
/* NULL: no memory. Any thread. */
struct pending_conn *pending_create(const struct listener *l, int fd, const struct sockaddr_storage *address,
				    socklen_t address_len);
/* Waits for its request. */
void pending_watch(struct listener *l, struct pending_conn *p);
/* Looks at what has come so far. `ended`: nothing more will. True when it is known what the connection wants, and it is gone
 * from here. */
bool pending_peek(struct listener *l, struct pending_conn *p, bool ended);
/* Closes it. */
void pending_drop(struct listener *l, struct pending_conn *p);
/* A whole answer to a connection that does not get as far as the HTTP server. */
void pending_answer(const struct listener *l, int fd, int status, const struct fault *fault);

#endif
