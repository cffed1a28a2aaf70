#include "app/server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "app/config.h"
#include "app/profiles.h"
#include "app/report.h"
#include "app/rescue.h"
#include "app/sandbox.h"
#include "base/system/clock.h"
#include "base/system/log.h"
#include "engine/retention/age_clock.h"
#include "engine/write/observers.h"
#include "server/api/api.h"
#include "server/listen/listener.h"
#include "server/ws/metrics/ws_metrics.h"
#include "server/ws/ws.h"
#include "store/index/catalog.h"

enum {
	POOL_THREADS = 2,
	/* Per connection: twice the longest head that the listener passes on. For a stream, whose head is short, a size
	 * that makes ten thousand streams affordable (docs/decisions/0008-speed.md). */
	HTTP_MEMORY = 16 * 1024,
	STREAM_MEMORY = 5888,
	SPARE_FDS = 256,  /* for the store, its readers, the log and the listeners */
	TLS_FDS = 3,      /* per TLS connection: its socket, and the pair of sockets to its server */
	EXPORTS_MAX = 16, /* at once; each needs several MiB of memory */
	SEARCHES_MAX = 64,
	CONDITIONS_MAX = 4096, /* each event is tested against each: a microsecond or two */
	SESSIONS_MAX = 100000,
	LONG_RESERVE = 16, /* 1/n of all requests is reserved for requests that are not long */
	/* A single client may have two thirds: ten thousand readers on one machine are one client. */
	CLIENT_TIMES = 2,
	SMALL_UPLOADS_MAX = 16 * 1024 * 1024,
	SMALL_REPLIES_MAX = 16 * 1024 * 1024,
	FILTERS_MAX = 64 * 1024 * 1024, /* bytes of the filters of sessions */
};

/* All modules, in the order in which they are created; NULL: not created. */
struct server {
	struct config config;
	struct quotas *quotas;
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct sessions *sessions;
	struct ws_metrics *metrics;
	void *profiles[PROFILES_MAX]; /* parallel to `profiles` */
	struct observers observers;
	struct stop_report report;
	struct writer *writer;
	struct age_clock *ages;
	struct archiver *archiver;
	struct waiters *waiters;
	struct ws *ws;
	struct http *http;
	struct http *streams; /* a second HTTP server with the same routes, for endless streams */
	struct listener *listener;
	struct access *access;
	struct rates *rates;
	struct request_guard guard;
	struct api api;
	struct http_routes routes[PROFILES_MAX + 2];
};

/* libwebsockets allocates tables of this size, so the limit is no larger than needed. With fewer descriptors the number
 * of connections is reduced: the store needs some, too. */
static void set_fd_limit(struct config *c)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t each = c->tls_cert != NULL ? TLS_FDS : 1;
	rlim_t wanted = (rlim_t)c->max_connections * each + SPARE_FDS;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= wanted)
		return;
	rlim_t left = limit.rlim_cur > 2 * SPARE_FDS ? limit.rlim_cur - SPARE_FDS : limit.rlim_cur / 2;
	c->max_connections = left > each ? (int64_t)(left / each) : 1;
	log_warn("reduced the number of connections: the limit of open files is too low",
		 "limit=%" PRIu64 " wanted=%" PRIu64, limit.rlim_cur, wanted);
}

static struct quotas *make_quotas(const struct config *c)
{
	int64_t uploads = 4 * c->max_request > c->queue_bytes ? 4 * c->max_request : c->queue_bytes;
	return quotas_create((struct quota_limit[QUOTAS]){
		[QUOTA_CONNECTIONS] = {.all = (uint64_t)c->max_connections,
				       .client =
					       c->max_peer_connections > 0 ? (uint64_t)c->max_peer_connections : UINT64_MAX},
		[QUOTA_REQUESTS] = {.all = (uint64_t)c->max_connections, .times = CLIENT_TIMES},
		[QUOTA_LONG_REQUESTS] = {.all = (uint64_t)(c->max_connections - c->max_connections / LONG_RESERVE),
					 .times = CLIENT_TIMES},
		[QUOTA_SEARCHES] = {.all = SEARCHES_MAX},
		[QUOTA_UPLOADS] = {.all = (uint64_t)uploads},
		[QUOTA_SMALL_UPLOADS] = {.all = SMALL_UPLOADS_MAX},
		[QUOTA_QUEUE_EVENTS] = {.all = (uint64_t)c->queue_events},
		[QUOTA_QUEUE_BYTES] = {.all = (uint64_t)c->queue_bytes},
		[QUOTA_REPLIES] = {.all = (uint64_t)c->reply_memory},
		[QUOTA_SMALL_REPLIES] = {.all = SMALL_REPLIES_MAX},
		[QUOTA_ACKS] = {.all = (uint64_t)c->ack_memory},
		[QUOTA_EXPORTS] = {.all = EXPORTS_MAX},
		[QUOTA_SLOW_EXPORTS] = {.all = EXPORTS_MAX, .client = 2},
		[QUOTA_SESSIONS] = {.all = SESSIONS_MAX, .client = (uint64_t)c->max_client_sessions},
		[QUOTA_FILTERS] = {.all = FILTERS_MAX},
		[QUOTA_CONDITIONS] = {.all = CONDITIONS_MAX},
		[QUOTA_TOPICS] = {.all = CATALOG_TOPICS_MAX, .client = (uint64_t)c->max_client_topics},
	});
}

