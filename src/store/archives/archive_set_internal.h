/* The inside of a set of archives: archive_list.c (what is in it), archive_dir.c (the directory) and archive_set.c (asking,
 * and what is missing) share it. */
#ifndef STORE_ARCHIVES_ARCHIVE_SET_INTERNAL_H
#define STORE_ARCHIVES_ARCHIVE_SET_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>
#include <time.h>

#include "base/system/path.h"
#include "store/archives/archive_set.h"
#include "store/archives/missing_archives.h"

enum { DIR_LEN = 1024 };

/* An archive that could not be read, as its file was then. */
struct damaged {
	char file[ARCHIVE_NAME_LEN]; /* empty: none is known */
	ino_t inode;
	struct timespec changed;
	struct fault why;
};

struct archive_set {
	char dir[PATH_MAX];
	const struct lineage *lineage; /* borrowed */
	bool own;
	bool opened; /* what is being written is ours from now on */
	int lock_fd;
	pthread_mutex_t lock;   /* guards all below */
	struct manifest *items; /* ascending by first, then by last */
	uint64_t *reach;        /* of items[0..i]: the highest last */
	bool *chained;          /* what archive_set_follow has found */
	uint32_t count;
	uint32_t cap;
	struct fault rejected; /* the first that was left alone when the directory was last looked at */
	struct missing_archives missing;
	struct missing_archives told;    /* of what was left alone */
	struct missing_archives excused; /* gone for good */
	int64_t scanned_ms;              /* when the directory was last scanned; monotonic */
	struct damaged damaged;          /* the last one that was found */
};

/* Adds one to the list, where it is not in it. */
/* Corrects `reach` from an index on. */
void archive_list_set_reach(struct archive_set *s, uint32_t from);
/* The first index whose archive begins after `seq`. */
uint32_t archive_list_begins_after(const struct archive_set *s, uint64_t seq);
/* The index of an archive by its file; -1. */
int64_t archive_list_index(const struct archive_set *s, const char *file);

#endif
