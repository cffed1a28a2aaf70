/* A profile: a protocol that is not our own, in a room that could be deleted. It is a table: options, an observer of
 * commits, routes, WebSocket paths, encodings, figures. CMake lists those there are (TIDEMARK_PROFILES); no room below profiles/
 * names one.
 *
 *     declare ─▶ options are read ─▶ check ─▶ create ─▶ (the writer starts) ─▶ start ─▶ … ─▶ close ─▶ (the writer ends)
 *                                                                                             ─▶ ended ─▶ destroy
 *
 * All on the main thread. A member that a profile has no use for is NULL. */
#ifndef PROFILES_PROFILE_H
#define PROFILES_PROFILE_H

#include "base/options.h"
#include "server/api/api.h"

struct ws_metrics;

/* What stopping the server has come to. */
struct stop_report {
	const char *signal; /* a static text; NULL: the server did not come up */
	int64_t begun_ms;   /* monotonic */
	int64_t started_ms; /* the same, of the server */
	uint64_t events;    /* committed before */
	uint64_t flushed;   /* committed since */
	uint64_t left;      /* events that readers had not been sent when they were closed: they stay in the log */
	uint64_t behind;    /* such readers */
	uint64_t closed;    /* connections of readers and publishers */
};

struct profile {
	const char *name;
	/* What events may look like and be asked for by: encodings, kinds of conditions. Of every command, before anything
	 * else. */
	void (*declare)(void);
	/* Options of serve, up to a NULL name, with targets of the profile's own; read before the first `create`. */
	const struct option *(*options)(void);
	/* -1, or an exit status after saying on stderr what is wrong with the options. */
	int (*check)(void);
	/* Loads what the profile keeps beside the log. Nothing runs yet. */
	enum err (*create)(struct store *store, struct ws_metrics *metrics, void **self, struct fault *fault);
	/* To be given to the writer; lives as long as the profile. */
	const struct writer_observer *(*observer)(void *self);
	/* The server is there, but nobody is let in yet. `api` is borrowed for good. */
	enum err (*start)(void *self, struct api *api, struct fault *fault);
	const struct http_route *routes; /* their handlers get `self` */
	/* The server stops: ends threads that write. */
	void (*close)(void *self);
	/* The writer has ended; whatever waits for it is answered. */
	void (*ended)(void *self);
	/* An event that goes into the last commit; NULL: none. */
	struct batch *(*last)(void *self, const struct stop_report *report);
	void (*destroy)(void *self); /* NULL is fine */
};

#endif
