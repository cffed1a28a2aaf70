#include "profiles/monitoring/event/flags.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "base/units.h"
#include "profiles/monitoring/event/validity.h"
#include "json/json.h"

enum kind { KIND_SWITCH, KIND_NUMBER, KIND_ADAPTER };

static const struct {
	const char *name;
	enum kind kind;
	int64_t value; /* the default; of a number at least 1 */
	int64_t max;
} table[FLAGS] = {
	[FLAG_USE_ADAPTER] = {"MONITORING_USE_ADAPTER", KIND_SWITCH, 1, 0},
	[FLAG_ADAPTER_TYPE] = {"MONITORING_ADAPTER_TYPE", KIND_ADAPTER, ADAPTER_DUAL, 0},
	[FLAG_DUAL_MODE] = {"MONITORING_DUAL_MODE", KIND_SWITCH, 0, 0},
	[FLAG_ENABLE_VALIDATION] = {"MONITORING_ENABLE_VALIDATION", KIND_SWITCH, 1, 0},
	[FLAG_VALIDATION_STRICT] = {"MONITORING_VALIDATION_STRICT", KIND_SWITCH, 0, 0},
	[FLAG_METRICS_FLUSH_INTERVAL] = {"MONITORING_METRICS_FLUSH_INTERVAL", KIND_NUMBER, 300, 86400},
	[FLAG_METRICS_PERSISTENCE] = {"MONITORING_METRICS_PERSISTENCE", KIND_SWITCH, 1, 0},
	[FLAG_BATCH_SIZE] = {"MONITORING_BATCH_SIZE", KIND_NUMBER, 100, 10000},
	[FLAG_TIMEOUT_MS] = {"MONITORING_TIMEOUT_MS", KIND_NUMBER, 5000, 600000},
};

static const char *const adapters[ADAPTERS] = {
	[ADAPTER_WEBSOCKET] = "websocket",
	[ADAPTER_REALTIME] = "realtime",
	[ADAPTER_DUAL] = "dual",
};

enum source { SOURCE_DEFAULT, SOURCE_ENVIRONMENT, SOURCE_OPTION, SOURCE_SET };

struct flags {
	atomic_llong values[FLAGS];
	atomic_ullong refused;
	/* written by flags_create only */
	int64_t configured[FLAGS];
	enum source configured_by[FLAGS];

	pthread_mutex_t lock; /* guards everything below */
	enum source source[FLAGS];
	int64_t at_ms[FLAGS]; /* Unix: when it was set */
	char by[FLAGS][FLAG_BY_MAX];
};

enum flag flag_find(struct slice name)
{
	enum flag flag = FLAG_USE_ADAPTER;
	while (flag < FLAGS && !slice_is(name, table[flag].name))
		flag++;
	return flag;
}

const char *flag_name(enum flag flag)
{
	return table[flag].name;
}

static enum err wrong_value(enum flag flag, struct fault *fault)
{
	if (table[flag].kind == KIND_NUMBER)
		return fault_set(fault, ERR_INVALID, "%s: must be a whole number from 1 to %" PRId64, table[flag].name,
				 table[flag].max);
	if (table[flag].kind == KIND_ADAPTER)
		return fault_set(fault, ERR_INVALID, "%s: must be websocket, realtime or dual", table[flag].name);
	return fault_set(fault, ERR_INVALID, "%s: must be true or false", table[flag].name);
}

/* The same for a text, for which a switch has more values. */
static enum err wrong_text(enum flag flag, struct slice text, struct fault *fault)
{
	if (table[flag].kind != KIND_SWITCH)
		return wrong_value(flag, fault);
	return fault_set(fault, ERR_INVALID, "%s: must be true, false, 1, 0, yes, no, on or off, not: %.*s",
			 table[flag].name, (int)(text.len < 64 ? text.len : 64), text.p);
}

/* Parses a text as in the environment. */
static bool read_text(enum flag flag, struct slice text, int64_t *value)
{
	bool on;
	if (table[flag].kind == KIND_NUMBER)
		return units_integer(text, value) && *value >= 1 && *value <= table[flag].max;
	if (table[flag].kind == KIND_ADAPTER) {
		for (*value = 0; *value < ADAPTERS && !slice_is(text, adapters[*value]);)
			++*value;
		return *value < ADAPTERS;
	}
	bool fine = units_switch(text, &on);
	*value = fine && on;
	return fine;
}

/* Parses a JSON value of the flag's own kind. */
static bool read_json(enum flag flag, struct slice json, int64_t *value)
{
	enum json_kind kind = json_kind(json);
	if (table[flag].kind == KIND_NUMBER)
		return kind == JSON_NUMBER && read_text(flag, json, value);
	if (table[flag].kind == KIND_ADAPTER)
		return kind == JSON_STRING && read_text(flag, (struct slice){json.p + 1, json.len - 2}, value);
	*value = kind == JSON_TRUE;
	return kind == JSON_TRUE || kind == JSON_FALSE;
}

