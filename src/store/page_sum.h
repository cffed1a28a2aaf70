/* Every page of the database carries a sum of itself, so that no damage is ever taken for an answer: a file system of
 * SQLite's over the ordinary one, for files that are databases.
 *
 *     page of 4096 bytes = what SQLite keeps there (4088) | XXH3 of that, 64 bits
 *
 * The 8 bytes are SQLite's "reserved space": other tools open the file as ever. What they write has a stale sum; a sum of 0
 * is none, and a file without reserved space (of an early version) has none at all. The write-ahead log has sums of
 * SQLite's. */
#ifndef STORE_PAGE_SUM_H
#define STORE_PAGE_SUM_H

#include <stdint.h>

enum { PAGE_SUM_PAGE = 4096, PAGE_SUM_LEN = 8 };

/* The name of the file system, for sqlite3_open_v2; registered at the first call. NULL: no memory. Any thread. A file is
 * checked on reading unless told otherwise. */
const char *page_sum_vfs(void);
/* For sqlite3_file_control, with a bool: are sums checked? */
enum { PAGE_SUM_CHECK = 0x7469646d };
/* The page (from 1) whose sum was last found wrong on this thread; 0: none. */
uint32_t page_sum_damaged(void);

#endif
