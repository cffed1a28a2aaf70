#include "server/ws/metrics/ws_metrics_internal.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/data/hash.h"
#include "base/data/map.h"
#include "base/list.h"
#include "base/system/clock.h"

enum { CLIENTS_MAX = 1000 };

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

/* NULL for a reader without a name, and when there are CLIENTS_MAX already. */
struct ws_client *ws_metrics_client(struct ws_metrics *m, struct slice session)
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
	struct ws_client *c = ws_metrics_client(m, session);
	m->all.n[metric] += n;
	m->changed = true;
	if (c != NULL) {
		c->saved = false;
		c->counters.n[metric] += n;
		c->seen_ms = clock_mono_ms();
	}
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_opened(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = ws_metrics_client(m, session);
	if (c != NULL)
		c->open++;
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_closed(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct ws_client *c = ws_metrics_client(m, session);
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
	struct ws_client *c = ws_metrics_client(m, session);
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
		buf_join(&out[i], &m->texts[i], 0, 0);
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_text(struct ws_metrics *m, enum ws_text which, struct buf *out)
{
	pthread_mutex_lock(&m->lock);
	buf_join(out, &m->texts[which], 0, 0);
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

/* There may be many sessions, so each is a document of its own. */
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
	const struct writers *loaded = &m->writer_loaded;
	put_counters(to, &m->all, active, loaded->duplicates + w.duplicates);
	struct doc breaker = doc_object(to, "circuit_breaker");
	doc_string(breaker, "state", breaker_name(w.breaker));
	doc_u64(breaker, "opens", loaded->opens + w.breaker_opens);
	doc_u64(breaker, "half_opens", loaded->half_opens + w.breaker_half_opens);
	doc_u64(breaker, "closes", loaded->closes + w.breaker_closes);
	doc_fixed(doc_object(to, "latency"), "average_send_ms", mean_ms(m), 3);
	doc_fixed(to, "uptime_seconds", (double)(clock_mono_ms() - m->started_ms) / 1000, 3);
	doc_seconds(to, "last_update", clock_wall_ms());
	write_clients(&clients, m);
	pthread_mutex_unlock(&m->lock);
	doc_raw_take(to, "clients", &clients);
}
