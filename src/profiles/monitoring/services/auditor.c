#include "profiles/monitoring/services/auditor.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/services/observation.h"

enum {
	WINDOW_MS = 60 * 1000,
	TIMES_MIN = 5,            /* minimum number of response times for a quantile */
	AGAIN_MS = 5 * 60 * 1000, /* a rule is not recorded again within this time */
	HEARD_MS = 24 * 3600 * 1000,
};

struct auditor {
	struct monitor *monitor;
	struct auditor_options options;
	pthread_mutex_t lock;
	struct observation items[OBSERVATIONS_MAX]; /* ring buffer by id */
	uint64_t last_id;
	uint64_t first_id;
	bool holds[RULES][SERVICES];       /* the rule holds, and an observation was recorded */
	int64_t noted_ms[RULES][SERVICES]; /* Unix */
};

static struct observation *at(struct auditor *a, uint64_t id)
{
	return &a->items[id % OBSERVATIONS_MAX];
}

/* --- storage --- */

static enum err write_note(struct write_op *op, struct store *store, struct fault *fault)
{
	struct auditor_change *c = (struct auditor_change *)op;
	struct auditor *a = c->auditor;
	struct buf text;
	char key[24];
	buf_init(&text);
	snprintf(key, sizeof key, "%020" PRIu64, c->id);
	pthread_mutex_lock(&a->lock);
	struct observation o = *at(a, c->id);
	uint64_t first = a->first_id;
	pthread_mutex_unlock(&a->lock);
	if (o.id != c->id) /* the observation has been overwritten */
		return ERR_NONE;
	if (c->acknowledges && o.acknowledged_ms == 0)
		o.acknowledged_ms = c->at_ms;
	observation_save(&text, &o);
	enum err err = buf_failed(&text) ? fault_nomem(fault)
					 : store_note_put(store, "observation", slice_of(key), (int64_t)c->id,
							  buf_slice(&text), fault);
	if (!err && first > 1)
		err = store_note_trim(store, "observation", (int64_t)first, fault);
	buf_finish(&text);
	return err;
}

static void on_done(struct write_op *op)
{
	struct auditor_change *c = (struct auditor_change *)op;
	struct auditor *a = c->auditor;
	pthread_mutex_lock(&a->lock);
	struct observation *o = at(a, c->id);
	if (op->err == ERR_NONE && c->acknowledges && o->id == c->id && o->acknowledged_ms == 0)
		o->acknowledged_ms = c->at_ms;
	pthread_mutex_unlock(&a->lock);
	c->done(c);
}

static enum err submit(struct auditor *a, struct writer *w, struct auditor_change *c, struct fault *fault)
{
	c->auditor = a;
	c->op.change = write_note;
	c->op.done = on_done;
	return writer_submit(w, &c->op, fault);
}

enum err auditor_acknowledge(struct auditor *a, struct writer *w, uint64_t id, struct auditor_change *change,
			     struct fault *fault)
{
	pthread_mutex_lock(&a->lock);
	bool known = id != 0 && at(a, id)->id == id;
	pthread_mutex_unlock(&a->lock);
	if (!known)
		return fault_set(fault, ERR_NOT_FOUND, "there is no such observation");
	change->id = id;
	change->acknowledges = true;
	change->at_ms = clock_wall_ms();
	return submit(a, w, change, fault);
}

static enum err on_note(void *arg, struct slice key, int64_t id, struct slice value)
{
	struct auditor *a = arg;
	struct observation o = {.id = (uint64_t)id};
	(void)key;
	if (!observation_load(value, &o))
		return ERR_CORRUPT;
	*at(a, o.id) = o;
	a->last_id = o.id;
	a->first_id = a->first_id != 0 && o.id - a->first_id < OBSERVATIONS_MAX ? a->first_id : o.id;
	a->noted_ms[o.rule][o.service] = o.time_ms;
	return ERR_NONE;
}

/* --- the rules --- */

static void on_noted(struct auditor_change *c)
{
	free(c);
}

