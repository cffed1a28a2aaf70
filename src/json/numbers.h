/* Rows of numbers as JSON arrays: how counted things are kept in notes. */
#ifndef JSON_NUMBERS_H
#define JSON_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

void numbers_write(struct buf *out, const uint64_t *numbers, int count);
/* False: the text is not an array of exactly `count` numbers. */
bool numbers_read(struct slice text, uint64_t *numbers, int count);

#endif
