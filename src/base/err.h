/* Error codes, and faults: errors with a text for people. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Error codes, one for each reaction that callers may have. 0 is success. */
enum err {
	ERR_NONE = 0,
	ERR_NOMEM,     /* no memory: nothing was changed */
	ERR_INVALID,   /* the input breaks a rule; a retry does not help */
	ERR_TOO_LARGE, /* the input is over a limit */
	ERR_NOT_FOUND, /* it never existed */
	ERR_GONE,      /* it existed and was removed by retention */
	ERR_CONFLICT,  /* the expectation of the caller does not hold */
	ERR_BUSY,      /* a queue or a limit is full: try again later */
	ERR_FULL,      /* the disk is full, or the reserve is reached */
	ERR_IO,        /* the operating system refused */
	ERR_CORRUPT,   /* what is stored is not what was written */
	ERR_NEWER,     /* the store was made by a newer version */
	ERR_LOCKED,    /* another process holds the store */
	ERR_CLOSED,    /* the other side is shutting down */
	ERR_DENIED,    /* the client is not allowed to */
	ERR_RATE,      /* too much at once: try again a little later */
};

enum { FAULT_TEXT_LEN = 488 }; /* with room for a path */

/* An error with a text for people. Owned by the caller, filled by the callee. */
struct fault {
	enum err code;
	long place;       /* line (from 1) or index (from 0) of the offending event, -1 where there is none */
	const char *kind; /* which problem it is where the code does not say (server/message/problem.h), a static string;
			     else NULL */
	bool compared;    /* an expectation does not hold; the members below are set: */
	uint64_t expected;
	uint64_t actual;
	bool actual_unknown; /* the actual value is not known */
	char text[FAULT_TEXT_LEN];
};

/* The short name of a code ("not found"); a static string. */
const char *err_name(enum err code);

/* Fills `f` (which may be NULL) and returns `code`, so that `return fault_set(…)` reads well. */
enum err fault_set(struct fault *f, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* ERR_NOMEM, the same way. */
enum err fault_nomem(struct fault *f);
/* Says which problem it is, after fault_set, and returns the code. */
enum err fault_kind(struct fault *f, enum err code, const char *kind);
/* Puts `where` and a colon before the text of a fault that came from below, and returns its code. */
enum err fault_in(struct fault *f, const char *where, enum err code);

#endif
