/* CloudEvents 1.0: the JSON format, and binary mode, of which the same JSON is made.
 *
 *     structured   {"specversion":"1.0","id":"…","source":"…","type":"…",…,"data":…}
 *     binary       ce-specversion: 1.0, ce-id: …, and so on as HTTP headers; the body is the data
 *
 * What is stored is the structured text: docs/decisions/0015-cloudevents.md. */
#ifndef EVENT_CLOUDEVENT_H
#define EVENT_CLOUDEVENT_H

#include "base/buf.h"
#include "base/err.h"

enum { CLOUDEVENT_HEADERS_MAX = 64 };

/* The names of an event: JSON strings with their quotes, inside the text. */
struct cloudevent {
	struct slice id;
	struct slice type;
	struct slice stream;
	const char *stream_from; /* the attribute that says it: "stream", else "source" */
};

/* Checks `text`, a minified JSON value, against the format. ERR_INVALID names the attribute. */
enum err cloudevent_read(struct slice text, struct cloudevent *out, struct fault *fault);

/* The attributes of binary mode: names of headers without their "ce-", and values as they came; all borrowed. */
struct cloudevent_headers {
	struct {
		struct slice name;
		struct slice value;
	} items[CLOUDEVENT_HEADERS_MAX];
	struct slice content_type; /* of the data; empty: none */
	size_t count;              /* of all, also of those that there was no room for */
};

void cloudevent_add_header(struct cloudevent_headers *h, struct slice name, struct slice value);
/* Appends the structured form, minified, with the attributes unchecked but for what a header can get wrong. The body is
 * overwritten. ERR_INVALID, ERR_TOO_LARGE where the data alone has more than `max` bytes,
 * ERR_NOMEM. */
enum err cloudevent_compose(const struct cloudevent_headers *h, char *body, size_t len, size_t max, struct buf *out,
			    struct fault *fault);

#endif
