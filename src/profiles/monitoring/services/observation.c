#include "profiles/monitoring/services/observation.h"

#include "base/system/clock.h"
#include "json/numbers.h"

static const struct {
	const char *name;
	const char *severity;
	const char *category;
	const char *text; /* service, value, limit, batch */
	const char *recommendation;
} rules[RULES] = {
	[RULE_ERROR_BURST] = {"error_burst", "critical", "reliability",
			      "%s: %llu events failed within a minute (the limit is %llu), of %llu in all.",
			      "Look at the newest failed events; the ids are those of the log."},
	[RULE_LATENCY] = {"latency", "warning", "performance",
			  "%s: the 95th percentile of the response time was %llu ms within a minute (the limit is %llu ms), "
			  "over %llu responses.",
			  "Look for slow requests and for load on what the service depends on."},
	[RULE_SILENCE] = {"silence", "warning", "reliability",
			  "%s: no event for %llu ms (the limit is %llu ms), after %llu events.",
			  "Check whether the service still runs and still reaches the server."},
};

const char *observation_rule(enum rule rule)
{
	return rules[rule].name;
}

const char *observation_severity(enum rule rule)
{
	return rules[rule].severity;
}

const char *observation_category(enum rule rule)
{
	return rules[rule].category;
}

/* The rules count, they do not guess: their confidence is always full. */
void observation_write(struct buf *out, const struct observation *o)
{
	buf_printf(out, "{\"id\":\"%llu\",\"severity\":\"%s\",\"category\":\"%s\",\"confidence\":100",
		   (unsigned long long)o->id, rules[o->rule].severity, rules[o->rule].category);
	buf_adds(out, ",\"timestamp\":");
	clock_write(out, o->time_ms);
	buf_adds(out, ",\"observation\":\"");
	buf_printf(out, rules[o->rule].text, service_name(o->service), (unsigned long long)o->value,
		   (unsigned long long)o->limit, (unsigned long long)o->batch);
	buf_printf(out, "\",\"recommendation\":\"%s\",\"acknowledged\":%s", rules[o->rule].recommendation,
		   o->acknowledged_ms != 0 ? "true" : "false");
	buf_adds(out, ",\"acknowledged_at\":");
	if (o->acknowledged_ms != 0)
		clock_write(out, o->acknowledged_ms);
	else
		buf_adds(out, "null");
	buf_printf(out, ",\"acknowledged_by\":%s,\"event_ids\":", o->acknowledged_ms != 0 ? "\"dashboard_user\"" : "null");
	if (o->event_count > 0)
		numbers_write(out, o->events, (int)o->event_count);
	else
		buf_adds(out, "[]");
	buf_printf(out,
		   ",\"rule\":\"%s\",\"connection_type\":\"%s\",\"metadata\":{\"model\":\"rules\",\"batch_size\":%llu,"
		   "\"auditor_version\":\"" TIDEMARK_VERSION "\"}}",
		   rules[o->rule].name, service_name(o->service), (unsigned long long)o->batch);
}

enum { NUMBERS = 8 + WINDOW_ERRORS };

void observation_save(struct buf *out, const struct observation *o)
{
	uint64_t n[NUMBERS] = {(uint64_t)o->time_ms,         o->rule,       o->service, o->value, o->limit, o->batch,
			       (uint64_t)o->acknowledged_ms, o->event_count};
	memcpy(n + 8, o->events, sizeof o->events);
	numbers_write(out, n, NUMBERS);
}

bool observation_load(struct slice text, struct observation *o)
{
	uint64_t n[NUMBERS];
	if (!numbers_read(text, n, NUMBERS) || n[1] >= RULES || n[2] >= SERVICES || n[7] > WINDOW_ERRORS)
		return false;
	o->time_ms = (int64_t)n[0];
	o->rule = (enum rule)n[1];
	o->service = (enum service)n[2];
	o->value = n[3];
	o->limit = n[4];
	o->batch = n[5];
	o->acknowledged_ms = (int64_t)n[6];
	o->event_count = n[7];
	memcpy(o->events, n + 8, sizeof o->events);
	return true;
}
