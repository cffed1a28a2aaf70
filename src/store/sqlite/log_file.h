/* The file of a write-ahead log, between SQLite and the disk. SQLite writes each page of a transaction with two calls,
 * header and content; here they are gathered and written together, 31 pages at a time. This is invisible: everything is
 * written before a sync, before a read, and with the frame that ends the transaction, after which readers may look. Only
 * appended frames are gathered: when SQLite changes frames that are written already, as it does when a transaction exceeds
 * its cache, that is written at once. docs/decisions/0017-log-file.md has the figures. */
#ifndef STORE_SQLITE_LOG_FILE_H
#define STORE_SQLITE_LOG_FILE_H

#include <stdbool.h>

#include "store/sqlite/shim.h"

struct log_file {
	struct shim shim;
	sqlite3_file *db;  /* the file of its database (db_file.h) */
	char *gathered;    /* NULL until something is written */
	int len;           /* bytes gathered */
	sqlite3_int64 at;  /* their offset in the file */
	sqlite3_int64 end; /* where the next frame is appended; -1: not known */
	bool page_next;    /* a header was appended last: its page follows */
	bool ends;         /* its frame ends a transaction */
};

int log_file_open(struct log_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags);

#endif
