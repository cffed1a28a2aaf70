/* TLS in front of the listener: a connection is decrypted here and continues through a pair of sockets as one that was never
 * encrypted, so that the servers behind the listener need not know TLS (docs/decisions/0012-tls.md has the reasons).
 *
 *     client ⇄ TLS ⇄ [this thread] ⇄ socket pair ⇄ listener ⇄ libmicrohttpd or libwebsockets
 *
 * It has a thread of its own. A connection takes OpenSSL's memory, and 16 KiB for each side that does not read at the
 * moment. */
#ifndef SERVER_LISTEN_TLS_H
#define SERVER_LISTEN_TLS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct tls;

struct tls_options {
	const char *cert; /* PEM: the certificate and its chain */
	const char *key;  /* PEM, without a password */
	int64_t handshake_ms;
	/* Both are called on the TLS thread. on_decrypted: the handshake is done; the callee owns the socket, `address`
	 * is the client's. */
	void (*on_decrypted)(void *arg, int fd, const struct sockaddr_storage *address, socklen_t len);
	/* on_failed: a connection ended before its handshake was done. */
	void (*on_failed)(void *arg, const struct sockaddr_storage *address);
	void *arg;
};

/* ERR_INVALID: a file cannot be used; the text names it. */
enum err tls_create(struct tls_options options, struct tls **out, struct fault *fault);
/* Takes an accepted socket. Any thread. */
void tls_take(struct tls *t, int fd, const struct sockaddr_storage *address, socklen_t len);
/* tls_idle_since: when the oldest handshake under way began (monotonic ms; INT64_MAX: there is none). tls_end_idle ends
 * that one, and on_failed follows soon; false: there is none. Any thread. */
int64_t tls_idle_since(struct tls *t);
bool tls_end_idle(struct tls *t);
/* Sends a TLS alert in plain text, as the protocol allows before a handshake. The caller closes the socket. */
void tls_refuse(int fd);
/* Reads certificate and key again, for new connections. On an error the old ones stay. Any thread. */
enum err tls_reload(struct tls *t, struct fault *fault);
/* Passes on pending bytes for at most two seconds, then ends all connections. NULL is fine. */
void tls_destroy(struct tls *t);

struct tls_figures {
	uint64_t open;
	uint64_t handshakes;
	uint64_t failed; /* handshakes that failed */
	uint64_t reloads;
};
void tls_read(struct tls *t, struct tls_figures *out);

#endif