/* A topic (stream and type) that a client has begun was removed. */
static void on_forgotten(void *arg, uint64_t client)
{
	quota_give(arg, QUOTA_TOPICS, client, 1);
}

/* The store and its readers. */
static enum err make_store(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct store_options store = {.access = STORE_WRITE,
				      .relaxed = strcmp(c->durability, "relaxed") == 0,
				      .archive_dir = c->archive_dir != NULL ? c->archive_dir : "",
				      .accept_loss = c->accept_loss};
	struct feed_options feed = {(size_t)c->ring, (size_t)c->cache};
	bool salvaged = false;
	enum err err = (s->quotas = make_quotas(c)) != NULL ? ERR_NONE : fault_nomem(fault);
	if (!err && c->salvage)
		err = rescue(c, &salvaged, fault);
	store.salvaged = salvaged && !c->accept_loss;
	store.accept_loss = store.accept_loss || salvaged;
	store.on_forgotten = on_forgotten;
	store.arg = s->quotas;
	if (!err)
		err = store_open(c->data, store, &s->store, fault);
	if (!err)
		quota_charge(s->quotas, QUOTA_TOPICS, 0, store_topics(s->store));
	if (!err)
		err = pool_create(s->store, POOL_THREADS, &s->pool, fault);
	if (!err)
		err = feed_create(s->store, s->pool, feed, &s->feed, fault);
	if (!err)
		err = sessions_create(s->store, s->quotas, &s->sessions, fault);
	return err;
}

static enum err make_profiles(struct server *s, struct fault *fault)
{
	enum err err = ERR_NONE;
	if ((s->metrics = ws_metrics_create(s->config.metrics_idle)) == NULL)
		return fault_nomem(fault);
	observers_init(&s->observers);
	for (int i = 0; !err && profiles[i] != NULL; i++) {
		err = profiles[i]->create(s->store, s->metrics, &s->profiles[i], fault);
		if (!err && profiles[i]->observer != NULL)
			observers_add(&s->observers, profiles[i]->observer(s->profiles[i]));
	}
	if (!err)
		err = ws_metrics_load(s->metrics, s->store, fault);
	observers_add(&s->observers, ws_metrics_observer(s->metrics));
	return err;
}

/* The writer and the archiver. */
static enum err make_writer(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	enum err err = age_clock_create(s->store, &s->ages, fault);
	if (err)
		return err;
	sessions_forgive(s->sessions, age_clock_surplus(s->ages));
	struct writer_options writer = {s->quotas, (uint64_t)c->disk_reserve, &s->observers.all};
	err = writer_create(s->store, s->feed, s->sessions, writer, &s->writer, fault);
	ws_metrics_watch(s->metrics, s->writer);
	struct archiver_options archiver = c->retention;
	archiver.ages = s->ages;
	archiver.sessions = s->sessions;
	archiver.session_expiry_ms = c->session_expiry;
	return err ? err : archiver_create(s->store, s->writer, archiver, &s->archiver, fault);
}

static struct batch_limits limits_of(const struct config *c)
{
	return (struct batch_limits){(size_t)c->max_event, (size_t)c->max_request_events};
}

