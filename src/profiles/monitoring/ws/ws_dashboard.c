/* /ws: dashboards of the monitoring profile. A dashboard is a reader whose events have the flat shape. Its
 * queries are answered from memory at once, or by a pool thread that reads the store (ws_query.h); the type of a reply tells
 * which query it answers.
 *
 *     open ─▶ (query: recent events) ─▶ initial_stats ─▶ events from the cursor's position, answers in between         */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "profiles/monitoring/event/flags.h"
#include "profiles/monitoring/services/notice.h"
#include "profiles/monitoring/ws/ws_profiles.h"
#include "profiles/monitoring/ws/ws_query.h"
#include "server/ws/ws.h"
#include "json/json.h"

enum {
	INITIAL_EVENTS = 50,
	RECENT_EVENTS = 100,
	INTERVAL_MINUTES = 5,
	CADENCE_MS = 5000,
	HOURS_MAX = 24 * 366,
	HOUR_MS = 3600 * 1000,
	SERIES_HOURS = 24, /* the monitor keeps this many hours of minutes: a reply never covers more */
};

static struct monitoring *self_of(const struct ws_conn *c)
{
	return ws_profile_of(c)->arg;
}

static struct dashboard *dashboard_of(const struct ws_conn *c)
{
	return ws_state(c);
}

/* Dashboards read the services only: other streams have no flat shape. */
static enum err narrow(const struct url *u, struct reader_query *q, struct fault *fault)
{
	bool any = false;
	for (size_t i = 0; i < u->param_count; i++) {
		bool stream = slice_is(u->params[i].name, "stream");
		if (stream && service_find(u->params[i].value) == SERVICE_NONE)
			return fault_set(fault, ERR_INVALID,
					 "stream: /ws shows websocket, redis, supabase, kimi, glm and test_event; other "
					 "streams are read at /v1/ws");
		any = any || stream;
	}
	bool fine = true;
	for (int i = 0; fine && !any && i <= SERVICE_TEST; i++)
		fine = filter_add_stream(q->filter, slice_of(service_name((enum service)i))) == ERR_NONE;
	return fine ? ERR_NONE : fault_nomem(fault);
}

/* The services among the streams that a dashboard asked for; the stream of test events alone is none. */
static unsigned services_of(const struct url *u)
{
	unsigned services = 0;
	for (size_t i = 0; i < u->param_count; i++)
		if (slice_is(u->params[i].name, "stream"))
			services |= 1u << service_find(u->params[i].value);
	return services;
}

/* The notice is an event, so everyone who watches the services sees it. */
void ws_note_silence(const struct ws_conn *c, int64_t silent_ms)
{
	struct notice notice;
	char what[96];
	char number[24];
	snprintf(what, sizeof what, "no answer to a ping: silent for %.1f s, closed", (double)silent_ms / 1000);
	snprintf(number, sizeof number, "%" PRIu64, ws_number(c));
	struct doc metadata = notice_begin(&notice, "ping_timeout", what);
	doc_string(metadata, "reason", "ping_timeout");
	doc_string(metadata, "path", ws_profile_of(c)->path);
	doc_string(metadata, "connection_id", number);
	if (ws_session(c).len > 0)
		doc_text(metadata, "session_id", ws_session(c));
	doc_i64(metadata, "silent_ms", silent_ms);
	notice_send(self_of(c)->api->writer, &notice);
}

/* --- parameters --- */

/* Copies a short JSON value to be repeated; null for any other. */
static void repeat(char out[ECHO_MAX + 1], struct slice value)
{
	if (value.p == NULL || value.len > ECHO_MAX)
		value = slice_of("null");
	slice_copy(out, value);
	out[value.len] = '\0';
}

static bool number_of(struct slice message, const char *key, struct slice *value, double *out)
{
	char text[32];
	if (!json_member(message, key, value) || json_kind(*value) != JSON_NUMBER || value->len >= sizeof text)
		return false;
	slice_copy(text, *value);
	text[value->len] = '\0';
	double number = strtod(text, NULL);
	if (number < 0 || number > 1e9)
		return false;
	*out = number;
	return true;
}

static void read_question(struct slice message, struct question *q)
{
	struct slice value = {NULL, 0};
	*q = (struct question){.service = SERVICES, .hours = 1};
	if (json_member(message, "connection_type", &value) && json_kind(value) != JSON_NULL) {
		bool text = json_kind(value) == JSON_STRING;
		enum service s = text ? service_find((struct slice){value.p + 1, value.len - 2}) : SERVICE_NONE;
		q->service = s < SERVICES ? s : SERVICE_NONE;
	}
	repeat(q->service_text, value);
	if (!number_of(message, "hours", &value, &q->hours) || q->hours > HOURS_MAX) {
		value = slice_of("1");
		q->hours = 1;
	}
	repeat(q->hours_text, value);
}

static int64_t since_of(const struct question *q)
{
	return clock_wall_ms() - (int64_t)(q->hours * HOUR_MS);
}

/* --- frames --- */

