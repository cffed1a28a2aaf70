/* The archives of a store: a directory, and what its manifests say. An archive counts when its manifest is whole, is of this
 * store's lines of history and names consecutive seqs; anything else there is left alone. Archives may overlap.
 *
 * Any thread, but for opening and closing. */
#ifndef STORE_ARCHIVES_ARCHIVE_SET_H
#define STORE_ARCHIVES_ARCHIVE_SET_H

#include <stdbool.h>

#include "base/system/path.h"
#include "store/archive/manifest.h"

struct archive_set;

/* The lineage is borrowed, and may grow. `own`: makes the directory where there is none when the first archive comes, locks
 * it, and clears away what an interrupted archive left. ERR_LOCKED: another process keeps its archives there. A directory
 * that is not there holds nothing. */
enum err archive_set_open(const char *dir, const struct lineage *lineage, bool own, struct archive_set **out,
			  struct fault *fault);
void archive_set_close(struct archive_set *s); /* NULL is fine */

/* Looks what has come into the directory since. */
enum err archive_set_scan(struct archive_set *s, struct fault *fault);

/* Is it an archive of this store's history? */
bool archive_set_owns(const struct archive_set *s, const struct manifest *m);
const char *archive_set_dir(const struct archive_set *s);
/* The directory and a name in it. */
void archive_set_path(const struct archive_set *s, const char *name, char out[PATH_MAX]);
/* Makes the directory, and locks it. */
enum err archive_set_prepare(struct archive_set *s, struct fault *fault);
/* Takes away what an attempt that was cut short has left of it: without both files it never was an archive. ERR_CONFLICT:
 * there is an archive of that name which is another store's. */
enum err archive_set_clear(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* A new one, whose file is in place: its manifest is what makes it an archive. */
enum err archive_set_add(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* An archive whose manifest follows: it is read from now on. */
enum err archive_set_insert(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* Does it have its manifest? */
bool archive_set_has_manifest(const struct archive_set *s, const char *file);
/* Deletes one that no reader needs, with its manifest: the log, from `hot` on, and other archives hold all of its events,
 * and readers go there already. ERR_NOT_FOUND; ERR_CONFLICT: it is needed, or something is missing; ERR_IO. Not while one is
 * made. */
enum err archive_set_delete(struct archive_set *s, const char *file, uint64_t log_first, struct fault *fault);
/* One whose file is gone: it should be there. */
void archive_set_forget(struct archive_set *s, const char *file);

/* Ascending by their first seq; false when there are no more. */
bool archive_set_at(struct archive_set *s, uint32_t index, struct manifest *out);
bool archive_set_named(struct archive_set *s, const char *file, struct manifest *out);
/* The one that holds `seq`: of those that were followed, else of all, the one that reaches farthest. */
bool archive_set_find(struct archive_set *s, uint64_t seq, struct manifest *out);
/* The same; where there is none, it is looked for again, now and then. ERR_IO: it should be there, and is not, or cannot be
 * used. ERR_GONE: it is in no archive, nor should be. */
enum err archive_set_want(struct archive_set *s, uint64_t seq, struct manifest *out, struct fault *fault);
/* These events should be in an archive. */
void archive_set_expect(struct archive_set *s, uint64_t first, uint64_t last);
/* These are gone for good: no archive is missed for them. */
void archive_set_excuse(struct archive_set *s, uint64_t first, uint64_t last);
/* Is an archive missing that should be there? */
bool archive_set_is_missing(struct archive_set *s, struct fault *why);
/* Is one missing, or did reading find one to be damaged? */
bool archive_set_is_incomplete(struct archive_set *s, struct fault *why);
/* Reading this one has found it damaged: known until its file is another. */
void archive_set_note_damage(struct archive_set *s, const char *file, const struct fault *why);
/* Is there a file of the name of an archive that holds `seq`, and no manifest with it? */
bool archive_set_orphan(struct archive_set *s, uint64_t seq, struct fault *why);
/* Looks at the directory again where something is missing, every few seconds at most. */
void archive_set_find_missing(struct archive_set *s);
/* The first whose last event is at or after `time_ms`; where there is none, what is sought is in the log, from `hot` on.
 * *sure: up to there all that should be in archives is, and is older. */
bool archive_set_find_time(struct archive_set *s, int64_t time_ms, uint64_t log_first, struct manifest *out, uint64_t *sure);
/* The lowest seq after, or the highest before, that any of them holds, or should hold; 0 where there is none. */
uint64_t archive_set_next(struct archive_set *s, uint64_t after);
uint64_t archive_set_previous(struct archive_set *s, uint64_t before);
/* The first seq of the archive that readers of `seq` go to, or of what should be in one there; `seq` where it is in none. */
uint64_t archive_set_part(struct archive_set *s, uint64_t seq);
/* Why something in the directory that has the name of an archive was left alone; false where nothing was. */
bool archive_set_rejected(struct archive_set *s, struct fault *why);
/* Of archives that overlap, those are read that lead to this one by their chains. */
void archive_set_follow(struct archive_set *s, uint64_t last, const char *chain);
/* How many there are, and the bytes of their files. */
void archive_set_figures(struct archive_set *s, uint32_t *count, uint64_t *bytes);

#endif
