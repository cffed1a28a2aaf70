/* The inside of a set of archives, shared by archive_list.c (the list), archive_dir.c (the directory) and archive_set.c
 * (queries, and missing archives). */
#ifndef STORE_ARCHIVES_ARCHIVE_SET_INTERNAL_H
#define STORE_ARCHIVES_ARCHIVE_SET_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#include "base/system/path.h"
#include "store/archives/archive_set.h"
#include "store/archives/missing_archives.h"

enum { DIR_LEN = 1024 };

/* An archive that could not be read, and its file at that time. */
struct damaged {
	char file[ARCHIVE_NAME_LEN]; /* empty: no damage is known */
	ino_t inode;
	struct timespec changed;
	struct fault why;
};

struct archive_set {
	char dir[PATH_MAX];
	const struct lineage *lineage; /* borrowed */
	bool own;
	bool opened; /* archive_set_open is through: unfinished files are being written by this process */
	int lock_fd;
	pthread_mutex_t lock;   /* guards all below */
	struct manifest *items; /* ascending by first, then by last */
	uint64_t *reach;        /* reach[i]: the highest `last` of items[0..i] */
	bool *chained;          /* items that archive_set_follow has found */
	uint32_t count;
	uint32_t cap;
	struct fault rejected; /* why the first unusable file of the last scan cannot be used */
	struct missing_archives missing;
	struct missing_archives told;    /* unusable files that were logged */
	struct missing_archives excused; /* lost ranges */
	int64_t scanned_ms;              /* when the directory was last scanned; monotonic */
	struct damaged damaged;          /* the last damage that was found */
};

/* Corrects `reach` from an index on. */
void archive_list_set_reach(struct archive_set *s, uint32_t from);
/* The first index whose archive begins after `seq`. */
uint32_t archive_list_begins_after(const struct archive_set *s, uint64_t seq);
/* The index of an archive by its file; -1. */
int64_t archive_list_index(const struct archive_set *s, const char *file);

#endif
