#include "profiles/monitoring/state/monitor_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "profiles/monitoring/state/conversation.h"

static void on_commit(void *arg, const struct committed *c)
{
	for (uint32_t i = 0; i < committed_pages(c); i++)
		monitor_fold_page(arg, committed_page(c, i));
}

static enum err admit(void *arg, const struct batch *batch, struct append_options *options, struct fault *fault)
{
	struct monitor *m = arg;
	return m->flags != NULL ? flags_admit(m->flags, batch, options, fault) : ERR_NONE;
}

/* --- life cycle --- */

enum err monitor_create(struct store *store, struct flags *flags, struct monitor **out, struct fault *fault)
{
	*out = NULL;
	struct monitor *m = calloc(1, sizeof *m);
	if (m == NULL)
		return fault_nomem(fault);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->ready_lock, NULL);
	m->observer = (struct writer_observer){m, on_commit, monitor_is_due, monitor_put, monitor_saved, admit};
	m->series = calloc(SERVICES, sizeof *m->series);
	m->conversations = conversations_create();
	m->window = window_create();
	m->quarantine = calloc(1, sizeof *m->quarantine);
	m->boundaries = boundaries_create();
	m->flags = flags;
	bool fine = m->series != NULL && m->conversations != NULL && m->window != NULL && m->quarantine != NULL &&
		    m->boundaries != NULL;
	enum err err = fine ? monitor_load(m, store, fault) : fault_nomem(fault);
	uint64_t from = m->seq;
	m->recounts = true;
	if (!err)
		err = monitor_catch_up(m, store, fault);
	m->recounts = false;
	m->divided = m->flags != NULL && m->noted != (monitor_is_checking(m) ? NOTED_ON : NOTED_OFF);
	if (err) {
		monitor_destroy(m);
		return err;
	}
	log_debug("monitor", "saved=%" PRIu64 " folded=%" PRIu64, from, (m->seq - from));
	*out = m;
	return ERR_NONE;
}

void monitor_destroy(struct monitor *m)
{
	if (m == NULL)
		return;
	for (int i = 0; i < SERVICES; i++)
		buf_finish(&m->stats[i].text);
	buf_finish(&m->all_stats.text);
	buf_finish(&m->sessions.text);
	conversations_destroy(m->conversations);
	window_destroy(m->window);
	free(m->series);
	free(m->quarantine);
	boundaries_destroy(m->boundaries);
	free(m->topics);
	pthread_mutex_destroy(&m->ready_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const struct writer_observer *monitor_observer(const struct monitor *m)
{
	return &m->observer;
}

static void on_asked(struct write_op *op)
{
	free(op);
}

void monitor_save(struct monitor *m, struct writer *w, bool now)
{
	struct fault fault;
	int64_t interval_ms = flags_get(m->flags, FLAG_METRICS_FLUSH_INTERVAL) * 1000;
	bool due = flags_get(m->flags, FLAG_METRICS_PERSISTENCE) != 0 &&
		   clock_mono_ms() - atomic_load(&m->stored_ms) >= interval_ms;
	pthread_mutex_lock(&m->lock);
	bool any = m->seq > atomic_load(&m->stored_seq);
	pthread_mutex_unlock(&m->lock);
	if (!any || !(due || now) || atomic_exchange(&m->save_asked, true))
		return;
	struct write_op *op = calloc(1, sizeof *op); /* an empty operation, so that a commit happens */
	if (op != NULL)
		op->done = on_asked;
	if (op == NULL || writer_submit(w, op, &fault) != ERR_NONE)
		free(op);
}

/* --- reading --- */

void monitor_validation(struct monitor *m, struct validation_figures *out)
{
	pthread_mutex_lock(&m->lock);
	*out = (struct validation_figures){m->checked, m->invalid, quarantine_count(m->quarantine)};
	pthread_mutex_unlock(&m->lock);
}

uint32_t monitor_quarantine(struct monitor *m, uint64_t after, uint32_t limit, struct quarantined *out)
{
	pthread_mutex_lock(&m->lock);
	uint32_t count = quarantine_read(m->quarantine, after, limit, out);
	pthread_mutex_unlock(&m->lock);
	return count;
}

void monitor_tallies(struct monitor *m, struct tally tallies[SERVICES], uint64_t *seq)
{
	pthread_mutex_lock(&m->lock);
	memcpy(tallies, m->tallies, sizeof m->tallies);
	*seq = m->seq;
	pthread_mutex_unlock(&m->lock);
}

void monitor_categories(struct monitor *m, uint64_t categories[CATEGORIES])
{
	pthread_mutex_lock(&m->lock);
	memcpy(categories, m->categories, sizeof m->categories);
	pthread_mutex_unlock(&m->lock);
}

uint64_t monitor_session_seq(struct monitor *m)
{
	pthread_mutex_lock(&m->lock);
	uint64_t seq = m->session_seq;
	pthread_mutex_unlock(&m->lock);
	return seq;
}

int64_t monitor_window_since(struct monitor *m, int64_t since_ms)
{
	pthread_mutex_lock(&m->lock);
	int64_t since = window_since(m->window, since_ms);
	pthread_mutex_unlock(&m->lock);
	return since;
}

void monitor_window(struct monitor *m, enum service service, int64_t since_ms, struct window_figures *out)
{
	struct histogram_sum times = {0};
	*out = (struct window_figures){0};
	for (int i = 0; i < SERVICES; i++) {
		if (service != SERVICES && service != (enum service)i)
			continue;
		/* The lock is held for one service at a time, so that the writer waits for one at most. */
		pthread_mutex_lock(&m->lock);
		window_read(m->window, (enum service)i, since_ms, out, &times);
		pthread_mutex_unlock(&m->lock);
	}
	window_rank(out, &times);
}

struct boundaries *monitor_boundaries(const struct monitor *m)
{
	return m->boundaries;
}

int monitor_errors(struct monitor *m, enum service service, uint64_t seqs[WINDOW_ERRORS])
{
	pthread_mutex_lock(&m->lock);
	int count = window_errors(m->window, service, seqs);
	pthread_mutex_unlock(&m->lock);
	return count;
}
