/* System calls on files, which tests can make fail, or end the process at, by number. All return -1 with errno on failure; a
 * short write counts as a failure. */
#ifndef BASE_SYSTEM_SYS_H
#define BASE_SYSTEM_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Translates an errno: ERR_FULL if there is no space, on the disk or in a quota; else ERR_IO. */
enum err sys_err(int why);
/* The error of a call on a file or a directory: "WHAT PATH: REASON", where `what` is "cannot write" or the like. The reason
 * says whether the disk is full (and how much of it is free), over its quota or read-only; `why` is 0 where no errno is
 * known. */
enum err sys_fail(struct fault *fault, const char *what, const char *path, int why);

int sys_create(const char *path); /* a new file with mode 0600, open for writing */
int sys_write(int fd, const void *bytes, size_t n);
/* Asks the kernel to begin with writing that to the disk, so that sys_sync has less to wait for. Cannot fail. */
void sys_begin_sync(int fd, uint64_t at, size_t n);
int sys_sync(int fd);
int sys_rename_new(const char *from, const char *to); /* fails with EEXIST where there is a `to` */
int sys_rename(const char *from, const char *to);     /* replaces it */
int sys_remove(const char *path);
int sys_sync_parent(const char *path); /* of the directory that holds it */
int sys_sync_dir(const char *dir);     /* a directory entry is on stable storage only when its directory was synced */

/* Locks a directory itself (removing a file in it does not release the lock), or the file `name` in it if the file system
 * cannot lock directories. Released when *fd is closed or the process ends. -1 with EWOULDBLOCK: another process has the
 * lock. */
int sys_lock_dir(const char *dir, const char *name, bool shared, int *fd);
/* The name that this run of the machine has; empty where it has none. */
void sys_boot(char *out, size_t size);

/* Called before each of them with its name; when it returns true the call fails with EIO. For tests; NULL: none. */
extern bool (*sys_fault)(const char *call);

/* Resident memory of this process, in bytes; 0: the system does not say. */
uint64_t sys_resident(void);

#endif
