/* A line on stderr that says how far long work has come. It shows itself only when stderr is a terminal, and leaves
 * nothing behind. One thread. */
#ifndef BASE_SYSTEM_PROGRESS_H
#define BASE_SYSTEM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "verify" */
	const char *unit; /* "events" */
	bool enabled;
	bool shown;
	int64_t started_ms;
	int64_t drawn_ms;
};

/* Both texts are static. */
void progress_init(struct progress *p, const char *what, const char *unit);
/* Sets the progress: `count` units, and `done` of `all` for the bar. `all` 0: the total is not known, and there is no bar.
 * May be called at any rate. */
void progress_set(struct progress *p, uint64_t count, uint64_t done, uint64_t all);
/* Removes the line, so that other text can be written; the next progress_set shows it again. */
void progress_clear(struct progress *p);

#endif
