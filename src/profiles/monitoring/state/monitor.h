/* The figures of the monitoring profile: a pure fold over the log. The state at a seq is the result of counting all events
 * of the services up to it, whether in one go, in portions, or over a restart:
 *
 *     commit ─▶ monitor (the writer's observer) ─▶ feed ─▶ readers
 *                  │ now and then, and at the end
 *                  └─▶ notes, in the transaction of the next commit, with the seq that they cover
 *
 * On opening, events after that seq are folded again. A reader that has been sent event N finds it counted.
 *
 * Threads: the observer is the writer's; everything else may be called from any thread and waits for no disk. */
#ifndef PROFILES_MONITORING_STATE_MONITOR_H
#define PROFILES_MONITORING_STATE_MONITOR_H

#include "engine/write/writer.h"
#include "profiles/monitoring/event/category.h"
#include "profiles/monitoring/event/flags.h"
#include "profiles/monitoring/event/quarantine.h"
#include "profiles/monitoring/state/boundary.h"
#include "profiles/monitoring/state/series.h"
#include "profiles/monitoring/state/tally.h"
#include "profiles/monitoring/state/window.h"

struct monitor;

/* Loads the saved figures and folds the rest of the log. Before the writer starts. `flags` tell whether events are
 * validated, and when figures are saved; NULL: no validation, and saving by the number of events only. */
enum err monitor_create(struct store *store, struct flags *flags, struct monitor **out, struct fault *fault);
void monitor_destroy(struct monitor *m);
/* The observer for the writer; lives as long as the monitor. */
const struct writer_observer *monitor_observer(const struct monitor *m);

/* Saves changed figures if they are due according to the flags (`now`: at once). Call it once a second. */
void monitor_save(struct monitor *m, struct writer *w, bool now);

/* The selection of a service's stream, or of all services (SERVICES); NULL: no memory. */
struct selection *monitor_select(struct store *store, enum service service);

/* Numbers of validated and of invalid events. */
struct validation_figures {
	uint64_t checked;
	uint64_t invalid;
	uint32_t listed; /* length of the quarantine list */
};
void monitor_validation(struct monitor *m, struct validation_figures *out);
/* See quarantine_read. */
uint32_t monitor_quarantine(struct monitor *m, uint64_t after, uint32_t limit, struct quarantined *out);
/* Copies the number of events per category. */
void monitor_categories(struct monitor *m, uint64_t categories[CATEGORIES]);
/* Copies the figures of every service, and the seq up to which they count. */
void monitor_tallies(struct monitor *m, struct tally tallies[SERVICES], uint64_t *seq);
/* The seq of the last event that changed the session metrics. */
uint64_t monitor_session_seq(struct monitor *m);
/* The time, at or after `since_ms`, from which on the window is complete, in full seconds. Later than `since_ms` if the
 * log did not have all events after a restart. */
int64_t monitor_window_since(struct monitor *m, int64_t since_ms);
/* Of a service, or of all together (SERVICES). */
void monitor_window(struct monitor *m, enum service service, int64_t since_ms, struct window_figures *out);
int monitor_errors(struct monitor *m, enum service service, uint64_t seqs[WINDOW_ERRORS]);

/* The cache of minutes in which series begin. */
struct boundaries *monitor_boundaries(const struct monitor *m);

/* Append one JSON value each. */
void monitor_write_sessions(struct monitor *m, struct buf *out);
/* Of a service, or of all together (SERVICES); for `first` see series_write. */
void monitor_write_series(struct monitor *m, struct buf *out, enum service service, int64_t interval, int64_t since_ms,
			  const struct minute *first);

/* The reply to get_stats, rendered once per version. */
void monitor_write_stats(struct monitor *m, struct buf *out, enum service service);
void monitor_write_all_stats(struct monitor *m, struct buf *out);

#endif
