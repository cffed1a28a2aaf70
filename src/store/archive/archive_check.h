/* Checking a whole archive, which may hold anything: every frame, line and digest. Constant memory. One thread. */
#ifndef STORE_ARCHIVE_ARCHIVE_CHECK_H
#define STORE_ARCHIVE_ARCHIVE_CHECK_H

#include <stdbool.h>

#include "event/envelope.h"
#include "store/archive/manifest.h"

struct archive_check {
	const struct manifest *expected; /* its manifest; NULL: it has none, neither as a file nor embedded */
	bool selection;                  /* without a manifest: events may be left out */
	/* Called with each event, in order; NULL: not. `text` is its line. Names have their escapes. An error ends the
	 * check. */
	enum err (*each)(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault);
	/* Called after each frame with the raw bytes so far and in all; NULL: not. */
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *arg;
};

/* *out: the manifest that the content has (without an epoch unless one is expected). ERR_CORRUPT names the file and the
 * event of the first fault. */
enum err archive_check(const char *path, const struct archive_check *s, struct manifest *out, struct fault *fault);

#endif
