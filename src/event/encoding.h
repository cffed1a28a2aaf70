/* How an event looks on the wire. The envelope is the same everywhere; a form is what stands around it:
 *
 *     ENCODING_LINE   envelope \n                              NDJSON
 *     ENCODING_SSE    data: envelope \n id: SEQ.EPOCH \n\n     text/event-stream
 *     ENCODING_WS     header envelope                          a final, unmasked WebSocket text frame (RFC 6455, 5.2)
 *     of a profile  header object                           the same around a text that a profile makes of an envelope
 *
 * The id comes last: widely used clients keep it when they read its line, and one that was cut off between an id and its
 * data would come back behind an event that it has not seen.
 *
 * A record is one event in one form. The same event always has the same bytes, wherever it is read from: a reader that
 * stopped in the middle of a record can go on with the rest of a copy made later. */
#ifndef EVENT_ENCODING_H
#define EVENT_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

enum encoding { ENCODING_LINE, ENCODING_SSE, ENCODING_WS, ENCODING_OWN, ENCODING_COUNT = ENCODING_OWN + 4 };

struct buf;

/* A profile may have an encoding of its own: WebSocket text frames whose text `make` appends, made of an envelope; false
 * where the event has none. Added once, before the first page is made. */
typedef bool encoding_make(struct slice envelope, int64_t time_ms, struct buf *out);
enum encoding encoding_add(encoding_make *make);
/* How it is made; NULL: it is one of those above. */
encoding_make *encoding_own(enum encoding encoding);

/* What an envelope is made of. */
struct encoding_event {
	uint64_t seq;
	const char *time;   /* CLOCK_TEXT_LEN characters */
	struct slice topic; /* "stream":"…","type":"…" ready-made: see encoding_topic */
	struct slice id;    /* may be empty */
	struct slice data;
};

/* Appends the two members that every event of a topic shares. */
void encoding_topic(struct buf *out, struct slice stream, struct slice type);

size_t encoding_envelope_size(const struct encoding_event *e);
/* Writes encoding_envelope_size bytes and returns the end. */
char *encoding_envelope(const struct encoding_event *e, char *out);

/* The size of a record around an envelope of `envelope` bytes. `epoch` is the store's. */
size_t encoding_record_size(enum encoding form, uint64_t seq, const char *epoch, size_t envelope);
/* What stands before and after the envelope; each writes and returns the end. */
char *encoding_begin(enum encoding form, size_t envelope, char *out);
char *encoding_end(enum encoding form, uint64_t seq, const char *epoch, char *out);

/* The envelope inside a record. */
struct slice encoding_inside(enum encoding form, struct slice record);

/* Appends a WebSocket text frame around `text`. */
void encoding_ws_frame(struct buf *out, struct slice text);

#endif
