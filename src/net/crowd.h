/* How many connections each peer has open, so that one of them does not take all. Any thread. */
#ifndef NET_CROWD_H
#define NET_CROWD_H

#include <stdbool.h>
#include <stdint.h>

struct crowd;

/* `max`: connections of one peer; 0: any number, and nobody is counted. NULL: no memory. */
struct crowd *crowd_create(uint64_t max);
void crowd_destroy(struct crowd *c); /* NULL is fine */
/* Peer 0 stands for those that are not counted (proxies_counted).
 * False when the peer has as many as it may, or there is no memory to count. */
bool crowd_enter(struct crowd *c, uint64_t peer);
void crowd_leave(struct crowd *c, uint64_t peer);

#endif
