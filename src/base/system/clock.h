/* Time: wall clock in Unix milliseconds, monotonic clock in milliseconds, and RFC 3339 text. */
#ifndef BASE_SYSTEM_CLOCK_H
#define BASE_SYSTEM_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { CLOCK_TEXT_LEN = 24 };          /* "2026-11-22T18:00:00.123Z" */
#define CLOCK_MAX_MS 253402300799999ll /* the end of the year 9999 */

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* Since the machine was started, also while it was suspended. */
int64_t clock_boot_ms(void);

/* Writes exactly CLOCK_TEXT_LEN characters and no NUL; years 0000 to 9999. */
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_LEN]);
/* Appends it in quotes, as a JSON value. */
void clock_write(struct buf *out, int64_t wall_ms);
/* The same in whole seconds: "2026-11-22T18:00:00Z". */
void clock_write_seconds(struct buf *out, int64_t wall_ms);
/* The zone of log stamps, process-wide: before there are other threads, for only then may the C library's zone be set. False
 * where this machine has no such zone: log stamps are then in UTC, and say so. */
bool clock_set_zone(const char *name);
/* Appends a log stamp in quotes: "2026-11-23 05:43:08 AEDT". */
void clock_write_stamp(struct buf *out, int64_t wall_ms);
/* RFC 3339 with any offset and any number of fraction digits (those past milliseconds round up, so
 * that what is before or after the time stays so). */
bool clock_parse(struct slice text, int64_t *wall_ms);

/* Condition variables that count on the monotonic clock: a jump of the wall clock neither hurries nor stalls them. */
void clock_cond_init(pthread_cond_t *cond);
/* Wait at most so long; false when the time is up. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms);
bool clock_cond_wait_us(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t us);

#endif
