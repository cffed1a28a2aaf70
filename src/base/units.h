/* Numbers as people write them: sizes (64MiB), durations (1m30s is not needed; 90s is), plain integers. */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Decimal digits only, the whole slice, no sign; false on overflow of int64. */
bool units_integer(struct slice text, int64_t *value);
/* The value of a hex digit, -1 where it is none. */
int units_hex(char c);
/* Bytes: an integer, then nothing, B, KiB, MiB or GiB. */
bool units_size(struct slice text, int64_t *bytes);
/* Milliseconds: an integer, then ms, s, m, h or d; 0 needs no unit. */
bool units_duration(struct slice text, int64_t *ms);

/* true, 1, yes, on; false, 0, no, off; case does not matter. */
bool units_switch(struct slice text, bool *value);

#endif
