#include "app/server.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "app/config.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/api.h"
#include "net/door.h"
#include "net/ws.h"

enum {
	POOL_THREADS = 2,
	HTTP_THREADS = 1,
	SPARE_FDS = 256,      /* for the store, its readers, the log and the listeners */
	EVENTS_MAX = 1 << 20, /* of one request */
};

/* All that runs, from the ground up; what was not made is NULL. */
struct server {
	struct config config;
	struct store *store;
	struct pool *pool;
	struct feed *feed;
	struct sessions *sessions;
	struct writer *writer;
	struct push *push;
	struct ws *ws;
	struct http *http;
	struct door *door;
	struct api api;
};

/* libwebsockets makes its tables as large as this says: no larger than needed. */
static void set_fd_limit(int64_t connections)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t wanted = (rlim_t)connections + SPARE_FDS;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		log_warn("fewer connections than asked for: the limit of open files is too low", "limit=%llu wanted=%llu",
			 (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

static enum err make_hub(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct store_options store = {STORE_WRITE, strcmp(c->durability, "relaxed") == 0};
	struct feed_options feed = {(size_t)c->ring, (size_t)c->cache};
	struct writer_options writer = {(uint64_t)c->queue_events, (uint64_t)c->queue_bytes, (uint64_t)c->disk_reserve};
	enum err err = store_open(c->data, store, &s->store, fault);
	if (!err)
		err = pool_create(s->store, POOL_THREADS, &s->pool, fault);
	if (!err)
		err = feed_create(s->store, s->pool, feed, &s->feed, fault);
	if (!err)
		err = sessions_create(s->store, &s->sessions, fault);
	if (!err)
		err = writer_create(s->store, s->feed, s->sessions, writer, &s->writer, fault);
	return err;
}

static enum err make_net(struct server *s, struct fault *fault)
{
	const struct config *c = &s->config;
	struct batch_limits limits = {(size_t)c->max_event, EVENTS_MAX};
	size_t bodies_max = (size_t)c->max_request * 2 > (size_t)c->queue_bytes * 2 ? (size_t)c->max_request * 2
										    : (size_t)c->queue_bytes * 2;
	struct door_options door = {&c->listen, c->handshake_timeout, (int)c->max_connections, store_epoch(s->store),
				    &c->allow_origins};
	enum err err = door_create(door, &s->door, fault);
	if (!err)
		err = push_create(s->feed, (uint64_t)c->max_lag, &s->push, fault);
	struct ws_options ws = {
		.feed = s->feed,
		.writer = s->writer,
		.sessions = s->sessions,
		.limits = limits,
		.message_max = (size_t)c->max_request,
		.messages_max = bodies_max,
		.ping_ms = c->ping_interval,
		.lag_max = (uint64_t)c->max_lag,
		.on_close = door_leave,
		.on_close_arg = s->door,
	};
	if (!err)
		err = ws_create(ws, &s->ws, fault);
	s->api = (struct api){
		.store = s->store,
		.writer = s->writer,
		.feed = s->feed,
		.sessions = s->sessions,
		.push = s->push,
		.ws = s->ws,
		.door = s->door,
		.limits = limits,
		.allow_origins = &c->allow_origins,
		.disk_reserve = (uint64_t)c->disk_reserve,
		.durability = strcmp(c->durability, "fsync") == 0 ? "fsync" : "written",
		.started_mono_ms = clock_mono_ms(),
	};
	struct http_options http = {
		.routes = api_routes,
		.arg = &s->api,
		.body_max = (size_t)c->max_request,
		.bodies_max = bodies_max,
		.connections_max = (int)c->max_connections,
		.threads = HTTP_THREADS,
		.allow_origins = &c->allow_origins,
		.on_close = door_leave,
		.on_close_arg = s->door,
	};
	if (!err)
		err = http_create(s->pool, http, &s->http, fault);
	if (!err)
		err = door_start(s->door, s->http, s->ws, fault);
	return err;
}

/* From the door inwards: nobody new, then no new requests, then what was accepted is committed and answered, then
 * everybody is seen off. */
static void stop(struct server *s)
{
	if (s->door != NULL)
		door_close(s->door);
	if (s->http != NULL)
		http_refuse(s->http);
	if (s->writer != NULL)
		writer_close(s->writer);
	if (s->push != NULL)
		push_close(s->push);
	if (s->ws != NULL)
		ws_close(s->ws);
	if (s->writer != NULL)
		writer_save_sessions(s->writer); /* acknowledged until the last moment */
	pool_destroy(s->pool);                   /* runs what waits there: requests, and pages for readers */
	http_destroy(s->http);
	ws_destroy(s->ws);
	push_destroy(s->push);
	writer_destroy(s->writer);
	sessions_destroy(s->sessions);
	feed_destroy(s->feed);
	store_close(s->store);
	door_destroy(s->door);
}

static void announce(const struct server *s)
{
	char address[80];
	log_info("ready", "data=\"%s\" epoch=%s first=%llu head=%llu durability=%s", s->config.data, store_epoch(s->store),
		 (unsigned long long)store_first(s->store), (unsigned long long)store_head(s->store), s->config.durability);
	for (int i = 0; door_address(s->door, i, address, sizeof address); i++)
		fprintf(stderr, "tidemark: listening on http://%s\n", address);
}

int server_main(int argc, char **argv)
{
	static struct server s;
	int status = config_parse(&s.config, argc, argv);
	if (status >= 0)
		return status;
	/* Blocked before the first thread starts, so that only the wait below sees them. */
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(077); /* the store is nobody else's to read */
	/* Pages are made by one thread and freed by another: many arenas would only keep more of them. */
	mallopt(M_ARENA_MAX, 2);
	set_fd_limit(s.config.max_connections);
	struct fault fault;
	enum err err = make_hub(&s, &fault);
	if (!err)
		err = make_net(&s, &fault);
	if (err) {
		fprintf(stderr, "tidemark: %s\n", fault.text);
	} else {
		announce(&s);
		int which;
		sigwait(&signals, &which);
		log_info("stopping", "signal=%s", which == SIGTERM ? "SIGTERM" : "SIGINT");
	}
	stop(&s);
	if (!err)
		log_info("stopped", NULL);
	return err ? 1 : 0;
}
