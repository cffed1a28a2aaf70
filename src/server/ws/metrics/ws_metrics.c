#include "server/ws/metrics/ws_metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/list.h"
#include "base/system/clock.h"
#include "json/numbers.h"

enum { CLIENTS_MAX = 1000, SAVE_MS = 5000 };

struct counters {
	uint64_t n[WSM_COUNT];
	uint64_t lag;
	uint64_t lag_max;
};

struct ws_client {
	struct list link;
	struct map_link by_name;
	int64_t seen_ms; /* monotonic */
	struct counters counters;
	uint64_t open; /* connections */
	bool saved;    /* as it is */
	size_t name_len;
	char name[];
};

/* Counters of the writer that are told with these. */
struct writers {
	uint64_t duplicates;
	uint64_t opens;
	uint64_t half_opens;
	uint64_t closes;
};

struct ws_metrics {
	struct writer_observer observer;
	bool (*persists)(const void *arg); /* NULL: the counters are saved */
	const void *persists_arg;
	_Atomic(struct writer *) writer; /* NULL: it has not started, or is gone */
	atomic_bool save_asked;
	pthread_mutex_t lock; /* guards what follows */
	int64_t started_ms;
	int64_t idle_ms;
	struct counters all;
	struct list clients;
	struct map by_name;
	int64_t latency_ms; /* sum */
	uint64_t latencies;
	struct buf texts[WS_TEXTS];
	struct counters loaded; /* what was counted before this process */
	struct writers past;    /* the same of the writer's */
	struct writers stored;  /* the writer's, as they were last saved */
	bool changed;           /* since that */
	bool last;              /* the next commit is the last one */
	int64_t saved_ms;       /* monotonic */
};

struct ws_metrics *ws_metrics_create(int64_t idle_ms)
{
	struct ws_metrics *m = calloc(1, sizeof *m);
	if (m == NULL)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->started_ms = clock_mono_ms();
	m->idle_ms = idle_ms;
	list_init(&m->clients);
	map_init(&m->by_name);
	for (int i = 0; i < WS_TEXTS; i++)
		buf_adds(&m->texts[i], "{}");
	return m;
}

static void forget(struct ws_metrics *m, struct ws_client *c)
{
	list_remove(&c->link);
	map_remove(&m->by_name, &c->by_name);
	free(c);
}

