/* The file of a database, between SQLite and the disk.
 *
 * Every page has a sum, so that damage is always noticed:
 *
 *     page of 4096 bytes = what SQLite keeps there (4088) | XXH3 of that, 64 bits
 *
 * The 8 bytes are SQLite's "reserved space", so other tools can open the file; pages that they write have a wrong sum. A sum
 * of 0 means none, and a file without reserved space (of an early version) has no sums. The write-ahead log has SQLite's own
 * sums.
 *
 * After a failed fsync the kernel may regard the pages as written, though they would be lost with the power. So all of the
 * log is then copied into the database again, also what was copied before.
 *
 * Writes can be synced piece by piece, so that a commit that needs the disk waits for one piece only.
 *
 * The index of the write-ahead log (its -shm file) is mapped into memory: a write there is a SIGBUS if the disk is full,
 * read-only or failing, or the file was truncated. So before SQLite takes a lock under which it writes there, and again
 * after a sync, the kernel is asked for the pages, and the call fails instead. (With kernels before 5.14, bus_error.h
 * reports the signal.)
 *
 * The first page is needed to find anything else: a copy of it (store_files.h) can replace a damaged one. */
#ifndef STORE_SQLITE_DB_FILE_H
#define STORE_SQLITE_DB_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/sqlite/shim.h"

enum { DB_FILE_PAGE = 4096, DB_FILE_SUM_LEN = 8 };

/* How often writes are synced. */
struct db_file_pace {
	int pages;                 /* written between syncs; 0: sync only when SQLite asks */
	void (*before)(void *arg); /* called before each of these syncs; NULL: none */
	void *arg;
};

/* Called every 256 reads from the database. */
struct db_file_watch {
	void (*reads)(void *arg);
	void *arg;
};

struct db_file {
	struct shim shim;
	bool summed;  /* pages have sums */
	bool checked; /* a wrong sum is an error */
	struct db_file_pace pace;
	struct db_file_watch watch;
	unsigned reads;
	void volatile **index; /* the mapped parts of the WAL index, by number; NULL: not mapped */
	int index_count;
	int unsynced;               /* pages written since the last sync */
	const unsigned char *first; /* read instead of the first page; NULL: none */
};

int db_file_open(struct db_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags);

/* For sqlite3_file_control. */
enum {
	DB_FILE_CHECK = 0x7469646d, /* a bool: are sums checked? The default is true */
	DB_FILE_PACE,               /* a struct db_file_pace */
	DB_FILE_WATCH,              /* a struct db_file_watch */
	DB_FILE_SYNC,               /* syncs what was written, at that pace */
	DB_FILE_INDEX,              /* fails if a write transaction could not write to the WAL index */
	DB_FILE_COPY_ANEW,          /* the next checkpoint copies all of the log */
	DB_FILE_FIRST,              /* DB_FILE_PAGE bytes, borrowed, that are read instead of the first page */
};
/* Does the page have a sum, and is it right? */
bool db_file_proves(const void *page);
/* The page (from 1) whose sum was last found wrong on this thread; 0: none. */
uint32_t db_file_damaged(void);

#endif
