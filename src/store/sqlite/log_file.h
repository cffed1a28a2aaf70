/* The file of a write-ahead log, between SQLite and the disk. SQLite writes each page of a transaction with two calls, its
 * header and what is on it; here they are gathered and written together, 31 at a time. Nobody can tell the difference: all
 * is written before the disk is waited for, before anything is read, and when the frame comes that ends the transaction, of
 * which readers are told next. Only what is appended is gathered: where SQLite goes back and changes frames that are written
 * already, as it does when a transaction does not fit into its cache, that is written at once.
 * docs/decisions/0017-log-file.md has the figures. */
#ifndef STORE_SQLITE_LOG_FILE_H
#define STORE_SQLITE_LOG_FILE_H

#include <stdbool.h>

#include "store/sqlite/shim.h"

struct log_file {
	struct shim shim;
	sqlite3_file *db; /* its database's, which is ours (db_file.h) */
	char *gathered;   /* NULL until something is written */
	int len;
	sqlite3_int64 at;  /* where it belongs in the file */
	sqlite3_int64 end; /* of what was appended; -1: not known */
	bool page_next;    /* what was appended last is a header, whose page is to follow */
	bool ends;         /* and ends a transaction */
};

int log_file_open(struct log_file *f, sqlite3_vfs *real, const char *name, int flags, int *out_flags);

#endif
