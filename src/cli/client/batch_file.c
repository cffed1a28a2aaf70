#include "cli/client/batch_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/random.h"
#include "event/event.h"
#include "json/json.h"

enum {
	DATA_MAX = 64 * 1024 * 1024, /* the maximum of --max-event */
	ENTRIES_FIRST = 64,
};

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void batch_file_names_init(struct batch_file_names *n, const char *stream, const char *type)
{
	*n = (struct batch_file_names){.stream = stream, .type = type};
	random_hex(n->run, BATCH_FILE_RUN_LEN / 2);
}

void batch_file_init(struct batch_file *p)
{
	*p = (struct batch_file){0};
}

void batch_file_finish(struct batch_file *p)
{
	buf_finish(&p->text);
	buf_finish(&p->clean);
	buf_finish(&p->data);
	free(p->entries);
}

void batch_file_clear(struct batch_file *p)
{
	p->text.len = 0;
	p->count = 0;
}

static enum err no_memory(struct fault *fault)
{
	return fault_nomem(fault);
}

/* An envelope that is being composed; empty names are left out. */
struct envelope {
	struct slice stream;
	struct slice type;
	struct slice id;
	struct slice data;
};

static void put_name(struct buf *out, const char *member, struct slice name)
{
	if (name.len == 0)
		return;
	buf_printf(out, "\"%s\":", member);
	buf_json(out, name);
	buf_addc(out, ',');
}

static void put_id(struct buf *out, struct batch_file_names *names, struct slice id)
{
	if (id.len > 0)
		put_name(out, "id", id);
	else
		buf_printf(out, "\"id\":\"%s-%" PRIu64 "\",", names->run, ++names->numbered);
}

static enum err add(struct batch_file *p, struct batch_file_names *names, const struct envelope *e, uint64_t line,
		    struct fault *fault)
{
	if (p->count == p->cap) {
		size_t cap = p->cap > 0 ? p->cap * 2 : ENTRIES_FIRST;
		struct batch_file_entry *entries = realloc(p->entries, cap * sizeof *entries);
		if (entries == NULL)
			return no_memory(fault);
		p->entries = entries;
		p->cap = cap;
	}
	struct buf *out = &p->text;
	buf_addc(out, '{');
	put_name(out, "stream", e->stream);
	put_name(out, "type", e->type);
	put_id(out, names, e->id);
	buf_adds(out, "\"data\":");
	buf_add(out, e->data.p, e->data.len);
	buf_adds(out, "}\n");
	if (buf_failed(out))
		return no_memory(fault);
	p->entries[p->count++] = (struct batch_file_entry){out->len, line, e->id.len == 0};
	return ERR_NONE;
}

/* --- documents --- */

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
			return false;
	return true;
}

static bool has_string(struct slice object, const char *member)
{
	struct slice value;
	return json_member(object, member, &value) && json_kind(value) == JSON_STRING;
}

/* Uses the names of the command line where the document has none. The stream of an event without one is that of
 * `connection_type`. */
static void choose_names(struct slice document, const struct batch_file_names *names, struct envelope *e)
{
	if (json_kind(document) != JSON_OBJECT)
		return;
	if (names->stream != NULL && !has_string(document, "stream") && !has_string(document, "connection_type"))
		e->stream = slice_of(names->stream);
	if (names->type != NULL && !has_string(document, "type"))
		e->type = slice_of(names->type);
}

enum err batch_file_add_document(struct batch_file *p, struct batch_file_names *names, char *text, size_t len, uint64_t line,
				 struct fault *fault)
{
	struct slice document = {text, 0};
	struct json_error error;
	struct envelope e = {0};
	struct batch *batch = NULL;
	enum err err = ERR_NONE;
	if (is_blank(text, len))
		return ERR_NONE;
	if (!json_minify(text, len, text, &document.len, &error))
		err = fault_set(fault, ERR_INVALID, "invalid JSON at byte %zu: %s", error.offset, error.what);
	if (!err)
		choose_names(document, names, &e);
	if (!err)
		err = batch_parse(text, document.len, BATCH_LINES, (struct batch_limits){DATA_MAX, 1}, &batch, fault);
	if (err) {
		fault->place = (long)line;
		return err;
	}
	const struct event *event = batch_event(batch, 0);
	e.stream = e.stream.len > 0 ? e.stream : event->stream;
	e.type = e.type.len > 0 ? e.type : event->type;
	e.id = event->id;
	e.data = event->data;
	err = add(p, names, &e, line, fault);
	batch_destroy(batch);
	return err;
}

/* --- lines of text --- */

/* The number of continuation bytes after a lead byte, and the bounds of the first (Unicode, table 3-7). */
static int continuation(unsigned char lead, unsigned char *low, unsigned char *high)
{
	*low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	*high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : 0;
}

/* The length of the character at `p`; if it is invalid, *valid is false, and the bytes become one replacement character. */
static size_t character(const unsigned char *p, const unsigned char *end, bool *valid)
{
	*valid = *p < 0x80;
	if (*valid)
		return 1;
	unsigned char low;
	unsigned char high;
	int wanted = continuation(*p, &low, &high);
	size_t n = 1;
	for (; wanted > 0 && p + n < end && p[n] >= low && p[n] <= high; wanted--, n++) {
		low = 0x80;
		high = 0xbf;
	}
	*valid = wanted == 0 && n > 1;
	return n;
}

static void add_clean(struct buf *out, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;
	const unsigned char *from = p;
	while (p < end) {
		bool valid;
		size_t n = character(p, end, &valid);
		if (!valid) {
			buf_add(out, from, (size_t)(p - from));
			buf_adds(out, replacement);
			from = p + n;
		}
		p += n;
	}
	buf_add(out, from, (size_t)(end - from));
}

enum err batch_file_add_text(struct batch_file *p, struct batch_file_names *names, const char *text, size_t len,
			     uint64_t line, struct fault *fault)
{
	struct buf *data = &p->data;
	p->clean.len = 0;
	data->len = 0;
	add_clean(&p->clean, text, len);
	buf_adds(data, "{\"line\":");
	buf_json(data, buf_slice(&p->clean));
	buf_addc(data, '}');
	if (buf_failed(&p->clean) || buf_failed(data))
		return no_memory(fault);
	struct envelope e = {.data = buf_slice(data)};
	e.stream = names->stream != NULL ? slice_of(names->stream) : e.stream;
	e.type = names->type != NULL ? slice_of(names->type) : e.type;
	return add(p, names, &e, line, fault);
}

uint64_t batch_file_numbered(const struct batch_file *p, size_t first, size_t count)
{
	uint64_t numbered = 0;
	for (size_t i = first; i < first + count; i++)
		numbered += p->entries[i].numbered;
	return numbered;
}

struct slice batch_file_part(const struct batch_file *p, size_t first, size_t count)
{
	size_t from = first > 0 ? p->entries[first - 1].end : 0;
	return (struct slice){p->text.data + from, p->entries[first + count - 1].end - from};
}