static void put_value(struct doc to, const char *key, enum flag flag, int64_t value)
{
	switch (table[flag].kind) {
	case KIND_ADAPTER: doc_string(to, key, adapters[value]); break;
	case KIND_NUMBER: doc_i64(to, key, value); break;
	case KIND_SWITCH: doc_bool(to, key, value != 0); break;
	}
}

/* --- configuration --- */

static enum err split(const char *text, enum flag *flag, struct slice *value, struct fault *fault)
{
	const char *equals = strchr(text, '=');
	*flag = equals != NULL ? flag_find((struct slice){text, (size_t)(equals - text)}) : FLAGS;
	if (*flag == FLAGS)
		return fault_set(fault, ERR_INVALID, "must be NAME=VALUE, with a NAME listed by /flags/status");
	*value = slice_of(equals + 1);
	return ERR_NONE;
}

enum err flag_check(const char *text, struct fault *fault)
{
	enum flag flag;
	struct slice value;
	int64_t number;
	enum err err = split(text, &flag, &value, fault);
	return err || read_text(flag, value, &number) ? err : wrong_text(flag, value, fault);
}

static void configure(struct flags *f, enum flag flag, const char *text, enum source source)
{
	int64_t value;
	struct fault fault;
	if (!read_text(flag, slice_of(text), &value)) {
		wrong_text(flag, slice_of(text), &fault);
		log_warn("invalid flag in the environment, using the default", "error=%s", log_text(fault.text));
		return;
	}
	f->configured[flag] = value;
	f->configured_by[flag] = source;
}

static void configure_all(struct flags *f, const struct option_texts *options)
{
	for (int i = 0; i < FLAGS; i++) {
		enum flag flag = (enum flag)i;
		f->configured[flag] = table[flag].value;
		f->configured_by[flag] = SOURCE_DEFAULT;
		const char *text = getenv(table[flag].name);
		if (text != NULL)
			configure(f, flag, text, SOURCE_ENVIRONMENT);
	}
	for (int i = 0; options != NULL && i < options->count; i++) {
		enum flag flag;
		struct slice value = {"", 0};
		if (split(options->items[i], &flag, &value, NULL) == ERR_NONE)
			configure(f, flag, value.p, SOURCE_OPTION);
	}
	for (int i = 0; i < FLAGS; i++) {
		atomic_store(&f->values[i], f->configured[i]);
		f->source[i] = f->configured_by[i];
	}
}

/* A note of a flag that no longer exists, or that has another kind now, is skipped. */
static enum err on_note(void *arg, struct slice key, int64_t at, struct slice text)
{
	struct flags *f = arg;
	enum flag flag = flag_find(key);
	struct slice value;
	struct slice by;
	size_t len = 0;
	int64_t number;
	if (flag == FLAGS || json_kind(text) != JSON_OBJECT || !json_member(text, "value", &value) ||
	    !read_json(flag, value, &number))
		return ERR_NONE;
	atomic_store(&f->values[flag], number);
	f->source[flag] = SOURCE_SET;
	f->at_ms[flag] = at;
	if (json_member(text, "by", &by) && json_kind(by) == JSON_STRING && by.len <= FLAG_BY_MAX &&
	    json_string(by, f->by[flag], &len))
		f->by[flag][len] = '\0';
	return ERR_NONE;
}

enum err flags_create(struct store *store, const struct option_texts *options, struct flags **out, struct fault *fault)
{
	*out = NULL;
	struct flags *f = calloc(1, sizeof *f);
	if (f == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&f->lock, NULL);
	configure_all(f, options);
	enum err err = store_note_each(store, "flag", on_note, f, fault);
	if (err)
		flags_destroy(f);
	else
		*out = f;
	return err;
}

static enum err on_validation(void *arg, struct slice key, int64_t at, struct slice text)
{
	(void)key;
	(void)at;
	*(enum noted *)arg = slice_is(text, "true") ? NOTED_ON : NOTED_OFF;
	return ERR_NONE;
}

enum err flags_noted_validation(struct store *store, enum noted *out, struct fault *fault)
{
	*out = NOTED_NOTHING;
	return store_note_each(store, "validation", on_validation, out, fault);
}

void flags_destroy(struct flags *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

int64_t flags_get(const struct flags *f, enum flag flag)
{
	return atomic_load(&f->values[flag]);
}

enum adapter flags_adapter(const struct flags *f)
{
	if (flags_get(f, FLAG_USE_ADAPTER) == 0)
		return ADAPTER_WEBSOCKET;
	return flags_get(f, FLAG_DUAL_MODE) != 0 ? ADAPTER_DUAL : (enum adapter)flags_get(f, FLAG_ADAPTER_TYPE);
}

const char *adapter_name(enum adapter adapter)
{
	return adapters[adapter];
}

/* --- output --- */

void flags_write(const struct flags *f, struct doc to)
{
	for (int i = 0; i < FLAGS; i++)
		put_value(to, table[i].name, (enum flag)i, flags_get(f, (enum flag)i));
}

void flags_write_sources(struct flags *f, struct doc to)
{
	static const char *const names[] = {"default", "environment", "option", "set"};
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < FLAGS; i++) {
		struct doc flag = doc_object(to, table[i].name);
		doc_string(flag, "source", names[f->source[i]]);
		if (f->source[i] != SOURCE_SET)
			continue;
		doc_text_or_null(flag, "by", slice_of(f->by[i]));
		doc_time(flag, "at", f->at_ms[i]);
	}
	pthread_mutex_unlock(&f->lock);
}

