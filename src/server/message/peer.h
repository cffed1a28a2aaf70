/* The peer of a connection, as limits count it: an IPv4 address, or the /64 that an IPv6 customer has. */
#ifndef SERVER_MESSAGE_PEER_H
#define SERVER_MESSAGE_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PEER_TEXT_LEN = 64 };

/* Equal for connections of the same peer. */
uint64_t peer_key(const struct sockaddr *address);
/* "192.0.2.7", or "2001:db8::/64". */
void peer_text(uint64_t key, char out[PEER_TEXT_LEN]);
/* Did the connection come in on a loopback address? A decrypted one (server/listen/tls.h) did not: the certificate has
 * confirmed the name that the client used, which DNS rebinding cannot forge. */
bool peer_is_local(int fd);

#endif
