/* Who is at the other end of a connection, as far as limits go: an IPv4 address, or the /64 that one customer of IPv6 has.
 */
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
/* Did it come in on an address of the loopback? What was decrypted (server/listen/tls.h) did not: there a certificate has
 * borne out the name that the client used, which no other page's name could. */
bool peer_is_local(int fd);

#endif
