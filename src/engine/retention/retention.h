/* Where the limits of an archiver cut the log. */
#ifndef ENGINE_RETENTION_RETENTION_H
#define ENGINE_RETENTION_RETENTION_H

#include "engine/retention/archiver.h"

struct retention {
	struct store *store;
	struct reader *reader;
	const struct age_clock *ages; /* NULL: no limit is an age */
	const struct archiver_options *limits;
};

/* *cut: the last seq to evict, below store_log_first when there is none. `used`: bytes, see history_used. */
enum err retention_cut(const struct retention *r, uint64_t used, uint64_t *cut, struct fault *fault);
/* Is any limit an age? */
bool retention_has_age(const struct archiver_options *limits);

#endif
