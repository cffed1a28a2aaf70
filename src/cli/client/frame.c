#include "cli/client/frame.h"

#include "json/document.h"
#include "json/json.h"

/* An op, and the member of its frame that is a text. */
struct op_kind {
	const char *op;
	enum frame_kind kind;
	const char *text; /* the member to copy to frame.text */
};

static const struct op_kind ops[] = {
	{"hello", FRAME_HELLO, "epoch"},        {"gap", FRAME_GAP, "reason"}, {"live", FRAME_LIVE, NULL},
	{"checkpoint", FRAME_CHECKPOINT, NULL}, {"moved", FRAME_MOVED, NULL}, {"error", FRAME_ERROR, "detail"},
};

enum { OPS = sizeof ops / sizeof *ops };

/* Leaves *out unchanged if the member is missing. */
static void get_number(struct doc object, const char *member, uint64_t *out)
{
	struct doc value = doc_member(object, member);
	if (value.at != NULL && !doc_get_u64(value, out))
		*out = 0;
}

static void get_text(struct doc object, const char *member, char out[FRAME_TEXT_LEN])
{
	struct slice text;
	bool fine = doc_get_text(doc_member(object, member), &text) && text.len < FRAME_TEXT_LEN && json_plain_text(text);
	*slice_copy(out, fine ? text : (struct slice){NULL, 0}) = '\0';
}

/* An envelope begins with its seq. The rest is not parsed: there may be many of them. */
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

static void read_message(struct doc object, struct slice op, struct frame *out)
{
	out->kind = FRAME_OTHER;
	for (int i = 0; i < OPS; i++) {
		if (!slice_is(op, ops[i].op))
			continue;
		out->kind = ops[i].kind;
		if (ops[i].text != NULL)
			get_text(object, ops[i].text, out->text);
	}
	get_number(object, "seq", &out->seq);
	get_number(object, "after", &out->after);
	get_number(object, "requested", &out->requested);
	get_number(object, "first", &out->first);
}

void frame_read(const char *text, size_t len, struct frame *out)
{
	struct document d;
	struct slice op;
	out->kind = FRAME_BROKEN;
	out->seq = out->after = out->requested = out->first = 0;
	out->text[0] = '\0';
	if (read_event(text, len, out))
		return;
	bool fine = document_read(&d, (struct slice){text, len}) == ERR_NONE;
	if (fine && doc_get_text(doc_member(document_root(&d), "op"), &op))
		read_message(document_root(&d), op, out);
	document_finish(&d);
}
