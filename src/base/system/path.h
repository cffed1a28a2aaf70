/* Paths: every buffer that holds one has PATH_MAX bytes and is written by path_format. Any thread. */
#ifndef BASE_SYSTEM_PATH_H
#define BASE_SYSTEM_PATH_H

#include <limits.h>
#include <stdbool.h>

/* False, and "" in `out`, which no call opens, where the path does not fit. */
__attribute__((format(printf, 2, 3))) bool path_format(char out[PATH_MAX], const char *format, ...);

#endif
