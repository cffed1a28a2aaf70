/* The file of a database, between SQLite and the disk.
 *
 * Every page carries a sum of itself, so that no damage is ever taken for an answer:
 *
 *     page of 4096 bytes = what SQLite keeps there (4088) | XXH3 of that, 64 bits
 *
 * The 8 bytes are SQLite's "reserved space": other tools open the file as ever. What they write has a stale sum; a sum of 0
 * is none, and a file without reserved space (of an early version) has none at all. The write-ahead log has sums of
 * SQLite's.
 *
 * And what is written can be put on the disk piece by piece, so that whoever else waits for the disk waits for a piece. */
#ifndef STORE_DB_FILE_H
#define STORE_DB_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/shim.h"

enum { DB_FILE_PAGE = 4096, DB_FILE_SUM_LEN = 8 };

struct db_file {
	struct shim shim;
	bool summed;  /* there is room for sums */
	bool checked; /* and they must be right */
	int piece;    /* pages; 0: SQLite says when the disk is waited for */
	int unsynced; /* pages written since it was */
};

int db_file_open(struct db_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags);

/* For sqlite3_file_control: are sums checked (a bool; they are unless told otherwise)? After how many pages is the disk
 * waited for (an int)? */
enum { DB_FILE_CHECK = 0x7469646d, DB_FILE_PIECE };
/* The page (from 1) whose sum was last found wrong on this thread; 0: none. */
uint32_t db_file_damaged(void);

#endif
