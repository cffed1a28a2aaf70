#include "profiles/monitoring/services/cache_op.h"

#include <inttypes.h>
#include <string.h>

#include "json/json.h"

static const char *kind_name(enum cache_kind kind)
{
	static const char *const names[CACHE_KINDS] = {"hit", "miss", "set", "evict", "error"};
	return names[kind];
}

const char *cache_side_name(enum cache_side side)
{
	static const char *const names[CACHE_SIDES] = {"legacy", "new"};
	return names[side];
}

/* --- parsing --- */

enum member { M_KEY, M_HIT, M_OPERATION, M_SIDE, M_SIZE, M_ERROR_TYPE, M_ERROR_MESSAGE, MEMBERS };

/* Some members have two names. */
static const struct {
	const char *name;
	enum member member;
} names[] = {
	{"key", M_KEY},
	{"cache_key", M_KEY},
	{"hit", M_HIT},
	{"cache_hit", M_HIT},
	{"operation", M_OPERATION},
	{"operation_type", M_OPERATION},
	{"implementation_type", M_SIDE},
	{"cache_size", M_SIZE},
	{"error_type", M_ERROR_TYPE},
	{"error_message", M_ERROR_MESSAGE},
};

static void look_for(struct slice object, struct slice m[MEMBERS])
{
	for (struct json_walk w = json_walk(object); json_next(&w);)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (json_key_is(w.key, names[i].name))
				m[names[i].member] = w.value;
}

/* The content of a JSON string; empty for any other value. */
static struct slice text_of(struct slice value)
{
	bool text = value.p != NULL && json_kind(value) == JSON_STRING;
	return text ? (struct slice){value.p + 1, value.len - 2} : (struct slice){"", 0};
}

/* The kind of operation, from the last word of its name: "set", "redis_SET" and "cache.set" are the same. CACHE_KINDS:
 * not a known operation of a cache. */
static enum cache_kind kind_of(struct slice name)
{
	static const struct {
		const char *word;
		enum cache_kind kind;
	} words[] = {
		{"hit", CACHE_HIT},      {"miss", CACHE_MISS},      {"set", CACHE_SET},      {"setex", CACHE_SET},
		{"put", CACHE_SET},      {"store", CACHE_SET},      {"write", CACHE_SET},    {"save", CACHE_SET},
		{"evict", CACHE_EVICT},  {"eviction", CACHE_EVICT}, {"expire", CACHE_EVICT}, {"delete", CACHE_EVICT},
		{"remove", CACHE_EVICT}, {"clear", CACHE_EVICT},    {"error", CACHE_ERROR},
	};
	size_t from = name.len;
	while (from > 0 && name.p[from - 1] != '_' && name.p[from - 1] != '.')
		from--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == name.len - from &&
		    strncasecmp(words[i].word, name.p + from, name.len - from) == 0)
			return words[i].kind;
	return CACHE_KINDS;
}

bool cache_op_read(const struct flat *f, struct cache_op *out)
{
	struct slice m[MEMBERS] = {{NULL, 0}};
	if (json_kind(f->data) == JSON_OBJECT)
		look_for(f->data, m);
	if (f->metadata.p != NULL)
		look_for(f->metadata, m);
	enum json_kind hit = m[M_HIT].p != NULL ? json_kind(m[M_HIT]) : JSON_NULL;
	bool has_hit = hit == JSON_TRUE || hit == JSON_FALSE;
	if (!has_hit && text_of(m[M_KEY]).len == 0)
		return false;
	struct slice operation = text_of(m[M_OPERATION]);
	enum cache_kind done = kind_of(operation.len > 0 ? operation : f->function);
	if (flat_is_error(f))
		done = CACHE_ERROR;
	else if (done != CACHE_SET && done != CACHE_EVICT && has_hit)
		done = hit == JSON_TRUE ? CACHE_HIT : CACHE_MISS;
	*out = (struct cache_op){
		.kind = done,
		.side = slice_is(text_of(m[M_SIDE]), "new") ? CACHE_NEW : CACHE_LEGACY,
		.key = m[M_KEY],
		.error_type = m[M_ERROR_TYPE],
		.error_message = m[M_ERROR_MESSAGE],
	};
	out->sized = flat_number(m[M_SIZE], &out->size);
	return done != CACHE_KINDS;
}

/* --- output --- */

static void put_value(struct buf *out, const char *name, struct slice value)
{
	buf_adds(out, name);
	if (value.p != NULL)
		buf_add(out, value.p, value.len);
	else
		buf_adds(out, "null");
}

void cache_op_write(struct buf *out, const struct flat *f, const struct cache_op *op)
{
	buf_printf(out,
		   "{\"seq\":%" PRIu64 ",\"timestamp\":\"%.*s\",\"operation_type\":\"%s\",\"implementation_type\":\"%s\"",
		   f->seq, (int)f->time.len, f->time.p, kind_name(op->kind), cache_side_name(op->side));
	put_value(out, ",\"cache_key\":", op->key);
	put_value(out, ",\"response_time_ms\":", f->timed ? f->response : (struct slice){NULL, 0});
	if (op->sized)
		buf_printf(out, ",\"cache_size\":%.0f", op->size);
	else
		buf_adds(out, ",\"cache_size\":null");
	put_value(out, ",\"error_type\":", op->error_type);
	buf_adds(out, ",\"error_message\":");
	if (f->error.p != NULL)
		flat_error(out, f);
	else
		put_value(out, "", op->error_message);
	buf_adds(out, ",\"metadata\":");
	flat_metadata(out, f);
	buf_addc(out, '}');
}
