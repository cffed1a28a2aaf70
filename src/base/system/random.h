/* Random numbers from the kernel: for ids and jitter, not for speed. */
#ifndef BASE_SYSTEM_RANDOM_H
#define BASE_SYSTEM_RANDOM_H

#include <stdint.h>

uint64_t random_u64(void);
/* `bytes` random bytes as 2 × bytes lower-case hex digits and a NUL. */
void random_hex(char *out, unsigned bytes);

/* Waiting before the n-th try (from 0): doubles from `first_ms` to `cap_ms`, spread over ±50 %, so that clients which
 * lost the same server do not come back together. */
int64_t random_backoff_ms(unsigned attempt, int64_t first_ms, int64_t cap_ms);

#endif
