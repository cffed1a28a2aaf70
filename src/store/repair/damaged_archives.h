/* Damaged archives, and the frames of them that can still be read, each verified by its checksum. One thread. */
#ifndef STORE_REPAIR_DAMAGED_ARCHIVES_H
#define STORE_REPAIR_DAMAGED_ARCHIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "store/archive/lineage.h"

struct damaged_archive;

/* Finds archives of this lineage that are damaged or have a damaged manifest. An archive that agrees with its embedded
 * manifest gets a new manifest file; the others are renamed, so that the archives that remain are sound. Also opens archives
 * that an earlier attempt has renamed. No other process may use the directory. */
enum err damaged_archive_open(const char *dir, const struct lineage *lineage, struct damaged_archive **out,
			      struct fault *fault);
void damaged_archive_close(struct damaged_archive *t); /* NULL is fine */

uint32_t damaged_archive_count(const struct damaged_archive *t);
/* The highest seq in any of their sound frames; 0: none. */
uint64_t damaged_archive_head(const struct damaged_archive *t);
/* The envelope of an event, valid until the next call; false: no sound frame has it. */
bool damaged_archive_find(struct damaged_archive *t, uint64_t seq, struct slice *envelope);

/* The lines of history that all sound manifests of a directory agree on. ERR_CORRUPT: there are none, or they disagree. */
enum err damaged_archive_lineage(const char *dir, struct lineage *out, struct fault *fault);

#endif
