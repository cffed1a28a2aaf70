/* Archives that are damaged, and what can still be read in them: frames, each proven by its own checksum. One thread. */
#ifndef STORE_TORN_H
#define STORE_TORN_H

#include <stdbool.h>
#include <stdint.h>

#include "store/lineage.h"
#include "tidemark/err.h"
#include "tidemark/slice.h"

struct torn;

/* Looks for archives of this lineage that are not what they should be, or whose manifests are not. One that is what the
 * manifest inside says gets that beside it; the others are renamed: what the directory holds as archives afterwards is
 * sound. Also finds what an earlier attempt has renamed. Nobody else uses the
 * directory. */
enum err torn_open(const char *dir, const struct lineage *lineage, struct torn **out, struct fault *fault);
void torn_close(struct torn *t); /* NULL is fine */

uint32_t torn_count(const struct torn *t);
/* The highest seq in any of them; 0. */
uint64_t torn_head(const struct torn *t);
/* The envelope of an event, until the next call; false where none of them has it. */
bool torn_find(struct torn *t, uint64_t seq, struct slice *envelope);

/* The lines of history that all sound manifests of a directory agree on. ERR_CORRUPT where there are none, or they do not.
 */
enum err torn_lineage(const char *dir, struct lineage *out, struct fault *fault);

#endif
