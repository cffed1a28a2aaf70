/* A profile: a protocol other than the server's own, in a folder that could be deleted. It is a table: options, an observer
 * of commits, routes, WebSocket paths, encodings, figures. CMake lists the profiles (TIDEMARK_PROFILES); only app/
 * and a profile itself name it.
 *
 *     declare ─▶ options are read ─▶ check ─▶ create ─▶ (the writer starts) ─▶ start ─▶ … ─▶ close ─▶ (the writer ends)
 *                                                                                             ─▶ last ─▶ ended ─▶ destroy
 *
 * All members are called on the main thread. All but `name`, `create`, `start` and `destroy` may be NULL. */
#ifndef PROFILES_PROFILE_H
#define PROFILES_PROFILE_H

#include "base/options.h"
#include "server/api/api.h"

struct ws_metrics;

/* The figures of a shutdown. */
struct stop_report {
	const char *signal; /* a static text; NULL: the server did not start */
	int64_t begun_ms;   /* monotonic: when the shutdown began */
	int64_t started_ms; /* monotonic: when the server started */
	uint64_t events;    /* committed before the shutdown */
	uint64_t flushed;   /* committed during the shutdown */
	uint64_t left;      /* events that readers had not been sent when they were closed; they stay in the log */
	uint64_t behind;    /* readers with such events */
	uint64_t closed;    /* connections of readers and publishers that were closed */
};

struct profile {
	const char *name;
	/* Registers encodings and kinds of conditions. Called for every command, before anything else. */
	void (*declare)(void);
	/* Options of serve, up to a NULL name, whose targets belong to the profile; read before the first `create`. */
	const struct option *(*options)(void);
	/* Checks the options. -1: fine; otherwise the exit status, after an error on stderr. */
	int (*check)(void);
	/* Loads what the profile stores beside the log. No thread runs yet. */
	enum err (*create)(struct store *store, struct ws_metrics *metrics, void **self, struct fault *fault);
	/* The observer for the writer; lives as long as the profile. */
	const struct writer_observer *(*observer)(void *self);
	/* The server exists, but accepts nothing yet. `api` is borrowed until `destroy`. */
	enum err (*start)(void *self, struct api *api, struct fault *fault);
	const struct http_route *routes; /* their handlers get `self` */
	/* The server is shutting down: ends threads that write. */
	void (*close)(void *self);
	/* The writer has ended: answers everything that waits for it. */
	void (*ended)(void *self);
	/* An event for the last commit; NULL: none. */
	struct batch *(*last)(void *self, const struct stop_report *report);
	void (*destroy)(void *self); /* NULL is fine */
};

#endif
