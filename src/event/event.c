#include "event/event.h"

#include <assert.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>

#include "event/cloudevent.h"
#include "json/json.h"

/* Names are decoded into chunks of their own: the payload of a flat event keeps its text, and with it the escapes
 * that its names were sent with. */
struct chunk {
	struct chunk *next;
	char bytes[];
};

struct batch {
	struct event *events;
	size_t count;
	size_t cap;
	size_t bytes; /* less those of `owned` */
	char *owned;  /* the text, if it is ours */
	struct chunk *chunks;
};

enum { FIRST_EVENTS = 64, SHOWN_KEY = 64 };

static struct event *add_event(struct batch *b)
{
	if (b->count == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : FIRST_EVENTS;
		struct event *events = realloc(b->events, cap * sizeof *events);
		if (events == NULL)
			return NULL;
		b->events = events;
		b->cap = cap;
	}
	struct event *e = &b->events[b->count++];
	*e = (struct event){slice_of("default"), slice_of("event"), {"", 0}, {"", 0}};
	return e;
}

static enum err no_memory(struct fault *fault)
{
	return fault_nomem(fault);
}

/* Decodes a name and checks the rules for it. */
static enum err read_name(struct batch *b, const char *what, struct slice value, struct slice *name, struct fault *fault)
{
	*name = (struct slice){value.p + 1, value.len - 2};
	if (memchr(name->p, '\\', name->len) != NULL) {
		/* An escape is at most six bytes for one of the name: what is longer cannot fit, and costs no memory. */
		if (name->len > 6 * EVENT_NAME_MAX)
			return fault_set(fault, ERR_INVALID, "\"%s\" is longer than %d bytes", what, EVENT_NAME_MAX);
		struct chunk *c = malloc(sizeof *c + value.len);
		if (c == NULL)
			return no_memory(fault);
		c->next = b->chunks;
		b->chunks = c;
		b->bytes += sizeof *c + value.len;
		name->p = c->bytes;
		if (!json_string(value, c->bytes, &name->len))
			return fault_set(fault, ERR_INVALID, "\"%s\" holds a lone surrogate, which is no character", what);
	}
	if (name->len == 0)
		return fault_set(fault, ERR_INVALID, "\"%s\" is empty", what);
	if (name->len > EVENT_NAME_MAX)
		return fault_set(fault, ERR_INVALID, "\"%s\" is longer than %d bytes", what, EVENT_NAME_MAX);
	if (!json_plain_text(*name))
		return fault_set(fault, ERR_INVALID, "\"%s\" holds a control character", what);
	return ERR_NONE;
}

/* Those of an event that is published, those that a store adds to it, and one that only flat events have. */
enum member { M_STREAM, M_TYPE, M_ID, M_DATA, M_SEQ, M_TIME, M_CONNECTION_TYPE, MEMBER_COUNT };

static const char *const member_names[MEMBER_COUNT] = {"stream", "type", "id", "data", "seq", "time", "connection_type"};

/* The known members of an event; absent ones have no text. */
struct json_body {
	struct slice value[MEMBER_COUNT];
	struct slice other; /* the first that no envelope has: a raw key; p NULL: there is none */
	const char *twice;  /* a duplicate member of those that a store adds; NULL: none */
};

/* Of duplicate members the last one counts, unless duplicates are an error. Members that a store adds mean nothing in a flat
 * event. */
static enum err find_members(struct slice object, bool once, struct json_body *m, struct fault *fault)
{
	*m = (struct json_body){0};
	for (struct json_walk w = json_walk(object); json_next(&w);) {
		int i = 0;
		while (i < MEMBER_COUNT && !json_key_is(w.key, member_names[i]))
			i++;
		if (i >= M_CONNECTION_TYPE && m->other.p == NULL)
			m->other = w.key;
		if (i == MEMBER_COUNT)
			continue;
		bool twice = m->value[i].p != NULL;
		if (twice && (i == M_SEQ || i == M_TIME))
			m->twice = member_names[i];
		else if (once && twice)
			return fault_set(fault, ERR_INVALID, "duplicate member \"%s\"", member_names[i]);
		m->value[i] = w.value;
	}
	return ERR_NONE;
}

static bool is_string(struct slice value)
{
	return value.p != NULL && json_kind(value) == JSON_STRING;
}

/* Copies a name from the members. In an envelope it must be a string; in a flat event any other value is payload only. */
static enum err take_name(struct batch *b, const struct json_body *m, enum member which, bool enveloped, struct slice *name,
			  struct fault *fault)
{
	struct slice value = m->value[which];
	if (value.p == NULL || (!enveloped && !is_string(value)))
		return ERR_NONE;
	if (!is_string(value))
		return fault_set(fault, ERR_INVALID, "\"%s\" is not a string", member_names[which]);
	return read_name(b, member_names[which], value, name, fault);
}

/* The same, but an invalid name is payload only. */
static enum err take_if_fit(struct batch *b, const struct json_body *m, enum member which, struct slice *name,
			    struct fault *fault)
{
	struct slice found = *name;
	enum err err = take_name(b, m, which, false, &found, fault);
	if (!err)
		*name = found;
	return err == ERR_INVALID ? ERR_NONE : err;
}

