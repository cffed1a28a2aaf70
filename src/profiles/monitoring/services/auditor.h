/* The auditor: checks the newest figures of each service once a second, and records observations for operators. A rule
 * that holds is recorded once; again only after it has ceased to hold, and not within AGAIN_MS.
 *
 *     ERROR_BURST   at least this many events failed within a minute
 *     LATENCY       the 95th percentile of a minute's response times exceeds the limit
 *     SILENCE       a service that sent events within the last day has been silent for this long
 *
 * An observation is a few numbers, stored as a note; its texts are made when it is read. Any thread. */
#ifndef PROFILES_MONITORING_SERVICES_AUDITOR_H
#define PROFILES_MONITORING_SERVICES_AUDITOR_H

#include "profiles/monitoring/state/monitor.h"

struct auditor;

enum { OBSERVATIONS_MAX = 1000 };

struct auditor_options {
	int64_t errors;     /* within a minute; 0: never */
	int64_t latency_ms; /* 0: never */
	int64_t silence_ms; /* 0: never */
};

/* Loads the observations. Before the writer starts. */
enum err auditor_create(struct store *store, struct monitor *m, struct auditor_options options, struct auditor **out,
			struct fault *fault);
void auditor_destroy(struct auditor *a);

/* Applies the rules. Call it once a second. */
void auditor_run(struct auditor *a, struct writer *w);

struct auditor_filter {
	uint32_t limit;        /* 1 or more */
	struct slice severity; /* empty: any */
	struct slice category; /* empty: any */
	bool has_acknowledged;
	bool acknowledged;
};
/* Appends an array, newest first. */
void auditor_write(struct auditor *a, struct buf *out, const struct auditor_filter *filter);

/* A change that is being stored: an observation or an acknowledgement. */
struct auditor_change {
	struct write_op op; /* first member: the writer hands it back */
	struct auditor *auditor;
	uint64_t id;
	bool acknowledges; /* false: a new observation */
	int64_t at_ms;
	void (*done)(struct auditor_change *change);
};
/* ERR_NOT_FOUND. Acknowledging twice is not an error. */
enum err auditor_acknowledge(struct auditor *a, struct writer *w, uint64_t id, struct auditor_change *change,
			     struct fault *fault);

struct auditor_figures {
	uint64_t observations;
	uint64_t open; /* not acknowledged */
};
void auditor_read(struct auditor *a, struct auditor_figures *out);

#endif
