/* The auditor: looks at the newest figures of each service once a second, and notes what a person should know. A rule that
 * holds is noted once; again only after it has ceased to hold, and no sooner than a while later.
 *
 *     ERROR_BURST   so many events failed within a minute
 *     LATENCY       the 95th percentile of a minute's response times is past a limit
 *     SILENCE       a service that was heard within the last day has been silent for so long
 *
 * An observation is a handful of numbers, kept as a note; its words are made when it is asked for. Any thread. */
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

/* The writer has not started yet. */
enum err auditor_create(struct store *store, struct monitor *m, struct auditor_options options, struct auditor **out,
			struct fault *fault);
void auditor_destroy(struct auditor *a);

/* Applies the rules. */
void auditor_look(struct auditor *a, struct writer *w);

struct auditor_filter {
	uint32_t limit;        /* 1 or more */
	struct slice severity; /* empty: any */
	struct slice category; /* empty: any */
	bool has_acknowledged;
	bool acknowledged;
};
/* Appends an array, newest first. */
void auditor_write(struct auditor *a, struct buf *out, const struct auditor_filter *filter);

/* An acknowledgement on its way to the disk, as with leases. */
struct auditor_change {
	struct write_op op; /* first: the writer gives it back */
	struct auditor *auditor;
	uint64_t id;
	bool acknowledges; /* otherwise it is a new observation */
	int64_t at_ms;
	void (*done)(struct auditor_change *change);
};
/* ERR_NOT_FOUND. Acknowledging twice is fine. */
enum err auditor_acknowledge(struct auditor *a, struct writer *w, uint64_t id, struct auditor_change *change,
			     struct fault *fault);

struct auditor_figures {
	uint64_t observations;
	uint64_t open; /* not acknowledged */
};
void auditor_read(struct auditor *a, struct auditor_figures *out);

#endif
