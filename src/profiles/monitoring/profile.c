#include "profiles/monitoring/profile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/system/clock.h"
#include "base/system/log.h"
#include "event/where.h"
#include "profiles/monitoring/event/category.h"
#include "profiles/monitoring/routes/routes.h"
#include "profiles/monitoring/services/monitoring.h"
#include "profiles/monitoring/services/notice.h"
#include "profiles/monitoring/ws/ws_profiles.h"
#include "server/listen/listener.h"

enum { USAGE = 2, GO_ON = -1 };

/* The profile's options: set once, before the profile is created. */
static struct {
	struct option_texts lease_limits; /* NAME=N */
	struct option_texts flags;        /* NAME=VALUE */
	struct lease_options leases;
	struct auditor_options auditor;
} config;

static enum encoding live;

/* The profile, with the parts that only this file uses. */
struct whole {
	struct monitoring parts; /* first member: handlers get a pointer to it */
	struct ws_metrics *metrics;
	struct ws_profile dashboard;
	struct ws_profile ingest;
};

/* --- encodings --- */

static bool write_live(struct slice envelope, int64_t time_ms, struct buf *out)
{
	struct flat flat;
	if (!flat_read(envelope, time_ms, &flat))
		return false;
	flat_live(out, &flat);
	return true;
}

static int read_category(struct slice value)
{
	enum category category = category_find(value);
	return category < CATEGORIES ? (int)category : -1;
}

static bool is_of_category(int wanted, struct slice type, struct slice data)
{
	struct flat flat;
	flat_read_payload(type, data, &flat);
	return (int)category_of(&flat) == wanted;
}

static void declare(void)
{
	static const struct where_kind category = {"category", read_category, is_of_category};
	live = encoding_add(write_live);
	where_add_kind(&category);
}

/* --- options --- */

static const struct option *options(void)
{
	static const struct option table[] = {
		{"lease-limit", OPTION_TEXTS, &config.lease_limits, "NAME=N",
		 "maximum number of leases held under a name, repeatable (global=24, kimi=6, glm=4, session=8, "
		 "conversation=1)",
		 0, 0, 0},
		{"lease-timeout", OPTION_DURATION, &config.leases.leak_ms, "DURATION",
		 "revoke a lease that was not renewed for this long (60s)", 100, 86400000, 0},
		{"monitoring-flag", OPTION_TEXTS, &config.flags, "NAME=VALUE",
		 "a flag of the monitoring profile, such as MONITORING_VALIDATION_STRICT=true, repeatable; each also by its "
		 "own "
		 "name in the environment; a value set at run time takes precedence (see /flags/status)",
		 0, 0, 0},
		{"audit-errors", OPTION_INTEGER, &config.auditor.errors, "N",
		 "the auditor reports this many failed events of a service within a minute; 0: never (10)", 0, 1000000, 0},
		{"audit-latency", OPTION_DURATION, &config.auditor.latency_ms, "DURATION",
		 "the auditor reports a 95th percentile of a service's response times above this; 0: never (5s)", 0,
		 86400000, 0},
		{"audit-silence", OPTION_DURATION, &config.auditor.silence_ms, "DURATION",
		 "the auditor reports a service that was silent for this long; 0: never (10m)", 0, 86400000, 0},
		{0},
	};
	config.leases = lease_defaults();
	config.auditor = (struct auditor_options){.errors = 10, .latency_ms = 5000, .silence_ms = 10 * 60 * 1000};
	return table;
}

static int check(void)
{
	for (int i = 0; i < config.lease_limits.count; i++) {
		if (lease_set_limit(&config.leases, config.lease_limits.items[i]))
			continue;
		fprintf(stderr, "tidemark: --lease-limit needs NAME=N, not: %s\n", config.lease_limits.items[i]);
		return USAGE;
	}
	for (int i = 0; i < config.flags.count; i++) {
		struct fault fault;
		if (flag_check(config.flags.items[i], &fault) == ERR_NONE)
			continue;
		fprintf(stderr, "tidemark: --monitoring-flag %s: %s\n", config.flags.items[i], fault.text);
		return USAGE;
	}
	return GO_ON;
}

/* --- life cycle --- */