static enum err make_ws(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct ws_options options = {
		.feed = s->feed,
		.writer = s->writer,
		.sessions = s->sessions,
		.pool = s->pool,
		.metrics = s->metrics,
		.rates = s->rates,
		.port = listener_port(s->listener),
		.limits = limits_of(c),
		.base = c->base,
		.message_max = (size_t)c->max_request,
		.quotas = s->quotas,
		.message_timeout_ms = c->handshake_timeout,
		.silence_ms = c->publisher_silence,
		.save_ms = WS_SAVE_MS,
		.idle_ms = c->metrics_idle,
		.reply_ms = c->reply_timeout,
		.ping_ms = c->ping_interval,
		.lag_max = (uint64_t)c->max_lag,
		.on_close = listener_on_close,
		.on_close_arg = s->listener,
	};
	return ws_create(options, &s->ws, fault);
}

/* Access control, the listener, and waiters. */
static enum err make_access(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct listener_options listener = {
		.listen = &c->listen,
		.encrypted = c->encrypted,
		.cert = c->tls_cert,
		.key = c->tls_key,
		.handshake_ms = c->handshake_timeout,
		.quotas = s->quotas,
		.guard = &s->guard,
	};
	enum err err = access_create(c->tokens, &s->access, fault);
	if (!err && (s->rates = rates_create(c->rate_limit, c->rate_limit_client)) == NULL)
		err = fault_nomem(fault);
	s->guard =
		(struct request_guard){s->access, &c->listen, &c->allow_hosts, &c->allow_origins, &c->proxies, {0}, c->base};
	if (!err)
		err = listener_create(listener, &s->listener, fault);
	if (!err)
		listener_ports(s->listener, &s->guard.own);
	struct waiters_options waiters = {s->feed, s->sessions, s->writer, s->quotas, (uint64_t)c->max_lag};
	return err ? err : waiters_create(waiters, &s->waiters, fault);
}

/* The handlers' context; the profiles start with it. The first route that matches a request is used: those of profiles
 * come first. */
static enum err make_api(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	s->api = (struct api){
		.store = s->store,
		.writer = s->writer,
		.feed = s->feed,
		.sessions = s->sessions,
		.waiters = s->waiters,
		.ws = s->ws,
		.listener = s->listener,
		.limits = limits_of(c),
		.access = s->access,
		.rates = s->rates,
		.body_max = (size_t)c->max_request,
		.archiver = s->archiver,
		.durability = strcmp(c->durability, "fsync") == 0 ? "fsync" : "written",
		.base = c->base,
		.started_mono_ms = clock_mono_ms(),
		.quotas = s->quotas,
		.pool = s->pool,
		.static_dir = c->static_dir,
	};
	spread_init(&s->api.queries);
	enum err err = ERR_NONE;
	int count = 0;
	for (int i = 0; !err && profiles[i] != NULL; i++) {
		err = profiles[i]->start(s->profiles[i], &s->api, fault);
		if (profiles[i]->routes != NULL)
			s->routes[count++] = (struct http_routes){profiles[i]->routes, s->profiles[i]};
	}
	s->routes[count] = (struct http_routes){api_routes, &s->api};
	return err;
}

static enum err make_http(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct http_options http = {
		.routes = s->routes,
		.body_max = (size_t)c->max_request,
		.quotas = s->quotas,
		.connections_max = (int)c->max_connections + SPARE_FDS, /* some may be closing */
		.timeout_ms = c->handshake_timeout,
		.connection_memory = HTTP_MEMORY,
		.guard = &s->guard,
		.on_close = listener_on_close,
		.on_close_arg = s->listener,
		.on_unopened = ws_count_unopened,
		.on_unopened_arg = s->ws,
	};
	enum err err = http_create(s->pool, http, &s->http, fault);
	struct http_options streams = http;
	streams.connection_memory = STREAM_MEMORY;
	streams.once = true;
	if (!err)
		err = http_create(s->pool, streams, &s->streams, fault);
	return err ? err : listener_start(s->listener, s->http, s->streams, s->ws, fault);
}

/* Saves acknowledgements and counters for the last time, and the last event of a profile that has one. */
static void save(struct server *s)
{
	struct batch *last = NULL;
	if (s->report.signal != NULL) {
		report_end(&s->report, s->writer, s->ws, s->waiters);
		for (int i = 0; last == NULL && profiles[i] != NULL; i++)
			if (profiles[i]->last != NULL)
				last = profiles[i]->last(s->profiles[i], &s->report);
	}
	writer_save(s->writer, last);
	batch_destroy(last);
}

/* From the listener inwards: stop accepting connections, then requests, then commit and answer what was accepted, then
 * close all connections. */
