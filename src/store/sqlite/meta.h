/* Values of the store under keys, in the table meta (schema/001_store.sql). In the open transaction, if there is one. */
#ifndef STORE_SQLITE_META_H
#define STORE_SQLITE_META_H

#include "base/buf.h"
#include "store/sqlite/db.h"

/* *out is `missing` if there is no such key. */
enum err meta_get(sqlite3 *db, const char *key, int64_t missing, int64_t *out, struct fault *fault);
/* Appends a text to `out`, with a NUL after its length. *there: is there such a key? */
enum err meta_get_text(sqlite3 *db, const char *key, struct buf *out, bool *there, struct fault *fault);
/* Copies a text as far as it fits. If there is none, or it cannot be read, `out` is not changed. */
void meta_get_short(sqlite3 *db, const char *key, char *out, size_t size);

enum err meta_put(sqlite3 *db, const char *key, int64_t value, struct fault *fault);
enum err meta_put_text(sqlite3 *db, const char *key, const char *value, struct fault *fault);
enum err meta_delete(sqlite3 *db, const char *key, struct fault *fault);

#endif
