#include "profiles/monitoring/event/flat.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event/envelope.h"
#include "json/json.h"

static const char *const names[] = {"websocket", "redis", "supabase", "kimi", "glm", "test_event"};

const char *service_name(enum service service)
{
	return names[service];
}

enum service service_find(struct slice name)
{
	for (int i = 0; i <= SERVICE_TEST; i++)
		if (slice_is(name, names[i]))
			return (enum service)i;
	return SERVICE_NONE;
}

enum service flat_service(struct slice envelope)
{
	struct envelope e;
	return envelope_read(envelope, &e) ? service_find(e.stream) : SERVICE_NONE;
}

/* --- the payload --- */

enum member {
	M_DIRECTION,
	M_SCRIPT_NAME,
	M_SCRIPT,
	M_SOURCE,
	M_FUNCTION_NAME,
	M_FUNCTION,
	M_SIZE,
	M_RESPONSE,
	M_ERROR,
	M_MESSAGE,
	M_ERROR_MESSAGE,
	M_ERROR_TYPE,
	M_SEVERITY,
	M_METADATA,
	M_TYPE,
	M_CONNECTION_TYPE,
	MEMBERS,
	/* members without a field in struct flat */
	M_TIMESTAMP = MEMBERS,
	M_EXCEPTION,
	M_METRICS,
	M_PERFORMANCE,
	ALL_MEMBERS
};

#define NAMED(text)                                                                                                         \
	{                                                                                                                   \
		text, sizeof text - 1                                                                                       \
	}

static const struct {
	const char *name;
	size_t len;
} names_of[ALL_MEMBERS] = {NAMED("direction"),       NAMED("script_name"),      NAMED("script"),
			   NAMED("source"),          NAMED("function_name"),    NAMED("function"),
			   NAMED("data_size_bytes"), NAMED("response_time_ms"), NAMED("error"),
			   NAMED("message"),         NAMED("error_message"),    NAMED("error_type"),
			   NAMED("severity"),        NAMED("metadata"),         NAMED("type"),
			   NAMED("connection_type"), NAMED("timestamp"),        NAMED("exception"),
			   NAMED("metrics"),         NAMED("performance")};

/* ALL_MEMBERS: not a known member. */
static int member_of(struct slice key)
{
	int i = 0;
	if (memchr(key.p, '\\', key.len) == NULL)
		while (i < ALL_MEMBERS &&
		       (key.len != names_of[i].len || memcmp(key.p, names_of[i].name, names_of[i].len) != 0))
			i++;
	else
		while (i < ALL_MEMBERS && !json_key_is(key, names_of[i].name))
			i++;
	return i;
}

/* The content of a JSON string; p NULL for any other value. */
static struct slice inside(struct slice value)
{
	if (value.p == NULL || json_kind(value) != JSON_STRING)
		return (struct slice){NULL, 0};
	return (struct slice){value.p + 1, value.len - 2};
}

static void use(struct flat *f, int member)
{
	f->used |= 1u << member;
}

/* The first non-empty text among members; p NULL: none. Members with the same text are marked as used, too. */
static struct slice first_text(struct flat *f, const struct slice m[MEMBERS], const int *members, int count)
{
	struct slice found = {NULL, 0};
	for (int i = 0; i < count; i++) {
		struct slice text = inside(m[members[i]]);
		if (text.p == NULL || text.len == 0 || (found.p != NULL && !slice_eq(found, text)))
			continue;
		found = found.p != NULL ? found : text;
		use(f, members[i]);
	}
	return found;
}

static void read_direction(struct flat *f, struct slice own, struct slice type)
{
	bool bad = f->severity.p != NULL && (slice_is(f->severity, "error") || slice_is(f->severity, "critical"));
	if (own.p == NULL || own.len == 0) {
		f->direction = slice_of(bad || slice_is(type, "error") ? "error" : "receive");
		return;
	}
	use(f, M_DIRECTION);
	if (slice_is(own, "inbound"))
		f->direction = slice_of("receive");
	else if (slice_is(own, "outbound"))
		f->direction = slice_of("send");
	else
		f->direction = own;
}

/* The error text of an event. The Python hub's page marks only rows that have one. */
static struct slice reason_of(struct flat *f, const struct slice m[MEMBERS])
{
	static const struct {
		int member;
		bool in_metadata;
	} places[] = {{M_MESSAGE, false},      {M_ERROR_MESSAGE, false}, {M_MESSAGE, true},
		      {M_ERROR_MESSAGE, true}, {M_ERROR_TYPE, false},    {M_ERROR_TYPE, true}};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		struct slice value = m[places[i].member];
		if (places[i].in_metadata &&
		    (f->metadata.p == NULL || !json_member(f->metadata, names_of[places[i].member].name, &value)))
			continue;
		struct slice text = inside(value);
		if (text.p == NULL || text.len == 0)
			continue;
		if (!places[i].in_metadata)
			use(f, places[i].member);
		return text;
	}
	return slice_of("error");
}

