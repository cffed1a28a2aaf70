/* The counters survive restarts: they are saved as notes beside the log. */
#include "server/ws/metrics/ws_metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/system/clock.h"
#include "server/ws/metrics/ws_metrics_internal.h"
#include "json/numbers.h"

enum { SAVE_MS = 5000 };

enum { CLIENT_NUMBERS = WSM_COUNT + 1, ALL_NUMBERS = CLIENT_NUMBERS + 2 + 4 };

static struct writers writers_now(const struct ws_metrics *m)
{
	struct writer_figures w = {0};
	struct writer *writer = atomic_load(&m->writer);
	if (writer != NULL)
		writer_read(writer, &w);
	return (struct writers){w.duplicates, w.breaker_opens, w.breaker_half_opens, w.breaker_closes};
}

static bool is_due(void *arg, bool last, uint64_t evict_upto)
{
	struct ws_metrics *m = arg;
	struct writers now = writers_now(m);
	(void)evict_upto;
	pthread_mutex_lock(&m->lock);
	bool changed = m->changed || memcmp(&now, &m->writer_saved, sizeof now) != 0;
	bool late = clock_mono_ms() - m->saved_ms >= SAVE_MS;
	m->last = last;
	pthread_mutex_unlock(&m->lock);
	bool persists = m->persists == NULL || m->persists(m->persists_arg);
	return persists && changed && (late || last);
}

struct numbers {
	const uint64_t *n;
	int count;
};

static enum err put(struct store *store, const char *kind, struct slice key, int64_t at, struct numbers numbers,
		    struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	numbers_write(&text, numbers.n, numbers.count);
	enum err err =
		buf_failed(&text) ? fault_nomem(fault) : store_note_put(store, kind, key, at, buf_slice(&text), fault);
	buf_finish(&text);
	return err;
}

static void fill(uint64_t n[CLIENT_NUMBERS], const struct counters *c)
{
	memcpy(n, c->n, sizeof c->n);
	n[WSM_COUNT] = c->lag_max;
}

static void unfill(struct counters *c, const uint64_t n[CLIENT_NUMBERS])
{
	memcpy(c->n, n, sizeof c->n);
	c->lag_max = n[WSM_COUNT];
}

/* A copy of a session's counters that is being saved, so that counting does not wait for the disk. */
struct saved_client {
	int64_t at; /* Unix: the last change */
	uint64_t n[CLIENT_NUMBERS];
	size_t name_len;
	char name[EVENT_NAME_MAX];
};

/* Copies the counters that have changed; at the end all, so that their ages are saved. With the lock held. Returns their
 * number, -1 without memory. */
static int take_clients(struct ws_metrics *m, struct saved_client **out)
{
	int count = 0;
	int64_t wall = clock_wall_ms();
	int64_t mono = clock_mono_ms();
	struct saved_client *saved_client = malloc((m->by_name.count + 1) * sizeof *saved_client);
	*out = saved_client;
	if (saved_client == NULL)
		return -1;
	LIST_EACH (link, &m->clients) {
		struct ws_client *c = LIST_ITEM(link, struct ws_client, link);
		if ((c->saved && !m->last) || c->name_len > EVENT_NAME_MAX)
			continue;
		struct saved_client *k = &saved_client[count++];
		k->at = c->open > 0 ? wall : wall - (mono - c->seen_ms);
		k->name_len = c->name_len;
		fill(k->n, &c->counters);
		memcpy(k->name, c->name, c->name_len);
		c->saved = true;
	}
	return count;
}

