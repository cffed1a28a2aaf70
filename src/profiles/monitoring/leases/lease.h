/* Leases: limits on concurrent use. A lease is acquired under the name of a provider (or
 * `global`), by a holder, optionally for a session and a conversation, and counts against the limit of each: global
 * always, the provider's, that of the session, that of the conversation.
 *
 *            leases_acquire            committed                leases_release, or leak_ms over
 *     (none) ──────────────▶ TAKEN ──────────────▶ HELD ─────────────────────────────────▶ RELEASING ─▶ (none)
 *                              └── failed: none      ▲───────────────── failed ──────────────┘
 *
 * It counts in every state. Its note is in the store before the holder is answered and until the release is durable, so that
 * a restart can only find fewer leases than there were, never more than the limits. Renewals are not stored: after a restart
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

/* `limits` begins with global, session and conversation; providers follow. */
enum lease_scope { LEASE_GLOBAL, LEASE_SESSION, LEASE_CONVERSATION, LEASE_PROVIDERS };

struct lease_options {
	struct lease_limit limits[LEASE_NAMES_MAX];
	int limit_count;
	int64_t leak_ms;
};

/* The default limits of the profile: global 24, session 8, conversation 1, kimi 6, glm 4. */
struct lease_options lease_defaults(void);
/* Parses "NAME=N" into the options. */
bool lease_set_limit(struct lease_options *o, const char *text);

/* Loads the held leases. Before the writer starts. */
enum err leases_create(struct store *store, struct lease_options options, struct leases **out, struct fault *fault);
void leases_destroy(struct leases *l);

struct lease_request {
	struct slice name; /* a provider, or global; case-insensitive */
	struct slice holder;
	struct slice session;      /* may be empty */
	struct slice conversation; /* may be empty */
};

/* A change that is being stored; `done` is called once, on the writer's thread. The caller keeps it until then. */
struct lease_change {
	struct write_op op; /* first member: the writer hands it back. Its err and fault are the result */
	struct leases *leases;
	char id[LEASE_ID_LEN + 1];
	bool releases;
	bool leaks; /* a revocation: stores the number of leaks as well */
	void (*done)(struct lease_change *change);
};

/* ERR_CONFLICT: a limit is reached, and `fault` names it; ERR_INVALID: there is no such name. On any error `done` is not
 * called. change->id is set at once. */
enum err leases_acquire(struct leases *l, struct writer *w, const struct lease_request *request, struct lease_change *change,
			struct fault *fault);
/* ERR_NOT_FOUND: there is no such lease; ERR_CONFLICT: another holder has it. */
enum err leases_release(struct leases *l, struct writer *w, struct slice id, struct slice holder,
			struct lease_change *change, struct fault *fault);
enum err leases_renew(struct leases *l, struct slice id, struct slice holder, struct fault *fault);

/* Revokes leases that were not renewed in time. Call it once a second. */
void leases_sweep(struct leases *l, struct writer *w);

/* --- output --- */

/* Appends the document of a lease; false: there is no such lease. */
bool leases_write_one(struct leases *l, struct buf *out, struct slice id);
/* Appends the document of all leases, LEASES_PART per call, so that acquiring a lease waits for one part at most. True
 * after the last part. `at` begins as {0}. A lease that exists from the first part to the last is written once; one that
 * is acquired or released meanwhile may be missing. */
enum { LEASES_PART = 400 };
struct lease_cursor {
	uint64_t number; /* of the last lease that was written; 0: none */
	char id[LEASE_ID_LEN + 1];
};
bool leases_write_part(struct leases *l, struct buf *out, struct lease_cursor *at);
/* Fills in the semaphore metrics object; its keys contain `port`. */
void leases_write_metrics(struct leases *l, struct doc to, int port);
enum lease_health { LEASES_HEALTHY, LEASES_WARNING, LEASES_DEGRADED, LEASES_CRITICAL };
/* Fills in the document of /health/semaphores. Returns the status in it. */
enum lease_health leases_write_health(struct leases *l, struct doc to);
/* The same as a part of the health of the whole server, where all permits in use mean high utilization only. Not `named`:
 * without the providers, whose names are the operator's. */
enum lease_health leases_write_use(struct leases *l, struct doc to, bool named);

#endif
