/* Reading an archive whose end is missing. One thread. */
#ifndef STORE_ARCHIVE_TRUNCATED_ARCHIVE_H
#define STORE_ARCHIVE_TRUNCATED_ARCHIVE_H

#include <stdint.h>

/* The last whole event of a truncated archive; 0: none can be read. */
uint64_t truncated_archive_last(const char *path);

#endif
