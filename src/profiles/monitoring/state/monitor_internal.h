/* The inside of the monitor: monitor_fold.c (counting events), monitor_save.c (over restarts), monitor_write.c (answers) and
 * monitor.c share it. */
#ifndef PROFILES_MONITORING_STATE_MONITOR_INTERNAL_H
#define PROFILES_MONITORING_STATE_MONITOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/data/sparse_array.h"
#include "profiles/monitoring/state/conversation.h"
#include "profiles/monitoring/state/monitor.h"

/* A ready-made text and the version of what it shows. */
struct ready {
	uint64_t version;
	struct buf text;
};

struct monitor {
	struct writer_observer observer;
	struct flags *flags; /* NULL: none */
	struct boundaries *boundaries;
	pthread_mutex_t
		lock; /* guards what follows; the writer takes it for each event: nothing is sorted or written in it */
	uint64_t seq; /* everything up to here is counted */
	struct tally tallies[SERVICES];
	uint64_t categories[CATEGORIES]; /* events */
	uint64_t checked;                /* events held against the rules */
	uint64_t invalid;
	struct quarantine *quarantine;
	uint64_t versions[SERVICES + 1]; /* and of all together */
	struct series *series;           /* SERVICES of them */
	struct conversations *conversations;
	uint64_t session_seq;
	struct window *window;

	pthread_mutex_t ready_lock; /* before `lock`, and never the writer's; guards what follows */
	struct ready stats[SERVICES];
	struct ready all_stats;
	struct ready sessions;
	int64_t sessions_ms; /* monotonic: when they were made */

	/* The writer's own. */
	unsigned char *topics; /* service of a topic, by its number */
	uint32_t topic_count;
	uint64_t saved_seq;
	uint64_t saving_seq;
	int64_t saved_minute;
	int64_t saving_minute;
	uint64_t unsaved; /* events */
	bool outdated;    /* what was saved is of an older version */
	bool recounts;    /* what came after what was saved, on opening */
	enum noted noted; /* …when such events were held against the rules, or not */
	bool divided;     /* that is other now, or is not noted yet: it is with the next commit */

	atomic_bool save_asked;
	atomic_ullong stored_seq; /* saved_seq, for others */
	atomic_llong stored_ms;   /* monotonic: when that was */
};

/* monitor_fold.c */

/* Counts the events of a page; the observer's thread, or before it runs. */
void monitor_fold_page(struct monitor *m, const struct page *page);
/* Counts what the log holds beyond what was saved. */
enum err monitor_catch_up(struct monitor *m, struct store *store, struct fault *fault);
bool monitor_is_checking(const struct monitor *m);

/* monitor_save.c */

enum err monitor_load(struct monitor *m, struct store *store, struct fault *fault);
/* The observer's (writer.h). */
bool monitor_is_due(void *arg, bool last, uint64_t evict_upto);
enum err monitor_put(void *arg, struct store *store, struct fault *fault);
void monitor_saved(void *arg, bool committed);

#endif