static void send_sessions(struct ws_conn *c)
{
	struct document d;
	struct buf text;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "session_metrics");
	buf_init(&text);
	monitor_write_sessions(self_of(c)->monitor, &text);
	doc_raw_take(root, "data", &text);
	ws_end_stamped(&d, &text);
	ws_send_text(c, &text);
	buf_finish(&text);
}

/* A dashboard that has been sent the events that changed the session metrics gets the metrics. */
static void on_live(struct ws_conn *c)
{
	uint64_t seq = monitor_session_seq(self_of(c)->monitor);
	if (seq <= dashboard_of(c)->session_sent || seq > ws_after(c))
		return;
	dashboard_of(c)->session_sent = seq;
	send_sessions(c);
}

static void on_gap(struct ws_conn *c, const struct gap *gap)
{
	struct buf object;
	struct buf text;
	buf_init(&object);
	buf_init(&text);
	gap_write(&object, gap);
	buf_adds(&text, "{\"type\":\"gap\",");
	buf_join(&text, &object, 1, 0);
	ws_send_text(c, &text);
	buf_finish(&object);
	buf_finish(&text);
}

static void on_error(struct ws_conn *c, int status, const struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	ws_write_error(&text, status, fault->text);
	ws_send_text(c, &text);
	buf_finish(&text);
}

static void write_leases(struct monitoring *self, struct buf *out)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "semaphore_metrics");
	leases_write_metrics(self->leases, doc_object(root, "data"), self->port);
	ws_end_stamped(&d, out);
}

static void write_health(const struct monitoring *self, struct buf *out)
{
	struct document d;
	struct buf pulses;
	struct doc root = document_begin(&d);
	doc_string(root, "type", "websocket_health");
	buf_init(&pulses);
	ws_metrics_text(ws_figures_of(self->api->ws), WS_TEXT_HEALTH, &pulses);
	doc_raw_take(root, "data", &pulses);
	ws_end_stamped(&d, out);
}

struct news {
	struct buf leases;
	struct buf health;
};

/* A dashboard that is behind is skipped: only the newest figures count. */
static void send_news(struct ws_conn *c, void *arg)
{
	const struct news *news = arg;
	if (ws_is_held(c) || !ws_keeps_up(c))
		return;
	ws_send_text(c, &news->leases);
	ws_send_text(c, &news->health);
	ws_pump_out(c);
}

/* Every five seconds: leases and health, to every dashboard that keeps up. */
static void send_news_to_all(struct ws *w, const struct ws_profile *profile)
{
	struct monitoring *self = profile->arg;
	int64_t now = clock_mono_ms();
	struct news news;
	if (atomic_load(&self->dashboards) == 0 || now - self->sent_ms < CADENCE_MS)
		return;
	self->sent_ms = now;
	buf_init(&news.leases);
	buf_init(&news.health);
	write_leases(self, &news.leases);
	write_health(self, &news.health);
	ws_each(w, profile, send_news, &news);
	buf_finish(&news.leases);
	buf_finish(&news.health);
}

/* Events are sent live or not, depending on the effective adapter. */
static void mute(struct ws_conn *c)
{
	ws_mute(c, flags_adapter(self_of(c)->flags) == ADAPTER_REALTIME);
}

static bool on_opened(struct ws_conn *c)
{
	struct dashboard *d = calloc(1, sizeof *d);
	atomic_fetch_add(&self_of(c)->dashboards, 1);
	ws_set_state(c, d);
	if (d == NULL)
		return false;
	list_init(&d->queries);
	d->services = services_of(ws_url(c));
	return true;
}

static void on_closed(struct ws_conn *c)
{
	atomic_fetch_sub(&self_of(c)->dashboards, 1);
	if (ws_state(c) != NULL)
		ws_queries_drop(c);
	free(ws_state(c));
}

static void on_open(struct ws_conn *c)
{
	ws_metrics_count(ws_figures_of(self_of(c)->api->ws), (struct slice){"", 0}, WSM_PROFILE, 1);
	bool none = dashboard_of(c)->services != 0 &&
		    (dashboard_of(c)->services & ((1u << SERVICES) - 1)) == 0; /* test events only */
	struct service_history_query query = {.service = none ? SERVICE_NONE : SERVICES,
					      .services = dashboard_of(c)->services,
					      .before = ws_after(c) + 1,
					      .limit = INITIAL_EVENTS,
					      .oldest_first = true};
	ws_hold(c, true);
	mute(c);
	dashboard_of(c)->session_sent = monitor_session_seq(self_of(c)->monitor);
	ws_send_query(c, WS_QUERY_INITIAL, NULL, query, NULL);
}

/* --- commands --- */

/* Without a service: all together, and then each, for clients that look for the reply of one service only. */
static void get_stats(struct ws_conn *c, const struct question *q)
{
	struct monitor *m = self_of(c)->monitor;
	struct buf text;
	buf_init(&text);
	if (q->service == SERVICE_NONE) {
		struct document d;
		struct doc root = document_begin(&d);
		doc_string(root, "type", "stats");
		doc_raw(root, "connection_type", slice_of(q->service_text));
		doc_object(root, "stats");
		ws_end_stamped(&d, &text);
	} else if (q->service == SERVICES) {
		monitor_write_all_stats(m, &text);
	} else {
		monitor_write_stats(m, &text, q->service);
	}
	ws_send_text(c, &text);
	for (int i = 0; q->service == SERVICES && i < SERVICES; i++) {
		text.len = 0;
		monitor_write_stats(m, &text, (enum service)i);
		ws_send_text(c, &text);
	}
	buf_finish(&text);
}

