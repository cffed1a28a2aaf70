/* The file of tokens on the disk. What it holds decides who may do what: it must be writable by its owner only, and is
 * replaced as a whole. */
#ifndef SERVER_ACCESS_TOKEN_FILE_H
#define SERVER_ACCESS_TOKEN_FILE_H

#include "server/access/token.h"

/* Reads the file; `text` may be NULL, or gets it as it is (to be finished in any case). ERR_NOT_FOUND where there is none,
 * ERR_INVALID, ERR_DENIED where others may write to it. *open: others may read it. */
enum err token_file_read(const char *path, struct tokens **out, struct buf *text, bool *open, struct fault *fault);
/* Replaces it: all of the new text, or the old. */
enum err token_file_write(const char *path, struct slice text, struct fault *fault);
/* Keeps other writers away until `lock` is closed. */
enum err token_file_lock(const char *path, int *lock, struct fault *fault);

#endif
