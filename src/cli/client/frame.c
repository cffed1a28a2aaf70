#include "cli/client/frame.h"

#include "json/json.h"

/* An op, and what its frame carries. */
struct form {
	const char *op;
	enum frame_kind kind;
	const char *text; /* the member that goes into frame.text */
};

static const struct form forms[] = {
	{"hello", FRAME_HELLO, "epoch"},        {"gap", FRAME_GAP, "reason"}, {"live", FRAME_LIVE, NULL},
	{"checkpoint", FRAME_CHECKPOINT, NULL}, {"moved", FRAME_MOVED, NULL}, {"error", FRAME_ERROR, "detail"},
};

enum { FORMS = sizeof forms / sizeof *forms };

static void get_number(struct slice object, const char *member, uint64_t *out)
{
	struct slice value;
	if (json_member(object, member, &value) && !json_sequence(value, out))
		*out = 0;
}

static void get_text(struct slice object, const char *member, char out[FRAME_TEXT_LEN])
{
	struct slice value;
	size_t len = 0;
	bool fine = json_member(object, member, &value) && json_kind(value) == JSON_STRING && value.len < FRAME_TEXT_LEN &&
		    json_string(value, out, &len) && json_plain_text((struct slice){out, len});
	out[fine ? len : 0] = '\0';
}

/* An envelope begins with its seq. It is not looked at any further: there may be many of them. */
static bool read_event(const char *text, size_t len, struct frame *out)
{
	static const char start[] = "{\"seq\":";
	size_t n = sizeof start - 1;
	if (len <= n || memcmp(text, start, n) != 0)
		return false;
	const char *comma = memchr(text + n, ',', len - n);
	bool fine = comma != NULL && json_sequence((struct slice){text + n, (size_t)(comma - text) - n}, &out->seq);
	out->kind = fine ? FRAME_EVENT : FRAME_BROKEN;
	return true;
}

static void read_message(struct slice object, struct slice op, struct frame *out)
{
	struct slice name = {op.p + 1, op.len - 2};
	out->kind = FRAME_OTHER;
	for (int i = 0; i < FORMS; i++) {
		if (!json_key_is(name, forms[i].op))
			continue;
		out->kind = forms[i].kind;
		if (forms[i].text != NULL)
			get_text(object, forms[i].text, out->text);
	}
	get_number(object, "seq", &out->seq);
	get_number(object, "after", &out->after);
	get_number(object, "requested", &out->requested);
	get_number(object, "first", &out->first);
}

void frame_read(char *text, size_t len, struct frame *out)
{
	struct slice object = {text, 0};
	struct slice op;
	struct json_error error;
	out->kind = FRAME_BROKEN;
	out->seq = out->after = out->requested = out->first = 0;
	out->text[0] = '\0';
	if (read_event(text, len, out))
		return;
	if (json_minify(text, len, text, &object.len, &error) && json_kind(object) == JSON_OBJECT &&
	    json_member(object, "op", &op) && json_kind(op) == JSON_STRING)
		read_message(object, op, out);
}
