/* The inside of TLS: tls.c (the thread), tls_conn.c (a connection) and tls_context.c (certificates) share it. */
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
	CHUNK = 16 * 1024, /* a TLS record holds no more */
	EVENTS = 64,
	TURNS = 16, /* of one connection before others have theirs */
	SWEEP_MS = 250,
	DRAIN_MS = 2000,
	LINGER_MS = 1000,
	LINGERING_MAX = 64,
};

/* What one side sent and the other has not taken. */
struct rest {
	char *bytes; /* NULL: nothing */
	size_t at;
	size_t len;
};

struct tls_conn {
	struct list link; /* in tls.incoming, tls.shaking, tls.conns or tls.dead */
	struct list in_busy;
	int fd;
	int inner; /* our end of the pair; -1 before the handshake is done */
	SSL *ssl;
	int64_t deadline_ms; /* of the handshake */
	bool in_ended;       /* the client sends nothing more */
	bool deaf;           /* the server takes nothing more: what the client sends is thrown away */
	int64_t linger_ms;   /* monotonic: everything is said, and the client has until then to close; 0: not yet */
	struct rest in;      /* for the server behind the listener */
	struct rest out;     /* for the client */
	struct sockaddr_storage address;
	socklen_t address_len;
};

struct tls {
	struct tls_options options;
	struct thread thread;
	int epoll;
	int wake; /* eventfd */

	pthread_mutex_t lock; /* guards what follows */
	SSL_CTX *context;
	struct list incoming;
	bool closing;

	/* The thread's own. */
	struct list shaking; /* are in their handshake, the oldest first */
	struct list conns;   /* have had it */
	struct list busy;    /* were not done when their turns were over */
	struct list dead;    /* freed when the events at hand are */
	int lingering;
	bool ending; /* the server stops */
	char chunk[CHUNK];

	atomic_llong oldest_ms;       /* monotonic: when the first in `shaking` came, */
	atomic_int shaking_count;     /* how many there are, with those in `incoming`, */
	atomic_int handshakes_to_end; /* how many of them are to be closed, to make room for other connections */

	atomic_ullong open;
	atomic_ullong handshakes;
	atomic_ullong failed;
	atomic_ullong reloads;
};

/* tls_context.c */

enum err tls_context_create(const struct tls_options *o, SSL_CTX **out, struct fault *fault);

/* tls_conn.c */

bool tls_conn_watch(struct tls *t, int fd, struct tls_conn *c);
/* Moves bytes, or the handshake, as far as both sides go, or until its turns are over. */
void tls_conn_pump(struct tls *t, struct tls_conn *c);
void tls_conn_end(struct tls *t, struct tls_conn *c);
/* Frees what has ended. */
void tls_conn_bury(struct tls *t);

#endif
