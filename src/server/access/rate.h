/* How fast events may be published: by all together, and by each client (a token, else an address). A bucket fills with a
 * second's worth of events; what goes out of it may be more than there is, and is then waited for: a request is never
 * too large for its limit, only too early. Any thread. */
#ifndef SERVER_ACCESS_RATE_H
#define SERVER_ACCESS_RATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rates;

/* Events a second; 0: no limit. NULL: no memory. */
struct rates *rates_create(int64_t all, int64_t client);
void rates_destroy(struct rates *r); /* NULL is fine */
/* Takes `events` out of both buckets, or none: ERR_RATE, and in how many seconds to try again. */
enum err rates_take(struct rates *r, uint64_t client, size_t events, int *retry_s, struct fault *fault);
/* Requests that were refused. */
uint64_t rates_refused(struct rates *r);

#endif