static void read_error(struct flat *f, const struct slice m[MEMBERS])
{
	struct slice error = m[M_ERROR];
	bool none = error.p == NULL || json_kind(error) == JSON_NULL || json_kind(error) == JSON_FALSE ||
		    slice_is(error, "\"\"");
	use(f, M_ERROR);
	if (!none) {
		f->error_is_value = json_kind(error) != JSON_STRING;
		f->error = f->error_is_value ? error : inside(error);
	} else if (slice_is(f->direction, "error")) {
		f->error = reason_of(f, m);
	}
}

bool flat_number(struct slice value, double *out)
{
	if (value.p == NULL || json_kind(value) != JSON_NUMBER)
		return false;
	char text[32];
	if (value.len >= sizeof text)
		return false;
	slice_copy(text, value);
	text[value.len] = '\0';
	*out = strtod(text, NULL);
	return *out >= 0 && *out < 1e15;
}

static void read_numbers(struct flat *f, const struct slice m[MEMBERS])
{
	double size;
	f->timed = flat_number(m[M_RESPONSE], &f->response_ms);
	f->response = m[M_RESPONSE];
	f->size = f->data.len;
	if (f->timed)
		use(f, M_RESPONSE);
	if (flat_number(m[M_SIZE], &size)) {
		f->size = (uint64_t)size;
		use(f, M_SIZE);
	}
}

static void read_members(struct flat *f, const struct slice m[MEMBERS], struct slice type)
{
	static const int scripts[] = {M_SCRIPT_NAME, M_SCRIPT, M_SOURCE};
	static const int functions[] = {M_FUNCTION_NAME, M_FUNCTION};
	struct slice own_type = inside(m[M_TYPE]);
	f->severity = inside(m[M_SEVERITY]);
	if (m[M_METADATA].p != NULL && json_kind(m[M_METADATA]) == JSON_OBJECT) {
		f->metadata = m[M_METADATA];
		use(f, M_METADATA);
	}
	read_direction(f, inside(m[M_DIRECTION]), type);
	read_error(f, m);
	read_numbers(f, m);
	f->script = first_text(f, m, scripts, 3);
	if (f->script.p == NULL)
		f->script = slice_of("events");
	f->function = first_text(f, m, functions, 2);
	bool typed = f->function.p == NULL;
	if (typed)
		f->function = type;
	/* "event" is the type of the live shape itself */
	if (own_type.p != NULL && (slice_is(own_type, "event") || (typed && slice_eq(own_type, type))))
		use(f, M_TYPE);
	if (slice_eq(inside(m[M_CONNECTION_TYPE]), slice_of(service_name(f->service))))
		use(f, M_CONNECTION_TYPE);
}

static void read_payload(struct flat *f, struct slice type, struct flat_more *more)
{
	struct slice m[ALL_MEMBERS] = {{NULL, 0}};
	bool object = json_kind(f->data) == JSON_OBJECT;
	for (struct json_walk w = json_walk(f->data); object && json_next(&w);) {
		int i = member_of(w.key);
		if (i < ALL_MEMBERS)
			m[i] = w.value;
	}
	read_members(f, m, type);
	if (more != NULL)
		*more = (struct flat_more){m[M_TYPE],     m[M_SCRIPT_NAME], m[M_SCRIPT],  m[M_SOURCE],     m[M_TIMESTAMP],
					   m[M_METADATA], m[M_EXCEPTION],   m[M_METRICS], m[M_PERFORMANCE]};
}

void flat_read_payload(struct slice type, struct slice data, struct flat *out)
{
	*out = (struct flat){.service = SERVICE_TEST, .type = type, .data = data};
	read_payload(out, type, NULL);
}

bool flat_is_error(const struct flat *f)
{
	return slice_is(f->direction, "error") || (f->error.p != NULL && f->error.len > 0);
}

bool flat_read(struct slice envelope, int64_t time_ms, struct flat *out)
{
	return flat_read_more(envelope, time_ms, out, NULL);
}

bool flat_read_more(struct slice envelope, int64_t time_ms, struct flat *out, struct flat_more *more)
{
	struct envelope e;
	if (!envelope_read(envelope, &e))
		return false;
	*out = (struct flat){.service = service_find(e.stream),
			     .seq = e.seq,
			     .time_ms = time_ms,
			     .type = e.type,
			     .time = e.time,
			     .data = e.data};
	if (out->service == SERVICE_NONE)
		return false;
	read_payload(out, e.type, more);
	return true;
}

/* --- output --- */

static void put(struct buf *out, struct slice text)
{
	buf_add(out, text.p, text.len);
}

/* The content of a JSON string for a page that inserts it as markup: < is escaped, however it was written. */
static void put_safe(struct buf *out, struct slice text)
{
	const char *end = text.p + text.len;
	const char *from = text.p;
	for (const char *p = from; p < end;) {
		bool escape = *p == '\\';
		bool less = *p == '<' || (escape && end - p >= 6 && strncasecmp(p, "\\u003c", 6) == 0);
		size_t n = less && escape ? 6 : escape ? 2 : 1;
		if (less) {
			buf_add(out, from, (size_t)(p - from));
			buf_adds(out, "&lt;");
			from = p + n;
		}
		p += n;
	}
	buf_add(out, from, (size_t)(end - from));
}

