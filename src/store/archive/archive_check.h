/* Reading a whole archive and believing nothing: every frame, every line, every digest. Constant memory. One thread. */
#ifndef STORE_ARCHIVE_ARCHIVE_CHECK_H
#define STORE_ARCHIVE_ARCHIVE_CHECK_H

#include <stdbool.h>

#include "event/envelope.h"
#include "store/archive/manifest.h"

struct archive_check {
	const struct manifest *expected; /* what its manifest says; NULL: there is none, neither beside it nor inside */
	bool selection;                  /* without a manifest: events may be left out */
	/* Called with each event, in order; NULL. `text` is its line. Names are as they stand there. */
	enum err (*each)(void *arg, const struct envelope *e, struct slice text, int64_t time_ms, struct fault *fault);
	/* Called now and then with the raw bytes done and all of them; NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t all);
	void *arg;
};

/* Finds out what the manifest should say (*out; no epoch where none is expected). ERR_CORRUPT names the file, and the event
 * that the first fault is at. */
enum err archive_check(const char *path, const struct archive_check *s, struct manifest *out, struct fault *fault);

#endif