static void destroy(void *arg)
{
	struct whole *w = arg;
	if (w == NULL)
		return;
	struct monitoring *m = &w->parts;
	probe_destroy(m->probe);
	watch_destroy(m->watch);
	auditor_destroy(m->auditor);
	leases_destroy(m->leases);
	monitor_destroy(m->monitor);
	flags_destroy(m->flags);
	free(w);
}

static bool persists(const void *flags)
{
	return flags_get(flags, FLAG_METRICS_PERSISTENCE) != 0;
}

static enum err create(struct store *store, struct ws_metrics *metrics, void **self, struct fault *fault)
{
	struct whole *w = calloc(1, sizeof *w);
	*self = w;
	if (w == NULL)
		return fault_nomem(fault);
	struct monitoring *m = &w->parts;
	w->metrics = metrics;
	if (!clock_set_zone("Australia/Melbourne"))
		log_warn("the time zone of timestamp_melbourne is not installed, using UTC", "zone=Australia/Melbourne");
	enum err err = flags_create(store, &config.flags, &m->flags, fault);
	if (!err)
		err = monitor_create(store, m->flags, &m->monitor, fault);
	if (!err)
		err = leases_create(store, config.leases, &m->leases, fault);
	if (!err)
		err = auditor_create(store, m->monitor, config.auditor, &m->auditor, fault);
	if (!err)
		ws_metrics_set_persists(metrics, persists, m->flags);
	return err;
}

static const struct writer_observer *observer(void *self)
{
	return monitor_observer(((struct monitoring *)self)->monitor);
}

static void put_stats(void *self, struct doc to)
{
	struct monitoring *m = self;
	struct auditor_figures a;
	auditor_read(m->auditor, &a);
	doc_u64(to, "dashboards", atomic_load(&m->dashboards));
	struct doc observations = doc_object(to, "observations");
	doc_u64(observations, "all", a.observations);
	doc_u64(observations, "open", a.open);
}

static enum err start(void *self, struct api *api, struct fault *fault)
{
	struct whole *w = self;
	struct monitoring *m = &w->parts;
	m->api = api;
	m->port = listener_port(api->listener);
	api_add_figures(api, (struct api_figures){m, put_stats, NULL});
	w->dashboard = ws_dashboard(m, live);
	w->ingest = ws_ingest(m);
	ws_add_profile(&w->dashboard);
	ws_add_profile(&w->ingest);
	enum err err = watch_create(m->monitor, m->leases, m->auditor, api->writer, &m->watch, fault);
	if (!err && (m->probe = probe_create(api->writer, m->flags)) == NULL)
		err = fault_nomem(fault);
	return err;
}

static void stop(void *self)
{
	struct monitoring *m = self;
	if (m->watch != NULL)
		watch_close(m->watch);
}

static void ended(void *self)
{
	struct monitoring *m = self;
	if (m->probe != NULL)
		probe_close(m->probe);
}

static double seconds_since(int64_t ms)
{
	return (double)(clock_mono_ms() - ms) / 1000;
}

/* If the profile was not used since the start, there is no final event: the log belongs to its publishers. */
static struct batch *last(void *self, const struct stop_report *r)
{
	struct whole *w = self;
	struct notice notice;
	struct fault fault;
	struct batch *batch;
	if (ws_metrics_since_start(w->metrics, WSM_PROFILE) == 0)
		return NULL;
	struct doc metadata = notice_begin(&notice, "server_stopped", NULL);
	doc_string(metadata, "reason", r->signal);
	doc_u64(metadata, "pending_messages_flushed", r->flushed);
	doc_u64(metadata, "pending_messages_left", r->left);
	doc_u64(metadata, "connections_closed", r->closed);
	doc_u64(metadata, "connections_behind", r->behind);
	doc_fixed(metadata, "duration_seconds", seconds_since(r->begun_ms), 3);
	doc_fixed(metadata, "uptime_seconds", seconds_since(r->started_ms), 3);
	return notice_batch(&notice, &batch, &fault) == ERR_NONE ? batch : NULL;
}

const struct profile monitoring_profile = {
	.name = "monitoring",
	.declare = declare,
	.options = options,
	.check = check,
	.create = create,
	.observer = observer,
	.start = start,
	.routes = monitoring_routes,
	.close = stop,
	.ended = ended,
	.last = last,
	.destroy = destroy,
};
