/* The flat shape of the monitoring profile: what clients of the Python monitoring hub send, and the two shapes in which they
 * expect it back. Events are stored as they were sent; a flat event is a reading of one, made when somebody needs it:
 *
 *     sent (either)  {"type":"event","connection_type":"kimi","direction":"inbound",…}
 *                    {"type":"api_request","service":"kimi","severity":"error","message":…}
 *     live           {"type":"event",…,"script_name","function_name",…,"broadcast_time","seq"}
 *     stored         {"seq","timestamp","datetime",…,"script","script_name","function","function_name",…}
 *
 * The stream says which service an event belongs to. Events of other streams have no flat shape. */
#ifndef PROFILES_MONITORING_EVENT_FLAT_H
#define PROFILES_MONITORING_EVENT_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The services that can be watched; each is a stream. SERVICE_TEST is the stream of test frames, which belong to none. */
enum service {
	SERVICE_WEBSOCKET,
	SERVICE_REDIS,
	SERVICE_SUPABASE,
	SERVICE_KIMI,
	SERVICE_GLM,
	SERVICES,
	SERVICE_TEST = SERVICES,
	SERVICE_NONE,
};

/* A static text; of SERVICE_TEST too. */
const char *service_name(enum service service);
/* SERVICE_NONE where it is none. */
enum service service_find(struct slice name);

/* Texts are JSON without the quotes, escapes and all; they point into the envelope or are static. */
struct flat {
	enum service service;
	uint64_t seq;
	int64_t time_ms;
	struct slice type; /* of the envelope */
	struct slice time; /* RFC 3339 */
	struct slice direction;
	struct slice script;
	struct slice function;
	struct slice severity; /* no p: none */
	struct slice error;    /* no p: null */
	bool error_is_value;   /* it is JSON other than a text */
	bool timed;
	struct slice response; /* the number as it was sent */
	double response_ms;
	uint64_t size;         /* bytes */
	struct slice data;     /* the payload */
	struct slice metadata; /* the payload's own: an object, or no p */
	unsigned used;         /* members of the payload that have a place of their own here: bits of flat.c */
};

/* Members of the payload for whoever classifies events and holds them against rules: values, no p where there is none. */
struct flat_more {
	struct slice type;
	struct slice script_name;
	struct slice script;
	struct slice source;
	struct slice timestamp;
	struct slice metadata;
	struct slice exception;
	struct slice metrics;
	struct slice performance;
};

/* The service of an envelope, at the cost of looking at its stream. */
enum service flat_service(struct slice envelope);
/* Reads an envelope (event/event.h). False where its stream is no service's. */
bool flat_read(struct slice envelope, int64_t time_ms, struct flat *out);
/* The same with these, in one look at the payload. */
bool flat_read_more(struct slice envelope, int64_t time_ms, struct flat *out, struct flat_more *more);

/* What a payload says, whatever stream it is of; names of streams are left out. */
void flat_read_payload(struct slice type, struct slice data, struct flat *out);

/* An event is an error if its direction is `error`, or if its `error` is a text that is not empty. Whatever counts errors
 * asks here. */
bool flat_is_error(const struct flat *f);

/* Append one JSON object. In texts that the Python hub's page puts into its document as markup, < becomes &lt;. */
void flat_live(struct buf *out, const struct flat *f);
/* `more` are further members, with a leading comma, or empty. */
void flat_stored(struct buf *out, const struct flat *f, struct slice more);

/* The values that both shapes have under these names: append the JSON. */
void flat_error(struct buf *out, const struct flat *f);
void flat_metadata(struct buf *out, const struct flat *f);
/* A number that is not negative and not past any measure; false for any other value, and for none (no p). */
bool flat_number(struct slice value, double *out);

/* The stream of a frame that names none: by `connection_type`, else by `service`, else websocket. `frame` is a minified
 * object. */
enum service flat_route(struct slice frame);

#endif
