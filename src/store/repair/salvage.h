/* Makes a sound store out of a damaged one: events that can be read and verified go into archives, the log starts after the
 * highest seq that was ever acknowledged, and the old files are kept as they are.
 *
 *     tidemark.db (damaged) ─▶ every event whose sum is right ─────┬─▶ archives, in the store's directory of them
 *            │                 sessions, leases, figures ─▶ a new database
 *            └─▶ damaged-TIME/                                     │
 *     archives (damaged) ─▶ every frame whose checksum is right ───┘
 *            └─▶ NAME.damaged
 *
 * Where the first page of the database is damaged, a copy of it stands in (store_files.h); where nothing can be read of it
 * at all, archives are what is left. Events in no archive afterwards are lost, and readers get a gap. One thread; no server
 * may use the directory. */
#ifndef STORE_REPAIR_SALVAGE_H
#define STORE_REPAIR_SALVAGE_H

#include "base/system/path.h"
#include "store/archives/lost_ranges.h"

enum { SALVAGE_RANGES_MAX = 16 };

struct salvage_report {
	uint64_t head;
	uint64_t kept; /* events that were in the log or in damaged archives, and are in archives now */
	uint64_t lost;
	struct lost_range ranges[SALVAGE_RANGES_MAX]; /* the first of them */
	uint32_t range_count;                         /* the number of all, also of those not in `ranges` */
	uint32_t damaged;                             /* damaged archives */
	char side_fault[128];   /* why sessions, leases and figures could not be read; empty: they were */
	char old_dir[PATH_MAX]; /* where the old files are now */
};

/* `archive_dir` as in store_options. ERR_CORRUPT: neither the database nor an archive has the store's epoch;
 * ERR_LOCKED. On failure the old files are still in place, except that damaged archives were renamed. The store must be
 * opened with accept_loss once. */
enum err store_salvage(const char *dir, const char *archive_dir, struct salvage_report *out, struct fault *fault);

#endif