static enum err save(void *arg, struct store *store, struct fault *fault)
{
	struct ws_metrics *m = arg;
	struct writers now = writers_now(m);
	uint64_t n[ALL_NUMBERS];
	pthread_mutex_lock(&m->lock);
	fill(n, &m->all);
	uint64_t *more = n + CLIENT_NUMBERS;
	more[0] = (uint64_t)m->latency_ms;
	more[1] = m->latencies;
	more[2] = m->writer_loaded.duplicates + now.duplicates;
	more[3] = m->writer_loaded.opens + now.opens;
	more[4] = m->writer_loaded.half_opens + now.half_opens;
	more[5] = m->writer_loaded.closes + now.closes;
	m->writer_saved = now;
	m->changed = false;
	m->saved_ms = clock_mono_ms();
	struct saved_client *saved_client;
	int count = take_clients(m, &saved_client);
	pthread_mutex_unlock(&m->lock);
	enum err err = count < 0 ? fault_nomem(fault) : ERR_NONE;
	for (int i = 0; !err && i < count; i++) {
		const struct saved_client *k = &saved_client[i];
		err = put(store, "ws_client", (struct slice){k->name, k->name_len}, k->at,
			  (struct numbers){k->n, CLIENT_NUMBERS}, fault);
	}
	free(saved_client);
	if (!err)
		err = store_note_trim(store, "ws_client", clock_wall_ms() - m->idle_ms, fault);
	return err ? err
		   : put(store, "ws_metrics", slice_of("all"), clock_wall_ms(), (struct numbers){n, ALL_NUMBERS}, fault);
}

static void saved(void *arg, bool committed)
{
	struct ws_metrics *m = arg;
	atomic_store(&m->save_asked, false);
	if (committed)
		return;
	pthread_mutex_lock(&m->lock);
	m->changed = true;
	LIST_EACH (link, &m->clients)
		LIST_ITEM(link, struct ws_client, link)->saved = false;
	pthread_mutex_unlock(&m->lock);
}

/* Counters of another version's layout are skipped. */
static enum err on_all(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct ws_metrics *m = arg;
	uint64_t n[ALL_NUMBERS];
	(void)key;
	(void)at;
	if (!numbers_read(value, n, ALL_NUMBERS))
		return ERR_NONE;
	const uint64_t *more = n + CLIENT_NUMBERS;
	unfill(&m->all, n);
	m->loaded = m->all;
	m->latency_ms = (int64_t)more[0];
	m->latencies = more[1];
	m->writer_loaded = (struct writers){more[2], more[3], more[4], more[5]};
	return ERR_NONE;
}

static enum err on_client(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct ws_metrics *m = arg;
	uint64_t n[CLIENT_NUMBERS];
	int64_t idle_ms = clock_wall_ms() - at;
	struct ws_client *c =
		idle_ms < m->idle_ms && numbers_read(value, n, CLIENT_NUMBERS) ? ws_metrics_client(m, key) : NULL;
	if (c == NULL)
		return ERR_NONE;
	unfill(&c->counters, n);
	c->seen_ms = clock_mono_ms() - (idle_ms > 0 ? idle_ms : 0);
	c->saved = true;
	return ERR_NONE;
}

void ws_metrics_set_persists(struct ws_metrics *m, bool (*persists)(const void *arg), const void *arg)
{
	m->persists = persists;
	m->persists_arg = arg;
}

enum err ws_metrics_load(struct ws_metrics *m, struct store *store, struct fault *fault)
{
	m->observer = (struct writer_observer){m, NULL, is_due, save, saved, NULL};
	m->saved_ms = clock_mono_ms();
	enum err err = store_note_each(store, "ws_metrics", on_all, m, fault);
	return err ? err : store_note_each(store, "ws_client", on_client, m, fault);
}

const struct writer_observer *ws_metrics_observer(const struct ws_metrics *m)
{
	return &m->observer;
}

void ws_metrics_watch(struct ws_metrics *m, struct writer *writer)
{
	atomic_store(&m->writer, writer);
}

static void on_asked(struct write_op *op)
{
	free(op);
}

void ws_metrics_save(struct ws_metrics *m)
{
	struct writer *writer = atomic_load(&m->writer);
	if (writer == NULL || !is_due(m, false, 0) || atomic_exchange(&m->save_asked, true))
		return;
	struct write_op *op = calloc(1, sizeof *op); /* an empty operation, so that a commit happens */
	if (op != NULL)
		op->done = on_asked;
	if (op == NULL || writer_submit(writer, op, NULL) != ERR_NONE) {
		free(op);
		atomic_store(&m->save_asked, false);
	}
}
