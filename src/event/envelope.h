/* The envelope, read back: the text that encoding_envelope wrote, whose members stand in one fixed order. */
#ifndef EVENT_ENVELOPE_H
#define EVENT_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* All slices point into the text. Names are as they stand there: without their quotes, with their escapes. */
struct envelope {
	uint64_t seq;
	struct slice time;  /* CLOCK_TEXT_LEN characters; whether they are a time is not looked at */
	struct slice topic; /* "stream":"…","type":"…", see encoding_topic */
	struct slice stream;
	struct slice type;
	struct slice id;   /* empty: none */
	struct slice data; /* whatever stands there: whether it is JSON is not looked at */
};

/* `text` may be any bytes; false when they are not an envelope. */
bool envelope_read(struct slice text, struct envelope *e);
/* The same for seq and time alone, of which no more than the beginning need be there. */
bool envelope_read_start(struct slice text, uint64_t *seq, struct slice *time);
/* A name without its escapes: at most EVENT_NAME_MAX bytes of `out`, UTF-8 without control characters. False when it is
 * written as no server writes it. */
bool envelope_name(struct slice raw, char *out, struct slice *name);

#endif
