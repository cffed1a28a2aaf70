#include "profiles/monitoring/services/observation.h"

#include "json/document.h"
#include "json/numbers.h"
#include <inttypes.h>
#include <stdio.h>

static const struct {
	const char *name;
	const char *severity;
	const char *category;
	const char *text; /* formatted with service, value, limit, batch */
	const char *recommendation;
} rules[RULES] = {
	[RULE_ERROR_BURST] = {"error_burst", "critical", "reliability",
			      "%s: %" PRIu64 " events failed within a minute (the limit is %" PRIu64 "), of %" PRIu64
			      " in all.",
			      "Look at the newest failed events; the ids are those of the log."},
	[RULE_LATENCY] = {"latency", "warning", "performance",
			  "%s: the 95th percentile of the response time was %" PRIu64
			  " ms within a minute (the limit is %" PRIu64 " ms), "
			  "over %" PRIu64 " responses.",
			  "Look for slow requests and for load on what the service depends on."},
	[RULE_SILENCE] = {"silence", "warning", "reliability",
			  "%s: no event for %" PRIu64 " ms (the limit is %" PRIu64 " ms), after %" PRIu64 " events.",
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

/* Rules count and do not estimate, so their confidence is always full. */
void observation_write(struct buf *out, const struct observation *o)
{
	bool acknowledged = o->acknowledged_ms != 0;
	char text[320];
	struct document d;
	struct doc root = document_begin(&d);
	snprintf(text, sizeof text, "%" PRIu64, o->id);
	doc_string(root, "id", text);
	doc_string(root, "severity", rules[o->rule].severity);
	doc_string(root, "category", rules[o->rule].category);
	doc_u64(root, "confidence", 100);
	doc_time(root, "timestamp", o->time_ms);
	snprintf(text, sizeof text, rules[o->rule].text, service_name(o->service), o->value, o->limit, o->batch);
	doc_string(root, "observation", text);
	doc_string(root, "recommendation", rules[o->rule].recommendation);
	doc_bool(root, "acknowledged", acknowledged);
	if (acknowledged)
		doc_time(root, "acknowledged_at", o->acknowledged_ms);
	else
		doc_null(root, "acknowledged_at");
	doc_text_or_null(root, "acknowledged_by", slice_of(acknowledged ? "dashboard_user" : ""));
	struct doc events = doc_array(root, "event_ids");
	for (uint64_t i = 0; i < o->event_count; i++)
		doc_u64(events, NULL, o->events[i]);
	doc_string(root, "rule", rules[o->rule].name);
	doc_string(root, "connection_type", service_name(o->service));
	struct doc metadata = doc_object(root, "metadata");
	doc_string(metadata, "model", "rules");
	doc_u64(metadata, "batch_size", o->batch);
	doc_string(metadata, "auditor_version", TIDEMARK_VERSION);
	document_end(&d, out);
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
