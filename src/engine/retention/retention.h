/* Where the log is to be cut: what the limits of a keeper come to. */
#ifndef ENGINE_RETENTION_RETENTION_H
#define ENGINE_RETENTION_RETENTION_H

#include "engine/retention/archiver.h"

struct retention {
	struct store *store;
	struct reader *reader;
	const struct age_clock *ages; /* NULL: no limit is an age */
	const struct archiver_options *limits;
};

/* The last seq that is to leave the log; below store_log_first when none is. `used`: see history_used. */
enum err retention_cut(const struct retention *r, uint64_t used, uint64_t *cut, struct fault *fault);
/* Is any limit an age? */
bool retention_has_age(const struct archiver_options *limits);

#endif
