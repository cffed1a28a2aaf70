/* Writing a file atomically: it is written under a temporary name in the same directory, synced and renamed, and the
 * directory is synced. One thread. */
#ifndef BASE_SYSTEM_ATOMIC_FILE_H
#define BASE_SYSTEM_ATOMIC_FILE_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "base/system/path.h"

#define ATOMIC_FILE_ENDING ".part"

/* Where there is a file of that name already. */
enum atomic_file_mode {
	ATOMIC_FILE_NEW,     /* it stays: ERR_CONFLICT */
	ATOMIC_FILE_REPLACE, /* the new one takes its place */
};

struct atomic_file {
	int fd; /* -1: none */
	enum atomic_file_mode mode;
	uint64_t len;   /* bytes written */
	uint64_t begun; /* of these, on their way to the disk */
	char path[PATH_MAX];
	char part[PATH_MAX];
};

/* Mode 0600. ERR_CONFLICT, ERR_FULL, ERR_IO; ERR_INVALID: the path is too long. It is locked while it is being written. */
enum err atomic_file_create(struct atomic_file *f, const char *path, enum atomic_file_mode mode, struct fault *fault);
/* An archive_sink. */
enum err atomic_file_write(void *file, struct slice bytes, struct fault *fault);
/* Renames the file to its name; it is on stable storage when this returns. */
enum err atomic_file_commit(struct atomic_file *f, struct fault *fault);
/* Removes the temporary file; does nothing after atomic_file_commit, or where atomic_file_create failed. */
void atomic_file_abandon(struct atomic_file *f);

/* Removes temporary files of interrupted attempts at the same file, except those that are being written. */
void atomic_file_clear(const char *path);

/* All of it at once. */
enum err atomic_file_save(const char *path, enum atomic_file_mode mode, struct slice bytes, struct fault *fault);
/* Puts a file that others have written, such as a database, in the place of `to`; both are in one file system. */
enum err atomic_file_move(const char *from, const char *to, struct fault *fault);

#endif
