/* Leases: who may do something at the same time as how many others. A lease is taken under the name of a provider (or
 * `global`), by a holder, for a session and a conversation if it says so, and counts against the limit of each: global
 * always, the provider's, that of the session, that of the conversation.
 *
 *            leases_acquire            committed                leases_release, or silent for leak_ms
 *     (none) ──────────────▶ TAKEN ──────────────▶ HELD ─────────────────────────────────▶ LEAVING ─▶ (none)
 *                              └── failed: none      ▲───────────────── failed ──────────────┘
 *
 * In every state it counts. It is a note in the store before the holder hears of it and until after it has left, so that a
 * restart can only find fewer leases than there were, never more than the limits. Renewals are not stored: after a restart
 * every lease has leak_ms to be renewed.
 *
 * Any thread. The writer outlives the leases' changes. */
#ifndef PROFILES_MONITORING_LEASES_LEASE_H
#define PROFILES_MONITORING_LEASES_LEASE_H

#include "base/buf.h"
#include "engine/write/writer.h"
#include "json/document.h"

struct leases;

enum { LEASE_ID_LEN = 32, LEASE_NAMES_MAX = 32, LEASES_MAX = 100000 };

struct lease_limit {
	char name[64]; /* lower case */
	uint64_t limit;
};

/* `limits` begins with global, session and conversation; what follows are providers. */
enum lease_scope { LEASE_GLOBAL, LEASE_SESSION, LEASE_CONVERSATION, LEASE_PROVIDERS };

struct lease_options {
	struct lease_limit limits[LEASE_NAMES_MAX];
	int limit_count;
	int64_t leak_ms;
};

/* The limits of the profile: global 24, session 8, conversation 1, kimi 6, glm 4. */
struct lease_options lease_defaults(void);
/* Reads "NAME=N" into the options. */
bool lease_set_limit(struct lease_options *o, const char *text);

/* Loads the leases that are held. The writer has not started yet. */
enum err leases_create(struct store *store, struct lease_options options, struct leases **out, struct fault *fault);
void leases_destroy(struct leases *l);

struct lease_request {
	struct slice name; /* a provider, or global; knows no case */
	struct slice holder;
	struct slice session;      /* may be empty */
	struct slice conversation; /* may be empty */
};

/* A change on its way to the disk; `done` is called once, on the writer's thread. The caller keeps it until then. */
struct lease_change {
	struct write_op op; /* first: the writer gives it back. Its err and fault are the result */
	struct leases *leases;
	char id[LEASE_ID_LEN + 1];
	bool releases;
	bool leaks; /* it is taken back: how many were goes along */
	void (*done)(struct lease_change *change);
};

/* ERR_CONFLICT: a limit is reached, and `fault` names it; ERR_INVALID: there is no such name. On any error `done` is not
 * called. change->id is set at once. */
enum err leases_acquire(struct leases *l, struct writer *w, const struct lease_request *request, struct lease_change *change,
			struct fault *fault);
/* ERR_NOT_FOUND: there is no such lease (any more); ERR_CONFLICT: it is somebody else's. */
enum err leases_release(struct leases *l, struct writer *w, struct slice id, struct slice holder,
			struct lease_change *change, struct fault *fault);
enum err leases_renew(struct leases *l, struct slice id, struct slice holder, struct fault *fault);

/* Takes back what was not renewed in time; to be called every second or so. */
void leases_sweep(struct leases *l, struct writer *w);

/* --- telling --- */

/* Appends the document of a lease; false where there is no such lease. */
bool leases_write_one(struct leases *l, struct buf *out, struct slice id);
/* Appends the document of all leases, LEASES_PART per call, so that a client taking a lease waits for one part at most. True
 * after the last part. `at` begins as {0}. A lease that existed from the first part to the last is written once; one that
 * came or went meanwhile may be. */
enum { LEASES_PART = 400 };
struct lease_place {
	uint64_t number; /* of the last lease that was written; 0: none was */
	char id[LEASE_ID_LEN + 1];
};
bool leases_write_part(struct leases *l, struct buf *out, struct lease_place *at);
/* Fills in the semaphore metrics object; `port` stands in its keys. */
void leases_write_metrics(struct leases *l, struct doc to, int port);
enum lease_health { LEASES_HEALTHY, LEASES_WARNING, LEASES_DEGRADED, LEASES_CRITICAL };
/* Fills in the document of /health/semaphores. Returns the status that it says. */
enum lease_health leases_write_health(struct leases *l, struct doc to);
/* The same as a part of the health of the whole, for which there is no more to it than high utilization where all permits
 * are in use. Not `named`: without the providers, whose names are the operator's. */
enum lease_health leases_write_use(struct leases *l, struct doc to, bool named);

#endif
