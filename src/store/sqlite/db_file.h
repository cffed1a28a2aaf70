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
 * What an fsync could not write counts as written from then on, and would not be there after a power loss. So after one that
 * failed, all of the log is copied into the database again, also what was copied before.
 *
 * And what is written can be put on the disk piece by piece, so that whoever else waits for the disk waits for a piece.
 *
 * The index of the write-ahead log (its -shm file) is mapped into memory, and what is written there to a disk that is full,
 * read-only or failing, or to a file that was cut, is a SIGBUS. So before SQLite takes a lock under which it writes there,
 * and again when it has waited for the disk, the kernel is asked for the pages: the call fails instead. (Where the kernel is
 * older than 5.14, bus_error.h says what happened.)
 *
 * The first page says where everything else is: a copy of it (store_files.h) can stand in for one that is damaged. */
#ifndef STORE_SQLITE_DB_FILE_H
#define STORE_SQLITE_DB_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/sqlite/shim.h"

enum { DB_FILE_PAGE = 4096, DB_FILE_SUM_LEN = 8 };

/* How what is written is put on the disk. */
struct db_file_pace {
	int pages; /* so many at a time; 0: when SQLite says so */
	void (*before)(void *arg);
	void *arg;
};

/* Called now and then while pages are read from the database. */
struct db_file_watch {
	void (*reads)(void *arg);
	void *arg;
};

struct db_file {
	struct shim shim;
	bool summed;  /* there is room for sums */
	bool checked; /* and they must be right */
	struct db_file_pace pace;
	struct db_file_watch watch;
	unsigned reads;
	void volatile **index; /* the parts of the log's index that are mapped, by number; NULL: not this one */
	int index_count;
	int unsynced;               /* pages that were written since the disk was waited for */
	const unsigned char *first; /* what is read instead of the first page; NULL: that */
};

int db_file_open(struct db_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags);

/* For sqlite3_file_control. */
enum {
	DB_FILE_CHECK = 0x7469646d, /* a bool: are sums checked? They are unless told otherwise */
	DB_FILE_PACE,               /* a struct db_file_pace */
	DB_FILE_WATCH,              /* a struct db_file_watch */
	DB_FILE_SYNC,               /* puts on the disk what is not there yet, at that pace */
	DB_FILE_INDEX,              /* fails when a transaction that writes could not write to the index of the log */
	DB_FILE_COPY_ANEW,          /* the next checkpoint copies all of the log */
	DB_FILE_FIRST,              /* DB_FILE_PAGE bytes that are read instead of the first page, as long as it is open */
};
/* Is it a page with a sum, and that sum right? */
bool db_file_proves(const void *page);
/* The page (from 1) whose sum was last found wrong on this thread; 0: none. */
uint32_t db_file_damaged(void);

#endif
