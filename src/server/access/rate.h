/* Limits of the publish rate: in total, and for each client (a token, or else an address). A token bucket holds one
 * second's worth of events. A request may take more than the bucket has; later requests then wait until the debt is paid.
 * So no request is too large for its limit. Any thread. */
#ifndef SERVER_ACCESS_RATE_H
#define SERVER_ACCESS_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rates;

/* Events per second; 0: no limit. NULL: no memory. */
struct rates *rates_create(int64_t all, int64_t client);
void rates_destroy(struct rates *r); /* NULL is fine */
/* Takes `events` from both buckets, or from none: ERR_RATE, and *retry_s is when to try again. */
enum err rates_take(struct rates *r, uint64_t client, size_t events, int *retry_s, struct fault *fault);
/* Number of refused requests. */
uint64_t rates_refused(struct rates *r);

#endif
