/* Encodings: how events are written for readers. The envelope is the same in all; an encoding is what surrounds it:
 *
 *     ENCODING_LINE   envelope \n                              NDJSON
 *     ENCODING_SSE    data: envelope \n id: SEQ.EPOCH \n\n     text/event-stream
 *     ENCODING_WS     header envelope                          a final, unmasked WebSocket text frame (RFC 6455, 5.2)
 *     of a profile    header object                            the same around a text that a profile makes of an envelope
 *
 * The id of an SSE record comes last: widely used clients store it as soon as they read its line, so a client that was cut
 * off between an id and its data would resume after an event that it has not got.
 *
 * A record is one event in one encoding. The same event always has the same bytes, whether it is read from memory, the
 * database or an archive, so a reader that stopped inside a record can go on with the rest of a copy made later. */
#ifndef EVENT_ENCODING_H
#define EVENT_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

enum encoding { ENCODING_LINE, ENCODING_SSE, ENCODING_WS, ENCODING_OWN, ENCODING_COUNT = ENCODING_OWN + 4 };

struct buf;

/* A profile may add an encoding: WebSocket text frames whose text `make` appends, made of an envelope; false: the event has
 * no record. Added once, before the first page is made. */
typedef bool encoding_make(struct slice envelope, int64_t time_ms, struct buf *out);
enum encoding encoding_add(encoding_make *make);
/* The function of a profile's encoding; NULL: it is one of those above. */
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
size_t encoding_record_size(enum encoding encoding, uint64_t seq, const char *epoch, size_t envelope);
/* Write what comes before and after the envelope; return the end. */
char *encoding_begin(enum encoding encoding, size_t envelope, char *out);
char *encoding_end(enum encoding encoding, uint64_t seq, const char *epoch, char *out);

/* The envelope inside a record. */
struct slice encoding_inside(enum encoding encoding, struct slice record);

/* Appends a WebSocket text frame around `text`. */
void encoding_ws_frame(struct buf *out, struct slice text);

#endif
