/* Events as publishers send them, before they are stored: JSON text in, names and payload out. */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { EVENT_NAME_MAX = 255 }; /* bytes of a stream, a type or an id */

/* One event. All slices point into the batch that holds it. */
struct event {
	struct slice stream; /* 1 to 255 bytes, UTF-8 without control characters */
	struct slice type;   /* the same */
	struct slice id;     /* the same, or empty: no id */
	struct slice data;   /* any JSON value, without insignificant white space */
};

/* The events of one publish request: stored all together or not at all. Made by one thread, then handed on. */
struct batch;

enum batch_form {
	BATCH_JSON,        /* one event, or an array of events */
	BATCH_LINES,       /* one event a line; blank lines are passed over */
	BATCH_CLOUDEVENT,  /* one CloudEvent (src/event/cloudevent.h) */
	BATCH_CLOUDEVENTS, /* an array of them */
};

struct batch_limits {
	size_t data_max;   /* bytes of one event's data, without insignificant white space */
	size_t events_max; /* events in one batch */
};

/* Parses `text` (borrowed and overwritten: it must stay until the batch is destroyed). On failure *out is NULL and `fault`
 * names the line (from 1) or the index (from 0) of the event at fault: ERR_INVALID, ERR_TOO_LARGE, ERR_NOMEM. Any thread. */
enum err batch_parse(char *text, size_t len, enum batch_form form, struct batch_limits limits, struct batch **out,
		     struct fault *fault);
/* The same, but the batch owns `text` (from malloc) and frees it, also on failure. */
enum err batch_parse_take(char *text, size_t len, enum batch_form form, struct batch_limits limits, struct batch **out,
			  struct fault *fault);
/* The same for a value that is JSON already, without insignificant white space, inside `text`, which is taken. Not for
 * BATCH_LINES. */
enum err batch_from_value_take(struct slice value, char *text, enum batch_form form, struct batch_limits limits,
			       struct batch **out, struct fault *fault);
/* One flat event, such a value and an object, in a stream that is given: a static text. Any object is one: a type or an id
 * that cannot be a name is payload only, and of members of the same name the last one counts. */
enum err batch_from_object_take(struct slice object, const char *stream, char *text, struct batch_limits limits,
				struct batch **out, struct fault *fault);
void batch_destroy(struct batch *b);

size_t batch_count(const struct batch *b);
const struct event *batch_event(const struct batch *b, size_t index);
/* Bytes of memory of the batch. */
size_t batch_bytes(const struct batch *b);

#endif
