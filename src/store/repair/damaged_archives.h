/* Archives that are damaged, and what can still be read in them: frames, each proven by its own checksum. One thread. */
#ifndef STORE_REPAIR_DAMAGED_ARCHIVES_H
#define STORE_REPAIR_DAMAGED_ARCHIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "store/archive/lineage.h"

struct damaged_archive;

/* Looks for archives of this lineage that are not what they should be, or whose manifests are not. One that is what the
 * manifest inside says gets that beside it; the others are renamed: what the directory holds as archives afterwards is
 * sound. Also finds what an earlier attempt has renamed. Nobody else uses the
 * directory. */
enum err damaged_archive_open(const char *dir, const struct lineage *lineage, struct damaged_archive **out,
			      struct fault *fault);
void damaged_archive_close(struct damaged_archive *t); /* NULL is fine */

uint32_t damaged_archive_count(const struct damaged_archive *t);
/* The highest seq in any of them; 0. */
uint64_t damaged_archive_head(const struct damaged_archive *t);
/* The envelope of an event, until the next call; false where none of them has it. */
bool damaged_archive_find(struct damaged_archive *t, uint64_t seq, struct slice *envelope);

/* The lines of history that all sound manifests of a directory agree on. ERR_CORRUPT where there are none, or they do not.
 */
enum err damaged_archive_lineage(const char *dir, struct lineage *out, struct fault *fault);

#endif
