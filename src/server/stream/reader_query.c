#include "server/stream/reader_query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/units.h"
#include "event/event.h"
#include "event/op.h"
#include "json/json.h"

/* The state of the parser. */
struct parse {
	struct reader_query *q;
	struct slice value;
	struct slice event_id; /* lastEventId */
	struct fault *fault;
	bool no_memory; /* the parameter is valid, but there is no memory for it */
};

/* A parameter: its name, the flag that allows it, whether it may be repeated, and its parser. */
struct rule {
	const char *name;
	unsigned allowed;
	bool repeatable;
	const char *expected;
	bool (*read)(struct parse *p);
};

bool reader_query_position(struct slice text, struct position *out)
{
	*out = (struct position){.from_first = slice_is(text, "first"), .from_head = slice_is(text, "head")};
	return out->from_first || out->from_head || json_sequence(text, &out->after);
}

static bool read_after(struct parse *p)
{
	struct position start;
	p->q->has_after = reader_query_position(p->value, &start);
	memcpy(start.epoch, p->q->start.epoch, sizeof start.epoch); /* epoch may come before after */
	p->q->start = start;
	return p->q->has_after;
}

static bool is_name(struct slice text)
{
	return text.len > 0 && text.len <= EVENT_NAME_MAX && json_plain_text(text);
}

static bool read_after_name(struct parse *p)
{
	p->q->after_name = p->value;
	return is_name(p->value);
}

static bool read_prefix(struct parse *p)
{
	p->q->prefix = p->value;
	return is_name(p->value);
}

static bool read_epoch(struct parse *p)
{
	position_set_epoch(&p->q->start, p->value);
	return p->value.len > 0;
}

static bool read_start(struct parse *p)
{
	p->q->has_session_start = reader_query_position(p->value, &p->q->session_start);
	return p->q->has_session_start;
}

static bool read_last_event_id(struct parse *p)
{
	p->event_id = p->value;
	return true;
}

static bool read_before(struct parse *p)
{
	return json_sequence(p->value, &p->q->before) && p->q->before > 0;
}

static bool read_time(struct slice text, int64_t *ms)
{
	if (text.len > 1 && text.p[0] == '-') {
		int64_t ago;
		bool fine = units_duration((struct slice){text.p + 1, text.len - 1}, &ago);
		*ms = clock_wall_ms() - (fine ? ago : 0);
		return fine;
	}
	/* An unencoded + has arrived as a space. */
	char fixed[64];
	if (text.len >= sizeof fixed)
		return false;
	for (size_t i = 0; i < text.len; i++)
		fixed[i] = (char)(text.p[i] == ' ' && i > 10 ? '+' : text.p[i]);
	return clock_parse((struct slice){fixed, text.len}, ms);
}

static bool read_since(struct parse *p)
{
	p->q->has_since = read_time(p->value, &p->q->since_ms);
	return p->q->has_since;
}

static bool read_until(struct parse *p)
{
	p->q->has_until = read_time(p->value, &p->q->until_ms);
	return p->q->has_until;
}

static bool read_name(struct parse *p, enum err (*add)(struct filter *f, struct slice name))
{
	enum err err = is_name(p->value) ? add(p->q->filter, p->value) : ERR_INVALID;
	p->no_memory = err == ERR_NOMEM;
	return err == ERR_NONE;
}

static bool read_stream(struct parse *p)
{
	return read_name(p, filter_add_stream);
}

static bool read_type(struct parse *p)
{
	return read_name(p, filter_add_type);
}

static bool add_where(struct parse *p, struct slice condition)
{
	enum err err = filter_add_where(p->q->filter, condition);
	p->no_memory = err == ERR_NOMEM;
	return err == ERR_NONE;
}

static bool read_where(struct parse *p)
{
	return p->value.len > 0 && p->value.p[0] == '/' && add_where(p, p->value);
}

static bool read_category(struct parse *p)
{
	char text[32];
	int n = snprintf(text, sizeof text, "category=%.*s", p->value.len < 20 ? (int)p->value.len : 20, p->value.p);
	return p->value.len < 20 && add_where(p, (struct slice){text, (size_t)n});
}

static bool read_max_age(struct parse *p)
{
	return units_duration(p->value, &p->q->max_age_ms) && p->q->max_age_ms > 0;
}