static void note(struct auditor *a, struct writer *w, const struct observation *what)
{
	struct fault fault;
	struct auditor_change *c = calloc(1, sizeof *c);
	if (c == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	c->id = ++a->last_id;
	struct observation *o = at(a, c->id);
	*o = *what;
	o->id = c->id;
	if (a->first_id == 0)
		a->first_id = c->id;
	else if (c->id - a->first_id >= OBSERVATIONS_MAX)
		a->first_id = c->id - OBSERVATIONS_MAX + 1;
	pthread_mutex_unlock(&a->lock);
	c->done = on_noted;
	/* The observation is shown even if it cannot be stored: a failing disk is then the operator's problem. */
	if (submit(a, w, c, &fault) != ERR_NONE)
		free(c);
	log_warn("auditor observation", "rule=%s service=%s value=%" PRIu64 " limit=%" PRIu64, observation_rule(what->rule),
		 service_name(what->service), what->value, what->limit);
}

static bool holds(struct auditor *a, enum rule rule, enum service s, const struct tally *t, int64_t now,
		  struct observation *o)
{
	const struct auditor_options *limits = &a->options;
	struct window_figures figures;
	int64_t silent_ms = now - (int64_t)t->last_ms;
	switch (rule) {
	case RULE_ERROR_BURST:
		monitor_window(a->monitor, s, now - WINDOW_MS, &figures);
		o->value = figures.errors;
		o->limit = (uint64_t)limits->errors;
		o->batch = figures.events;
		return limits->errors > 0 && figures.errors >= o->limit;
	case RULE_LATENCY:
		monitor_window(a->monitor, s, now - WINDOW_MS, &figures);
		o->value = (uint64_t)figures.p95_ms;
		o->limit = (uint64_t)limits->latency_ms;
		o->batch = figures.timed;
		return limits->latency_ms > 0 && figures.timed >= TIMES_MIN && figures.p95_ms > (double)limits->latency_ms;
	case RULE_SILENCE:
		o->value = (uint64_t)(silent_ms > 0 ? silent_ms : 0);
		o->limit = (uint64_t)limits->silence_ms;
		o->batch = t->events;
		return limits->silence_ms > 0 && t->last_ms > 0 && silent_ms >= limits->silence_ms && silent_ms < HEARD_MS;
	case RULES: break;
	}
	return false;
}

static void apply(struct auditor *a, struct writer *w, enum rule rule, enum service s, const struct tally *t, int64_t now)
{
	struct observation o = {.time_ms = now, .rule = rule, .service = s};
	bool held = a->holds[rule][s];
	bool now_holds = holds(a, rule, s, t, now, &o);
	if (!now_holds || held) {
		a->holds[rule][s] = now_holds;
		return;
	}
	int64_t again_ms = rule == RULE_SILENCE ? a->options.silence_ms : AGAIN_MS;
	/* A silence that was recorded before a restart is not a new one. */
	bool same = rule == RULE_SILENCE && a->noted_ms[rule][s] > (int64_t)t->last_ms;
	if (same || now - a->noted_ms[rule][s] < again_ms)
		return;
	a->holds[rule][s] = true;
	a->noted_ms[rule][s] = now;
	if (rule == RULE_ERROR_BURST)
		o.event_count = (uint64_t)monitor_errors(a->monitor, s, o.events);
	note(a, w, &o);
}

void auditor_run(struct auditor *a, struct writer *w)
{
	struct tally tallies[SERVICES];
	uint64_t seq;
	int64_t now = clock_wall_ms();
	monitor_tallies(a->monitor, tallies, &seq);
	for (int s = 0; s < SERVICES; s++)
		for (int rule = 0; tallies[s].events > 0 && rule < RULES; rule++)
			apply(a, w, (enum rule)rule, (enum service)s, &tallies[s], now);
}

/* --- life cycle, output --- */

enum err auditor_create(struct store *store, struct monitor *m, struct auditor_options options, struct auditor **out,
			struct fault *fault)
{
	*out = NULL;
	struct auditor *a = calloc(1, sizeof *a);
	if (a == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&a->lock, NULL);
	a->monitor = m;
	a->options = options;
	enum err err = store_note_each(store, "observation", on_note, a, fault);
	if (err) {
		auditor_destroy(a);
		return err;
	}
	*out = a;
	return ERR_NONE;
}

void auditor_destroy(struct auditor *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static bool passes(const struct observation *o, const struct auditor_filter *f)
{
	if (f->has_acknowledged && f->acknowledged != (o->acknowledged_ms != 0))
		return false;
	return (f->severity.len == 0 || slice_is(f->severity, observation_severity(o->rule))) &&
	       (f->category.len == 0 || slice_is(f->category, observation_category(o->rule)));
}

/* Copies the newest observation before `id` that matches. Returns its id; 0: none. */
static uint64_t copy_before(struct auditor *a, uint64_t id, const struct auditor_filter *filter, struct observation *out)
{
	uint64_t found = 0;
	pthread_mutex_lock(&a->lock);
	id = id <= a->last_id ? id : a->last_id + 1;
	while (found == 0 && --id > 0 && id >= a->first_id) {
		*out = *at(a, id);
		found = out->id == id && passes(out, filter) ? id : 0;
	}
	pthread_mutex_unlock(&a->lock);
	return found;
}

/* The lock is not held while a document is written. */
void auditor_write(struct auditor *a, struct buf *out, const struct auditor_filter *filter)
{
	struct observation o;
	uint64_t id = UINT64_MAX;
	buf_addc(out, '[');
	for (uint32_t i = 0; i < filter->limit && (id = copy_before(a, id, filter, &o)) != 0; i++) {
		buf_adds(out, i == 0 ? "" : ",");
		observation_write(out, &o);
	}
	buf_addc(out, ']');
}

void auditor_read(struct auditor *a, struct auditor_figures *out)
{
	*out = (struct auditor_figures){0};
	pthread_mutex_lock(&a->lock);
	for (int i = 0; i < OBSERVATIONS_MAX; i++) {
		out->observations += a->items[i].id != 0;
		out->open += a->items[i].id != 0 && a->items[i].acknowledged_ms == 0;
	}
	pthread_mutex_unlock(&a->lock);
}
