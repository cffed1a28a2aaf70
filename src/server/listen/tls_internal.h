/* The internals of TLS, shared by tls.c (the thread), tls_conn.c (one connection) and tls_context.c (certificates). */
#ifndef SERVER_LISTEN_TLS_INTERNAL_H
#define SERVER_LISTEN_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/system/thread.h"
#include "server/listen/tls.h"

enum {
	CHUNK = 16 * 1024, /* the largest TLS record */
	EVENTS = 64,
	STEPS_MAX = 16, /* steps of one connection before the other connections get theirs */
	SWEEP_MS = 250,
	DRAIN_MS = 2000,
	LINGER_MS = 1000,
	LINGERING_MAX = 64,
};

/* Bytes that one side sent and the other has not taken. */
struct unsent {
	char *bytes; /* NULL: nothing */
	size_t at;
	size_t len;
};

struct tls_conn {
	struct list link; /* in tls.incoming, tls.handshaking, tls.conns or tls.ended */
	struct list in_busy;
	int fd;
	int inner; /* our end of the pair; -1 before the handshake is done */
	SSL *ssl;
	int64_t deadline_ms; /* monotonic: of the handshake */
	bool in_ended;       /* the client sends nothing more */
	bool discards_in;    /* the server takes no more: bytes from the client are discarded */
	int64_t linger_ms;   /* monotonic: all is sent, the client has until then to close; 0: not lingering */
	struct unsent in;    /* to the server behind the listener */
	struct unsent out;   /* to the client */
	struct sockaddr_storage address;
	socklen_t address_len;
};

struct tls {
	struct tls_options options;
	struct thread thread;
	int epoll;
	int wake; /* eventfd */

	pthread_mutex_t lock; /* guards `context`, `incoming` and `closing` */
	SSL_CTX *context;
	struct list incoming;
	bool closing;

	/* Used by the thread only. */
	struct list handshaking; /* handshake under way, oldest first */
	struct list conns;       /* handshake done */
	struct list busy;        /* had more to do after STEPS_MAX steps */
	struct list ended;       /* freed after the current batch of events */
	int lingering;
	bool ending; /* the server is shutting down */
	char chunk[CHUNK];

	atomic_llong oldest_ms;       /* monotonic: when the first handshake in `handshaking` began */
	atomic_int handshaking_count; /* handshakes under way, with those in `incoming` */
	atomic_int handshakes_to_end; /* how many of them tls_end_idle wants ended */

	atomic_ullong open;
	atomic_ullong handshakes;
	atomic_ullong failed;
	atomic_ullong reloads;
};

/* tls_context.c */

enum err tls_context_create(const struct tls_options *o, SSL_CTX **out, struct fault *fault);

/* tls_conn.c */

bool tls_conn_watch(struct tls *t, int fd, struct tls_conn *c);
/* Moves bytes, or the handshake, until both sides block or STEPS_MAX steps are done. */
void tls_conn_pump(struct tls *t, struct tls_conn *c);
void tls_conn_end(struct tls *t, struct tls_conn *c);
/* Frees connections that have ended. */
void tls_conn_free_ended(struct tls *t);

#endif