static bool read_order(struct parse *p)
{
	p->q->descending = slice_is(p->value, "desc");
	return p->q->descending || slice_is(p->value, "asc");
}

/* Leaves *out unchanged if the number is out of bounds. */
static bool read_bounded(struct slice text, int64_t min, int64_t max, int64_t *out)
{
	int64_t value;
	if (!units_integer(text, &value) || value < min || value > max)
		return false;
	*out = value;
	return true;
}

static bool read_limit(struct parse *p)
{
	int64_t limit = 0;
	bool fine = read_bounded(p->value, 1, READER_QUERY_LIMIT_MAX, &limit);
	p->q->limit = (uint32_t)limit;
	return fine;
}

static bool read_wait(struct parse *p)
{
	int64_t seconds = 0;
	bool fine = read_bounded(p->value, 0, READER_QUERY_WAIT_MAX_S, &seconds);
	p->q->wait_ms = seconds * 1000;
	return fine;
}

static bool read_level(struct parse *p)
{
	int64_t level = 0;
	bool fine = read_bounded(p->value, 1, READER_QUERY_LEVEL_MAX, &level);
	p->q->level = (int)level;
	return fine;
}

static bool read_speed(struct parse *p)
{
	char text[16];
	if (p->value.len == 0 || p->value.len >= sizeof text)
		return false;
	slice_copy(text, p->value);
	text[p->value.len] = '\0';
	char *end;
	p->q->speed = strtod(text, &end);
	bool digits_only = strspn(text, "0123456789.") == p->value.len;
	return digits_only && *end == '\0' && p->q->speed >= OP_SPEED_MIN && p->q->speed <= OP_SPEED_MAX;
}

static bool read_session(struct parse *p)
{
	p->q->session = p->value;
	return is_name(p->value);
}

static const struct rule rules[] = {
	{"after", Q_AFTER, false, "a seq (0 to 9007199254740991), first or head", read_after},
	{"after", Q_NAMES, false, "a name of 1 to 255 bytes, UTF-8 without control characters", read_after_name},
	{"prefix", Q_NAMES, false, "1 to 255 bytes, UTF-8 without control characters", read_prefix},
	{"epoch", Q_AFTER, false, "an epoch", read_epoch},
	{"before", Q_BEFORE, false, "a seq (1 to 9007199254740991)", read_before},
	{"since", Q_TIME | Q_SINCE, false, "an RFC 3339 time or a duration ago such as -15m", read_since},
	{"until", Q_TIME, false, "an RFC 3339 time or a duration ago such as -15m", read_until},
	{"stream", Q_FILTER, true, "a name of 1 to 255 bytes, UTF-8 without control characters", read_stream},
	{"type", Q_FILTER, true, "a name of 1 to 255 bytes, UTF-8 without control characters", read_type},
	{"where", Q_WHERE, true, "/POINTER=VALUE, up to four times, 1024 bytes each at most", read_where},
	{"category", Q_WHERE, false, "critical, performance, user_activity, system or debug", read_category},
	{"max_age", Q_MAX_AGE, false, "a duration such as 90s or 1h", read_max_age},
	{"order", Q_ORDER, false, "asc or desc", read_order},
	{"limit", Q_LIMIT, false, "a number from 1 to 10000", read_limit},
	{"wait", Q_WAIT, false, "a number of seconds from 0 to 60", read_wait},
	{"level", Q_LEVEL, false, "a zstd level from 1 to 19", read_level},
	{"speed", Q_SPEED, false, "a number from 0.01 to 10000", read_speed},
	{"session", Q_SESSION, false, "a name of 1 to 255 bytes, UTF-8 without control characters", read_session},
	{"start", Q_SESSION, false, "a seq (0 to 9007199254740991), first or head", read_start},
	{"lastEventId", Q_LAST_EVENT_ID, false, "the id of a block of an event stream", read_last_event_id},
};

enum { RULES = sizeof rules / sizeof *rules };

/* The rule of a name: if several have it, the first that is allowed. */
static const struct rule *find_rule(struct slice name, unsigned allowed)
{
	const struct rule *found = NULL;
	for (int i = 0; i < RULES; i++)
		if (slice_is(name, rules[i].name) && (found == NULL || (found->allowed & allowed) == 0))
			found = &rules[i];
	return found;
}

