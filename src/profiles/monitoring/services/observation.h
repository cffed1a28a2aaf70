/* An observation of the auditor: numbers, and the texts for them. */
#ifndef PROFILES_MONITORING_SERVICES_OBSERVATION_H
#define PROFILES_MONITORING_SERVICES_OBSERVATION_H

#include "profiles/monitoring/event/flat.h"
#include "profiles/monitoring/state/window.h"

enum rule { RULE_ERROR_BURST, RULE_LATENCY, RULE_SILENCE, RULES };

struct observation {
	uint64_t id; /* 0: none */
	int64_t time_ms;
	enum rule rule;
	enum service service;
	uint64_t value;          /* events, or milliseconds */
	uint64_t limit;          /* the limit that was exceeded */
	uint64_t batch;          /* number of events considered */
	int64_t acknowledged_ms; /* 0: not acknowledged */
	uint64_t event_count;
	uint64_t events[WINDOW_ERRORS]; /* seqs */
};

/* Static texts. */
const char *observation_rule(enum rule rule);
const char *observation_severity(enum rule rule);
const char *observation_category(enum rule rule);

/* Appends the observation object of the profile. */
void observation_write(struct buf *out, const struct observation *o);

/* Appends everything but the id. */
void observation_save(struct buf *out, const struct observation *o);
bool observation_load(struct slice text, struct observation *o);

#endif
