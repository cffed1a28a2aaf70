#include "net/ws_metrics.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"

enum { CLIENTS_MAX = 1000 };

struct counters {
	uint64_t n[WSM_COUNT];
	uint64_t lag;
	uint64_t lag_max;
};

struct client {
	struct list link;
	struct map_link by_name;
	int64_t seen_ms; /* monotonic */
	struct counters counters;
	uint64_t open; /* connections */
	size_t name_len;
	char name[];
};

struct ws_metrics {
	pthread_mutex_t lock;
	int64_t started_ms;
	int64_t idle_ms;
	struct counters all;
	struct list clients;
	struct map by_name;
	int64_t latency_ms; /* sum */
	uint64_t latencies;
	struct buf texts[WS_TEXTS];
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

static void forget(struct ws_metrics *m, struct client *c)
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
		forget(m, LIST_ITEM(link, struct client, link));
	map_finish(&m->by_name, NULL);
	for (int i = 0; i < WS_TEXTS; i++)
		buf_finish(&m->texts[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* NULL for a reader without a name, and past CLIENTS_MAX. */
static struct client *client_of(struct ws_metrics *m, struct slice session)
{
	if (session.len == 0)
		return NULL;
	uint64_t hash = hash_text(session);
	MAP_EACH(link, &m->by_name, hash)
	{
		struct client *c = MAP_ITEM(link, struct client, by_name);
		if (slice_eq((struct slice){c->name, c->name_len}, session))
			return c;
	}
	struct client *c = m->by_name.count < CLIENTS_MAX ? calloc(1, sizeof *c + session.len) : NULL;
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
	struct client *c = client_of(m, session);
	m->all.n[metric] += n;
	if (c != NULL) {
		c->counters.n[metric] += n;
		c->seen_ms = clock_mono_ms();
	}
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_enter(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct client *c = client_of(m, session);
	if (c != NULL)
		c->open++;
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_leave(struct ws_metrics *m, struct slice session)
{
	pthread_mutex_lock(&m->lock);
	struct client *c = client_of(m, session);
	if (c != NULL && c->open > 0 && --c->open == 0)
		c->counters.lag = 0;
	pthread_mutex_unlock(&m->lock);
}

void ws_metrics_latency(struct ws_metrics *m, int64_t ms)
{
	pthread_mutex_lock(&m->lock);
	m->latency_ms += ms > 0 ? ms : 0;
	m->latencies++;
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
	struct client *c = client_of(m, session);
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
		struct client *c = LIST_ITEM(link, struct client, link);
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
		away += LIST_ITEM(link, struct client, link)->open == 0;
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

#define N(metric) ((unsigned long long)c->n[metric])

static void write_counters(struct buf *out, const struct counters *c, uint64_t active, uint64_t duplicates)
{
	uint64_t tried = c->n[WSM_RETRY_FINE] + c->n[WSM_RETRY_LOST];
	buf_printf(out,
		   "\"connections\":{\"total\":%llu,\"active\":%llu,\"failed\":%llu,\"reconnections\":%llu,"
		   "\"timeouts\":%llu},",
		   N(WSM_TOTAL), (unsigned long long)active, N(WSM_UNOPENED), N(WSM_RECONNECT), N(WSM_TIMEOUT));
	buf_printf(out,
		   "\"messages\":{\"sent\":%llu,\"queued\":%llu,\"failed\":%llu,\"expired\":%llu,\"deduplicated\":%llu},",
		   N(WSM_SENT), (unsigned long long)c->lag, N(WSM_FAILED), N(WSM_EXPIRED), (unsigned long long)duplicates);
	buf_printf(out, "\"queue\":{\"current_size\":%llu,\"max_size\":%llu,\"overflows\":%llu},",
		   (unsigned long long)c->lag, (unsigned long long)c->lag_max, N(WSM_OVERFLOW));
	buf_printf(out, "\"retry\":{\"attempts\":%llu,\"successes\":%llu,\"failures\":%llu,\"success_rate\":%.4f}",
		   N(WSM_RETRY), N(WSM_RETRY_FINE), N(WSM_RETRY_LOST),
		   tried > 0 ? (double)c->n[WSM_RETRY_FINE] / (double)tried : 1);
}

static void write_clients(struct buf *out, struct ws_metrics *m)
{
	bool first = true;
	buf_adds(out, ",\"clients\":{");
	LIST_EACH (link, &m->clients) {
		const struct client *c = LIST_ITEM(link, struct client, link);
		buf_adds(out, first ? "" : ",");
		buf_json(out, (struct slice){c->name, c->name_len});
		buf_adds(out, ":{");
		write_counters(out, &c->counters, c->open, c->counters.n[WSM_DUPLICATE]);
		buf_addc(out, '}');
		first = false;
	}
	buf_addc(out, '}');
}

void ws_metrics_write(struct ws_metrics *m, struct buf *out, uint64_t active, struct writer *writer)
{
	struct writer_figures w;
	writer_read(writer, &w);
	int64_t now = clock_wall_ms();
	pthread_mutex_lock(&m->lock);
	buf_addc(out, '{');
	write_counters(out, &m->all, active, w.duplicates);
	buf_printf(out, ",\"circuit_breaker\":{\"state\":\"%s\",\"opens\":%llu,\"half_opens\":%llu,\"closes\":%llu},",
		   breaker_name(w.breaker), (unsigned long long)w.breaker_opens, (unsigned long long)w.breaker_half_opens,
		   (unsigned long long)w.breaker_closes);
	buf_printf(out, "\"latency\":{\"average_send_ms\":%.3f},\"uptime_seconds\":%.3f,\"last_update\":%lld.%03d",
		   mean_ms(m), (double)(clock_mono_ms() - m->started_ms) / 1000, (long long)(now / 1000), (int)(now % 1000));
	write_clients(out, m);
	buf_addc(out, '}');
	pthread_mutex_unlock(&m->lock);
}
