/* A disk that loses power: below one directory every change is kept apart until it is synced, and a cut loses some of what
 * was not. The C library's calls are replaced in the test's executable, for Tidemark and for SQLite alike.
 *
 *     write, truncate ─▶ pending of the file ── fsync ──▶ durable contents
 *     create, rename, unlink, mkdir, rmdir ─▶ pending names ── fsync of a directory they are in ──▶ durable names
 *
 * After a cut every call fails (EIO) until disk_restore has made the directory what a machine would find that comes up
 * again: of each pending change all, nothing or a part is there, a write in sectors of 512 bytes, in whatever order.
 *
 * The changes can also be recorded, and the disk made what a cut after any number of them leaves, with any choice of what is
 * lost. */
#ifndef FAULT_DISK_H
#define FAULT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Begins to watch an empty directory. */
void disk_watch(const char *dir);
/* Cuts the power at the n-th change from now on: that one does not happen. 0: at none. */
void disk_cut_at(uint64_t n);
bool disk_is_cut(void);
/* The n-th fsync of a file from now on fails, once: what it was to write is not on the disk, and the system takes it for
 * written, as Linux does. 0: none. */
void disk_fail_sync_at(uint64_t n);
/* Cuts it now, where it was not cut yet, and makes the directory anew. The same `seed` loses the same. */
void disk_restore(uint64_t seed);
/* The same for a process that was killed: all that it wrote is there, synced or not. */
void disk_keep(void);
/* Ends watching; what is there stays. */
void disk_forget(void);

/* --- recording --- */

/* Records every change from now on, fsyncs among them. Nothing is unsynced. */
void disk_record(void);
/* Ends recording and watching; returns how many changes were recorded. */
uint32_t disk_end_record(void);
/* The disk as it was after the first `count` recorded changes. The directory stays as it is. */
void disk_replay(uint32_t count);
/* How many changes are unsynced then: they have the numbers from 0 on. */
uint32_t disk_unsynced(void);
/* The sectors of such a change that can be lost one by one; 1 unless it is a write. */
uint32_t disk_sectors(uint32_t change);
/* Cuts the power there: of the unsynced changes those sectors are on the disk that `kept` says. Returns a hash of all that
 * is there then; the directory stays as it is. */
uint64_t disk_lose(bool (*kept)(void *arg, uint32_t change, uint32_t sector), void *arg);
/* Makes the directory so. */
void disk_lay_out(void);

/* A small generator of its own, so that a seed is worth something everywhere. */
uint64_t disk_random(uint64_t *state);

struct disk_figures {
	uint64_t changes;  /* since disk_watch */
	uint64_t lost;     /* sectors and entries that a cut took */
	uint64_t damaged;  /* writes of which a part is there */
	uint64_t unsynced; /* fsyncs that failed */
};
extern struct disk_figures disk_figures;

#endif
