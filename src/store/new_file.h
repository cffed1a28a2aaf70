/* A file that is there whole or not at all: written beside its place under another name, synced, then renamed. It never
 * takes the place of another. One thread. */
#ifndef STORE_NEW_FILE_H
#define STORE_NEW_FILE_H

#include <stdint.h>

#include "tidemark/err.h"
#include "tidemark/slice.h"

enum { NEW_FILE_PATH_LEN = 1200 };
#define NEW_FILE_ENDING ".part"

struct new_file {
	int fd;         /* -1: none */
	uint64_t len;   /* written */
	uint64_t begun; /* of it, on its way to the disk */
	char path[NEW_FILE_PATH_LEN];
	char part[NEW_FILE_PATH_LEN + 32];
};

/* ERR_CONFLICT where there is such a file already; ERR_FULL; ERR_IO. It is locked while it is being written. */
enum err new_file_create(struct new_file *f, const char *path, struct fault *fault);
/* An archive_sink. */
enum err new_file_write(void *file, struct slice bytes, struct fault *fault);
/* Puts it in its place; it is on stable storage when this returns. */
enum err new_file_commit(struct new_file *f, struct fault *fault);
/* Takes it away again; after new_file_commit, or without new_file_create, nothing. */
void new_file_abandon(struct new_file *f);

/* Takes away what attempts at the same file have left that were cut short: those that nobody is writing. */
void new_file_clear(const char *path);

/* All of it at once. */
enum err new_file_whole(const char *path, struct slice bytes, struct fault *fault);

#endif
