/* The archives of a store: a directory, and its manifests. An archive can be used if its manifest is sound, is on this
 * store's lines of history and has consecutive seqs; any other file there is ignored. Archives may overlap.
 *
 * Any thread, except for opening and closing. */
#ifndef STORE_ARCHIVES_ARCHIVE_SET_H
#define STORE_ARCHIVES_ARCHIVE_SET_H

#include <stdbool.h>

#include "base/system/path.h"
#include "store/archive/manifest.h"

struct archive_set;

/* The lineage is borrowed, and may grow. `own`: locks the directory (making it when the first archive is added), and removes
 * unfinished files. ERR_LOCKED: another process has its archives there. Without a directory the set is empty. */
enum err archive_set_open(const char *dir, const struct lineage *lineage, bool own, struct archive_set **out,
			  struct fault *fault);
void archive_set_close(struct archive_set *s); /* NULL is fine */

/* Scans the directory for new archives. */
enum err archive_set_scan(struct archive_set *s, struct fault *fault);

/* Is it on this store's lines of history? */
bool archive_set_owns(const struct archive_set *s, const struct manifest *m);
const char *archive_set_dir(const struct archive_set *s);
/* The path of a name in the directory. */
void archive_set_path(const struct archive_set *s, const char *name, char out[PATH_MAX]);
/* Makes and locks the directory, before anything is written there. */
enum err archive_set_prepare(struct archive_set *s, struct fault *fault);
/* Removes the files of this range that an interrupted attempt has left: without both it never was an archive. ERR_CONFLICT:
 * an archive of another store has that name. */
enum err archive_set_clear(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* Adds an archive whose file is in place, by writing its manifest file. */
enum err archive_set_add(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* Adds an archive that will get its manifest file later: this process reads it from now on. */
enum err archive_set_insert(struct archive_set *s, const struct manifest *m, struct fault *fault);
/* Does the archive have its manifest file? */
bool archive_set_has_manifest(const struct archive_set *s, const char *file);
/* Deletes an archive, with its manifest, that no reader needs: the log, from log_first on, and other archives have all of
 * its events. ERR_NOT_FOUND; ERR_CONFLICT: it is needed, or archives are missing; ERR_IO. Not while an archive is being
 * made. */
enum err archive_set_delete(struct archive_set *s, const char *file, uint64_t log_first, struct fault *fault);
/* The file of an archive has disappeared: the archive becomes a missing one. */
void archive_set_forget(struct archive_set *s, const char *file);

/* Ascending by their first seq; false when there are no more. */
bool archive_set_at(struct archive_set *s, uint32_t index, struct manifest *out);
bool archive_set_named(struct archive_set *s, const char *file, struct manifest *out);
/* The archive that has `seq`. Of several: one in the followed chain, then the one with the highest last seq. */
bool archive_set_find(struct archive_set *s, uint64_t seq, struct manifest *out);
/* The same; if there is none, the directory is scanned again, every two seconds at most. ERR_IO: the archive is missing or
 * cannot be used. ERR_GONE: the event was removed by retention. */
enum err archive_set_want(struct archive_set *s, uint64_t seq, struct manifest *out, struct fault *fault);
/* These events should be in an archive: it is missing. */
void archive_set_expect(struct archive_set *s, uint64_t first, uint64_t last);
/* These events are lost: no archive is missing for them. */
void archive_set_excuse(struct archive_set *s, uint64_t first, uint64_t last);
/* Are archives missing? */
bool archive_set_is_missing(struct archive_set *s, struct fault *why);
/* Is an archive missing, or known to be damaged? */
bool archive_set_is_incomplete(struct archive_set *s, struct fault *why);
/* Records that an archive is damaged, until its file is replaced. */
void archive_set_note_damage(struct archive_set *s, const char *file, const struct fault *why);
/* Is there a file named like an archive that has `seq`, without a usable manifest? Sets `why`. */
bool archive_set_orphan(struct archive_set *s, uint64_t seq, struct fault *why);
/* If archives are missing: scans the directory, every two seconds at most. */
void archive_set_find_missing(struct archive_set *s);
/* The first archive whose last event is at or after `time_ms`; false: there is none, search the log, from log_first on.
 * *sure: all events up to this seq are older, and their archives are not missing. */
bool archive_set_find_time(struct archive_set *s, int64_t time_ms, uint64_t log_first, struct manifest *out, uint64_t *sure);
/* The lowest seq after `after`, or the highest before `before` (not 0), that is in an archive, missing ones included; 0:
 * none is. */
uint64_t archive_set_next(struct archive_set *s, uint64_t after);
uint64_t archive_set_previous(struct archive_set *s, uint64_t before);
/* The first seq of the archive that has `seq`, or of the missing one that should have it; `seq` if there is neither. */
uint64_t archive_set_part(struct archive_set *s, uint64_t seq);
/* Why a file in the directory that has the name of an archive cannot be used; false: all can. */
bool archive_set_rejected(struct archive_set *s, struct fault *why);
/* Of archives that overlap, those are preferred that the chain ending with event `last` leads to. */
void archive_set_follow(struct archive_set *s, uint64_t last, const char *chain);
/* The number of archives, and the bytes of their files. */
void archive_set_figures(struct archive_set *s, uint32_t *count, uint64_t *bytes);

#endif