static enum err read_param(struct parse *p, const struct url_param *param, unsigned allowed, bool *seen)
{
	const struct rule *rule = find_rule(param->name, allowed);
	if (rule == NULL)
		return fault_set(p->fault, ERR_INVALID, "%.*s: unknown parameter",
				 (int)(param->name.len < 64 ? param->name.len : 64), param->name.p);
	if ((rule->allowed & allowed) == 0)
		return fault_set(p->fault, ERR_INVALID, "%s: not allowed for this kind of request", rule->name);
	if (seen[rule - rules] && !rule->repeatable)
		return fault_set(p->fault, ERR_INVALID, "%s: given more than once", rule->name);
	seen[rule - rules] = true;
	p->value = param->value;
	if (rule->read(p))
		return ERR_NONE;
	if (p->no_memory)
		return fault_nomem(p->fault);
	return fault_set(p->fault, ERR_INVALID, "%s: must be %s", rule->name, rule->expected);
}

/* Can the range contain any event? */
static enum err check_range(const struct reader_query *q, struct fault *fault)
{
	bool named = q->start.from_head || q->start.from_first;
	if (q->before != 0 && !named && q->before <= q->start.after + 1)
		return fault_set(fault, ERR_INVALID, "before: there is no seq after %" PRIu64 " and before %" PRIu64,
				 q->start.after, q->before);
	if (q->has_since && q->has_until && q->until_ms <= q->since_ms)
		return fault_set(fault, ERR_INVALID, "until: must be later than since");
	return ERR_NONE;
}

enum err reader_query_parse(const struct url *u, unsigned allowed, struct reader_query *q, struct fault *fault)
{
	*q = (struct reader_query){.filter = filter_create()};
	if (q->filter == NULL)
		return fault_nomem(fault);
	struct parse p = {.q = q, .fault = fault};
	bool seen[RULES] = {false};
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < u->param_count; i++)
		err = read_param(&p, &u->params[i], allowed, seen);
	if (!err && q->has_session_start && q->session.len == 0)
		err = fault_set(fault, ERR_INVALID, "start: needs a session, whose first position it sets");
	if (!err && q->has_session_start && (q->has_after || q->has_since))
		err = fault_set(fault, ERR_INVALID, "start: not allowed together with %s", q->has_after ? "after" : "since");
	if (!err)
		err = check_range(q, fault);
	if (err)
		reader_query_finish(q);
	else
		reader_query_apply_event_id(q, p.event_id);
	return err;
}

void reader_query_apply_event_id(struct reader_query *q, struct slice id)
{
	if (id.len == 0)
		return;
	const char *dot = memchr(id.p, '.', id.len);
	struct slice seq = {id.p, dot != NULL ? (size_t)(dot - id.p) : id.len};
	q->start.from_head = q->start.from_first = false;
	if (dot != NULL)
		position_set_epoch(&q->start, (struct slice){dot + 1, id.len - seq.len - 1});
	if (!json_sequence(seq, &q->start.after))
		position_set_epoch(&q->start, (struct slice){"", 0});
	q->has_after = true;
	q->has_since = false;
}

enum err reader_query_narrow(struct reader_query *q, const struct url *u, const struct grant *g, struct fault *fault)
{
	enum err err = ERR_NONE;
	for (size_t i = 0; !err && i < u->param_count; i++) {
		struct slice name = u->params[i].value;
		if (slice_is(u->params[i].name, "stream") && !grant_has_stream(g, name))
			err = fault_set(fault, ERR_DENIED, "stream: this token may not read %.*s",
					(int)(name.len < 100 ? name.len : 100), name.p);
	}
	if (!err && q->session.len > 0 && !grant_has_session(g, q->session))
		err = fault_set(fault, ERR_DENIED, "session: with this token the name must be %s, or begin with %s/",
				grant_name(g), grant_name(g));
	if (!err && !grant_narrow(g, q->filter))
		err = fault_nomem(fault);
	if (err)
		reader_query_finish(q);
	return err;
}

void reader_query_finish(struct reader_query *q)
{
	filter_destroy(q->filter);
	q->filter = NULL;
}
