/* The file of tokens on disk. Because it controls access, only its owner may be able to write to it; it is replaced as a
 * whole. */
#ifndef SERVER_ACCESS_TOKEN_FILE_H
#define SERVER_ACCESS_TOKEN_FILE_H

#include "server/access/token.h"

/* Reads the file. `text` (may be NULL) receives the raw file; the caller must always finish it. ERR_NOT_FOUND: there is
 * none; ERR_INVALID; ERR_DENIED: other users may write to it. *open: other users may read it. */
enum err token_file_read(const char *path, struct tokens **out, struct buf *text, bool *open, struct fault *fault);
/* Replaces the file atomically. */
enum err token_file_write(const char *path, struct slice text, struct fault *fault);
/* Keeps other writers out until the caller closes `lock`. */
enum err token_file_lock(const char *path, int *lock, struct fault *fault);

#endif
