/* Parsing envelopes: the text that encoding_envelope writes, with its members in a fixed order. */
#ifndef EVENT_ENVELOPE_H
#define EVENT_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* All slices point into the text. Names are without their quotes, and still escaped. */
struct envelope {
	uint64_t seq;
	struct slice time;  /* CLOCK_TEXT_LEN characters, not checked to be a time */
	struct slice topic; /* "stream":"…","type":"…", see encoding_topic */
	struct slice stream;
	struct slice type;
	struct slice id;   /* empty: none */
	struct slice data; /* not checked to be JSON */
};

/* `text` may be any bytes; false when they are not an envelope. */
bool envelope_read(struct slice text, struct envelope *e);
/* The same for seq and time only; `text` may be just the beginning of an envelope. */
bool envelope_read_start(struct slice text, uint64_t *seq, struct slice *time);
/* Decodes a name into at most EVENT_NAME_MAX bytes of `out`: UTF-8 without control characters. False: no server would have
 * written it. */
bool envelope_name(struct slice raw, char *out, struct slice *name);

#endif