void ws_metrics_destroy(struct ws_metrics *m)
{
	if (m == NULL)
		return;
	LIST_EACH (link, &m->clients)
		forget(m, LIST_ITEM(link, struct ws_client, link));
	map_finish(&m->by_name, NULL);
	for (int i = 0; i < WS_TEXTS; i++)
		buf_finish(&m->texts[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* NULL for a reader without a name, and past CLIENTS_MAX. */
static struct ws_client *client_of(struct ws_metrics *m, struct slice session)
{
	if (session.len == 0)
		return NULL;
	uint64_t hash = hash_text(session);
	MAP_EACH(link, &m->by_name, hash)
	{
		struct ws_client *c = MAP_ITEM(link, struct ws_client, by_name);
		if (slice_eq((struct slice){c->name, c->name_len}, session))
			return c;
	}
	struct ws_client *c = m->by_name.count < CLIENTS_MAX ? calloc(1, sizeof *c + session.len) : NULL;
	if (c == NULL)
		return NULL;
	slice_copy(c->name, session);
	c->name_len = session.len;
	list_append(&m->clients, &c->link);
	map_add(&m->by_name, hash, &c->by_name);
	return c;
}

void ws_metrics_count(struct ws_metrics *m, struct slice session, enum ws_metric metric, uint64_t n)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = client_of(m, session);
	m->all.n[metric] += n;
	m->changed = true;
	if (c != NULL) {
		c->saved = false;
		c->counters.n[metric] += n;
		c->seen_ms = clock_mono_ms();
	}
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_enter(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = client_of(m, session);
	if (c != NULL)
		c->open++;
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_leave(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = client_of(m, session);
	if (c != NULL && c->open > 0 && --c->open == 0)
		c->counters.lag = 0;
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_latency(struct ws_metrics *m, int64_t ms)
{
	pthread_mutex_lock(&m->lock);
	m->latency_ms += ms > 0 ? ms : 0;
	m->latencies++;
	m->changed = true;
	pthread_mutex_unlock(&m->lock);
}

static void set_lag(struct counters *c, uint64_t lag)
{
	c->lag = lag;
	c->lag_max = lag > c->lag_max ? lag : c->lag_max;
}

void ws_metrics_lag(struct ws_metrics *m, struct slice session, uint64_t lag)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = client_of(m, session);
	if (session.len == 0)
		set_lag(&m->all, lag);
	else if (c != NULL) {
		set_lag(&c->counters, lag);
		c->seen_ms = clock_mono_ms();
	}
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_forget(struct ws_metrics *m, int64_t now_ms)
{
	pthread_mutex_lock(&m->lock);
	LIST_EACH (link, &m->clients) {
		struct ws_client *c = LIST_ITEM(link, struct ws_client, link);
		if (c->open == 0 && now_ms - c->seen_ms >= m->idle_ms)
			forget(m, c);
	}
	pthread_mutex_unlock(&m->lock);
}

static void swap(struct buf *a, struct buf *b)
{
	if (buf_failed(b))
		return;
	struct buf was = *a;
	*a = *b;
	*b = was;
}

void ws_metrics_publish(struct ws_metrics *m, struct buf texts[WS_TEXTS])
{
	pthread_mutex_lock(&m->lock);
	for (int i = 0; i < WS_TEXTS; i++)
		swap(&m->texts[i], &texts[i]);
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_texts(struct ws_metrics *m, struct buf out[WS_TEXTS])
{
	pthread_mutex_lock(&m->lock);
	for (int i = 0; i < WS_TEXTS; i++)
		buf_add(&out[i], m->texts[i].data, m->texts[i].len);
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_text(struct ws_metrics *m, enum ws_text which, struct buf *out)
{
	pthread_mutex_lock(&m->lock);
	buf_add(out, m->texts[which].data, m->texts[which].len);
	pthread_mutex_unlock(&m->lock);
}

uint64_t ws_metrics_away(struct ws_metrics *m)
{
	uint64_t away = 0;
	pthread_mutex_lock(&m->lock);
	LIST_EACH (link, &m->clients)
		away += LIST_ITEM(link, struct ws_client, link)->open == 0;
	pthread_mutex_unlock(&m->lock);
	return away;
}

uint64_t ws_metrics_read(struct ws_metrics *m, enum ws_metric metric)
{
	pthread_mutex_lock(&m->lock);
	uint64_t n = m->all.n[metric];
	pthread_mutex_unlock(&m->lock);
	return n;
}

uint64_t ws_metrics_since_start(struct ws_metrics *m, enum ws_metric metric)
{
	pthread_mutex_lock(&m->lock);
	uint64_t n = m->all.n[metric] - m->loaded.n[metric];
	pthread_mutex_unlock(&m->lock);
	return n;
}

static double mean_ms(const struct ws_metrics *m)
{
	return m->latencies > 0 ? (double)m->latency_ms / (double)m->latencies : 0;
}

double ws_metrics_mean_ms(struct ws_metrics *m)
{
	pthread_mutex_lock(&m->lock);
	double mean = mean_ms(m);
	pthread_mutex_unlock(&m->lock);
	return mean;
}

static void put_counters(struct doc to, const struct counters *c, uint64_t active, uint64_t duplicates)
{
	const uint64_t *n = c->n;
	uint64_t tried = n[WSM_RETRY_FINE] + n[WSM_RETRY_LOST];
	struct doc connections = doc_object(to, "connections");
	doc_u64(connections, "total", n[WSM_TOTAL]);
	doc_u64(connections, "active", active);
	doc_u64(connections, "failed", n[WSM_UNOPENED]);
	doc_u64(connections, "reconnections", n[WSM_RECONNECT]);
	doc_u64(connections, "timeouts", n[WSM_TIMEOUT]);
	struct doc messages = doc_object(to, "messages");
	doc_u64(messages, "sent", n[WSM_SENT]);
	doc_u64(messages, "queued", c->lag);
	doc_u64(messages, "failed", n[WSM_FAILED]);
	doc_u64(messages, "expired", n[WSM_EXPIRED]);
	doc_u64(messages, "deduplicated", duplicates);
	struct doc queue = doc_object(to, "queue");
	doc_u64(queue, "current_size", c->lag);
	doc_u64(queue, "max_size", c->lag_max);
	doc_u64(queue, "overflows", n[WSM_OVERFLOW]);
	struct doc retry = doc_object(to, "retry");
	doc_u64(retry, "attempts", n[WSM_RETRY]);
	doc_u64(retry, "successes", n[WSM_RETRY_FINE]);
	doc_u64(retry, "failures", n[WSM_RETRY_LOST]);
	doc_fixed(retry, "success_rate", tried > 0 ? (double)n[WSM_RETRY_FINE] / (double)tried : 1, 4);
}

/* There may be many: a document for each. */
static void write_clients(struct buf *out, struct ws_metrics *m)
{
	buf_addc(out, '{');
	LIST_EACH (link, &m->clients) {
		const struct ws_client *c = LIST_ITEM(link, struct ws_client, link);
		struct document d;
		put_counters(document_begin(&d), &c->counters, c->open, c->counters.n[WSM_DUPLICATE]);
		if (link != m->clients.next)
			buf_addc(out, ',');
		buf_json(out, (struct slice){c->name, c->name_len});
		buf_addc(out, ':');
		document_end(&d, out);
	}
	buf_addc(out, '}');
}

void ws_metrics_write(struct ws_metrics *m, struct doc to, uint64_t active, struct writer *writer)
{
	struct writer_figures w;
	struct buf clients;
	writer_read(writer, &w);
	buf_init(&clients);
	pthread_mutex_lock(&m->lock);
	const struct writers *past = &m->past;
	put_counters(to, &m->all, active, past->duplicates + w.duplicates);
	struct doc breaker = doc_object(to, "circuit_breaker");
	doc_string(breaker, "state", breaker_name(w.breaker));
	doc_u64(breaker, "opens", past->opens + w.breaker_opens);
	doc_u64(breaker, "half_opens", past->half_opens + w.breaker_half_opens);
	doc_u64(breaker, "closes", past->closes + w.breaker_closes);
	doc_fixed(doc_object(to, "latency"), "average_send_ms", mean_ms(m), 3);
	doc_fixed(to, "uptime_seconds", (double)(clock_mono_ms() - m->started_ms) / 1000, 3);
	doc_seconds(to, "last_update", clock_wall_ms());
	write_clients(&clients, m);
	pthread_mutex_unlock(&m->lock);
	doc_raw_take(to, "clients", &clients);
}

/* --- keeping --- */

enum { CLIENT_NUMBERS = WSM_COUNT + 1, ALL_NUMBERS = CLIENT_NUMBERS + 2 + 4 };

static struct writers writers_now(const struct ws_metrics *m)
{
	struct writer_figures w = {0};
	struct writer *writer = atomic_load(&m->writer);
	if (writer != NULL)
		writer_read(writer, &w);
	return (struct writers){w.duplicates, w.breaker_opens, w.breaker_half_opens, w.breaker_closes};
}

static bool is_due(void *arg, bool last, uint64_t leaving)
{
	struct ws_metrics *m = arg;
	struct writers now = writers_now(m);
	(void)leaving;
	pthread_mutex_lock(&m->lock);
	bool changed = m->changed || memcmp(&now, &m->stored, sizeof now) != 0;
	bool late = clock_mono_ms() - m->saved_ms >= SAVE_MS;
	m->last = last;
	pthread_mutex_unlock(&m->lock);
	bool persists = m->persists == NULL || m->persists(m->persists_arg);
	return persists && changed && (late || last);
}

static enum err put(struct store *store, const char *kind, struct slice key, int64_t at, const uint64_t *n, int count,
		    struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	numbers_write(&text, n, count);
	enum err err = buf_failed(&text) ? fault_set(fault, ERR_NOMEM, "out of memory")
					 : store_note_put(store, kind, key, at, buf_slice(&text), fault);
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

/* A session's counters on their way to the disk: nobody who counts waits for it. */
struct kept {
	int64_t at; /* Unix: of the last that was counted */
	uint64_t n[CLIENT_NUMBERS];
	size_t name_len;
	char name[EVENT_NAME_MAX];
};

/* Takes those that something was counted for; at the end all, so that the time counts by which they are forgotten. With the
 * lock. Returns how many, -1 without memory. */
static int take_clients(struct ws_metrics *m, struct kept **out)
{
	int count = 0;
	int64_t wall = clock_wall_ms();
	int64_t mono = clock_mono_ms();
	struct kept *kept = malloc((m->by_name.count + 1) * sizeof *kept);
	*out = kept;
	if (kept == NULL)
		return -1;
	LIST_EACH (link, &m->clients) {
		struct ws_client *c = LIST_ITEM(link, struct ws_client, link);
		if ((c->saved && !m->last) || c->name_len > EVENT_NAME_MAX)
			continue;
		struct kept *k = &kept[count++];
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
	more[2] = m->past.duplicates + now.duplicates;
	more[3] = m->past.opens + now.opens;
	more[4] = m->past.half_opens + now.half_opens;
	more[5] = m->past.closes + now.closes;
	m->stored = now;
	m->changed = false;
	m->saved_ms = clock_mono_ms();
	struct kept *kept;
	int count = take_clients(m, &kept);
	pthread_mutex_unlock(&m->lock);
	enum err err = count < 0 ? fault_set(fault, ERR_NOMEM, "out of memory") : ERR_NONE;
	for (int i = 0; !err && i < count; i++)
		err = put(store, "ws_client", (struct slice){kept[i].name, kept[i].name_len}, kept[i].at, kept[i].n,
			  CLIENT_NUMBERS, fault);
	free(kept);
	if (!err)
		err = store_note_trim(store, "ws_client", clock_wall_ms() - m->idle_ms, fault);
	return err ? err : put(store, "ws_metrics", slice_of("all"), clock_wall_ms(), n, ALL_NUMBERS, fault);
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

/* What another version has counted otherwise is passed over. */
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
	m->past = (struct writers){more[2], more[3], more[4], more[5]};
	return ERR_NONE;
}

static enum err on_client(void *arg, struct slice key, int64_t at, struct slice value)
{
	struct ws_metrics *m = arg;
	uint64_t n[CLIENT_NUMBERS];
	int64_t idle_ms = clock_wall_ms() - at;
	struct ws_client *c = idle_ms < m->idle_ms && numbers_read(value, n, CLIENT_NUMBERS) ? client_of(m, key) : NULL;
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
	struct write_op *op = calloc(1, sizeof *op); /* a commit of nothing else, where no other comes */
	if (op != NULL)
		op->done = on_asked;
	if (op == NULL || writer_submit(writer, op, NULL) != ERR_NONE) {
		free(op);
		atomic_store(&m->save_asked, false);
	}
}
