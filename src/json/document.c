#include "json/document.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"

/* cJSON wants to be given room for a few bytes more than it writes. */
enum { SLACK = 8, NUMBER_LEN = 32, FIXED_LEN = 400 /* of the largest double with decimals */ };

/* cJSON's memory is had from here, so that a test that makes allocations of ours fail (--wrap=malloc) reaches it, too. */

static _Thread_local bool starved; /* an allocation has failed since document_read */

static void *obtain(size_t size)
{
	void *memory = malloc(size);
	starved = starved || memory == NULL;
	return memory;
}

static void give_back(void *memory)
{
	free(memory);
}

static void set_hooks(void)
{
	cJSON_Hooks hooks = {obtain, give_back};
	cJSON_InitHooks(&hooks);
}

static void begin(struct document *d)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, set_hooks);
	*d = (struct document){0};
}

void document_finish(struct document *d)
{
	cJSON_Delete(d->root);
	buf_finish(&d->scratch);
	d->root = NULL;
}

/* --- writing --- */

struct doc document_begin(struct document *d)
{
	begin(d);
	d->root = cJSON_CreateObject();
	d->failed = d->root == NULL;
	d->bytes = 2;
	return (struct doc){d, d->root};
}

void document_end(struct document *d, struct buf *out)
{
	bool fine = !d->failed && d->bytes < INT_MAX - SLACK && buf_reserve(out, d->bytes + SLACK) &&
		    cJSON_PrintPreallocated(d->root, out->data + out->len, (int)d->bytes + SLACK, false);
	if (fine) {
		/* Nothing of it is missing. */
		assert(strlen(out->data + out->len) == d->bytes);
		out->len += d->bytes;
	}
	out->failed = out->failed || !fine;
	document_finish(d);
}

void document_end_head(struct document *d, struct buf *out)
{
	assert(d->failed || d->bytes > 2);
	document_end(d, out);
	out->len -= !buf_failed(out);
}

void document_end_tail(struct document *d, struct buf *out)
{
	size_t from = out->len;
	assert(d->failed || d->bytes > 2);
	document_end(d, out);
	if (!buf_failed(out))
		out->data[from] = ',';
}

/* How cJSON writes a name. */
static size_t name_len(const char *name)
{
	size_t len = 2;
	for (const char *p = name; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		bool is_short = c == '"' || c == '\\' || (c >= '\b' && c <= '\r' && c != '\v');
		len += is_short ? 2 : c < 0x20 ? 6 : 1;
	}
	return len;
}

/* Adds `item`, whose text has `len` bytes, as the last value of `in`. NULL: there was no memory for it, and there is none
 * for what follows. */
static struct doc add(struct doc in, const char *key, bool copies_key, struct cJSON *item, size_t len)
{
	struct document *d = in.of;
	assert(d->failed || (key != NULL) == (cJSON_IsObject(in.at) != 0));
	bool is_first = d->failed || in.at->child == NULL;
	bool fine = !d->failed && item != NULL &&
		    (key == NULL  ? cJSON_AddItemToArray(in.at, item)
		     : copies_key ? cJSON_AddItemToObject(in.at, key, item)
				  : cJSON_AddItemToObjectCS(in.at, key, item));
	if (!fine) {
		cJSON_Delete(item);
		d->failed = true;
		return (struct doc){d, NULL};
	}
	d->bytes += len + !is_first + (key != NULL ? name_len(key) + 1 : 0);
	return (struct doc){d, item};
}

struct doc doc_object(struct doc in, const char *key)
{
	return add(in, key, false, in.of->failed ? NULL : cJSON_CreateObject(), 2);
}

struct doc doc_array(struct doc in, const char *key)
{
	return add(in, key, false, in.of->failed ? NULL : cJSON_CreateArray(), 2);
}

/* Adds what is in the scratch buffer. */
static void add_scratch(struct doc in, const char *key)
{
	struct buf *text = &in.of->scratch;
	size_t len = text->len;
	buf_addc(text, '\0');
	in.of->failed = in.of->failed || buf_failed(text);
	add(in, key, false, in.of->failed ? NULL : cJSON_CreateRaw(text->data), len);
	text->len = 0;
}

struct doc doc_object_named(struct doc in, struct slice name)
{
	struct buf *text = &in.of->scratch;
	buf_add(text, name.p, name.len);
	buf_addc(text, '\0');
	in.of->failed = in.of->failed || buf_failed(text);
	struct doc object = {in.of, NULL};
	if (!in.of->failed)
		object = add(in, text->data, true, cJSON_CreateObject(), 2);
	text->len = 0;
	return object;
}

void doc_text(struct doc in, const char *key, struct slice text)
{
	buf_json(&in.of->scratch, text);
	add_scratch(in, key);
}

void doc_string(struct doc in, const char *key, const char *text)
{
	doc_text(in, key, slice_of(text));
}

void doc_text_or_null(struct doc in, const char *key, struct slice text)
{
	if (text.len > 0)
		doc_text(in, key, text);
	else
		doc_null(in, key);
}

