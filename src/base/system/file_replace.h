/* A file that is there whole or not at all: written beside its place under another name, synced, then renamed. It never
 * takes the place of another. One thread. */
#ifndef BASE_SYSTEM_FILE_REPLACE_H
#define BASE_SYSTEM_FILE_REPLACE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { FILE_REPLACE_PATH_LEN = 1200 };
#define FILE_REPLACE_ENDING ".part"

struct file_replace {
	int fd;         /* -1: none */
	uint64_t len;   /* written */
	uint64_t begun; /* of it, on its way to the disk */
	char path[FILE_REPLACE_PATH_LEN];
	char part[FILE_REPLACE_PATH_LEN + 32];
};

/* ERR_CONFLICT where there is such a file already; ERR_FULL; ERR_IO. It is locked while it is being written. */
enum err file_replace_create(struct file_replace *f, const char *path, struct fault *fault);
/* An archive_sink. */
enum err file_replace_write(void *file, struct slice bytes, struct fault *fault);
/* Puts it in its place; it is on stable storage when this returns. */
enum err file_replace_commit(struct file_replace *f, struct fault *fault);
/* Takes it away again; after file_replace_commit, or without file_replace_create, nothing. */
void file_replace_abandon(struct file_replace *f);

/* Takes away what attempts at the same file have left that were cut short: those that nobody is writing. */
void file_replace_clear(const char *path);

/* All of it at once. */
enum err file_replace_whole(const char *path, struct slice bytes, struct fault *fault);

#endif
