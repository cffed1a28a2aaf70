/* Time: wall clock in Unix milliseconds, monotonic clock in milliseconds, and RFC 3339 text. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tidemark/slice.h"

enum { CLOCK_TEXT_LEN = 24 }; /* "2026-11-22T18:00:00.123Z" */

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Writes exactly CLOCK_TEXT_LEN characters and no NUL; years 0000 to 9999. */
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_LEN]);
/* RFC 3339 with any offset and any number of fraction digits (those past milliseconds round up, so
 * that what is before or after the time stays so). */
bool clock_parse(struct slice text, int64_t *wall_ms);

/* Condition variables that count on the monotonic clock: a jump of the wall clock neither hurries nor stalls them. */
void clock_cond_init(pthread_cond_t *cond);
/* Waits at most `ms`; false when the time is up. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);

#endif
