/* What the monitoring profile knows: a pure fold over the log. `state(seq)` is what counting all events of the services up
 * to seq comes to, whether it was done in one go, in portions, or over a restart:
 *
 *     commit ─▶ monitor (the writer's observer) ─▶ feed ─▶ readers
 *                  │ now and then, and at the end
 *                  └─▶ notes, in the transaction of the next commit, with the seq that they cover
 *
 * On opening, what came after that seq is folded again. A reader who has seen event N finds N counted.
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

/* Loads what was saved and folds the rest. The writer has not started yet. `flags` say whether events are held against the
 * rules, and when figures are saved; NULL: they are not, and with many events only. */
enum err monitor_create(struct store *store, struct flags *flags, struct monitor **out, struct fault *fault);
void monitor_destroy(struct monitor *m);
/* To be given to the writer; lives as long as the monitor. */
const struct writer_observer *monitor_observer(const struct monitor *m);

/* Has what was counted saved, where there is anything new, if it has been so for as long as the flags say (`now`: in any
 * case); to be called every second or so. */
void monitor_save(struct monitor *m, struct writer *w, bool now);

/* The selection of a service's stream, or of all of them (SERVICES); NULL when there is no memory. */
struct selection *monitor_select(struct store *store, enum service service);

/* Events that were held against the rules, and those that break one. */
struct validation_figures {
	uint64_t checked;
	uint64_t invalid;
	uint32_t listed; /* the newest of them */
};
void monitor_validation(struct monitor *m, struct validation_figures *out);
/* See quarantine_read. */
uint32_t monitor_quarantine(struct monitor *m, uint64_t after, uint32_t limit, struct quarantined *out);
/* How many events of the services are of each category. */
void monitor_categories(struct monitor *m, uint64_t categories[CATEGORIES]);
/* The figures of every service, and the seq that they count up to. */
void monitor_tallies(struct monitor *m, struct tally tallies[SERVICES], uint64_t *seq);
/* The seq of the last event that changed the session metrics. */
uint64_t monitor_session_seq(struct monitor *m);
/* Since when, at or after a time, the last minutes are whole: in whole seconds. Later than that time where a restart did not
 * find all events of them in the log. */
int64_t monitor_window_since(struct monitor *m, int64_t since_ms);
/* Of a service, or of all together (SERVICES). */
void monitor_window(struct monitor *m, enum service service, int64_t since_ms, struct window_figures *out);
int monitor_errors(struct monitor *m, enum service service, uint64_t seqs[WINDOW_ERRORS]);

/* The minutes that series begin in. */
struct boundaries *monitor_boundaries(const struct monitor *m);

/* Append one JSON value each. */
void monitor_write_sessions(struct monitor *m, struct buf *out);
/* Of a service, or of all together (SERVICES); for `first` see series_write. */
void monitor_write_series(struct monitor *m, struct buf *out, enum service service, int64_t interval, int64_t since_ms,
			  const struct minute *first);

/* What get_stats is answered with, made once a version. */
void monitor_write_stats(struct monitor *m, struct buf *out, enum service service);
void monitor_write_all_stats(struct monitor *m, struct buf *out);

#endif