static void get_recent(struct ws_conn *c, const struct question *q, struct slice message)
{
	struct slice value;
	double limit = RECENT_EVENTS;
	number_of(message, "limit", &value, &limit);
	struct service_history_query query = {.service = q->service,
					      .limit = limit < SERVICE_HISTORY_EVENTS_MAX ? (uint32_t)limit : 0};
	ws_send_query(c, WS_QUERY_RECENT, q, query, NULL);
}

/* `before` continues a reply that was not complete at its `next_before`. */
static void get_history(struct ws_conn *c, const struct question *q, struct slice message)
{
	struct slice value;
	double limit = 0;
	struct service_history_query query = {.service = q->service,
					      .since_ms = since_of(q),
					      .with_stats = true,
					      .oldest_first = true,
					      .wants_more = true};
	number_of(message, "limit", &value, &limit);
	query.limit = limit < SERVICE_HISTORY_EVENTS_MAX ? (uint32_t)limit : 0;
	if (!json_member(message, "before", &value) || !json_sequence(value, &query.before))
		query.before = 0;
	ws_send_query(c, WS_QUERY_HISTORY, q, query, NULL);
}

/* The minute in which the series begins is read from the log: memory has whole minutes only. */
static void get_series(struct ws_conn *c, struct question *q, struct slice message)
{
	struct slice value;
	struct service_history_query query = {.service = q->service};
	double interval = INTERVAL_MINUTES;
	if (!number_of(message, "interval_minutes", &value, &interval) || interval < 1)
		interval = INTERVAL_MINUTES;
	q->interval = (int64_t)interval;
	if (q->hours > SERIES_HOURS) {
		q->hours = SERIES_HOURS;
		repeat(q->hours_text, slice_of("24"));
	}
	query.since_ms = since_of(q);
	ws_send_query(c, WS_QUERY_SERIES, q, query, NULL);
}

static void export(struct ws_conn *c, const struct question *q, struct slice message)
{
	struct slice value;
	struct service_history_query none = {0};
	struct fault fault;
	char *name = NULL;
	if (!grant_may(ws_grant(c), PERMISSION_ADMIN)) { /* it writes a file */
		access_denied(self_of(c)->api->access, DENIAL_SCOPE, grant_name(ws_grant(c)), ws_peer(c),
			      slice_of("export"));
		on_error(c, 403, (fault_set(&fault, ERR_DENIED, "export needs a token with the scope admin"), &fault));
		return;
	}
	if (json_member(message, "filepath", &value) && json_kind(value) == JSON_STRING) {
		size_t len;
		name = malloc(value.len + 1);
		if (name != NULL && !json_string(value, name, &len))
			len = 0;
		if (name != NULL)
			name[len] = '\0';
	} else {
		name = strdup("");
	}
	ws_send_query(c, WS_QUERY_EXPORT, q, none, name);
}

/* For a reader with a session: every event up to `seq` is handled. */
static void acknowledge(struct ws_conn *c, struct slice message)
{
	struct slice value;
	uint64_t seq;
	if (json_member(message, "seq", &value) && json_sequence(value, &seq))
		ws_ack(c, seq);
}

/* Messages that are not commands are ignored, as in the Python hub. */
static void on_message(struct ws_conn *c)
{
	struct buf *in = ws_message(c);
	struct slice message = {in->data, 0};
	struct slice command;
	struct json_error error;
	struct question q;
	if (in->len == 0 || !json_minify(in->data, in->len, in->data, &message.len, &error) ||
	    json_kind(message) != JSON_OBJECT || !json_member(message, "command", &command))
		return;
	read_question(message, &q);
	if (slice_is(command, "\"get_stats\""))
		get_stats(c, &q);
	else if (slice_is(command, "\"get_recent_events\""))
		get_recent(c, &q, message);
	else if (slice_is(command, "\"get_historical_data\""))
		get_history(c, &q, message);
	else if (slice_is(command, "\"get_time_series\""))
		get_series(c, &q, message);
	else if (slice_is(command, "\"export\""))
		export(c, &q, message);
	else if (slice_is(command, "\"ack\""))
		acknowledge(c, message);
}

struct ws_profile ws_dashboard(struct monitoring *self, enum encoding live)
{
	return (struct ws_profile){
		.path = "/ws",
		.arg = self,
		.permission = PERMISSION_READ_ALL,
		.query = WS_QUERY,
		.reads = true,
		.measures = true,
		.encoding = live,
		.counts = WSM_DIRECT,
		.narrow = narrow,
		.opened = on_opened,
		.closed = on_closed,
		.open = on_open,
		.message = on_message,
		.error = on_error,
		.gap = on_gap,
		.live = on_live,
		.progressed = ws_queries_check,
		.tick = mute,
		.tick_all = send_news_to_all,
		.silent = ws_note_silence,
	};
}
