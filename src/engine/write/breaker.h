/* The circuit breaker of commits: open while they fail. Guarded by its owner's lock.
 *
 *              a commit fails                 it is tried
 *     CLOSED ─────────────────▶ OPEN ◀──────────────────────▶ HALF_OPEN
 *        ▲                            the try fails               │
 *        ╰────────────────────────────────────────────────────────╯ the try works */
#ifndef ENGINE_WRITE_BREAKER_H
#define ENGINE_WRITE_BREAKER_H

#include <stdint.h>

#include "base/err.h"

/* It opens when a commit fails, is tried again after at most BREAKER_WAIT_MAX_MS, and closes at the first try that works. */
enum { BREAKER_WAIT_MAX_MS = 2000 };

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
	enum breaker_state state;
	struct fault reason; /* why it is open */
	uint64_t opens;      /* transitions to each state */
	uint64_t half_opens;
	uint64_t closes;
	uint64_t failures; /* in a row; 0 while it is closed */
};

/* A static text. */
const char *breaker_name(enum breaker_state state);
/* A commit has failed, or a try of the half-open breaker. */
void breaker_open(struct breaker *b, const struct fault *why);
void breaker_half_open(struct breaker *b);
void breaker_close(struct breaker *b);

#endif
