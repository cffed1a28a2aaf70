/* Replies to dashboards. */
#include "profiles/monitoring/state/monitor_internal.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "profiles/monitoring/state/conversation.h"
#include "json/document.h"

enum { SESSIONS_FRESH_MS = 1000 };

static void copy_series(struct monitor *m, enum service service, struct series *to)
{
	pthread_mutex_lock(&m->lock);
	*to = m->series[service];
	pthread_mutex_unlock(&m->lock);
}

void monitor_write_series(struct monitor *m, struct buf *out, enum service service, int64_t interval, int64_t since_ms,
			  const struct minute *first)
{
	struct series *copied = malloc(2 * sizeof *copied);
	if (copied == NULL) {
		out->failed = true;
		return;
	}
	copy_series(m, service < SERVICES ? service : SERVICE_WEBSOCKET, &copied[0]);
	for (int i = SERVICE_WEBSOCKET + 1; service == SERVICES && i < SERVICES; i++) {
		copy_series(m, (enum service)i, &copied[1]);
		series_join(&copied[0], &copied[1]);
	}
	series_write(out, copied, interval, since_ms, first);
	free(copied);
}

/* Renders a frame of statistics, replacing the previous one. */
static void end_stats(struct document *d, struct buf *text)
{
	doc_time(document_root(d), "timestamp", clock_wall_ms());
	text->len = 0;
	document_end(d, text);
}

static void put_tally(struct doc to, const char *key, enum service service, const struct tally *tally)
{
	struct buf text;
	buf_init(&text);
	tally_write(&text, service, tally, true);
	doc_raw_take(to, key, &text);
}

static void make_stats(struct buf *text, enum service service, const struct tally *tally)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "stats");
	doc_string(root, "connection_type", service_name(service));
	put_tally(root, "stats", service, tally);
	end_stats(&d, text);
}

/* Services without an event are left out; total_bytes is the sum of all services. */
static void make_all_stats(struct buf *text, const struct tally tallies[SERVICES])
{
	uint64_t bytes = 0;
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "stats");
	doc_null(root, "connection_type");
	struct doc stats = doc_object(root, "stats");
	for (int i = 0; i < SERVICES; i++) {
		const struct tally *t = &tallies[i];
		if (t->events == 0)
			continue;
		put_tally(stats, service_name((enum service)i), (enum service)i, t);
		bytes += t->sent_bytes + t->received_bytes;
	}
	doc_u64(stats, "total_bytes", bytes);
	end_stats(&d, text);
}

/* Version 0 is that of an empty store: no text is ready. */
static bool is_ready(const struct ready *r, uint64_t version)
{
	return r->text.len > 0 && r->version == version && !buf_failed(&r->text);
}

static void copy(struct buf *out, struct ready *r, uint64_t version)
{
	r->version = version;
	buf_join(out, &r->text, 0, 0);
	if (buf_failed(&r->text))
		buf_finish(&r->text);
}

void monitor_write_stats(struct monitor *m, struct buf *out, enum service service)
{
	struct ready *ready = &m->stats[service];
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[service];
	struct tally tally = m->tallies[service];
	pthread_mutex_unlock(&m->lock);
	if (!is_ready(ready, version))
		make_stats(&ready->text, service, &tally);
	copy(out, ready, version);
	pthread_mutex_unlock(&m->ready_lock);
}

/* The number of active conversations changes with time alone. */
void monitor_write_sessions(struct monitor *m, struct buf *out)
{
	struct conversation_figures figures;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[SERVICES];
	bool ready = is_ready(&m->sessions, version) && now - m->sessions_ms < SESSIONS_FRESH_MS;
	if (!ready)
		conversations_read(m->conversations, clock_wall_ms(), &figures);
	pthread_mutex_unlock(&m->lock);
	if (!ready) {
		m->sessions.text.len = 0;
		m->sessions_ms = now;
		conversations_write(&m->sessions.text, &figures);
	}
	copy(out, &m->sessions, version);
	pthread_mutex_unlock(&m->ready_lock);
}

void monitor_write_all_stats(struct monitor *m, struct buf *out)
{
	struct tally tallies[SERVICES];
	pthread_mutex_lock(&m->ready_lock);
	pthread_mutex_lock(&m->lock);
	uint64_t version = m->versions[SERVICES];
	memcpy(tallies, m->tallies, sizeof tallies);
	pthread_mutex_unlock(&m->lock);
	if (!is_ready(&m->all_stats, version))
		make_all_stats(&m->all_stats.text, tallies);
	copy(out, &m->all_stats, version);
	pthread_mutex_unlock(&m->ready_lock);
}
