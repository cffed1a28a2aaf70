/* An archive whose end is missing, as far as it goes. One thread. */
#ifndef STORE_ARCHIVE_TRUNCATED_ARCHIVE_H
#define STORE_ARCHIVE_TRUNCATED_ARCHIVE_H

#include <stdint.h>

/* The last event of an archive that was cut short; 0 where there is none. */
uint64_t truncated_archive_last(const char *path);

#endif