static void add_number(struct doc in, const char *key, const char *text)
{
	add(in, key, false, in.of->failed ? NULL : cJSON_CreateRaw(text), strlen(text));
}

void doc_u64(struct doc in, const char *key, uint64_t number)
{
	char text[NUMBER_LEN];
	snprintf(text, sizeof text, "%" PRIu64, number);
	add_number(in, key, text);
}

void doc_i64(struct doc in, const char *key, int64_t number)
{
	char text[NUMBER_LEN];
	snprintf(text, sizeof text, "%" PRId64, number);
	add_number(in, key, text);
}

void doc_fixed(struct doc in, const char *key, double number, int decimals)
{
	char text[FIXED_LEN];
	assert(decimals >= 0 && decimals <= 9);
	if (isfinite(number))
		snprintf(text, sizeof text, "%.*f", decimals, number);
	else
		strcpy(text, "null");
	add_number(in, key, text);
}

void doc_bool(struct doc in, const char *key, bool value)
{
	add(in, key, false, in.of->failed ? NULL : cJSON_CreateBool(value), value ? 4 : 5);
}

void doc_null(struct doc in, const char *key)
{
	add(in, key, false, in.of->failed ? NULL : cJSON_CreateNull(), 4);
}

void doc_time(struct doc in, const char *key, int64_t wall_ms)
{
	clock_write(&in.of->scratch, wall_ms);
	add_scratch(in, key);
}

void doc_seconds(struct doc in, const char *key, int64_t wall_ms)
{
	char text[NUMBER_LEN + 8];
	snprintf(text, sizeof text, "%" PRId64 ".%03d", (wall_ms / 1000), (int)(wall_ms % 1000));
	add_number(in, key, text);
}

void doc_raw(struct doc in, const char *key, struct slice json)
{
	assert(json.len > 0 && memchr(json.p, '\0', json.len) == NULL);
	buf_add(&in.of->scratch, json.p, json.len);
	add_scratch(in, key);
}

void doc_raw_take(struct doc in, const char *key, struct buf *json)
{
	in.of->failed = in.of->failed || buf_failed(json);
	if (!in.of->failed)
		doc_raw(in, key, buf_slice(json));
	buf_finish(json);
}

/* --- reading --- */

/* Is the tree of it bounded? And are its strings such that cJSON does not cut one at a NUL? */
static bool is_fit(struct slice text)
{
	bool inside = false; /* a string */
	unsigned depth = 0;
	unsigned values = 1;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];
		if (c == '\0')
			return false;
		if (inside && c == '\\') {
			i++;
			if (text.len - i >= 5 && memcmp(text.p + i, "u0000", 5) == 0)
				return false;
		} else if (c == '"') {
			inside = !inside;
		} else if (!inside && (c == '{' || c == '[')) {
			values++;
			if (++depth > DOCUMENT_DEPTH_MAX)
				return false;
		} else if (!inside && (c == '}' || c == ']')) {
			depth -= depth > 0;
		} else {
			values += !inside && c == ',';
		}
		if (values > DOCUMENT_VALUES_MAX)
			return false;
	}
	return true;
}

enum err document_read(struct document *d, struct slice text)
{
	const char *end;
	begin(d);
	starved = false;
	/* cJSON also stores the position of an error in a global, which is not read. */
	d->root = is_fit(text) ? cJSON_ParseWithLengthOpts(text.p, text.len, &end, false) : NULL;
	if (d->root == NULL)
		return starved ? ERR_NOMEM : ERR_INVALID;
	while (end < text.p + text.len && (*end == ' ' || *end == '\t' || *end == '\r' || *end == '\n'))
		end++;
	if (end == text.p + text.len)
		return ERR_NONE;
	cJSON_Delete(d->root);
	d->root = NULL;
	return ERR_INVALID;
}

struct doc document_root(struct document *d)
{
	return (struct doc){d, d->root};
}

bool doc_is_object(struct doc value)
{
	return cJSON_IsObject(value.at);
}

bool doc_is_array(struct doc value)
{
	return cJSON_IsArray(value.at);
}

struct doc doc_member(struct doc in, const char *key)
{
	struct doc found = {in.of, NULL};
	for (struct cJSON *item = doc_is_object(in) ? in.at->child : NULL; item != NULL; item = item->next)
		if (strcmp(item->string, key) == 0)
			found.at = item;
	return found;
}

struct doc doc_first(struct doc in)
{
	return (struct doc){in.of, in.at != NULL ? in.at->child : NULL};
}

struct doc doc_next(struct doc value)
{
	return (struct doc){value.of, value.at->next};
}

const char *doc_key(struct doc value)
{
	return value.at->string;
}

bool doc_get_text(struct doc value, struct slice *out)
{
	if (!cJSON_IsString(value.at))
		return false;
	*out = slice_of(value.at->valuestring);
	return true;
}

bool doc_get_u64(struct doc value, uint64_t *out)
{
	const double most = 9007199254740991;
	double number = cJSON_IsNumber(value.at) ? value.at->valuedouble : -1;
	uint64_t whole = number >= 0 && number <= most ? (uint64_t)number : 0;
	if ((double)whole != number)
		return false;
	*out = whole;
	return true;
}
