/* The internals of the monitor, shared by monitor_fold.c (counting), monitor_save.c (restarts), monitor_write.c (replies)
 * and monitor.c. */
#ifndef PROFILES_MONITORING_STATE_MONITOR_INTERNAL_H
#define PROFILES_MONITORING_STATE_MONITOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/data/sparse_array.h"
#include "profiles/monitoring/state/conversation.h"
#include "profiles/monitoring/state/monitor.h"

/* A rendered text and the version of the figures in it. */
struct ready {
	uint64_t version;
	struct buf text;
};

struct monitor {
	struct writer_observer observer;
	struct flags *flags; /* NULL: none */
	struct boundaries *boundaries;
	/* Guards everything below. The writer takes it for each event, so nothing is sorted or rendered under it. */
	pthread_mutex_t lock;
	uint64_t seq; /* every event up to here is counted */
	struct tally tallies[SERVICES];
	uint64_t categories[CATEGORIES]; /* number of events */
	uint64_t checked;                /* validated events */
	uint64_t invalid;
	struct quarantine *quarantine;
	uint64_t versions[SERVICES + 1]; /* per service, and of all together */
	struct series *series;           /* one per service */
	struct conversations *conversations;
	uint64_t session_seq;
	struct window *window;

	pthread_mutex_t ready_lock; /* taken before `lock`, never by the writer; guards everything below */
	struct ready stats[SERVICES];
	struct ready all_stats;
	struct ready sessions;
	int64_t sessions_ms; /* monotonic: when the sessions were rendered */

	/* The writer's own. */
	unsigned char *topics; /* service and category of a topic, by its number */
	uint32_t topic_count;
	uint64_t saved_seq;
	uint64_t saving_seq;
	int64_t saved_minute;
	int64_t saving_minute;
	uint64_t unsaved; /* events since the last save */
	bool outdated;    /* the saved figures have an older version */
	bool recounts;    /* counting events after the saved figures, on opening */
	enum noted noted; /* whether such events were validated */
	bool divided;     /* the flag has changed since, or is not noted yet: the next commit notes it */

	atomic_bool save_asked;
	atomic_ullong stored_seq; /* copy of saved_seq, for other threads */
	atomic_llong stored_ms;   /* monotonic: when figures were last saved */
};

/* monitor_fold.c */

/* Counts the events of a page. On the writer's thread, or before it runs. */
void monitor_fold_page(struct monitor *m, const struct page *page);
/* Counts the events after the saved figures. */
enum err monitor_catch_up(struct monitor *m, struct store *store, struct fault *fault);
bool monitor_is_checking(const struct monitor *m);

/* monitor_save.c */

enum err monitor_load(struct monitor *m, struct store *store, struct fault *fault);
/* See writer_observer. */
bool monitor_is_due(void *arg, bool last, uint64_t evict_upto);
enum err monitor_put(void *arg, struct store *store, struct fault *fault);
void monitor_saved(void *arg, bool committed);

#endif