void flat_error(struct buf *out, const struct flat *f)
{
	if (f->error.p == NULL) {
		buf_adds(out, "null");
	} else if (f->error_is_value) {
		struct buf text;
		buf_init(&text);
		buf_json(&text, f->error);
		if (buf_failed(&text))
			out->failed = true;
		else
			put_safe(out, buf_slice(&text));
		buf_finish(&text);
	} else {
		buf_addc(out, '"');
		put_safe(out, f->error);
		buf_addc(out, '"');
	}
}

/* A null adds nothing: null or the default is sent in its place. */
static bool is_mapped(const struct flat *f, int member, struct slice value)
{
	bool plain = member >= MEMBERS || member == M_SEVERITY || member == M_SOURCE || member == M_MESSAGE ||
		     member == M_ERROR_MESSAGE || member == M_ERROR_TYPE;
	return member < MEMBERS && ((f->used & 1u << member) != 0 || (!plain && json_kind(value) == JSON_NULL));
}

/* Members without a field of their own, then the payload's own metadata: of equal names the last counts. */
void flat_metadata(struct buf *out, const struct flat *f)
{
	bool first = true;
	buf_addc(out, '{');
	if (json_kind(f->data) != JSON_OBJECT) {
		buf_adds(out, "\"data\":");
		put(out, f->data);
		first = false;
	} else {
		for (struct json_walk w = json_walk(f->data); json_next(&w);) {
			if (is_mapped(f, member_of(w.key), w.value))
				continue;
			buf_adds(out, first ? "\"" : ",\"");
			put(out, w.key);
			buf_adds(out, "\":");
			put(out, w.value);
			first = false;
		}
	}
	if (f->metadata.p != NULL && f->metadata.len > 2) {
		buf_adds(out, first ? "" : ",");
		buf_add(out, f->metadata.p + 1, f->metadata.len - 2);
	}
	buf_addc(out, '}');
}

static void put_text(struct buf *out, const char *key, struct slice text)
{
	buf_adds(out, key);
	buf_addc(out, '"');
	put_safe(out, text);
	buf_addc(out, '"');
}

/* The six members that both shapes have. */
static void put_rest(struct buf *out, const struct flat *f)
{
	buf_printf(out, ",\"data_size_bytes\":%" PRIu64 ",\"response_time_ms\":", f->size);
	put(out, f->timed ? f->response : slice_of("null"));
	buf_adds(out, ",\"error\":");
	flat_error(out, f);
	buf_adds(out, ",\"metadata\":");
	flat_metadata(out, f);
}

static void put_test_event(struct buf *out, const struct flat *f)
{
	buf_adds(out, "{\"type\":\"test_event\",\"event\":");
	put(out, f->data);
	put_text(out, ",\"timestamp\":", f->time);
	put_text(out, ",\"broadcast_time\":", f->time);
	buf_printf(out, ",\"seq\":%" PRIu64 "}", f->seq);
}

void flat_live(struct buf *out, const struct flat *f)
{
	if (f->service == SERVICE_TEST) {
		put_test_event(out, f);
		return;
	}
	buf_printf(out, "{\"type\":\"event\",\"connection_type\":\"%s\"", names[f->service]);
	put_text(out, ",\"direction\":", f->direction);
	put_text(out, ",\"script_name\":", f->script);
	put_text(out, ",\"function_name\":", f->function);
	put_rest(out, f);
	put_text(out, ",\"broadcast_time\":", f->time);
	buf_printf(out, ",\"seq\":%" PRIu64, f->seq);
	if (f->severity.p != NULL)
		put_text(out, ",\"severity\":", f->severity);
	buf_addc(out, '}');
}

void flat_stored(struct buf *out, const struct flat *f, struct slice more)
{
	buf_printf(out, "{\"seq\":%" PRIu64 ",\"timestamp\":%" PRId64 ".%03d", f->seq, (f->time_ms / 1000),
		   (int)(f->time_ms % 1000));
	put_text(out, ",\"datetime\":", f->time);
	buf_printf(out, ",\"connection_type\":\"%s\"", names[f->service]);
	put_text(out, ",\"direction\":", f->direction);
	put_text(out, ",\"script\":", f->script);
	put_text(out, ",\"script_name\":", f->script);
	put_text(out, ",\"function\":", f->function);
	put_text(out, ",\"function_name\":", f->function);
	put_rest(out, f);
	put(out, more);
	buf_addc(out, '}');
}

/* --- routing --- */

static enum service service_of(struct slice frame, const char *key)
{
	struct slice value;
	if (!json_member(frame, key, &value))
		return SERVICE_NONE;
	enum service s = service_find(inside(value));
	return s < SERVICES ? s : SERVICE_NONE;
}

enum service flat_route(struct slice frame)
{
	struct slice type;
	if (json_member(frame, "type", &type) && (slice_is(type, "\"test_event\"") || slice_is(type, "\"test\"")))
		return SERVICE_TEST;
	enum service s = service_of(frame, "connection_type");
	if (s == SERVICE_NONE)
		s = service_of(frame, "service");
	return s != SERVICE_NONE ? s : SERVICE_WEBSOCKET;
}