static enum err too_large(size_t len, struct batch_limits limits, struct fault *fault)
{
	return fault_set(fault, ERR_TOO_LARGE, "the event's data is %zu bytes, the limit is %zu", len, limits.data_max);
}

/* The beginning of a text for an error message, cut at a whole character. */
static struct slice beginning(struct slice text, size_t max)
{
	if (text.len <= max)
		return text;
	while (max > 0 && (text.p[max] & 0xc0) == 0x80)
		max--;
	return (struct slice){text.p, max};
}

/* Is the event an envelope? It is if it has `data` and only members of an envelope. An event that was read from a store also
 * has `seq` and `time`, which are dropped; with these any other member is an error. */
static enum err tell_form(const struct json_body *m, bool *enveloped, struct fault *fault)
{
	bool has_data = m->value[M_DATA].p != NULL;
	bool has_seq = m->value[M_SEQ].p != NULL;
	bool has_time = m->value[M_TIME].p != NULL;
	bool stored = has_data && has_seq && has_time;
	struct slice other = beginning(m->other, SHOWN_KEY);
	*enveloped = stored || (has_data && !has_seq && !has_time && m->other.p == NULL);
	if (stored && m->twice != NULL)
		return fault_set(fault, ERR_INVALID, "duplicate member \"%s\"", m->twice);
	if (stored && m->other.p != NULL)
		return fault_set(fault, ERR_INVALID,
				 "unknown member \"%.*s\": an event with \"seq\", \"time\" and \"data\" is one from a "
				 "store, which has no other members than \"stream\", \"type\" and \"id\" besides",
				 (int)other.len, other.p);
	return ERR_NONE;
}

/* `text` is one minified JSON value. */
static enum err read_event(struct batch *b, struct slice text, struct batch_limits limits, struct fault *fault)
{
	if (json_kind(text) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "an event is a JSON object");
	struct json_body m;
	bool enveloped;
	enum err err = find_members(text, true, &m, fault);
	if (!err)
		err = tell_form(&m, &enveloped, fault);
	if (err)
		return err;
	struct event *e = add_event(b);
	if (e == NULL)
		return no_memory(fault);
	e->data = enveloped ? m.value[M_DATA] : text;
	if (e->data.len > limits.data_max)
		return too_large(e->data.len, limits, fault);
	bool has_stream = enveloped ? m.value[M_STREAM].p != NULL : is_string(m.value[M_STREAM]);
	enum member stream = has_stream || enveloped ? M_STREAM : M_CONNECTION_TYPE;
	if (!err)
		err = take_name(b, &m, stream, enveloped, &e->stream, fault);
	if (!err)
		err = take_name(b, &m, M_TYPE, enveloped, &e->type, fault);
	if (!err)
		err = take_name(b, &m, M_ID, enveloped, &e->id, fault);
	return err;
}

/* The same for a CloudEvent, all of which is payload. */
static enum err read_cloudevent(struct batch *b, struct slice text, struct batch_limits limits, struct fault *fault)
{
	struct cloudevent c;
	enum err err = cloudevent_read(text, &c, fault);
	if (err)
		return err;
	if (text.len > limits.data_max)
		return too_large(text.len, limits, fault);
	struct event *e = add_event(b);
	if (e == NULL)
		return no_memory(fault);
	e->data = text;
	err = read_name(b, c.stream_from, c.stream, &e->stream, fault);
	if (!err)
		err = read_name(b, "type", c.type, &e->type, fault);
	if (!err)
		err = read_name(b, "id", c.id, &e->id, fault);
	return err;
}

static enum err not_json(struct fault *fault, const struct json_error *error)
{
	return fault_set(fault, ERR_INVALID, "not JSON at byte %zu: %s", error->offset, error->what);
}

static enum err too_many(struct fault *fault, size_t limit)
{
	return fault_set(fault, ERR_TOO_LARGE, "more than %zu events in one request", limit);
}

static bool is_blank(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
			return false;
	return true;
}

static enum err read_lines(struct batch *b, char *text, size_t len, struct batch_limits limits, struct fault *fault)
{
	char *end = text + len;
	long line = 1;
	for (char *from = text; from < end; line++) {
		char *newline = memchr(from, '\n', (size_t)(end - from));
		char *to = newline != NULL ? newline : end;
		size_t n = (size_t)(to - from);
		struct slice value = {from, 0};
		struct json_error error;
		enum err err = ERR_NONE;
		if (is_blank(from, n))
			;
		else if (b->count == limits.events_max)
			err = too_many(fault, limits.events_max);
		else if (!json_minify(from, n, from, &value.len, &error))
			err = not_json(fault, &error);
		else
			err = read_event(b, value, limits, fault);
		if (err) {
			fault->place = line;
			return err;
		}
		from = to + 1;
	}
	return ERR_NONE;
}

