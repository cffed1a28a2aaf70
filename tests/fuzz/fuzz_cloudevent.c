/* CloudEvents in all three modes. A binary one is lines "name: value", an empty line, the body; a line without a name is the
 * content type. What is accepted must be JSON, and named by what it says. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/cloudevent.h"
#include "event/event.h"
#include "json/json.h"

static const struct batch_limits limits = {4096, 64};

/* The decoded value of a member that has to be there. */
static void check_name(const struct event *e, const char *member, struct slice wanted)
{
	struct slice value;
	assert(json_member(e->data, member, &value) && json_kind(value) == JSON_STRING);
	char *text = malloc(value.len);
	size_t len;
	assert(json_string(value, text, &len) && len == wanted.len && memcmp(text, wanted.p, len) == 0);
	free(text);
	assert(wanted.len > 0 && wanted.len <= EVENT_NAME_MAX && json_plain_text(wanted));
}

static void check_minified(struct slice text)
{
	char *copy = malloc(text.len);
	size_t n;
	struct json_error error;
	assert(json_minify(text.p, text.len, copy, &n, &error) && n == text.len && memcmp(copy, text.p, n) == 0);
	free(copy);
}

static void check(const struct event *e)
{
	struct slice stream;
	check_minified(e->data);
	check_name(e, "id", e->id);
	check_name(e, "type", e->type);
	bool named = json_member(e->data, "stream", &stream) && json_kind(stream) != JSON_NULL;
	check_name(e, named ? "stream" : "source", e->stream);
}

static void check_batch(enum err err, struct batch *b)
{
	assert((err != ERR_NONE) == (b == NULL));
	for (size_t i = 0; b != NULL && i < batch_count(b); i++)
		check(batch_event(b, i));
	batch_destroy(b);
}

static void compose(char *at, char *end)
{
	struct cloudevent_headers h;
	struct buf out;
	struct fault fault;
	struct batch *b;
	h.content_type = (struct slice){"", 0};
	h.count = 0;
	for (char *line_end; at < end && *at != '\n'; at = line_end + (line_end < end)) {
		line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end != NULL ? line_end : end;
		char *colon = memchr(at, ':', (size_t)(line_end - at));
		char *value = colon != NULL ? colon + 1 : at;
		value += value < line_end && *value == ' ';
		if (colon == NULL || colon == at)
			h.content_type = (struct slice){value, (size_t)(line_end - value)};
		else
			cloudevent_add_header(&h, (struct slice){at, (size_t)(colon - at)},
					      (struct slice){value, (size_t)(line_end - value)});
	}
	at += at < end;
	buf_init(&out);
	if (cloudevent_compose(&h, at, (size_t)(end - at), limits.data_max, &out, &fault) != ERR_NONE) {
		buf_finish(&out);
		return;
	}
	check_minified(buf_slice(&out));
	enum err err = batch_from_value_take(buf_slice(&out), out.data, BATCH_CLOUDEVENT, limits, &b, &fault);
	check_batch(err, b);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	struct batch *b;
	for (enum batch_form form = BATCH_CLOUDEVENT; form <= BATCH_CLOUDEVENTS; form++) {
		/* Without room behind it, so that reading past the end is seen. */
		char *text = malloc(len > 0 ? len : 1);
		memcpy(text, bytes, len);
		enum err err = batch_parse_take(text, len, form, limits, &b, NULL);
		check_batch(err, b);
	}
	char *text = malloc(len > 0 ? len : 1);
	memcpy(text, bytes, len);
	compose(text, text + len);
	free(text);
	return 0;
}
