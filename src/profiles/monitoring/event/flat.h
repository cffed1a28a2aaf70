/* The flat shape of the monitoring profile: what clients of the Python monitoring hub send, and the two shapes in which they
 * expect it back. Events are stored as they were sent; a flat event is a reading of one, made when somebody needs it:
 *
 *     sent (either)  {"type":"event","connection_type":"kimi","direction":"inbound",…}
 *                    {"type":"api_request","service":"kimi","severity":"error","message":…}
 *     live           {"type":"event",…,"script_name","function_name",…,"broadcast_time","seq"}
 *     stored         {"seq","timestamp","datetime",…,"script","script_name","function","function_name",…}
 *
 * The stream determines the service of an event. Events of other streams have no flat shape. */
#ifndef PROFILES_MONITORING_EVENT_FLAT_H
#define PROFILES_MONITORING_EVENT_FLAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* The monitored services; each is a stream. SERVICE_TEST is the stream of test frames, which belong to no service. */
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

/* A static text; also for SERVICE_TEST. */
const char *service_name(enum service service);
/* SERVICE_NONE: there is no such service. */
enum service service_find(struct slice name);

/* Texts are JSON without the quotes, with escapes; they point into the envelope or are static. */
struct flat {
	enum service service;
	uint64_t seq;
	int64_t time_ms;
	struct slice type; /* of the envelope */
	struct slice time; /* RFC 3339 */
	struct slice direction;
	struct slice script;
	struct slice function;
	struct slice severity; /* p NULL: none */
	struct slice error;    /* p NULL: null */
	bool error_is_value;   /* a JSON value other than a string */
	bool timed;
	struct slice response; /* the number as it was sent */
	double response_ms;
	uint64_t size;         /* bytes */
	struct slice data;     /* the payload */
	struct slice metadata; /* the payload's own: an object, or p NULL */
	unsigned used;         /* members of the payload that are in this struct: bits of flat.c */
};

/* Further members of the payload, for classification and validation: JSON values, p NULL: none. */
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

/* The service of an envelope; reads its stream only. */
enum service flat_service(struct slice envelope);
/* Parses an envelope (event/event.h). False: its stream is not that of a service. */
bool flat_read(struct slice envelope, int64_t time_ms, struct flat *out);
/* The same with further members, in one pass over the payload. */
bool flat_read_more(struct slice envelope, int64_t time_ms, struct flat *out, struct flat_more *more);

/* Parses a payload regardless of its stream; members that depend on the stream stay empty. */
void flat_read_payload(struct slice type, struct slice data, struct flat *out);

/* An event is an error if its direction is `error`, or its `error` is a non-empty text. Everything that counts errors
 * uses this function. */
bool flat_is_error(const struct flat *f);

/* Append one JSON object. In texts that the Python hub's page inserts as markup, < becomes &lt;. */
void flat_live(struct buf *out, const struct flat *f);
/* `more`: further members with a leading comma, or empty. */
void flat_stored(struct buf *out, const struct flat *f, struct slice more);

/* The values that both shapes have under these names; append JSON. */
void flat_error(struct buf *out, const struct flat *f);
void flat_metadata(struct buf *out, const struct flat *f);
/* A finite number that is not negative; false for any other value, and for p NULL. */
bool flat_number(struct slice value, double *out);

/* The stream of a frame that names none: by `connection_type`, else by `service`, else websocket. `frame` is a minified
 * object. */
enum service flat_route(struct slice frame);

#endif
