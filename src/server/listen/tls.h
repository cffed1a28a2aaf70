/* TLS, in front of the door: a connection is decrypted here and goes on through a pair of sockets as one that was never
 * encrypted, so that neither of the two servers behind the door knows of it (docs/decisions/0012-tls.md has the reasons).
 *
 *     client ⇄ TLS ⇄ [this thread] ⇄ socket pair ⇄ door ⇄ libmicrohttpd or libwebsockets
 *
 * A thread of its own; memory for a connection is OpenSSL's, and what one of the two sides does not take at the moment (16
 * KiB). */
#ifndef SERVER_LISTEN_TLS_H
#define SERVER_LISTEN_TLS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct tls;

struct tls_options {
	const char *cert; /* PEM: the certificate and those that vouch for it */
	const char *key;  /* PEM, without a password */
	int64_t handshake_ms;
	/* Both on the thread of this. A connection is decrypted: the socket is the callee's, the address that of the client.
	 */
	void (*arrived)(void *arg, int fd, const struct sockaddr_storage *address, socklen_t len);
	/* A connection never got so far. */
	void (*failed)(void *arg, const struct sockaddr_storage *address);
	void *arg;
};

/* ERR_INVALID names the file that is of no use. */
enum err tls_create(struct tls_options options, struct tls **out, struct fault *fault);
/* An accepted socket. Any thread. */
void tls_take(struct tls *t, int fd, const struct sockaddr_storage *address, socklen_t len);
/* Since when the oldest handshake is under way (monotonic; INT64_MAX: there is none), and ends that one: `failed` follows
 * soon. False: there is none. Any thread. */
int64_t tls_idle_since(struct tls *t);
bool tls_end_idle(struct tls *t);
/* Tells a client who has no place here, in the clear as the protocol has it before a handshake: closing is the caller's. */
void tls_refuse(int fd);
/* Reads certificate and key anew, for connections to come. When that fails everything stays as it was. Any thread. */
enum err tls_reload(struct tls *t, struct fault *fault);
/* Passes on what is on its way, for two seconds at most; then ends. NULL is fine. */
void tls_destroy(struct tls *t);

struct tls_figures {
	uint64_t open;
	uint64_t handshakes;
	uint64_t failed; /* of them */
	uint64_t reloads;
};
void tls_read(struct tls *t, struct tls_figures *out);

#endif