static void stop(struct server *s)
{
	if (s->store != NULL)
		store_hurry(s->store);
	if (s->listener != NULL)
		listener_close(s->listener);
	if (s->http != NULL)
		http_refuse(s->http);
	if (s->streams != NULL)
		http_refuse(s->streams);
	for (int i = 0; profiles[i] != NULL; i++)
		if (s->profiles[i] != NULL && profiles[i]->close != NULL)
			profiles[i]->close(s->profiles[i]);
	if (s->archiver != NULL)
		archiver_close(s->archiver);
	if (s->writer != NULL)
		writer_close(s->writer);
	for (int i = 0; profiles[i] != NULL; i++)
		if (s->profiles[i] != NULL && profiles[i]->ended != NULL)
			profiles[i]->ended(s->profiles[i]);
	if (s->waiters != NULL)
		waiters_close(s->waiters);
	if (s->ws != NULL)
		ws_close(s->ws);
	if (s->writer != NULL)
		save(s);
	if (s->feed != NULL)
		feed_close(s->feed);
	pool_destroy(s->pool); /* runs the jobs that wait */
	http_destroy(s->http);
	http_destroy(s->streams);
	ws_destroy(s->ws);
	waiters_destroy(s->waiters);
	archiver_destroy(s->archiver);
	age_clock_destroy(s->ages);
	if (s->metrics != NULL)
		ws_metrics_watch(s->metrics, NULL);
	writer_destroy(s->writer);
	ws_metrics_destroy(s->metrics);
	for (int i = 0; profiles[i] != NULL; i++)
		profiles[i]->destroy(s->profiles[i]);
	sessions_destroy(s->sessions);
	feed_destroy(s->feed);
	store_close(s->store);
	listener_destroy(s->listener);
	quotas_destroy(s->quotas);
	rates_destroy(s->rates);
	access_destroy(s->access);
}

static void reload_certificate(struct server *s)
{
	struct fault fault;
	if (listener_reload(s->listener, &fault) != ERR_NONE)
		log_error("cannot reload the certificate, the old one stays", "error=%s", log_text(fault.text));
	else
		log_info("certificate reloaded", "file=%s", log_text(s->config.tls_cert));
}

/* Reads certificate and tokens again, and closes connections whose token is no longer valid. */
static void reload(struct server *s)
{
	struct fault fault;
	if (s->config.tls_cert != NULL)
		reload_certificate(s);
	if (s->config.tokens == NULL) {
		log_info("nothing to reload: there is no --tokens", NULL);
		return;
	}
	if (access_reload(s->access, &fault) != ERR_NONE) {
		log_error("cannot reload the tokens, the old ones stay", "error=%s", log_text(fault.text));
		return;
	}
	http_recheck(s->http);
	http_recheck(s->streams);
	ws_recheck(s->ws);
	struct access_figures figures;
	access_read(s->access, &figures);
	log_info("tokens reloaded", "tokens=%" PRIu64, figures.tokens);
}

static void announce(const struct server *s)
{
	char url[96];
	log_info("ready", "data=%s epoch=%s first=%" PRIu64 " head=%" PRIu64 " durability=%s", log_text(s->config.data),
		 store_epoch(s->store), store_first(s->store), store_head(s->store), s->config.durability);
	for (int i = 0; listener_url(s->listener, i, url, sizeof url); i++)
		fprintf(stderr, "tidemark: listening on %s\n", url);
}

int server_main(int argc, char **argv)
{
	static struct server s;
	int status = config_parse(&s.config, argc, argv);
	if (status >= 0)
		return status;
	/* Blocked before the first thread starts, so that only sigwait below gets them. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	set_fd_limit(&s.config);
	struct fault fault;
	enum err err = make_store(&s, &fault);
	if (!err)
		err = make_profiles(&s, &fault);
	if (!err)
		err = make_writer(&s, &fault);
	if (!err)
		err = make_access(&s, &fault);
	if (!err)
		err = make_ws(&s, &fault);
	if (!err)
		err = make_api(&s, &fault);
	if (!err)
		err = make_http(&s, &fault);
	if (!err && s.config.seccomp)
		err = sandbox_enter(&fault);
	if (err) {
		fprintf(stderr, "tidemark: %s\n", fault.text);
	} else {
		announce(&s);
		int which;
		while (sigwait(&signals, &which) == 0 && which == SIGHUP)
			reload(&s);
		const char *name = which == SIGTERM ? "SIGTERM" : "SIGINT";
		log_info("stopping", "signal=%s", name);
		report_begin(&s.report, name, s.api.started_mono_ms, s.writer, s.ws, s.waiters);
	}
	stop(&s);
	if (!err)
		report_log(&s.report);
	return err ? 1 : 0;
}