/* `value` is minified: an event, or an array of events. */
static enum err read_value(struct batch *b, struct slice value, enum batch_form form, struct batch_limits limits,
			   struct fault *fault)
{
	bool array = json_kind(value) == JSON_ARRAY;
	if (form == BATCH_CLOUDEVENTS && !array)
		return fault_set(fault, ERR_INVALID, "a batch of CloudEvents is an array");
	enum err (*read)(struct batch *, struct slice, struct batch_limits, struct fault *) =
		form == BATCH_JSON ? read_event : read_cloudevent;
	if (!array || form == BATCH_CLOUDEVENT) {
		enum err err = read(b, value, limits, fault);
		fault->place = 0;
		return err;
	}
	long index = 0;
	for (struct json_walk w = json_walk(value); json_next(&w); index++) {
		enum err err =
			b->count == limits.events_max ? too_many(fault, limits.events_max) : read(b, w.value, limits, fault);
		if (err) {
			fault->place = index;
			return err;
		}
	}
	return ERR_NONE;
}

static enum err read_json(struct batch *b, char *text, size_t len, enum batch_form form, struct batch_limits limits,
			  struct fault *fault)
{
	struct slice value = {text, 0};
	struct json_error error;
	size_t start = 0;
	while (start < len && text[start] != '\0' && strchr(" \t\r\n", text[start]) != NULL)
		start++;
	bool array = start < len && text[start] == '[';
	if (json_minify(text, len, text, &value.len, &error))
		return read_value(b, value, form, limits, fault);
	enum err err = not_json(fault, &error);
	fault->place = array ? (long)error.element : 0;
	return err;
}

static struct batch *create(void)
{
	struct batch *b = calloc(1, sizeof *b);
	if (b != NULL)
		b->bytes = sizeof *b;
	return b;
}

/* Hands out a batch that was read without an error and is not empty. */
static enum err complete(struct batch *b, enum err err, struct batch **out, struct fault *fault)
{
	if (!err && b->count == 0)
		err = fault_set(fault, ERR_INVALID, "there is no event in the request");
	if (err) {
		batch_destroy(b);
		return err;
	}
	b->bytes += b->cap * sizeof *b->events;
	*out = b;
	return ERR_NONE;
}

/* A byte order mark at the beginning is skipped (RFC 8259, 8.1). */
static void skip_mark(char **text, size_t *len)
{
	static const char mark[] = "\xef\xbb\xbf";
	if (*len < sizeof mark - 1 || memcmp(*text, mark, sizeof mark - 1) != 0)
		return;
	*text += sizeof mark - 1;
	*len -= sizeof mark - 1;
}

enum err batch_parse(char *text, size_t len, enum batch_form form, struct batch_limits limits, struct batch **out,
		     struct fault *fault)
{
	struct fault ignored;
	fault = fault != NULL ? fault : &ignored;
	*out = NULL;
	struct batch *b = create();
	if (b == NULL)
		return no_memory(fault);
	skip_mark(&text, &len);
	enum err err =
		form == BATCH_LINES ? read_lines(b, text, len, limits, fault) : read_json(b, text, len, form, limits, fault);
	return complete(b, err, out, fault);
}

enum err batch_parse_take(char *text, size_t len, enum batch_form form, struct batch_limits limits, struct batch **out,
			  struct fault *fault)
{
	enum err err = batch_parse(text, len, form, limits, out, fault);
	if (err)
		free(text);
	else
		(*out)->owned = text;
	return err;
}

enum err batch_from_value_take(struct slice value, char *text, enum batch_form form, struct batch_limits limits,
			       struct batch **out, struct fault *fault)
{
	struct fault ignored;
	fault = fault != NULL ? fault : &ignored;
	*out = NULL;
	struct batch *b = create();
	if (b == NULL) {
		free(text);
		return no_memory(fault);
	}
	b->owned = text;
	return complete(b, read_value(b, value, form, limits, fault), out, fault);
}

enum err batch_from_object_take(struct slice object, const char *stream, char *text, struct batch_limits limits,
				struct batch **out, struct fault *fault)
{
	struct json_body m;
	*out = NULL;
	struct batch *b = create();
	struct event *e = b != NULL ? add_event(b) : NULL;
	if (e == NULL) {
		batch_destroy(b);
		free(text);
		return no_memory(fault);
	}
	b->owned = text;
	e->stream = slice_of(stream);
	e->data = object;
	find_members(object, false, &m, fault);
	enum err err = object.len > limits.data_max ? too_large(object.len, limits, fault) : ERR_NONE;
	if (!err)
		err = take_if_fit(b, &m, M_TYPE, &e->type, fault);
	if (!err)
		err = take_if_fit(b, &m, M_ID, &e->id, fault);
	return complete(b, err, out, fault);
}

void batch_destroy(struct batch *b)
{
	if (b == NULL)
		return;
	while (b->chunks != NULL) {
		struct chunk *next = b->chunks->next;
		free(b->chunks);
		b->chunks = next;
	}
	free(b->owned);
	free(b->events);
	free(b);
}

size_t batch_count(const struct batch *b)
{
	return b->count;
}

const struct event *batch_event(const struct batch *b, size_t index)
{
	assert(index < b->count);
	return &b->events[index];
}

size_t batch_bytes(const struct batch *b)
{
	return b->bytes + malloc_usable_size(b->owned);
}