void flags_write_issues(const struct flags *f, struct doc to)
{
	bool pointless = flags_get(f, FLAG_VALIDATION_STRICT) != 0 && flags_get(f, FLAG_ENABLE_VALIDATION) == 0;
	bool alone = flags_get(f, FLAG_DUAL_MODE) != 0 && flags_get(f, FLAG_USE_ADAPTER) == 0;
	doc_string(to, "health", pointless || alone ? "degraded" : "healthy");
	struct doc issues = doc_array(to, "issues");
	if (pointless)
		doc_string(issues, NULL, "strict validation is on, while validation is off");
	if (alone)
		doc_string(issues, NULL, "dual mode is on, while no adapter is used");
}

/* --- changes --- */

enum err flags_note_validation(bool on, struct store *store, struct fault *fault)
{
	return store_note_put(store, "validation", slice_of("on"), 0, slice_of(on ? "true" : "false"), fault);
}

static enum err write_note(struct write_op *op, struct store *store, struct fault *fault)
{
	const struct flag_change *c = (const struct flag_change *)op;
	struct slice key = slice_of(table[c->flag].name);
	if (c->flag == FLAG_ENABLE_VALIDATION) {
		enum err err = flags_note_validation(c->value != 0, store, fault);
		if (err)
			return err;
	}
	if (c->unset)
		return store_note_delete(store, "flag", key, fault);
	struct document note;
	struct buf text;
	struct doc root = document_begin(&note);
	put_value(root, "value", c->flag, c->value);
	doc_string(root, "by", c->by);
	buf_init(&text);
	document_end(&note, &text);
	enum err err = buf_failed(&text) ? fault_nomem(fault)
					 : store_note_put(store, "flag", key, c->at_ms, buf_slice(&text), fault);
	buf_finish(&text);
	return err;
}

static void on_done(struct write_op *op)
{
	struct flag_change *c = (struct flag_change *)op;
	struct flags *f = c->flags;
	if (!op->err) {
		pthread_mutex_lock(&f->lock);
		atomic_store(&f->values[c->flag], c->value);
		f->source[c->flag] = c->unset ? f->configured_by[c->flag] : SOURCE_SET;
		f->at_ms[c->flag] = c->at_ms;
		memcpy(f->by[c->flag], c->by, sizeof c->by);
		pthread_mutex_unlock(&f->lock);
	}
	c->done(c);
}

enum err flags_change(struct flags *f, struct writer *w, enum flag flag, struct slice value, struct flag_change *change,
		      struct fault *fault)
{
	assert(flag < FLAGS);
	change->unset = json_kind(value) == JSON_NULL;
	change->value = f->configured[flag];
	if (!change->unset && !read_json(flag, value, &change->value))
		return wrong_value(flag, fault);
	change->flags = f;
	change->flag = flag;
	change->at_ms = clock_wall_ms();
	change->op.change = write_note;
	change->op.divides = flag == FLAG_ENABLE_VALIDATION;
	change->op.done = on_done;
	return writer_submit(w, &change->op, fault);
}

/* --- strict validation --- */

static unsigned broken_rules(const struct event *e)
{
	return service_find(e->stream) < SERVICES ? validity_check(e->type, e->data) : 0;
}

static enum err refuse(void *arg, const struct event *e, struct fault *fault)
{
	struct flags *f = arg;
	unsigned broken = broken_rules(e);
	if (broken == 0)
		return ERR_NONE;
	atomic_fetch_add(&f->refused, 1);
	enum validity rule = (enum validity)__builtin_ctz(broken);
	return fault_set(fault, ERR_INVALID, "%s (strict validation is on)", validity_reason(rule));
}

enum err flags_admit(struct flags *f, const struct batch *batch, struct append_options *options, struct fault *fault)
{
	if (flags_get(f, FLAG_VALIDATION_STRICT) == 0 || flags_get(f, FLAG_ENABLE_VALIDATION) == 0)
		return ERR_NONE;
	for (size_t i = 0; i < batch_count(batch); i++) {
		const struct event *e = batch_event(batch, i);
		if (broken_rules(e) == 0)
			continue;
		if (e->id.len == 0) {
			refuse(f, e, fault);
			fault->place = (long)i;
			return ERR_INVALID;
		}
		options->check = refuse;
		options->check_arg = f;
	}
	return ERR_NONE;
}

uint64_t flags_refused(const struct flags *f)
{
	return atomic_load(&f->refused);
}
